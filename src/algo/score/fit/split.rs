//! Which rows are held out for the metrics: a share of each class, drawn by seed, or the rows that the caller names.

use super::params::Params;
use crate::algo::random::Random;
use crate::algo::score::Error;
use crate::algo::score::inputs::Target;

/// Row numbers in ascending order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Split {
    pub(super) train: Vec<usize>,
    pub(super) holdout: Vec<usize>,
}

pub(super) fn split(target: &Target, params: &Params) -> Result<Split, Error> {
    let labels = &target.labels;
    let held_out = match &params.holdout_rows {
        Some(mask) if mask.len() != labels.len() => {
            return Err(Error::DimensionMismatch { expected: labels.len(), found: mask.len() });
        }
        Some(mask) => mask.clone(),
        None => stratified(target, params)?,
    };
    let (holdout, train): (Vec<usize>, Vec<usize>) =
        (0..labels.len()).partition(|&row_idx| held_out[row_idx]);
    let n_positive = train.iter().filter(|&&row_idx| labels[row_idx]).count();
    if n_positive == 0 || n_positive == train.len() {
        if train.is_empty() {
            return Err(Error::EmptyInput);
        }
        return Err(Error::OneClassInTraining {
            value: target.class_of(n_positive > 0).to_owned(),
        });
    }
    Ok(Split { train, holdout })
}

/// A mask with the same share of each class, at least one row and never all.
fn stratified(target: &Target, params: &Params) -> Result<Vec<bool>, Error> {
    let labels = &target.labels;
    let mut mask = vec![false; labels.len()];
    if params.holdout == 0.0 {
        return Ok(mask);
    }
    // By the classes' names: which one is called positive does not matter.
    for class_idx in 0..target.classes.len() {
        let class = class_idx == target.positive;
        let mut rows: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class).collect();
        if rows.len() < 2 {
            let class = target.class_of(class).to_owned();
            return Err(Error::TooFewRows { class, rows: rows.len() });
        }
        Random::new(params.seed, class_idx as u64).shuffle(&mut rows);
        let n = (rows.len() as f64 * params.holdout).round() as usize;
        for &row_idx in &rows[..n.clamp(1, rows.len() - 1)] {
            mask[row_idx] = true;
        }
    }
    Ok(mask)
}

impl Target {
    fn class_of(&self, label: bool) -> &str {
        &self.classes[if label { self.positive } else { 1 - self.positive }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(labels: Vec<bool>) -> Target {
        Target { classes: ["no".into(), "yes".into()], positive: 1, labels }
    }

    fn alternating(n: usize) -> Target {
        target((0..n).map(|i| i % 4 == 0).collect())
    }

    #[test]
    fn a_split_keeps_the_share_of_each_class_and_every_row_once() {
        let target = alternating(1000);
        let found = split(&target, &Params::default()).unwrap();
        assert_eq!((found.train.len(), found.holdout.len()), (800, 200));
        assert_eq!(found.holdout.iter().filter(|&&i| target.labels[i]).count(), 50);
        let mut all = [found.train, found.holdout].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_split_depends_on_the_seed_alone() {
        let target = alternating(100);
        let with = |seed| split(&target, &Params { seed, ..Params::default() }).unwrap();
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
    }

    #[test]
    fn no_holdout_leaves_every_row_to_train() {
        let params = Params { holdout: 0.0, ..Params::default() };
        let found = split(&alternating(10), &params).unwrap();
        assert_eq!((found.train.len(), found.holdout.len()), (10, 0));
    }

    #[test]
    fn a_named_holdout_is_taken_as_it_is() {
        let params =
            Params { holdout_rows: Some(vec![false, false, true, true]), ..Params::default() };
        let found = split(&target(vec![true, false, true, true]), &params).unwrap();
        assert_eq!((found.train, found.holdout), (vec![0, 1], vec![2, 3]));
    }

    #[test]
    fn splits_that_leave_nothing_to_learn_are_refused() {
        let one = target(vec![true, false, false]);
        let error = split(&one, &Params::default()).unwrap_err();
        assert_eq!(error, Error::TooFewRows { class: "yes".into(), rows: 1 });
        let with = |mask| Params { holdout_rows: Some(mask), ..Params::default() };
        let error = split(&one, &with(vec![true, false, false])).unwrap_err();
        assert_eq!(error, Error::OneClassInTraining { value: "no".into() });
        assert_eq!(split(&one, &with(vec![true; 3])), Err(Error::EmptyInput));
        let error = split(&one, &with(vec![true])).unwrap_err();
        assert_eq!(error, Error::DimensionMismatch { expected: 3, found: 1 });
    }
}
