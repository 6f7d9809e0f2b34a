//! Facts about fits of numbers and text columns, with weights.

use super::*;
use crate::algo::frame::{Column, Values};

/// A number and a text column of a few levels, the level deciding the number.
fn mixed(levels: &[&str]) -> Vec<Column> {
    let random = Random::new(5, 5);
    let codes: Vec<u32> = (0..600).map(|row| row % levels.len() as u32).collect();
    let numbers = codes.iter().enumerate().map(|(row, &code)| {
        f64::from(code) * 10.0 + crate::algo::random::unit(random.at(row as u64))
    });
    let dictionary = levels.iter().map(|level| (*level).to_owned()).collect();
    vec![
        Column::number("spend", numbers.collect()),
        Column { name: "region".into(), values: Values::Text { codes: codes.into(), dictionary } },
    ]
}

fn fitted_columns(columns: &[Column], weights: &[(&str, f64)], k: i64) -> Result<Fit, Error> {
    let weights = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
    let features = Features::of(columns, &weights)?;
    let rows = features.dimensions().bind(columns)?;
    let params = Params::new(k).check(rows.n_rows(), features.len())?;
    fit(&rows, &features, &params, &Watch::new())
}

#[test]
fn a_text_column_becomes_an_indicator_for_each_level() {
    let fit = fitted_columns(&mixed(&["north", "south", "west"]), &[], 3).unwrap();
    let model = &fit.model;
    assert_eq!(model.features, ["spend", "region=north", "region=south", "region=west"]);
    assert_eq!((&model.scale[1..], model.sizes.as_slice()), (&[1.0; 3][..], &[200; 3][..]));
    for segment in 1..=3 {
        let shares = &model.centroid(segment).unwrap()[1..];
        assert_eq!(shares.iter().filter(|share| **share == 1.0).count(), 1, "{shares:?}");
    }
    assert_eq!(model.check(), Ok(()));
}

#[test]
fn a_column_of_two_levels_is_one_indicator_of_the_last_and_makes_the_distances_of_two() {
    let random = Random::new(6, 1);
    let unit = |place: u64| crate::algo::random::unit(random.at(place));
    let number = |row: u64| if row.is_multiple_of(3) { 3.0 } else { 0.0 } + unit(row);
    let level = |row: u64| if unit(1000 + row) < 0.3 { "b" } else { "a" };
    let columns = vec![
        Column::number("x", (0..400).map(number).collect()),
        Column::text("c", (0..400).map(|row| Some(level(row)))),
    ];
    let fit = fitted_columns(&columns, &[("c", 3.0)], 4).unwrap();
    let model = &fit.model;
    assert_eq!(model.features, ["x", "c=b"]);
    assert_eq!((model.center[1], model.check()), (0.5, Ok(())));
    // The two indicators as numbers, whose weights undo that numbers are divided by their deviations.
    let is = |name: &str| (0..400).map(|row| f64::from(u8::from(level(row) == name))).collect();
    let apart = [("c=a", "a"), ("c=b", "b")].map(|(name, level)| Column::number(name, is(level)));
    let two = [columns[0].clone(), apart[0].clone(), apart[1].clone()];
    let variance = model.population_sd[1].powi(2);
    let as_two = fitted_columns(&two, &[("c=a", 3.0 * variance), ("c=b", 3.0 * variance)], 4);
    let as_two = as_two.unwrap();
    assert_eq!(fit.labels.to_vec(), as_two.labels.to_vec());
    assert!((model.inertia / as_two.model.inertia - 1.0).abs() < 1e-5);
    for (row, expected) in [([0.2, 1.0], [0.2, 0.0, 1.0]), ([3.1, 0.0], [3.1, 1.0, 0.0])] {
        let (found, expected) = (model.nearest(&row).unwrap(), as_two.model.nearest(&expected));
        assert_eq!(found.0, expected.unwrap().0);
        assert!((found.1 - expected.unwrap().1).abs() < 1e-5);
    }
}

#[test]
fn the_indicator_of_two_levels_is_of_the_last_whichever_is_rarer() {
    for codes in [[0u32, 0, 0, 1], [1, 1, 1, 0]] {
        let dictionary = vec!["no".to_owned(), "yes".to_owned()];
        let values = Values::Text { codes: codes.to_vec().into(), dictionary };
        let columns = [Column { name: "c".into(), values }];
        let features = Features::of(&columns, &Default::default()).unwrap();
        assert_eq!(features.names, ["c=yes"]);
        let rows = features.dimensions().bind(&columns).unwrap();
        let found: Vec<f64> = (0..4).map(|row| rows.value(row, 0)).collect();
        assert_eq!(found, codes.map(f64::from));
        let of = |level| {
            let mut row = [0.0];
            features.categories[0].indicators().set(level, &mut row);
            row[0]
        };
        assert_eq!((of(Some("no")), of(Some("yes")), of(Some("new"))), (0.0, 1.0, 0.5));
        assert!(of(None).is_nan());
        // In a column as in a row.
        let later = [Column::text("c", ["new", "yes", "no"].map(Some))];
        let rows = features.dimensions().bind(&later).unwrap();
        assert_eq!([0, 1, 2].map(|row| rows.value(row, 0)), [0.5, 1.0, 0.0]);
    }
}

#[test]
fn a_warm_fit_goes_on_between_two_levels_and_more() {
    for (before, after, names) in [
        (&["north", "south", "west"][..], &["north", "south"][..], &["region=south"][..]),
        (&["north", "south"], &["south", "east"], &["region=south"]),
        (
            &["north", "south"],
            &["north", "south", "west"],
            &["region=north", "region=south", "region=west"],
        ),
    ] {
        let first = fitted_columns(&mixed(before), &[], 2).unwrap().model;
        let columns = mixed(after);
        let features = Features::of(&columns, &Default::default()).unwrap();
        assert_eq!(features.names[1..], *names);
        let among = first.centroids_among(features.dimensions()).unwrap();
        let place = |model: &[String], name: &str| model.iter().position(|one| one == name);
        let d = features.len();
        for segment in 0..2 {
            let own = first.centroid(segment as u32 + 1).unwrap();
            let south = place(&first.features, "region=south").unwrap();
            let found = among[segment * d + place(&features.names, "region=south").unwrap()];
            let north = place(&first.features, "region=north").map(|place| own[place]);
            let expected = match (before.len(), after.len(), after.contains(&"north")) {
                (3, 2, _) => 0.5 + (own[south] - north.unwrap()) / 2.0,
                (2, 2, false) => 0.5 + own[south] / 2.0,
                _ => own[south],
            };
            assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
            if let Some(north) = place(&features.names, "region=north") {
                assert!((among[segment * d + north] - (1.0 - own[south])).abs() < 1e-12);
            }
        }
        let rows = features.dimensions().bind(&columns).unwrap();
        let params = Params::new(2).check(600, features.len()).unwrap();
        assert!(fit_from(&rows, &features, &first, &params, &Watch::new()).is_ok());
    }
}

#[test]
fn levels_beyond_the_most_frequent_share_an_indicator() {
    let names: Vec<String> = (0..MAX_LEVELS + 6).map(|level| format!("l{level:02}")).collect();
    let columns = mixed(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let features = Features::of(&columns, &Default::default()).unwrap();
    assert_eq!(features.len(), 1 + MAX_LEVELS + 1);
    assert_eq!(features.names.last().unwrap(), "region=(other)");
    let mut row = vec![0.0; features.len()];
    features.categories[0].indicators().set(Some("never seen"), &mut row);
    assert_eq!(row.iter().position(|value| *value == 1.0), Some(1 + MAX_LEVELS));
}

#[test]
fn a_missing_level_is_refused_by_the_name_of_its_column() {
    let mut columns = mixed(&["north", "south"]);
    if let Values::Text { codes, .. } = &mut columns[1].values {
        codes[7] = crate::algo::frame::MISSING;
    }
    let missing = Error::MissingValue { feature: "region".into(), row: 7 };
    assert_eq!(fitted_columns(&columns, &[], 2), Err(missing));
}

#[test]
fn a_weight_counts_as_so_many_copies_of_its_column() {
    let points = blobs(2000, 2, 5, 2.0, 9);
    let copied =
        ndarray::concatenate![ndarray::Axis(1), points, points.slice(ndarray::s![.., 1..])];
    let expected = check_fit(&copied, &Params { max_iterations: 1000, ..Params::new(5) });
    let columns: Vec<Column> = points
        .columns()
        .into_iter()
        .enumerate()
        .map(|(idx, column)| Column {
            name: format!("f{idx}"),
            values: Values::Number(column.to_vec().into()),
        })
        .collect();
    let weighted = fitted_columns(&columns, &[("f1", 2.0)], 5).unwrap();
    assert!(
        (weighted.model.inertia / expected.model.inertia - 1.0).abs() < 0.02,
        "{} {}",
        weighted.model.inertia,
        expected.model.inertia
    );
    let own = weighted.model.centroid(1).unwrap();
    let distance = |x: f64, y: f64| weighted.model.distance(&[x, y]).unwrap();
    let (aside, up) = (distance(own[0] + 1e-3, own[1]), distance(own[0], own[1] + 1e-3));
    let sd = &weighted.model.population_sd;
    assert!((up * sd[1] / (aside * sd[0]) - 2f64.sqrt()).abs() < 1e-3);
}

#[test]
fn a_weight_must_be_of_a_feature_and_positive() {
    let columns = mixed(&["north", "south"]);
    let refused =
        |name: &str, weight: f64| fitted_columns(&columns, &[(name, weight)], 2).unwrap_err();
    assert_eq!(refused("city", 1.0), Error::UnknownWeight { column: "city".into() });
    for weight in [0.0, -1.0, f64::INFINITY] {
        let invalid = Error::InvalidWeight { column: "region".into(), weight };
        assert_eq!(refused("region", weight), invalid);
    }
    assert!(matches!(refused("spend", f64::NAN), Error::InvalidWeight { .. }));
}

#[test]
fn a_warm_fit_goes_on_when_levels_come_and_go() {
    let first = fitted_columns(&mixed(&["north", "south", "west"]), &[], 3).unwrap().model;
    let columns = mixed(&["north", "east", "west"]);
    let features = Features::of(&columns, &Default::default()).unwrap();
    let rows = features.dimensions().bind(&columns).unwrap();
    let params = Params::new(3).check(600, features.len()).unwrap();
    let again = fit_from(&rows, &features, &first, &params, &Watch::new()).unwrap().model;
    assert_eq!(again.features, ["spend", "region=east", "region=north", "region=west"]);
    for segment in 1..=3 {
        let spend = |model: &KMeans| model.centroid(segment).unwrap()[0];
        assert!((spend(&again) - spend(&first)).abs() < 1e-9, "segment {segment} is another");
    }
    let mut renamed = features.clone();
    renamed.names[0] = "age".into();
    assert!(fit_from(&rows, &renamed, &first, &params, &Watch::new()).is_err());
}
