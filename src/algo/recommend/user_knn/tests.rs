use super::*;
use crate::algo::frame::Column;
use crate::algo::random::Random;
use crate::algo::recommend::{Error, Method, Params, Recommender, fit};

/// (user, item, weight)
type Row = (i64, i64, f64);

fn fitted(rows: &[Row], settings: &[(&str, &str)]) -> Recommender {
    let mut given = ALGORITHM.defaults();
    settings.iter().for_each(|(name, value)| given.set(name, value).unwrap());
    let params =
        Params { method: Method::try_from(&given).unwrap(), holdout: None, ..Params::default() };
    let users = Column::integer("u", rows.iter().map(|row| row.0).collect());
    let items = Column::integer("i", rows.iter().map(|row| row.1).collect());
    let weights: Vec<f64> = rows.iter().map(|row| row.2).collect();
    let interactions =
        Interactions::from_columns(&users, &items, Some(&weights), None, &Watch::new()).unwrap();
    fit(&interactions, &params.check().unwrap(), &Watch::new()).unwrap().0
}

/// 40 users and 30 items, a third of each user's from a group of items of its own.
fn random_rows() -> Vec<Row> {
    let mut random = Random::new(3, 0);
    (0..500)
        .map(|row| {
            let user = row % 40;
            let item = if row % 3 == 0 {
                user % 5 * 6 + random.below(6) as i64
            } else {
                random.below(30) as i64
            };
            (user, item, 1.0 + random.below(4) as f64)
        })
        .collect()
}

/// Scores and reasons by dense arithmetic, of all items for one user.
fn dense(
    model: &Recommender,
    user: u32,
    neighbors: usize,
    shrinkage: f64,
) -> Vec<(f64, Option<u32>)> {
    let weight = |user: usize, item: usize| f64::from(model.histories.get(user, item as u32));
    let (n_users, n_items) = (model.n_users(), model.n_items());
    let dot = |a: usize, b: usize| -> f64 {
        (0..n_items).map(|item| weight(a, item) * weight(b, item)).sum()
    };
    let had = |user: usize| (0..n_items).filter(|&item| weight(user, item) > 0.0).count() as f64;
    let user = user as usize;
    let most = |other: usize| {
        let shrunk = shrinkage / (had(user) * had(other)).sqrt();
        (dot(user, user) * dot(other, other)).sqrt() * (1.0 + shrunk)
    };
    let mut near: Vec<(f32, usize)> = (0..n_users)
        .filter(|&other| other != user)
        .map(|other| ((dot(user, other) / most(other)) as f32, other))
        .filter(|(similarity, _)| *similarity > 0.0)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    (0..n_items)
        .map(|item| {
            let with_it = near.iter().filter(|(_, other)| weight(*other, item) > 0.0);
            let speaking: Vec<_> = with_it.take(neighbors).collect();
            let mut reason = (0.0, None);
            for shared in 0..n_items {
                let share = |(_, other): &&&(f32, usize)| {
                    weight(user, shared) * weight(*other, shared) / most(*other)
                };
                let share: f64 = speaking.iter().map(|near| share(&near)).sum();
                if share > reason.0 + 1e-12 {
                    reason = (share, Some(shared as u32));
                }
            }
            (speaking.iter().map(|(similarity, _)| f64::from(*similarity)).sum(), reason.1)
        })
        .collect()
}

#[track_caller]
fn check_against_dense_arithmetic(neighbors: usize, shrinkage: f64) {
    let given = [("neighbors", neighbors.to_string()), ("shrinkage", shrinkage.to_string())];
    let given: Vec<_> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let model = fitted(&random_rows(), &given);
    for user in 0..model.n_users() as u32 {
        let expected = dense(&model, user, neighbors, shrinkage);
        let page = model.recommend(Some(user), 30, true, &Watch::new()).unwrap();
        let mut before = f64::INFINITY;
        for place in page.iter().filter(|place| !place.popular) {
            let (score, reason) = expected[place.item as usize];
            assert!((place.score - score).abs() < 1e-5, "{place:?} {score}");
            assert_eq!(place.because_of, reason, "{user} {place:?}");
            assert!(place.score <= before);
            before = place.score;
        }
        let n_scored = page.iter().filter(|place| !place.popular).count();
        let seen = model.history(user).unwrap().0;
        let n_expected = (0u32..)
            .zip(&expected)
            .filter(|(item, (score, _))| *score > 0.0 && !seen.contains(item));
        assert_eq!(n_scored, n_expected.count());
    }
}

#[test]
fn pages_are_those_of_dense_arithmetic() {
    check_against_dense_arithmetic(50, 0.0);
    check_against_dense_arithmetic(50, 10.0);
    check_against_dense_arithmetic(3, 10.0);
    check_against_dense_arithmetic(1, 0.5);
}

#[test]
fn of_users_equally_similar_those_with_the_lower_keys_speak() {
    // Users 2 to 5 are like user 1 alike, and each has an item of its own; one user speaks for item 9.
    let mut rows: Vec<Row> = vec![(1, 1, 1.0)];
    for user in 2..=5 {
        rows.extend([(user, 1, 1.0), (user, 10 + user, 1.0), (user, 9, 1.0)]);
    }
    let model = fitted(&rows, &[("neighbors", "1"), ("shrinkage", "0")]);
    let page = model.recommend(Some(0), 10, true, &Watch::new()).unwrap();
    let keys: Vec<_> = page.iter().map(|place| model.item_keys.text(place.item)).collect();
    assert_eq!(keys, ["9", "12", "13", "14", "15"]);
    assert!(page.iter().all(|place| place.score == page[0].score));
}

#[test]
fn what_a_user_had_himself_is_above_all_else() {
    let model = fitted(&random_rows(), &[("neighbors", "5")]);
    for user in 0..model.n_users() as u32 {
        let had = model.history(user).unwrap().0.len();
        let page = model.recommend(Some(user), 30, false, &Watch::new()).unwrap();
        assert!(page[..had].iter().all(|place| place.because_of == Some(place.item)));
        assert!(page[had..].iter().all(|place| place.score < page[had - 1].score));
    }
}

#[test]
fn a_history_that_nobody_shares_gets_popular_items() {
    let model = fitted(&[(1, 1, 1.0), (2, 2, 1.0), (3, 2, 1.0)], &[]);
    let page = model.recommend(Some(0), 5, true, &Watch::new()).unwrap();
    assert_eq!((page.len(), page[0].popular), (1, true));
    let refused = model.similar_items(0, 1).unwrap_err();
    assert_eq!(refused, Error::NoSimilarItems { known: "which users are alike" });
}

#[test]
fn weights_at_the_ends_of_their_range_give_finite_scores() {
    let rows: Vec<Row> = vec![
        (1, 1, f64::from(f32::MAX)),
        (1, 2, f64::from(f32::MIN_POSITIVE)),
        (2, 1, f64::from(f32::MAX)),
        (2, 3, 1e-45),
        (3, 2, 1e-45),
        (3, 4, 1e-45),
    ];
    for shrinkage in ["0", "10", "1e308"] {
        let model = fitted(&rows, &[("shrinkage", shrinkage)]);
        let pages = model.recommend_all(5, true, &Watch::new()).unwrap();
        let mut places = (0..pages.len()).flat_map(|user| pages.page(user));
        assert!(places.all(|place| place.score.is_finite()));
    }
}

#[test]
fn parameters_out_of_range_in_stored_bytes_are_refused() {
    let sound = UserKnn {
        neighbors: 50,
        shrinkage: 10.0,
        users_of: Sparse::default(),
        lengths: Vec::new(),
    };
    assert!(sound.is_sound());
    assert!(!UserKnn { neighbors: 0, ..sound.clone() }.is_sound());
    assert!(!UserKnn { neighbors: 10_001, ..sound.clone() }.is_sound());
    assert!(!UserKnn { shrinkage: -1.0, ..sound.clone() }.is_sound());
    assert!(!UserKnn { shrinkage: f64::NAN, ..sound.clone() }.is_sound());
    assert!(!UserKnn { shrinkage: f64::INFINITY, ..sound }.is_sound());
}
