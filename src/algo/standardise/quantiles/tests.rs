use super::*;
use crate::algo::random::{Random, unit};
use proptest::prelude::*;

fn quantiles(values: &[f64]) -> Quantiles {
    let mut one = Quantiles::default();
    for part in values.chunks(MOST_KEPT) {
        let mut keys: Vec<u64> = part.iter().map(|&value| Quantiles::key(value)).collect();
        one.add(&mut keys).unwrap();
    }
    one
}

/// As numpy.quantile.
#[track_caller]
fn check_exact(values: &[f64]) {
    let ready = quantiles(values).ready();
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    for step in 0..=1000 {
        let q = f64::from(step) / 1000.0;
        let (found, expected) = (ready.quantile(q).unwrap(), interpolated(&sorted, q).unwrap());
        assert!(
            (found - expected).abs() <= 1e-12 * expected.abs().max(1.0),
            "{q}: {found} {expected}"
        );
    }
}

/// The share of rows by which ranks are off at most, where rows that share a value have all of their ranks.
fn worst_rank(one: &Quantiles, mut sorted: Vec<f64>) -> f64 {
    let ready = one.ready();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let off = |step: i32| {
        let q = f64::from(step) / 2000.0;
        let found = ready.quantile(q).unwrap();
        let below = sorted.partition_point(|&value| value < found) as f64 / n;
        let up_to = sorted.partition_point(|&value| value <= found) as f64 / n;
        (below - q).max(q - up_to).max(0.0)
    };
    (0..=2000).map(off).fold(0.0, f64::max)
}

#[test]
fn few_values_have_exact_quantiles() {
    // numpy.quantile([1, 2, 4, 8], [0, .25, .5, .9, 1])
    let ready = quantiles(&[8.0, 1.0, 4.0, 2.0]).ready();
    for (q, expected) in [(0.0, 1.0), (0.25, 1.75), (0.5, 3.0), (0.9, 6.8), (1.0, 8.0)] {
        assert!((ready.quantile(q).unwrap() - expected).abs() < 1e-12, "{q}");
    }
    assert_eq!(Quantiles::default().ready().quantile(0.5), None);
    check_exact(&[-0.0, 0.0, -1e308, 1e308, 5e-324]);
}

#[test]
fn few_distinct_values_of_many_rows_have_exact_quantiles() {
    for distinct in [1, 2, 3, 40, 1280] {
        check_exact(&(0..50_000).map(|i| f64::from(i * 7919 % distinct + 1)).collect::<Vec<_>>());
    }
}

#[test]
fn the_ranks_of_a_million_values_are_off_by_little() {
    let random = Random::new(2, 0);
    type Shape = fn(f64) -> f64;
    let shapes: [(&str, Shape); 7] = [
        ("even", |u| u),
        ("tailed", |u| (8.0 * u).exp()),
        ("three thousand", |u| (u * 3000.0).floor()),
        ("geometric", |u| (u.ln() * 400.0).floor()),
        ("mostly nothing", |u| if u < 0.6 { 0.0 } else { (u * 30.0).exp() }),
        ("spikes", |u| if u * 50.0 % 1.0 < 0.5 { (u * 50.0).floor() } else { u * 50.0 }),
        ("far apart", |u| (u * 1400.0 - 700.0).exp()),
    ];
    for (name, shape) in shapes {
        let values: Vec<f64> = (0..1_000_000).map(|place| shape(unit(random.at(place)))).collect();
        let one = quantiles(&values);
        let mut merged = Quantiles::default();
        for part in values.chunks(20_011) {
            merged.merge(&quantiles(part)).unwrap();
        }
        let mut in_order = values.clone();
        in_order.sort_unstable_by(f64::total_cmp);
        for one in [one, merged, quantiles(&in_order)] {
            assert_eq!((one.check(), one.n()), (Ok(()), 1_000_000));
            let off = worst_rank(&one, values.clone());
            println!("{name}: {off:.5}, {} and {}", one.values.len(), one.centroids.len());
            assert!(off <= 0.002, "{name}: off by {off}");
            assert_eq!(one.ready().range(), Some((in_order[0], in_order[999_999])));
        }
    }
}

#[test]
fn a_value_of_many_rows_is_not_spread_over_its_neighbors() {
    // Half of the rows are 0: whatever is asked for among them is 0, and not some value next to it.
    let values: Vec<f64> = (0..200_000)
        .map(|i| if i % 2 == 0 { 0.0 } else { f64::from(i * 7919 % 200_003) })
        .collect();
    let ready = quantiles(&values).ready();
    for q in [0.0, 0.1, 0.25, 0.4, 0.499] {
        assert_eq!(ready.quantile(q), Some(0.0), "{q}");
    }
    assert!(ready.quantile(0.505).unwrap() > 0.0);
}

#[test]
fn text_and_bytes_give_the_same_again() {
    let many: Vec<f64> = (0..5000).map(|i| f64::from(i * 7919 % 5000)).collect();
    let mut all = FeatureQuantiles::new(Some(vec!["a".into(), "b".into()]), 2);
    all.of = vec![quantiles(&many), quantiles(&[1.5, -2.0])];
    assert_eq!(all.check(), Ok(()));
    let text = serde_json::to_string(&all).unwrap();
    assert_eq!(serde_json::from_str::<FeatureQuantiles>(&text).unwrap(), all);
    let bytes = postcard::to_stdvec(&all).unwrap();
    assert_eq!(postcard::from_bytes::<FeatureQuantiles>(&bytes).unwrap(), all);
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    let check = |values: &[(f64, u64)], centroids: &[(f64, u64)]| {
        let (values, centroids) = (values.to_vec(), centroids.to_vec());
        FeatureQuantiles { features: None, of: vec![Quantiles { nulls: 0, values, centroids }] }
            .check()
    };
    assert_eq!(check(&[(1.0, 2), (2.0, 1)], &[(1.5, 7)]), Ok(()));
    let many: Vec<(f64, u64)> = (0..1281).map(|i| (f64::from(i), 1)).collect();
    for (values, centroids) in [
        (&[(2.0, 1), (1.0, 1)][..], &[][..]),
        (&[(1.0, 1), (1.0, 1)], &[]),
        (&[(-0.0, 1), (0.0, 1)], &[]),
        (&[], &[(2.0, 3), (1.0, 3)]),
        (&[(1.0, 0)], &[]),
        (&[(f64::NAN, 1)], &[]),
        (&[(f64::INFINITY, 1)], &[]),
        (&[(1.0, 1 << 53)], &[]),
        (&[(1.0, u64::MAX), (2.0, u64::MAX)], &[]),
        (&many, &[]),
        (&many[..1280], &[(3.5, 2)]),
    ] {
        assert!(check(values, centroids).is_err(), "{values:?} {centroids:?}");
    }
    let mut half = Quantiles { values: vec![(1.0, 1 << 52)], ..Quantiles::default() };
    let same = half.clone();
    assert!(half.merge(&same).is_err());
}

proptest! {
    #[test]
    fn any_parts_that_pass_the_check_answer_in_order(
        values in proptest::collection::vec((proptest::num::f64::NORMAL, 1u64..1 << 40), 0..600),
        centroids in proptest::collection::vec((proptest::num::f64::NORMAL, 1u64..1 << 40), 0..680),
        more in proptest::collection::vec(proptest::num::f64::NORMAL, 0..1024),
    ) {
        let in_order = |mut items: Vec<(f64, u64)>| {
            items.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            items.dedup_by(|a, b| a.0 == b.0);
            items
        };
        let mut one = Quantiles { nulls: 0, values: in_order(values), centroids: in_order(centroids) };
        prop_assert_eq!(one.check(), Ok(()));
        let n = one.n();
        let mut keys: Vec<u64> = more.iter().map(|&value| Quantiles::key(value)).collect();
        one.add(&mut keys).unwrap();
        prop_assert_eq!(one.check(), Ok(()));
        prop_assert_eq!(one.n(), n + more.len() as u64);
        if let Some(grid) = one.ready().grid(100) {
            prop_assert!(grid.iter().all(|value| value.is_finite()) && grid.is_sorted());
        }
    }

    #[test]
    fn merging_few_values_in_any_order_is_exact(values in proptest::collection::vec(-1e6f64..1e6, 1..200), split in 0usize..200) {
        let split = split.min(values.len());
        let mut merged = quantiles(&values[split..]);
        merged.merge(&quantiles(&values[..split])).unwrap();
        prop_assert_eq!(merged, quantiles(&values));
    }
}
