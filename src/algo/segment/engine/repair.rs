//! Segments that lost all their rows get the rows that lie farthest from their own centroids.

use rayon::prelude::*;

use super::distance::own_distances;
use super::state::State;
use crate::algo::segment::error::Error;
use crate::algo::segment::input::rows::LANES;
use crate::algo::segment::input::space::scaled_centroids;
use crate::algo::stop::{Stopped, Watch};

/// Gives each empty segment one row and returns how many got one; refuses when no row is away from its centroid.
pub(crate) fn fill_empty(
    state: &mut State,
    centroids: &[f64],
    watch: &Watch,
) -> Result<u64, Error> {
    let empty: Vec<usize> =
        (0..state.k).filter(|&segment| state.n_weighing()[segment] == 0).collect();
    if empty.is_empty() {
        return Ok(0);
    }
    let mut farthest = farthest_rows(state, centroids, 4 * empty.len() + 64, watch)?.into_iter();
    let mut taken: Vec<Vec<f32>> = Vec::new();
    let mut filled = 0;
    'segments: for segment in empty.iter().copied() {
        for row in farthest.by_ref() {
            // Equal rows would make equal centroids, one of which is empty again at once.
            let values = state.points.row(row);
            if state.n_weighing()[usize::from(state.labels[row])] > 1 && !taken.contains(&values) {
                state.relabel_row(row, segment as u16);
                taken.push(values);
                filled += 1;
                continue 'segments;
            }
        }
        break;
    }
    if filled == 0 {
        return Err(Error::TooFewDistinctRows { k: state.k, distinct: state.k - empty.len() });
    }
    Ok(filled)
}

/// Blocks whose distances are held at once.
const GROUP: usize = 1 << 14;

/// Rows that weigh something and are away from their centroids, the farthest first, equal distances in row order.
fn farthest_rows(
    state: &State,
    centroids: &[f64],
    n: usize,
    watch: &Watch,
) -> Result<Vec<usize>, Stopped> {
    let centroids = scaled_centroids(state.space, centroids);
    let points = state.points;
    let farther = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    let mut farthest: Vec<(f32, usize)> = Vec::new();
    let groups = points.values.chunks(GROUP * points.block_len());
    for (group_idx, (blocks, labels)) in groups.zip(state.labels.chunks(GROUP * LANES)).enumerate()
    {
        let blocks = blocks.par_chunks(points.block_len()).zip(labels.par_chunks(LANES));
        let distances: Vec<[f32; LANES]> = blocks
            .with_min_len(64)
            .map(|(block, labels)| {
                watch.check()?;
                Ok(own_distances(block, labels, &centroids))
            })
            .collect::<Result<_, Stopped>>()?;
        let first = group_idx * GROUP * LANES;
        let distances = distances.as_flattened().iter().copied();
        let is_away = |(distance, row): &(f32, usize)| *distance > 0.0 && points.weight(*row) > 0.0;
        farthest.extend(distances.zip(first..).filter(is_away));
        if farthest.len() > n {
            farthest.select_nth_unstable_by(n, farther);
            farthest.truncate(n);
        }
    }
    farthest.sort_unstable_by(farther);
    Ok(farthest.into_iter().map(|(_, row)| row).collect())
}

#[cfg(test)]
mod tests {
    use super::Error;
    use crate::algo::segment::{Features, Params, fit};
    use crate::algo::stop::Watch;
    use ndarray::array;

    #[test]
    fn rows_too_close_to_be_told_apart_count_as_equal() {
        let points = array![[0.0], [2e-4], [1.0], [2.0], [3.0]];
        let sizes = |k: i64| {
            let params = Params::new(k).check(5, 1).unwrap();
            let features = Features::numbers(vec!["x".to_owned()]);
            fit(points.view(), &features, &params, &Watch::new()).map(|fit| fit.model.sizes)
        };
        assert_eq!(sizes(4), Ok(vec![2, 1, 1, 1]));
        assert_eq!(sizes(5), Err(Error::TooFewDistinctRows { k: 5, distinct: 4 }));
    }
}
