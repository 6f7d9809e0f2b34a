//! Events as they come, of which histories are made.

use super::*;
use crate::algo::random::Random;

fn build(
    users: &[i64],
    items: &[&str],
    weights: Option<&[f64]>,
    times: Option<&[f64]>,
) -> Result<Interactions, Error> {
    let users = Column::integer("user_id", users.to_vec());
    let items = Column::text("item_id", items.iter().map(|item| Some(*item)));
    Interactions::from_columns(&users, &items, weights, times, &Watch::new())
}

#[test]
fn no_rows_are_refused() {
    assert_eq!(build(&[], &[], None, None).unwrap_err(), Error::EmptyInput);
    assert_eq!(build(&[1], &["a"], Some(&[0.0]), None).unwrap_err(), Error::EmptyInput);
}

#[test]
fn duplicates_are_summed_and_count_less_for_buying_again_when_they_are_old() {
    let weights = [1.0, 2.0, 3.0, 4.0];
    let times = [9.0, 5.0, 1.0, 5.0];
    let built = build(&[1, 2, 1, 1], &["a", "a", "b", "a"], Some(&weights), Some(&times)).unwrap();
    assert_eq!(built.histories.row(0), (&[0u32, 1][..], &[5.0f32, 3.0][..]));
    assert_eq!(built.histories.row(1), (&[0u32][..], &[2.0f32][..]));
    // From 1 to 9 a row is halved twice.
    assert_eq!(built.repeats, [1.0 + 4.0 / 2.0, 3.0 / 4.0, 2.0 / 2.0]);
    assert_eq!(built.past, None);
}

#[test]
fn the_past_is_what_was_had_before_the_last_share_of_the_rows() {
    let frame = Frame {
        n_rows: 5,
        columns: vec![
            Column::integer("u", vec![1, 1, 1, 1, 2]),
            Column::integer("i", vec![7, 8, 7, 9, 7]),
            Column::number("w", vec![1.0, 2.0, 3.0, 4.0, 5.0]),
            Column::number("t", vec![1.0, 2.0, 6.0, 6.0, 3.0]),
        ],
    };
    let columns = Columns { weight: Some("w"), time: Some("t"), ..Columns::of("u", "i") };
    let past =
        |share| Interactions::from_frame(&frame, &columns, share, &Watch::new()).unwrap().past;
    // Three of five rows are the past: item 7, had again later, is in it with what it weighed then.
    let expected = Past { weights: vec![1.0, 2.0, 0.0, 5.0], has_later: true };
    assert_eq!(past(Some(0.4)), Some(expected));
    // Four of five end among rows of one time.
    let expected = Past { weights: vec![4.0, 2.0, 4.0, 5.0], has_later: false };
    assert_eq!(past(Some(0.2)), Some(expected));
    assert_eq!(past(None), None);
}

#[test]
fn without_weights_a_cell_weighs_one_however_many_rows_it_has() {
    let built = build(&[1, 1, 1], &["a", "b", "a"], None, None).unwrap();
    assert_eq!(built.histories.row(0), (&[0u32, 1][..], &[1.0f32, 1.0][..]));
}

#[test]
fn zero_weights_leave_no_user_and_no_item() {
    let built = build(&[1, 2, 3], &["a", "b", "c"], Some(&[1.0, 0.0, 2.0]), None).unwrap();
    assert_eq!(built.user_keys, Keys::Integer(vec![1, 3]));
    assert_eq!(built.item_keys, Keys::Text(vec!["a".into(), "c".into()]));
}

#[test]
fn negative_missing_and_endless_weights_are_refused() {
    let expected = Error::NegativeWeight { user: "7".into(), item: "b".into(), weight: -1.0 };
    assert_eq!(build(&[1, 7], &["a", "b"], Some(&[1.0, -1.0]), None).unwrap_err(), expected);
    let refused = build(&[1], &["a"], Some(&[f64::NAN]), None).unwrap_err();
    assert_eq!(refused, Error::MissingWeight { row: 0 });
    let refused = build(&[1, 1], &["a", "a"], Some(&[3e38, 3e38]), None).unwrap_err();
    assert_eq!(refused, Error::WeightOverflow { user: "1".into(), item: "a".into() });
    let refused = build(&[1], &["a"], None, Some(&[f64::NAN])).unwrap_err();
    assert_eq!(refused, Error::MissingTime { row: 0 });
    let refused = build(&[1, 2], &["a"], None, None).unwrap_err();
    assert_eq!(refused, Error::LengthMismatch { expected: 2, found: 1 });
}

#[test]
fn columns_are_found_by_name_and_type() {
    let frame = Frame {
        n_rows: 2,
        columns: vec![
            Column::integer("u", vec![1, 2]),
            Column::integer("i", vec![5, 5]),
            Column::text("t", [None, None]),
        ],
    };
    let columns = Columns::of("u", "i");
    let from = |columns: Columns| Interactions::from_frame(&frame, &columns, None, &Watch::new());
    assert_eq!(from(columns).unwrap().histories.n_cells(), 2);
    let refused = from(Columns { item: "x", ..columns }).unwrap_err();
    assert_eq!(refused, Error::MissingColumn { column: "x".into() });
    let refused = from(Columns { weight: Some("t"), ..columns }).unwrap_err();
    assert_eq!(refused, Error::NotANumber { column: "t".into() });
}

#[test]
fn shuffled_rows_give_the_same_bits() {
    let mut random = Random::new(5, 0);
    let items = ["a", "b", "c", "d"];
    let mut rows: Vec<(i64, &str, f64, f64)> = (0..500)
        .map(|_| {
            (random.below(20) as i64, items[random.below(4)], random.uniform(), random.uniform())
        })
        .collect();
    let from = |rows: &[(i64, &str, f64, f64)]| {
        let users: Vec<_> = rows.iter().map(|row| row.0).collect();
        let items: Vec<_> = rows.iter().map(|row| row.1).collect();
        let weights: Vec<_> = rows.iter().map(|row| row.2).collect();
        let times: Vec<_> = rows.iter().map(|row| row.3).collect();
        build(&users, &items, Some(&weights), Some(&times)).unwrap()
    };
    let expected = from(&rows);
    for _ in 0..5 {
        random.shuffle(&mut rows);
        assert_eq!(from(&rows), expected);
    }
}
