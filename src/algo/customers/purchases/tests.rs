use super::form::ORIGIN;
use super::*;
use proptest::prelude::*;

type Line = (i64, Option<i32>, u64);

fn observe(state: &mut Vec<u8>, line: Line) {
    let amount = line.1.map_or(f64::NAN, f64::from);
    loop {
        match add(state, line.0, amount, line.2) {
            Added::Done => return,
            Added::Full(needed) => state.resize(state_length(needed), 0),
            Added::Narrow(form) => *state = reshaped(state, form).unwrap(),
            Added::Corrupt => panic!("no state"),
        }
    }
}

fn of(lines: &[Line]) -> Vec<u8> {
    let mut state = empty(Zone::Named("Europe/Berlin"), Form::Seconds);
    lines.iter().for_each(|line| observe(&mut state, *line));
    state
}

fn merged(a: &[u8], b: &[u8]) -> Vec<u8> {
    let (mut state, other) = (a.to_vec(), Purchases::read(b).unwrap());
    loop {
        match merge(&mut state, &other) {
            Added::Done => return state,
            Added::Full(needed) => state.resize(state_length(needed), 0),
            Added::Narrow(form) => state = reshaped(&state, form).unwrap(),
            Added::Corrupt => panic!("no state"),
        }
    }
}

fn ended(state: &[u8]) -> Vec<u8> {
    frozen(state).unwrap().unwrap().into_owned()
}

/// In half seconds; in whole ones alone, as often.
fn lines(most_orders: u64) -> impl Strategy<Value = Vec<Line>> {
    let line = |unit: i64| {
        (-9..9_i64, prop::option::of(-5..5_i32), 0..=most_orders)
            .prop_map(move |(at, amount, order)| (at * unit, amount, order))
    };
    prop_oneof![
        prop::collection::vec(line(500_000), 0..30),
        prop::collection::vec(line(1_000_000), 0..30)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parts_in_any_order_merge_to_the_whole(
        (a, b, c) in (0..4_u64).prop_flat_map(|orders| (lines(orders), lines(0), lines(orders))),
    ) {
        let whole = ended(&of(&[a.clone(), b.clone(), c.clone()].concat()));
        let (sa, sb, sc) = (of(&a), of(&b), of(&c));
        prop_assert_eq!(&ended(&merged(&merged(&sa, &sb), &sc)), &whole);
        prop_assert_eq!(&ended(&merged(&sc, &merged(&sb, &sa))), &whole);
        prop_assert_eq!(ended(&ended(&sa)), ended(&sa));
    }

    #[test]
    fn what_is_up_to_a_time_is_what_a_filter_leaves(lines in lines(0), as_of in -10..10_i64) {
        let as_of = as_of * 500_000;
        let state = ended(&of(&lines));
        let mut kept: Vec<_> = lines.iter().filter(|line| line.0 <= as_of).map(|line| line.0).collect();
        kept.sort_unstable();
        let read: Vec<_> = Purchases::read(&state).unwrap().until(as_of).map(|one| one.0).collect();
        prop_assert_eq!(read, kept);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..90), tag in any::<bool>()) {
        let mut bytes = bytes;
        if let (true, Some(first)) = (tag, bytes.first_mut()) {
            *first = FORMAT;
        }
        if let Some(state) = Purchases::read(&bytes) {
            _ = (state.zone(), state.n(), frozen(&bytes).unwrap(), reshaped(&bytes, Form::Lines).unwrap());
            _ = state.until(0).count();
        }
        _ = add(&mut bytes, 0, 1.0, 7);
    }
}

#[test]
fn twenty_purchases_take_twelve_bytes_each_and_sixteen_where_a_time_has_a_fraction() {
    let mut lines: Vec<Line> = (0..20).map(|i| (i * 60_000_000, Some(1), 0)).collect();
    assert_eq!(ended(&of(&lines)).len(), 8 + "Europe/Berlin".len() + 240);
    lines[7].0 += 1;
    assert_eq!(ended(&of(&lines)).len(), 8 + "Europe/Berlin".len() + 320);
    // While they are collected, without a zone: a block of 256 bytes.
    let mut state = empty(Zone::Utc, Form::Seconds);
    (0..20).for_each(|i| observe(&mut state, (i * 60_000_000, Some(1), 0)));
    assert_eq!(state.len(), 256 - 4);
}

#[test]
fn times_of_any_year_come_back() {
    let day = 86_400_000_000;
    for at in [
        ORIGIN - day,
        ORIGIN,
        0,
        ORIGIN + (1 << 32) * 1_000_000,
        -211_813_488_000_000_000,
        9_223_371_331_199_000_000,
    ] {
        let state = ended(&of(&[(at, Some(1), 0), (0, Some(2), 0)]));
        let mut times: Vec<_> =
            Purchases::read(&state).unwrap().until(i64::MAX).map(|one| one.0).collect();
        times.retain(|time| *time != 0 || at == 0);
        assert_eq!(times[0], at);
    }
}

#[test]
fn lines_of_one_order_are_one_purchase_at_its_first_time() {
    let state = ended(&of(&[
        (5, Some(1), 1),
        (3, None, 1),
        (4, Some(2), 2),
        (4, Some(2), 0),
        (4, None, 0),
    ]));
    let purchases: Vec<_> = Purchases::read(&state).unwrap().until(9).collect();
    assert_eq!(purchases[..3], [(3, 1.0), (4, 2.0), (4, 2.0)]);
    assert!(purchases[3].1.is_nan() && purchases.len() == 4);
}
