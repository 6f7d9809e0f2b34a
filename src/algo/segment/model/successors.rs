//! Which segment of a later model succeeds which: those that are each other's nearest.

use super::fitted::KMeans;
use crate::algo::segment::engine::distance::squared_distance;
use crate::algo::segment::input::space::scaled_centroids;

/// For each segment of a model the one (from 1) of another, later model of the same features that succeeds it: the nearest there,
/// where the nearest the other way round is the same. None where there is none, and for models of other features.
pub fn successors(old: &KMeans, new: &KMeans) -> Vec<Option<u32>> {
    let Ok(centroids) = old.centroids_among(new.dimensions()) else {
        return vec![None; old.k()];
    };
    let space = new.space();
    let centroids = space.bend_all(centroids);
    let scaled = [scaled_centroids(&space, &centroids), scaled_centroids(&space, &new.centroids)];
    let d = new.features.len();
    let nearest = |from: usize, to: usize| -> Vec<usize> {
        let nearest = |one: &[f32]| {
            let others = scaled[to].chunks_exact(d).map(|other| squared_distance(one, other));
            others.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(idx, _)| idx)
        };
        scaled[from].chunks_exact(d).map(nearest).collect()
    };
    let (forward, back) = (nearest(0, 1), nearest(1, 0));
    let is_mutual = |(from, &to): (usize, &usize)| (back[to] == from).then_some(to as u32 + 1);
    forward.iter().enumerate().map(is_mutual).collect()
}
