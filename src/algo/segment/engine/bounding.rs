//! When a run keeps bounds on its distances: as long as they save more than they cost.
//!
//! Far from its end a run moves every centroid and the bounds leave most rows in doubt; then the kernel on all rows, as they lie,
//! is faster than on those that were gathered.

/// Doubtful rows for each that changed its label in the pass before: 12 to 60, on mixtures and on noise.
const DOUBTFUL_OF_CHANGED: f64 = 20.0;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounding {
    when: When,
    /// The share of doubtful rows at which bounds save nothing.
    worthwhile: f64,
    /// The share of rows that may have changed their label in the last pass when bounds begin.
    begins_at: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    WorthIt,
    #[cfg(test)]
    Always,
    #[cfg(test)]
    Never,
}

/// Of all rows, in the last pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    /// That changed their label.
    pub(crate) changed: f64,
    /// That the bounds left in doubt; None without bounds.
    pub(crate) doubtful: Option<f64>,
}

impl Bounding {
    /// For k centroids of d features. In multiply-adds a row, the kernel takes k d, carrying the bounds as long as 175, and
    /// gathering a row as long as 200 and 20 a feature: fitted to k = 64 and 256 at 8 and 32 features.
    pub(crate) fn new(when: When, k: usize, d: usize) -> Self {
        let all = (k * d) as f64;
        let worthwhile = (all - 175.0) / (1.06 * all + 200.0 + 20.0 * d as f64);
        Self { when, worthwhile, begins_at: worthwhile / DOUBTFUL_OF_CHANGED }
    }

    /// Whether to have bounds in the next pass.
    pub(crate) fn goes_on(&mut self, Shares { changed, doubtful }: Shares) -> bool {
        match (self.when, doubtful) {
            #[cfg(test)]
            (When::Always, _) => true,
            #[cfg(test)]
            (When::Never, _) => false,
            (When::WorthIt, None) => changed < self.begins_at,
            (When::WorthIt, Some(doubtful)) => {
                let goes_on = doubtful < self.worthwhile;
                if !goes_on {
                    self.begins_at = changed / 2.0;
                }
                goes_on
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes_on(bounding: &mut Bounding, changed: f64, doubtful: Option<f64>) -> bool {
        bounding.goes_on(Shares { changed, doubtful })
    }

    #[test]
    fn bounds_begin_when_few_rows_change_and_end_when_many_are_in_doubt() {
        let mut bounding = Bounding::new(When::WorthIt, 64, 8);
        assert!(!goes_on(&mut bounding, 1.0, None));
        assert!(!goes_on(&mut bounding, 0.03, None));
        assert!(goes_on(&mut bounding, 0.01, None));
        assert!(goes_on(&mut bounding, 0.01, Some(0.2)));
        assert!(!goes_on(&mut bounding, 0.01, Some(0.5)));
        assert!(!goes_on(&mut bounding, 0.006, None), "what failed is not tried again at once");
        assert!(goes_on(&mut bounding, 0.004, None));
    }

    #[test]
    fn few_products_are_never_worth_bounds() {
        let mut bounding = Bounding::new(When::WorthIt, 8, 8);
        assert!(!goes_on(&mut bounding, 0.0, None));
        assert!(goes_on(&mut Bounding::new(When::WorthIt, 256, 32), 0.04, None));
    }
}
