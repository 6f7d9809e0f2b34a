//! The recommender as a whole: pages, fall-backs, stored bytes, and the same bits on any number of threads.

mod holdouts;

use super::*;
use crate::algo::{
    declared::Algorithm,
    frame::{Column, Frame},
    random::Random,
};

fn interactions(rows: &[(i64, i64)]) -> Interactions {
    let users = Column::integer("user_id", rows.iter().map(|row| row.0).collect());
    let items = Column::integer("item_id", rows.iter().map(|row| row.1).collect());
    Interactions::from_columns(&users, &items, None, None, &Watch::new()).unwrap()
}

fn item_knn() -> Method {
    let settings = super::item_knn::ALGORITHM.defaults().with("shrinkage", "0").unwrap();
    (&settings).try_into().unwrap()
}

/// Whatever there is, by its defaults: what holds for all learners is tested for a new one too.
fn every_method() -> Vec<Method> {
    let default = |algorithm: &'static Algorithm| (&algorithm.defaults()).try_into().unwrap();
    algorithms().into_iter().map(default).collect()
}

fn fit_rows(rows: &[(i64, i64)], method: Method) -> Recommender {
    let params = Params { method, holdout: None, ..Params::default() };
    fit(&interactions(rows), &params.check().unwrap(), &Watch::new()).unwrap().0
}

/// Interactions of (user, item, weight, time), of which about the last share is held apart.
fn timed(rows: &[(i64, i64, f64, f64)], last_share: Option<f64>) -> Interactions {
    let frame = Frame {
        n_rows: rows.len(),
        columns: vec![
            Column::integer("u", rows.iter().map(|row| row.0).collect()),
            Column::integer("i", rows.iter().map(|row| row.1).collect()),
            Column::number("w", rows.iter().map(|row| row.2).collect()),
            Column::number("t", rows.iter().map(|row| row.3).collect()),
        ],
    };
    let columns = Columns { weight: Some("w"), time: Some("t"), ..Columns::of("u", "i") };
    Interactions::from_frame(&frame, &columns, last_share, &Watch::new()).unwrap()
}

/// 60 users, 40 items, half of each user's from a group of items of its own.
fn random_rows() -> Vec<(i64, i64)> {
    let mut random = Random::new(2, 0);
    (0..1200)
        .map(|row| {
            let user = row % 60;
            let item = if random.uniform() < 0.5 {
                user % 4 * 10 + random.below(10) as i64
            } else {
                random.below(40) as i64
            };
            (user, item)
        })
        .collect()
}

fn items(page: &[Recommendation]) -> Vec<u32> {
    page.iter().map(|recommendation| recommendation.item).collect()
}

#[track_caller]
fn check_page(page: &[Recommendation], n: usize) {
    assert_eq!(page.len(), n);
    for (position, recommendation) in page.iter().enumerate() {
        assert_eq!(recommendation.rank as usize, position + 1);
        assert!(recommendation.score.is_finite());
        assert_eq!(recommendation.popular, recommendation.because_of.is_none());
    }
    let mut distinct = items(page);
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), n);
}

#[test]
fn an_item_is_recommended_for_what_is_most_like_it() {
    // Items 0 and 1 share two of their users; user 4 has 0 alone.
    let model =
        fit_rows(&[(1, 0), (1, 1), (2, 0), (2, 1), (3, 2), (3, 0), (4, 0), (5, 2)], item_knn());
    let page = model.recommend(Some(3), 1, true, &Watch::new()).unwrap();
    check_page(&page, 1);
    let cosine = 2.0 / (4f64.sqrt() * 2f64.sqrt());
    assert_eq!((page[0].item, page[0].because_of), (1, Some(0)));
    assert!((page[0].score - cosine).abs() < 1e-7);
    let similar = model.similar_items(0, 10).unwrap();
    assert_eq!(similar.iter().map(|(item, _)| *item).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn pages_are_those_of_dense_arithmetic() {
    let model = fit_rows(&random_rows(), item_knn());
    let nearest = model.learner.similar_items().unwrap();
    for user in 0..model.n_users() as u32 {
        let (seen, weights) = model.history(user).unwrap();
        let mut expected: Vec<top::Candidate> = (0..model.n_items() as u32)
            .filter(|item| !seen.contains(item))
            .map(|item| {
                let similarity = |had: u32| f64::from(nearest.get(item as usize, had));
                let score =
                    seen.iter().zip(weights).map(|(&had, &w)| f64::from(w) * similarity(had)).sum();
                top::Candidate { score, popularity: model.popularity[item as usize], item }
            })
            .filter(|candidate| candidate.score > 0.0)
            .collect();
        expected.sort_by(top::Candidate::order);
        let page = model.recommend(Some(user), 5, true, &Watch::new()).unwrap();
        check_page(&page, 5);
        assert_eq!(
            items(&page),
            expected[..5].iter().map(|candidate| candidate.item).collect::<Vec<_>>()
        );
    }
}

#[test]
fn an_unknown_user_gets_popular_items_marked_so() {
    let model = fit_rows(&[(1, 7), (2, 7), (3, 8)], item_knn());
    let page = model.recommend(None, 5, true, &Watch::new()).unwrap();
    check_page(&page, 2);
    assert_eq!(items(&page), [0, 1]);
    assert!(page.iter().all(|recommendation| recommendation.popular));
    assert_eq!(page[0].score, 2.0 / 3.0);
    assert_eq!(model.recommend_for(&[], 5, true, &Watch::new()).unwrap(), page);
}

#[test]
fn a_page_that_runs_short_is_filled_with_popular_items() {
    let model =
        fit_rows(&[(1, 0), (1, 1), (2, 1), (2, 0), (3, 2), (4, 2), (5, 2), (6, 0)], item_knn());
    let page = model.recommend(Some(5), 3, true, &Watch::new()).unwrap();
    check_page(&page, 2);
    assert_eq!(items(&page), [1, 2]);
    assert_eq!([page[0].popular, page[1].popular], [false, true]);
    let page = model.recommend(Some(5), 3, false, &Watch::new()).unwrap();
    check_page(&page, 3);
}

#[test]
fn the_popular_algorithm_gives_everyone_the_unseen_by_count() {
    let model = fit_rows(&[(1, 0), (1, 1), (2, 1), (3, 1), (3, 2), (4, 2)], Method::Popular);
    let page = model.recommend(Some(0), 10, true, &Watch::new()).unwrap();
    check_page(&page, 1);
    assert_eq!(items(&page), [2]);
    assert_eq!(items(&model.recommend(None, 10, true, &Watch::new()).unwrap()), [1, 2, 0]);
    let refused = model.similar_items(0, 3).unwrap_err();
    assert_eq!(refused, Error::NoSimilarItems { known: "how popular items are" });
}

#[test]
fn users_who_have_everything_get_an_empty_page_or_what_they_have() {
    let model = fit_rows(&[(1, 0), (1, 1), (2, 0), (2, 1)], item_knn());
    assert_eq!(model.recommend(Some(0), 5, true, &Watch::new()).unwrap(), []);
    check_page(&model.recommend(Some(0), 5, false, &Watch::new()).unwrap(), 2);
}

#[test]
fn one_user_and_one_item_make_a_model() {
    let model = fit_rows(&[(1, 1), (1, 1)], item_knn());
    assert_eq!(model.recommend(Some(0), 5, true, &Watch::new()).unwrap(), []);
    check_page(&model.recommend(None, 5, true, &Watch::new()).unwrap(), 1);
    let params = Params::default().check().unwrap();
    let evaluation = fit(&interactions(&[(1, 1)]), &params, &Watch::new()).unwrap().1.unwrap();
    assert_eq!(evaluation, Evaluation { quality: None, n_unknown_users: 0 });
}

#[test]
fn a_basket_is_scored_as_a_user_who_has_it() {
    every_method().into_iter().for_each(check_baskets);
}

#[track_caller]
fn check_baskets(method: Method) {
    let model = fit_rows(&random_rows(), method);
    for user in 0..model.n_users() as u32 {
        let mut basket = model.history(user).unwrap().0.to_vec();
        basket.reverse();
        basket.extend_from_within(..1);
        assert_eq!(
            model.recommend_for(&basket, 7, true, &Watch::new()).unwrap(),
            model.recommend(Some(user), 7, true, &Watch::new()).unwrap()
        );
    }
}

#[test]
fn zero_places_and_codes_out_of_range_are_refused() {
    let model = fit_rows(&[(1, 1)], item_knn());
    let no_places = Error::InvalidParameter { name: "n", value: 0.0, expected: "at least 1" };
    assert_eq!(model.recommend(None, 0, true, &Watch::new()).unwrap_err(), no_places);
    assert_eq!(model.recommend_all(0, true, &Watch::new()).unwrap_err(), no_places);
    assert_eq!(model.similar_items(0, 0).unwrap_err(), no_places);
    let no_item = Error::OutOfRange { what: "item", index: 1, n: 1 };
    assert_eq!(model.recommend_for(&[1, 0], 1, true, &Watch::new()).unwrap_err(), no_item);
    assert_eq!(model.similar_items(1, 1).unwrap_err(), no_item);
    assert_eq!(
        model.recommend(Some(1), 1, true, &Watch::new()).unwrap_err(),
        Error::OutOfRange { what: "user", index: 1, n: 1 }
    );
}

#[test]
fn parameters_out_of_range_are_refused() {
    let spoilt: [fn(&mut Params); 2] =
        [|params| params.k = 0, |params| params.holdout = Some(Split::LastByTime { share: 1.0 })];
    for spoil in spoilt {
        let mut params = Params::default();
        spoil(&mut params);
        assert!(matches!(params.check(), Err(Error::InvalidParameter { .. })));
    }
    for (name, value) in [("neighbors", "0"), ("shrinkage", "-1"), ("shrinkage", "\"NaN\"")] {
        assert!(super::item_knn::ALGORITHM.defaults().with(name, value).is_err());
    }
}

#[test]
fn threads_and_the_order_of_rows_change_no_bit() {
    every_method().into_iter().for_each(check_threads_and_order);
}

#[track_caller]
fn check_threads_and_order(method: Method) {
    let params = Params { method, ..Params::default() }.check().unwrap();
    let mut rows = random_rows();
    let run = |n_threads: usize, rows: &[(i64, i64)]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            let (model, quality) = fit(&interactions(rows), &params, &Watch::new()).unwrap();
            let pages = model.recommend_all(10, true, &Watch::new()).unwrap();
            (model.to_bytes().unwrap(), quality.unwrap(), pages)
        })
    };
    let expected = run(1, &rows);
    for n_threads in [2, 7] {
        assert_eq!(run(n_threads, &rows), expected);
    }
    Random::new(9, 0).shuffle(&mut rows);
    assert_eq!(run(2, &rows), expected);
}

#[test]
fn everyones_pages_are_those_of_each_alone() {
    every_method().into_iter().for_each(check_everyones_pages);
}

#[track_caller]
fn check_everyones_pages(method: Method) {
    let model = fit_rows(&random_rows(), method);
    let pages = model.recommend_all(8, true, &Watch::new()).unwrap();
    assert_eq!(pages.len(), model.n_users());
    for user in 0..model.n_users() {
        assert_eq!(
            pages.page(user),
            model.recommend(Some(user as u32), 8, true, &Watch::new()).unwrap()
        );
    }
}

#[test]
fn a_stop_is_heard() {
    let model = fit_rows(&random_rows(), item_knn());
    let watch = Watch::new();
    watch.stop();
    assert_eq!(model.recommend_all(1, true, &watch).unwrap_err(), Error::Stopped(Stopped));
    for method in every_method() {
        let params = Params { method, ..Params::default() }.check().unwrap();
        let refused = fit(&interactions(&random_rows()), &params, &watch).unwrap_err();
        assert_eq!(refused, Error::Stopped(Stopped));
    }
}

#[test]
fn a_stored_model_comes_back_equal() {
    for method in every_method() {
        let model = fit_rows(&random_rows(), method);
        assert_eq!(Recommender::from_bytes(&model.to_bytes().unwrap()).unwrap(), model);
    }
}

#[test]
fn damaged_bytes_are_refused_or_harmless() {
    every_method().into_iter().for_each(check_damaged_bytes);
}

#[track_caller]
fn check_damaged_bytes(method: Method) {
    let model = fit_rows(&random_rows(), method);
    let bytes = model.to_bytes().unwrap();
    for length in [0, 1, 2, 10, bytes.len() - 1] {
        assert!(Recommender::from_bytes(&bytes[..length]).is_err(), "{length}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Recommender::from_bytes(&longer).is_err());
    let mut newer = bytes.clone();
    newer[0] = 4;
    assert_eq!(
        Recommender::from_bytes(&newer).unwrap_err(),
        Error::UnknownFormat { expected: 3, found: 4 }
    );
    let mut random = Random::new(4, 0);
    for _ in 0..3000 {
        let mut damaged = bytes.clone();
        let position = random.below(damaged.len());
        damaged[position] = random.next_u64() as u8;
        if let Ok(model) = Recommender::from_bytes(&damaged) {
            let pages = model.recommend_all(3, true, &Watch::new()).unwrap();
            assert!(
                (0..pages.len())
                    .flat_map(|user| pages.page(user))
                    .all(|place| place.score.is_finite())
            );
        }
    }
}

#[test]
fn what_a_user_had_most_and_last_is_what_to_have_again() {
    // User 1 has staples 1 to 5 often, and one-offs 11 to 13 that nobody else has.
    let mut rows: Vec<(i64, i64, f64, f64)> = Vec::new();
    for staple in 1..=5 {
        rows.push((1, staple, 10.0 + staple as f64, 100.0));
        rows.extend((2..9).map(|user| (user, staple, 3.0, 50.0 + user as f64)));
    }
    rows.extend((11..=13).map(|item| (1, item, 9.0, 100.0)));
    rows.push((1, 20, 30.0, 0.0));
    rows.push((2, 20, 1.0, 0.0));
    let params = Params { holdout: None, ..Params::default() }.check().unwrap();
    let (model, _) = fit(&timed(&rows, None), &params, &Watch::new()).unwrap();
    let page = model.recommend(Some(0), 9, false, &Watch::new()).unwrap();
    let keys = |page: &[Recommendation]| -> Vec<String> {
        page.iter().map(|place| model.item_keys.text(place.item)).collect()
    };
    // Much of item 20 long ago, 30 halved twice, is less than what is had now.
    assert_eq!(keys(&page), ["5", "4", "3", "2", "1", "11", "12", "13", "20"]);
    assert!(page.iter().all(|place| place.because_of == Some(place.item)));
}

#[test]
fn an_item_of_one_buyer_is_no_proof() {
    // Item 1 goes with item 2 for twenty users; user 1 also has the one-off 9, and user 2 has it too.
    let mut rows: Vec<(i64, i64)> = (1..=20).flat_map(|user| [(user, 1), (user, 2)]).collect();
    rows.extend([(30, 8), (30, 9), (31, 8), (31, 1)]);
    let params = Params { holdout: None, ..Params::default() }.check().unwrap();
    let (model, _) = fit(&interactions(&rows), &params, &Watch::new()).unwrap();
    let user = model.user_keys.find_integer(31);
    let page = model.recommend(user, 2, true, &Watch::new()).unwrap();
    assert_eq!(model.item_keys.text(page[0].item), "2");
    let without = fit_rows(&rows, item_knn());
    let similarity = |model: &Recommender| model.similar_items(2, 1).unwrap()[0].1;
    assert!(similarity(&model) < similarity(&without) / 4.0);
}
