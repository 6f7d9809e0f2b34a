//! Events by day and kind against plain sums over the events.

use super::*;
use crate::algo::flat_map::{Updated, grown, update};
use proptest::prelude::*;

fn observe(state: &mut Vec<u8>, one: &[u8], n: u64, amount: f64) {
    while update(state, one, |words| add(words, n, amount)) == Updated::Full {
        *state = grown(state, one).unwrap();
    }
}

const ZONE: Zone = Zone::Named("Europe/Berlin");

fn none() -> Vec<u8> {
    let (mut state, mut key) = (empty(ZONE), EMPTY_KEY);
    observe(&mut state, zone_key_in(&mut key, ZONE).unwrap(), 0, 0.0);
    state
}

fn of(events: &[(i32, u8, i32)]) -> Vec<u8> {
    let (mut state, mut key) = (none(), EMPTY_KEY);
    for (day, kind, amount) in events {
        let key = key_in(&mut key, *day, &format!("kind {kind}"));
        observe(&mut state, key, 1, f64::from(*amount));
    }
    state
}

fn merged(a: &[u8], b: &[u8]) -> Vec<u8> {
    let (mut state, mut key) = (a.to_vec(), EMPTY_KEY);
    for (day, kind, n, sum) in cells(FlatMap::read(b, WIDTH, HEAD).unwrap()) {
        observe(&mut state, key_in(&mut key, day, kind), n, sum);
    }
    state
}

fn read(state: &[u8]) -> Behaviour {
    Behaviour::from_flat(state).unwrap()
}

fn event() -> impl Strategy<Value = (i32, u8, i32)> {
    (-30..30_i32, 0..4_u8, -50..50_i32)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parts_in_any_order_merge_to_the_whole(
        a in prop::collection::vec(event(), 0..40),
        b in prop::collection::vec(event(), 0..40),
        c in prop::collection::vec(event(), 0..40),
    ) {
        let whole: Vec<_> = [a.clone(), b.clone(), c.clone()].concat();
        let (sa, sb, sc) = (of(&a), of(&b), of(&c));
        prop_assert_eq!(read(&merged(&merged(&sa, &sb), &sc)), read(&of(&whole)));
        prop_assert_eq!(read(&merged(&sa, &merged(&sb, &sc))), read(&of(&whole)));
        prop_assert_eq!(read(&merged(&sc, &merged(&sb, &sa))), read(&of(&whole)));
        prop_assert_eq!(read(&merged(&none(), &sa)), read(&sa));
    }

    #[test]
    fn text_and_bytes_give_the_value_back(events in prop::collection::vec(event(), 0..60)) {
        let value = read(&of(&events));
        prop_assert_eq!(value.zone.as_deref(), Some("Europe/Berlin"));
        prop_assert_eq!(value.check(), Ok(()));
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Behaviour>(&text).unwrap(), &value);
        prop_assert_eq!(&read(&value.to_flat().unwrap()), &value);
    }

    #[test]
    fn features_see_nothing_of_the_day_and_after(
        events in prop::collection::vec(event(), 0..60), as_of in -30..30_i32,
    ) {
        let before: Vec<_> = events.iter().copied().filter(|event| event.0 < as_of).collect();
        let kinds: Vec<String> = (0..4).map(|kind| format!("kind {kind}")).collect();
        let features = read(&of(&events)).features(as_of, &kinds);
        prop_assert_eq!(&features, &read(&of(&before)).features(as_of, &kinds));
        prop_assert_eq!(features.len(), feature_names(&kinds).len());
    }
}

#[test]
fn features_are_those_computed_by_hand() {
    let mut behaviour = Behaviour::default();
    behaviour.events.insert("view".into(), vec![(80, 2, 0.0), (95, 4, 0.0), (99, 2, 0.0)]);
    behaviour.events.insert("purchase".into(), vec![(99, 1, 30.0), (100, 5, 9.0)]);
    let kinds = behaviour.kinds();
    assert_eq!(kinds, ["view", "purchase"]);
    let values = behaviour.features(100, &kinds);
    let names = feature_names(&kinds);
    let value = |name: &str| values[names.iter().position(|other| other == name).unwrap()];
    assert_eq!(value("active_days"), Some(3.0));
    assert_eq!(value("view_count_7"), Some(6.0));
    assert_eq!(value("view_count"), Some(8.0));
    assert_eq!(value("purchase_sum"), Some(30.0));
    assert_eq!(value("purchase_mean_30"), Some(30.0));
    assert_eq!(value("view_mean_gap"), Some(9.5));
    assert_eq!(value("view_last_gap"), Some(4.0));
    assert_eq!(value("view_trend_7"), Some(1.0));
    assert_eq!(value("view_trend_30"), Some(1.0));
    assert_eq!(value("view_to_purchase"), Some(0.125));
    assert_eq!(value("purchase_days_since_last"), Some(1.0));
    assert_eq!(value("purchase_mean_gap"), None);
}

#[test]
fn values_that_do_not_fit_together_are_refused() {
    let refused = |text: &str| {
        serde_json::from_str::<Behaviour>(text).unwrap().check().unwrap_err();
    };
    refused(r#"{"events": {"view": [[2, 1, 0], [1, 1, 0]]}}"#);
    refused(r#"{"events": {"view": [[2, 0, 0]]}}"#);
    refused(r#"{"events": {"view": []}}"#);
    refused(r#"{"events": {"": [[1, 1, 0]]}}"#);
    refused(r#"{"events": {"view": [[2147483647, 1, 0]]}}"#);
}
