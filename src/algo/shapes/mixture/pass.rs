//! One pass over the rows: how much of each row is each component's, and the moments of those shares.
//!
//! Moments are taken about a centre of each component, its mean so far: at the end nothing is lost by taking the square of
//! the mean off them. The pass is cut into stripes that depend on the number of rows alone, and their sums are added in
//! order, so the result has the same bits on any number of threads.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip, s};
use rayon::prelude::*;

use super::params::Covariance;
use super::prepared::{Component, Whitening, to_shares};
use crate::algo::segment::Rows;
use crate::algo::stop::{Stopped, Watch};

/// Rows that are worked on together: they stay in the cache where features are few.
const TOGETHER: usize = 256;
/// Each has moments of its own.
const STRIPES: usize = 16;

/// Rows, each feature less its centre, over its scale.
pub(super) struct Standardised<'a, R> {
    pub(super) rows: &'a R,
    pub(super) center: &'a [f64],
    pub(super) scale: &'a [f64],
}

/// By what rows are shared out.
#[derive(Clone, Copy)]
pub(super) enum Shares<'a> {
    /// Each to one component, counted from 1, with the centres k x d.
    Labels(&'a [u32], ArrayView2<'a, f64>),
    Components(&'a [Component]),
}

/// Sums over rows of their share of one component.
pub(super) struct Moments {
    pub(super) weight: f64,
    /// Of the differences from the centre.
    pub(super) differences: Array1<f64>,
    /// Of their products, d x d, or of their squares, 1 x d.
    pub(super) products: Array2<f64>,
}

/// The moments of each component, and the rows' log-likelihood.
pub(super) struct Sums {
    pub(super) moments: Vec<Moments>,
    pub(super) log_likelihood: f64,
}

/// Bytes that a fit takes whatever the number of rows.
pub fn work_bytes(k: usize, n_features: usize, covariance: Covariance) -> usize {
    let products = match covariance {
        Covariance::Full => n_features * n_features,
        Covariance::Diagonal => n_features,
    };
    let of_component = products + n_features + TOGETHER;
    // Moments and shares of each stripe, their sum, the estimate, and its factors.
    (STRIPES + 3) * (k * of_component + 3 * TOGETHER * n_features) * size_of::<f64>()
}

pub(super) fn pass<R: Rows>(
    points: &Standardised<R>,
    shares: Shares,
    covariance: Covariance,
    watch: &Watch,
) -> Result<Sums, Stopped> {
    let n_chunks = points.rows.n_rows().div_ceil(TOGETHER);
    let n_stripes = n_chunks.min(STRIPES);
    let stripes: Vec<Sums> = (0..n_stripes)
        .into_par_iter()
        .map(|stripe| {
            let mut work = Work::new(shares.k(), points.center.len(), covariance);
            for chunk in stripe * n_chunks / n_stripes..(stripe + 1) * n_chunks / n_stripes {
                work.add(points, chunk * TOGETHER, shares, watch)?;
            }
            Ok(work.sums)
        })
        .collect::<Result<_, Stopped>>()?;
    let mut all = Sums::none(shares.k(), points.center.len(), covariance);
    for stripe in stripes {
        all.log_likelihood += stripe.log_likelihood;
        for (all, own) in all.moments.iter_mut().zip(stripe.moments) {
            all.weight += own.weight;
            all.differences += &own.differences;
            all.products += &own.products;
        }
    }
    Ok(all)
}

impl<'a> Shares<'a> {
    fn k(self) -> usize {
        match self {
            Self::Labels(_, centres) => centres.nrows(),
            Self::Components(components) => components.len(),
        }
    }

    fn centre(self, component: usize) -> ArrayView1<'a, f64> {
        match self {
            Self::Labels(_, centres) => centres.slice_move(s![component, ..]),
            Self::Components(components) => components[component].mean.view(),
        }
    }
}

impl Sums {
    fn none(k: usize, d: usize, covariance: Covariance) -> Self {
        let n_rows = if covariance == Covariance::Full { d } else { 1 };
        let none = |_| Moments {
            weight: 0.0,
            differences: Array1::zeros(d),
            products: Array2::zeros((n_rows, d)),
        };
        Self { moments: (0..k).map(none).collect(), log_likelihood: 0.0 }
    }
}

/// What one stripe works in.
struct Work {
    sums: Sums,
    /// Rows x d, as the two after it: standardised rows, their differences from a centre, and these whitened or weighted.
    rows: Array2<f64>,
    differences: Array2<f64>,
    made: Array2<f64>,
    /// Component after component, one number a row.
    shares: Array2<f64>,
    column: Vec<f64>,
    row_shares: Vec<f64>,
    covariance: Covariance,
}

impl Work {
    fn new(k: usize, d: usize, covariance: Covariance) -> Self {
        let block = || Array2::zeros((TOGETHER, d));
        Self {
            sums: Sums::none(k, d, covariance),
            rows: block(),
            differences: block(),
            made: block(),
            shares: Array2::zeros((k, TOGETHER)),
            column: vec![0.0; TOGETHER],
            row_shares: vec![0.0; k],
            covariance,
        }
    }

    /// Adds the rows from `first` on.
    fn add<R: Rows>(
        &mut self,
        points: &Standardised<R>,
        first: usize,
        shares: Shares,
        watch: &Watch,
    ) -> Result<(), Stopped> {
        let n = TOGETHER.min(points.rows.n_rows() - first);
        for (feature, mut scaled) in self.rows.columns_mut().into_iter().enumerate() {
            points.rows.copy(feature, first, &mut self.column[..n]);
            let (center, scale) = (points.center[feature], points.scale[feature]);
            for (scaled, value) in scaled.iter_mut().zip(&self.column[..n]) {
                *scaled = (value - center) / scale;
            }
        }
        match shares {
            Shares::Labels(labels, _) => {
                self.shares.fill(0.0);
                for (row, &label) in labels[first..first + n].iter().enumerate() {
                    self.shares[(label as usize - 1, row)] = 1.0;
                }
            }
            Shares::Components(components) => self.share(components, n, watch)?,
        }
        for component in 0..shares.k() {
            watch.check()?;
            self.add_moments(component, shares.centre(component), n);
        }
        Ok(())
    }

    /// Shares the rows out by how probable each component is.
    fn share(&mut self, components: &[Component], n: usize, watch: &Watch) -> Result<(), Stopped> {
        for (idx, component) in components.iter().enumerate() {
            watch.check()?;
            let mut differences = self.differences.slice_mut(s![..n, ..]);
            differences.assign(&(&self.rows.slice(s![..n, ..]) - &component.mean));
            let mut whitened = self.made.slice_mut(s![..n, ..]);
            match &component.whitening {
                Whitening::Full(inverse) => {
                    general_mat_mul(1.0, &differences, inverse, 0.0, &mut whitened);
                }
                Whitening::Diagonal(inverse) => {
                    Zip::from(&mut whitened)
                        .and(&differences)
                        .and_broadcast(inverse)
                        .for_each(|whitened, difference, inverse| *whitened = difference * inverse);
                }
            }
            for (row, whitened) in whitened.rows().into_iter().enumerate() {
                self.shares[(idx, row)] = component.log_density_at(whitened.dot(&whitened));
            }
        }
        for row in 0..n {
            let mut column = self.shares.column_mut(row);
            for (share, log) in self.row_shares.iter_mut().zip(&column) {
                *share = *log;
            }
            self.sums.log_likelihood += to_shares(&mut self.row_shares);
            for (share, found) in column.iter_mut().zip(&self.row_shares) {
                *share = *found;
            }
        }
        Ok(())
    }

    fn add_moments(&mut self, component: usize, centre: ArrayView1<f64>, n: usize) {
        let shares = self.shares.slice(s![component, ..n]);
        let rows = self.rows.slice(s![..n, ..]);
        let mut differences = self.differences.slice_mut(s![..n, ..]);
        differences.assign(&(&rows - &centre));
        let mut weighted = self.made.slice_mut(s![..n, ..]);
        weighted.assign(&(&differences * &shares.insert_axis(Axis(1))));
        let moments = &mut self.sums.moments[component];
        moments.weight += shares.sum();
        moments.differences += &weighted.sum_axis(Axis(0));
        match self.covariance {
            Covariance::Full => {
                general_mat_mul(1.0, &weighted.t(), &differences, 1.0, &mut moments.products);
            }
            Covariance::Diagonal => {
                let mut squares = moments.products.row_mut(0);
                squares += &(&weighted * &differences).sum_axis(Axis(0));
            }
        }
    }
}
