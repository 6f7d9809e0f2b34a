//! What a recommender is measured by: rows held out by chance or by time, and those of another source.

use super::*;

#[test]
fn items_held_out_of_a_pattern_are_found_again() {
    let quality = |method| {
        let params = Params { method, ..Params::default() }.check().unwrap();
        let evaluation = fit(&interactions(&random_rows()), &params, &Watch::new()).unwrap().1;
        evaluation.unwrap().quality.unwrap()
    };
    let (nearest, popular) = (quality(Method::default()), quality(Method::Popular));
    assert!(nearest.ndcg > popular.ndcg, "{nearest:?} {popular:?}");
    assert_eq!((nearest.n_users, nearest.popular_ndcg), (60, popular.ndcg));
}

#[test]
fn a_holdout_by_time_measures_the_last_interactions() {
    // Users 1-3 take 10, then 11; user 4 takes 10, then, after the cut, 11.
    let rows: Vec<(i64, i64, f64, f64)> =
        (0..8).map(|row| (1 + row / 2, 10 + row % 2, 1.0, row as f64)).collect();
    let params =
        Params { holdout: Some(Split::LastByTime { share: 0.125 }), k: 1, ..Params::default() };
    let (_, evaluation) =
        fit(&timed(&rows, Some(0.125)), &params.check().unwrap(), &Watch::new()).unwrap();
    let quality = evaluation.unwrap().quality.unwrap();
    assert_eq!((quality.ndcg, quality.map, quality.n_users, quality.coverage), (1.0, 1.0, 1, 0.5));
    assert_eq!(quality.popular_ndcg, 1.0);
}

/// January to December: user 4 has item 10 in January and once more in December, when user 5 comes.
fn a_year() -> Vec<(i64, i64, f64, f64)> {
    vec![
        (1, 10, 1.0, 1.0),
        (4, 10, 2.0, 1.0),
        (1, 11, 1.0, 2.0),
        (2, 10, 1.0, 2.0),
        (2, 11, 1.0, 3.0),
        (3, 12, 1.0, 4.0),
        (4, 10, 7.0, 12.0),
        (5, 10, 1.0, 12.0),
    ]
}

#[test]
fn what_was_had_before_the_cut_is_not_new_after_it_and_strangers_are_counted_apart() {
    let params =
        Params { holdout: Some(Split::LastByTime { share: 0.25 }), k: 1, ..Params::default() };
    let fit = |rows: &[_]| {
        fit(&timed(rows, Some(0.25)), &params.clone().check().unwrap(), &Watch::new()).unwrap()
    };
    let (model, evaluation) = fit(&a_year());
    assert_eq!(evaluation, Some(Evaluation { quality: None, n_unknown_users: 1 }));
    // It has learned what a model of the first six rows has.
    let of_the_past =
        Recommender::build(&timed(&a_year()[..6], None), None, &Method::default(), &Watch::new())
            .unwrap();
    assert_eq!(model.popularity, of_the_past.popularity);
    assert_eq!(model.learner, of_the_past.learner);
    // What user 4 took in December is in its history all the same.
    assert_eq!(model.history(3).unwrap(), (&[0u32][..], &[9.0f32][..]));
    assert!(model.is_of_a_part());
}

#[test]
fn a_model_is_of_the_training_rows_unless_all_are_asked_for() {
    let rows = interactions(&random_rows());
    let fitted = |refit_on_all| {
        let params = Params { refit_on_all, ..Params::default() }.check().unwrap();
        fit(&rows, &params, &Watch::new()).unwrap()
    };
    let (of_a_part, measured) = fitted(false);
    let (of_all, also_measured) = fitted(true);
    assert_eq!(measured, also_measured);
    assert_eq!([of_a_part.is_of_a_part(), of_all.is_of_a_part()], [true, false]);
    let without = Params { holdout: None, ..Params::default() }.check().unwrap();
    assert_eq!(of_all, fit(&rows, &without, &Watch::new()).unwrap().0);
    assert_ne!(of_a_part.learner, of_all.learner);
    assert_eq!(of_a_part.histories, of_all.histories);
    // Whoever asks the model about the rows of its fit gets the figures of the holdout.
    assert_eq!(evaluate(&of_a_part, &rows, 10, &Watch::new()).unwrap(), measured.unwrap());
    assert_eq!(evaluate(&of_all, &rows, 10, &Watch::new()).unwrap().quality, None);
}

#[test]
fn a_model_is_evaluated_by_key_on_interactions_from_elsewhere() {
    let model = fit_rows(&[(1, 10), (1, 11), (2, 10), (3, 12)], item_knn());
    let evaluated = |rows: &[_]| evaluate(&model, &interactions(rows), 1, &Watch::new()).unwrap();
    // User 2 goes on to take 11, which is first on its page, and 99, which the model does not know; 10 it had.
    let found = evaluated(&[(2, 11), (2, 99), (2, 10), (77, 10)]);
    let quality = found.quality.unwrap();
    assert_eq!((quality.precision, quality.recall, quality.n_users), (1.0, 0.5, 1));
    assert_eq!(found.n_unknown_users, 1);
    assert_eq!(evaluated(&[(77, 10)]), Evaluation { quality: None, n_unknown_users: 1 });
    assert_eq!(evaluated(&[(2, 10)]), Evaluation { quality: None, n_unknown_users: 0 });
}
