//! DBSCAN (Ester, Kriegel, Sander and Xu 1996): regions where rows lie close together, whatever their outline, and noise.
//!
//! A row is core when at least `min_points` rows, itself included, lie within `eps` of it. Core rows within `eps` of each
//! other are in one segment; any other row is in the segment of the nearest core row within `eps`, or noise. Of several
//! equally near the first by content counts. So nothing depends on the order of the rows or on the number of threads;
//! scikit-learn differs only in rows that are not core and within reach of two segments, which it gives to the one it
//! happens to grow first.
//!
//! Equal rows are one point. Whether a point is core is asked of a k-d tree, one search each, which ends as soon as it has
//! seen enough. Core points are linked by walking pairs of nodes of the same tree: a pair is left alone when its boxes are
//! too far apart or all of its core points are in one segment already, and linked as a whole when its boxes are near
//! enough, so that dense data costs no more than sparse. (A run that lists every point's neighbours, as linfa's does, takes
//! time and memory in proportion to all pairs within reach, and cannot be stopped.)

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::error::Error;
use super::tree::{Node, Reach, Tree};
use crate::algo::segment::{order_by_content, original};
use crate::algo::stop::{Stopped, Watch};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DbscanParams {
    /// The Euclidean distance up to which two rows are neighbours.
    pub eps: f64,
    /// Rows within `eps` of a core row, itself included.
    pub min_points: i64,
}

/// Parameters that a run takes; made by [`DbscanParams::check`] alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidDbscanParams {
    eps: f64,
    min_points: u32,
}

impl DbscanParams {
    pub fn check(self) -> Result<ValidDbscanParams, Error> {
        let Self { eps, min_points } = self;
        if !(eps.is_finite() && eps > 0.0) {
            return Err(Error::InvalidEps { eps });
        }
        if min_points < 1 {
            return Err(Error::InvalidMinPoints { min_points });
        }
        // There are never more rows than u32::MAX, so what is beyond means the same.
        Ok(ValidDbscanParams { eps, min_points: u32::try_from(min_points).unwrap_or(u32::MAX) })
    }
}

/// The segment of each row (n x d, finite), from 1, the largest first and of equal ones that with the first row by content;
/// 0 for noise.
pub fn dbscan(
    rows: ArrayView2<f64>,
    params: &ValidDbscanParams,
    watch: &Watch,
) -> Result<Vec<u32>, Error> {
    let n_rows = rows.nrows();
    if n_rows == 0 {
        return Ok(Vec::new());
    }
    if u32::try_from(n_rows).is_err() {
        return Err(Error::TooManyRows { n_rows });
    }
    watch.check()?;
    let order = order_by_content(&rows);
    let order = order.as_deref();
    let starts = distinct(rows, order, watch)?;
    let ends = starts.iter().skip(1).copied().chain([n_rows as u32]);
    let weights: Vec<u32> = starts.iter().zip(ends).map(|(start, end)| end - start).collect();
    let points: Vec<u32> =
        starts.iter().map(|&start| original(order, start as usize) as u32).collect();
    let tree = Tree::new(rows, &points, &weights, watch)?;
    drop((points, weights));
    let reach = Reach::new(params.eps);
    let is_core = cores(&tree, reach, params.min_points, watch)?;
    let mut links = Links::new(&tree, reach, &is_core);
    links.within(0, watch)?;
    let roots = roots(&tree, reach, &is_core, links.parents, watch)?;
    let segments = numbered(&tree, &roots);
    let mut labels = vec![0; n_rows];
    for (number, &segment) in segments.iter().enumerate() {
        let end = starts.get(number + 1).map_or(n_rows, |&end| end as usize);
        for place in starts[number] as usize..end {
            labels[original(order, place)] = segment;
        }
    }
    Ok(labels)
}

/// The places in the order of content where another row begins.
fn distinct(
    rows: ArrayView2<f64>,
    order: Option<&[u32]>,
    watch: &Watch,
) -> Result<Vec<u32>, Stopped> {
    let mut starts = vec![0];
    for place in 1..rows.nrows() {
        if place % CHUNK == 0 {
            watch.check()?;
        }
        if rows.row(original(order, place)) != rows.row(original(order, place - 1)) {
            starts.push(place as u32);
        }
    }
    Ok(starts)
}

/// Points that one thread looks at without a word on how far it is.
const CHUNK: usize = 256;

fn cores(tree: &Tree, reach: Reach, min_points: u32, watch: &Watch) -> Result<Vec<bool>, Stopped> {
    let mut is_core = vec![false; tree.n_points()];
    let (done, total) = (AtomicU64::new(0), tree.n_points() as u64);
    is_core.par_chunks_mut(CHUNK).enumerate().try_for_each(|(chunk_idx, chunk)| {
        for (offset, is_core) in chunk.iter_mut().enumerate() {
            let point = chunk_idx * CHUNK + offset;
            *is_core = tree.has_neighbors(point, min_points, reach, watch)?;
        }
        let before = done.fetch_add(chunk.len() as u64, Relaxed);
        watch.report(before + chunk.len() as u64, total, f64::NAN);
        Ok(())
    })?;
    Ok(is_core)
}

/// The core points' links: union-find over points, and what is known of whole nodes.
struct Links<'a> {
    tree: &'a Tree,
    reach: Reach,
    is_core: &'a [bool],
    parents: Vec<u32>,
    /// Each node's first core point; NONE without one.
    first: Vec<u32>,
    /// Whether all core points of a node are known to be linked.
    is_one: Vec<bool>,
}

const NONE: u32 = u32::MAX;

impl<'a> Links<'a> {
    fn new(tree: &'a Tree, reach: Reach, is_core: &'a [bool]) -> Self {
        let mut first = vec![NONE; tree.n_nodes()];
        // Children come behind their parents.
        for node in (0..tree.n_nodes()).rev() {
            first[node] = match tree.children(node) {
                Some([left, right]) => first[left].min(first[right]),
                None => points(tree.node(node))
                    .find(|&point| is_core[point])
                    .map_or(NONE, |point| point as u32),
            };
        }
        let is_one = first.iter().map(|&first| first == NONE).collect();
        let parents = (0..tree.n_points() as u32).collect();
        Self { tree, reach, is_core, parents, first, is_one }
    }

    /// Links the core points of one node.
    fn within(&mut self, node: usize, watch: &Watch) -> Result<(), Stopped> {
        watch.check()?;
        if self.is_one[node] {
            return Ok(());
        }
        if self.tree.is_all_between(node, node, self.reach) {
            self.link_all(node);
            return Ok(());
        }
        match self.tree.children(node) {
            Some([left, right]) => {
                self.within(left, watch)?;
                self.within(right, watch)?;
                self.between(left, right, watch)?;
            }
            None => {
                let Node { start, end, .. } = self.tree.node(node);
                for a in start as usize..end as usize {
                    for b in a + 1..end as usize {
                        self.link_near(a, b);
                    }
                }
            }
        }
        self.look(node);
        Ok(())
    }

    /// Links the core points of one node to those of another.
    fn between(&mut self, a: usize, b: usize, watch: &Watch) -> Result<(), Stopped> {
        watch.check()?;
        if self.first[a] == NONE
            || self.first[b] == NONE
            || self.are_one(a, b)
            || self.tree.is_apart(a, b, self.reach)
        {
            return Ok(());
        }
        if self.tree.is_all_between(a, b, self.reach) {
            // All of one are within reach of one of the other.
            self.link_all(a);
            self.link_all(b);
            self.link(self.first[a], self.first[b]);
            return Ok(());
        }
        let n_points = |node: usize| points(self.tree.node(node)).len();
        // The larger node is taken apart. A leaf has at most LEAF points and any other node more, so this one is a leaf only if both are.
        let (large, small) = if n_points(a) < n_points(b) { (b, a) } else { (a, b) };
        match self.tree.children(large) {
            Some([left, right]) => {
                let near = |child| self.tree.least_between(child, small, self.reach);
                let children = if near(right) < near(left) { [right, left] } else { [left, right] };
                for child in children {
                    self.between(child, small, watch)?;
                }
            }
            None => {
                let both_one = self.is_one[a] && self.is_one[b];
                'pairs: for one in points(self.tree.node(a)) {
                    for other in points(self.tree.node(b)) {
                        if self.link_near(one, other) && both_one {
                            break 'pairs;
                        }
                    }
                }
            }
        }
        self.look(a);
        self.look(b);
        Ok(())
    }

    /// Whether all core points of two nodes, which have some, are known to be linked.
    fn are_one(&mut self, a: usize, b: usize) -> bool {
        let (first_a, first_b) = (self.first[a], self.first[b]);
        self.is_one[a] && self.is_one[b] && self.root(first_a) == self.root(first_b)
    }

    /// Sees whether all core points of a node are linked by now.
    fn look(&mut self, node: usize) {
        if self.is_one[node] {
            return;
        }
        self.is_one[node] = match self.tree.children(node) {
            Some([left, right]) if self.first[left] == NONE => self.is_one[right],
            Some([left, right]) if self.first[right] == NONE => self.is_one[left],
            Some([left, right]) => self.are_one(left, right),
            None => {
                let root = self.root(self.first[node]);
                points(self.tree.node(node))
                    .all(|point| !self.is_core[point] || self.root(point as u32) == root)
            }
        };
    }

    fn link_all(&mut self, node: usize) {
        if self.is_one[node] {
            return;
        }
        for point in points(self.tree.node(node)) {
            if self.is_core[point] {
                self.link(self.first[node], point as u32);
            }
        }
        self.is_one[node] = true;
    }

    /// Links two points if both are core, within reach, and not linked; whether it did.
    fn link_near(&mut self, a: usize, b: usize) -> bool {
        self.is_core[a]
            && self.is_core[b]
            && self.root(a as u32) != self.root(b as u32)
            && self.tree.is_within(a, b, self.reach)
            && self.link(a as u32, b as u32)
    }

    fn link(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b) as usize] = a.min(b);
        a != b
    }

    fn root(&mut self, point: u32) -> u32 {
        root(&mut self.parents, point)
    }
}

fn points(node: Node) -> std::ops::Range<usize> {
    node.start as usize..node.end as usize
}

/// Halves the path on its way.
fn root(parents: &mut [u32], mut point: u32) -> u32 {
    while parents[point as usize] != point {
        let above = parents[parents[point as usize] as usize];
        parents[point as usize] = above;
        point = above;
    }
    point
}

/// The point that stands for the segment of each point; NONE for noise.
fn roots(
    tree: &Tree,
    reach: Reach,
    is_core: &[bool],
    mut parents: Vec<u32>,
    watch: &Watch,
) -> Result<Vec<u32>, Stopped> {
    for point in 0..parents.len() as u32 {
        parents[point as usize] = root(&mut parents, point);
    }
    let mut roots = vec![NONE; parents.len()];
    roots.par_chunks_mut(CHUNK).enumerate().try_for_each(|(chunk_idx, chunk)| {
        for (offset, found) in chunk.iter_mut().enumerate() {
            let point = chunk_idx * CHUNK + offset;
            let core = match is_core[point] {
                true => Some(point),
                false => tree.nearest(point, reach, |other| is_core[other], watch)?,
            };
            *found = core.map_or(NONE, |core| parents[core]);
        }
        Ok(())
    })?;
    Ok(roots)
}

/// The segment of each point by its number, which is its place by content.
fn numbered(tree: &Tree, roots: &[u32]) -> Vec<u32> {
    let mut sizes = vec![0u64; roots.len()];
    let mut first = vec![NONE; roots.len()];
    for (point, &root) in roots.iter().enumerate().filter(|(_, root)| **root != NONE) {
        sizes[root as usize] += u64::from(tree.weights[point]);
        first[root as usize] = first[root as usize].min(tree.numbers[point]);
    }
    let mut found: Vec<u32> =
        (0..roots.len() as u32).filter(|&root| sizes[root as usize] > 0).collect();
    found.sort_unstable_by_key(|&root| (Reverse(sizes[root as usize]), first[root as usize]));
    let mut segment_of = vec![0; roots.len()];
    for (segment, &root) in (1..).zip(&found) {
        segment_of[root as usize] = segment;
    }
    let mut segments = vec![0; roots.len()];
    for (point, &root) in roots.iter().enumerate().filter(|(_, root)| **root != NONE) {
        segments[tree.numbers[point] as usize] = segment_of[root as usize];
    }
    segments
}

#[cfg(test)]
mod tests {
    use linfa::traits::Transformer;
    use linfa_clustering::Dbscan;
    use ndarray::{Array2, array};

    use super::*;
    use crate::algo::random::Random;

    fn run(rows: &Array2<f64>, eps: f64, min_points: i64) -> Vec<u32> {
        let params = DbscanParams { eps, min_points }.check().unwrap();
        dbscan(rows.view(), &params, &Watch::new()).unwrap()
    }

    /// The definition, pair by pair.
    fn by_pairs(rows: &Array2<f64>, eps: f64, min_points: i64) -> Vec<u32> {
        let n = rows.nrows();
        let squares = |a: usize, b: usize| {
            (0..rows.ncols()).map(|j| (rows[[a, j]] - rows[[b, j]]).powi(2)).sum::<f64>()
        };
        let near = |a: usize, b: usize| squares(a, b) <= eps * eps;
        let is_core: Vec<bool> =
            (0..n).map(|a| (0..n).filter(|&b| near(a, b)).count() as i64 >= min_points).collect();
        let mut group: Vec<usize> = (0..n).collect();
        let mut changed = true;
        while changed {
            changed = false;
            for a in (0..n).filter(|&a| is_core[a]) {
                for b in (0..n).filter(|&b| is_core[b] && near(a, b)) {
                    changed |= group[a] != group[b];
                    group[a] = group[a].min(group[b]);
                    group[b] = group[a];
                }
            }
        }
        let content = |row: usize| rows.row(row).to_vec();
        let nearest = |a: usize| {
            (0..n).filter(|&b| is_core[b] && near(a, b)).min_by(|&b, &c| {
                let by_content = content(b).partial_cmp(&content(c)).unwrap();
                squares(a, b).total_cmp(&squares(a, c)).then(by_content)
            })
        };
        let group: Vec<Option<usize>> = (0..n)
            .map(|a| if is_core[a] { Some(a) } else { nearest(a) }.map(|b| group[b]))
            .collect();
        let mut segments: Vec<(Reverse<usize>, Vec<f64>, usize)> = (0..n)
            .filter(|&a| group[a] == Some(a))
            .map(|a| {
                let members = (0..n).filter(|&b| group[b] == Some(a));
                let first = members.clone().map(content).min_by(|a, b| a.partial_cmp(b).unwrap());
                (Reverse(members.count()), first.unwrap(), a)
            })
            .collect();
        segments.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let number = |a: usize| 1 + segments.iter().position(|segment| segment.2 == a).unwrap();
        group.into_iter().map(|group| group.map_or(0, |a| number(a) as u32)).collect()
    }

    /// Rows around `n_centres` centres, with noise between; on a grid when `step` is above 0, so that distances tie.
    fn blobs(n: usize, d: usize, n_centres: usize, step: f64, seed: i64) -> Array2<f64> {
        let mut random = Random::new(seed, 0);
        let centres: Vec<f64> = (0..n_centres * d).map(|_| random.uniform() * 20.0).collect();
        Array2::from_shape_fn((n, d), |(row, feature)| {
            let value = if row % 10 == 0 {
                random.uniform() * 20.0
            } else {
                let spread = (0..4).map(|_| random.uniform() - 0.5).sum::<f64>();
                centres[row % n_centres * d + feature] + spread
            };
            if step > 0.0 { (value / step).round() * step } else { value }
        })
    }

    #[track_caller]
    fn check_like_pairs(rows: &Array2<f64>, eps: f64, min_points: i64) {
        let found = run(rows, eps, min_points);
        assert_eq!(found, by_pairs(rows, eps, min_points), "eps {eps}, min_points {min_points}");
    }

    #[test]
    fn every_row_is_where_comparing_all_pairs_puts_it() {
        for seed in 0..12 {
            let d = 1 + seed as usize % 6;
            for step in [0.0, 0.5, 1.0] {
                let rows = blobs(300, d, 1 + seed as usize % 4, step, seed);
                for (eps, min_points) in [(0.25, 3), (0.5, 5), (1.0, 4), (1.0, 1), (3.0, 20)] {
                    check_like_pairs(&rows, eps, min_points);
                }
            }
        }
    }

    #[test]
    fn many_features_are_compared_to_the_last_one() {
        // 70 features: two whole blocks of a sum and a rest.
        let rows = Array2::from_shape_fn((120, 70), |(row, feature)| {
            f64::from(u8::from(feature == 69)) * (row % 40) as f64
        });
        check_like_pairs(&rows, 1.0, 3);
        check_like_pairs(&blobs(200, 70, 3, 1.0, 5), 6.0, 4);
    }

    #[test]
    fn a_distance_of_exactly_eps_is_within() {
        assert_eq!(run(&array![[0.0], [0.1], [0.2]], 0.1, 2), [1, 1, 1]);
        assert_eq!(run(&array![[0.0, 0.0], [3.0, 4.0]], 5.0, 2), [1, 1]);
        assert_eq!(run(&array![[0.0, 0.0], [3.0, 4.0]], 5.0_f64.next_down(), 2), [0, 0]);
    }

    #[test]
    fn a_border_row_goes_to_the_nearest_core_row() {
        // 4 is within 2 of the core rows 2 and 5.9, and nearer to the latter.
        let rows = array![[4.0], [0.0], [1.0], [2.0], [5.9], [6.9], [7.9], [8.9]];
        assert_eq!(run(&rows, 2.0, 4), [1, 2, 2, 2, 1, 1, 1, 1]);
        // 1 alone is core.
        let rows = array![[0.0], [0.0], [0.0], [1.0], [2.0], [2.0], [2.0], [2.0]];
        assert_eq!(run(&rows, 1.0, 6), [1; 8]);
        // 2 is no core row, and as near to 1 as to 3.
        let rows =
            array![[2.0], [0.0], [0.0], [0.0], [0.0], [1.0], [3.0], [4.0], [4.0], [4.0], [4.0]];
        assert_eq!(run(&rows, 1.0, 5), [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn segments_are_numbered_by_size_and_then_by_content() {
        let rows = array![[9.0], [9.1], [5.0], [5.1], [5.2], [1.0], [1.1], [100.0]];
        assert_eq!(run(&rows, 0.15, 2), [3, 3, 1, 1, 1, 2, 2, 0]);
    }

    #[test]
    fn neither_the_order_of_rows_nor_the_number_of_threads_matters() {
        let rows = blobs(3000, 3, 5, 0.25, 3);
        let expected = run(&rows, 0.5, 6);
        let mut order: Vec<usize> = (0..rows.nrows()).collect();
        Random::new(1, 1).shuffle(&mut order);
        let shuffled = rows.select(ndarray::Axis(0), &order);
        for n_threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            let found = pool.install(|| run(&shuffled, 0.5, 6));
            assert!(order.iter().zip(&found).all(|(&row, label)| expected[row] == *label));
        }
        assert!(expected.contains(&0) && expected.contains(&3), "the data is too plain");
    }

    #[test]
    fn core_rows_and_noise_are_as_in_linfa() {
        for (seed, d) in [(1, 2), (2, 3), (3, 5)] {
            let rows = blobs(800, d, 4, 0.0, seed);
            let (eps, min_points) = (0.4 * (d as f64).sqrt(), 5);
            let found = run(&rows, eps, min_points);
            let other =
                Dbscan::params(min_points as usize).tolerance(eps).transform(&rows).unwrap();
            let near = |a: usize, b: usize| {
                let difference = &rows.row(a) - &rows.row(b);
                difference.dot(&difference) <= eps * eps
            };
            let core: Vec<usize> = (0..800)
                .filter(|&a| (0..800).filter(|&b| near(a, b)).count() as i64 >= min_points)
                .collect();
            for &a in &core {
                for &b in &core {
                    assert_eq!(found[a] == found[b], other[a] == other[b], "{a} and {b}");
                }
            }
            assert!((0..800).all(|row| (found[row] == 0) == other[row].is_none()));
        }
    }

    #[test]
    fn edges_have_answers() {
        assert_eq!(run(&Array2::zeros((0, 2)), 1.0, 1), Vec::<u32>::new());
        assert_eq!(run(&array![[7.0]], 1.0, 1), [1]);
        assert_eq!(run(&array![[7.0]], 1.0, 2), [0]);
        assert_eq!(run(&Array2::zeros((5000, 3)), 1e-300, 5000), vec![1; 5000]);
        assert_eq!(run(&Array2::zeros((5000, 3)), 1e-300, 5001), vec![0; 5000]);
        assert_eq!(run(&array![[0.0], [-0.0]], 1.0, i64::MAX), [0, 0]);
    }

    #[test]
    fn numbers_of_any_size_are_compared() {
        assert_eq!(run(&array![[1e308], [-1e308], [1e307]], 1e308, 2), [1, 0, 1]);
        assert_eq!(run(&array![[f64::MAX], [-f64::MAX]], f64::MAX, 1), [2, 1]);
        assert_eq!(run(&array![[0.0], [5e-324], [1e-322]], 5e-324, 2), [1, 1, 0]);
        assert_eq!(run(&array![[0.0], [1e-200], [3e-200]], 1e-200, 2), [1, 1, 0]);
        assert_eq!(run(&array![[1e300, 1.0], [1e300, 1.5], [-1e300, 1.0]], 0.5, 2), [1, 1, 0]);
    }

    #[test]
    fn what_no_run_can_do_is_refused() {
        for eps in [0.0, -1.0, f64::INFINITY] {
            let params = DbscanParams { eps, min_points: 1 };
            assert_eq!(params.check(), Err(Error::InvalidEps { eps }));
        }
        assert!(DbscanParams { eps: f64::NAN, min_points: 1 }.check().is_err());
        let params = DbscanParams { eps: 1.0, min_points: 0 };
        assert_eq!(params.check(), Err(Error::InvalidMinPoints { min_points: 0 }));
    }

    #[test]
    fn a_stop_is_heard() {
        let watch = Watch::new();
        watch.stop();
        let params = DbscanParams { eps: 1.0, min_points: 1 }.check().unwrap();
        assert_eq!(dbscan(array![[0.0]].view(), &params, &watch), Err(Stopped.into()));
    }

    #[test]
    #[ignore = "a measurement"]
    fn measure() {
        for (n, d, eps) in [
            (100_000, 2, 0.05),
            (100_000, 2, 0.5),
            (100_000, 2, 5.0),
            (1_000_000, 2, 0.05),
            (100_000, 5, 0.5),
            (100_000, 10, 1.0),
            (100_000, 10, 2.0),
            (20_000, 50, 4.0),
        ] {
            let rows = blobs(n, d, 8, 0.0, 1);
            let began = std::time::Instant::now();
            let labels = run(&rows, eps, 10);
            let noise = labels.iter().filter(|&&label| label == 0).count();
            let n_segments = labels.iter().max().unwrap();
            println!(
                "{n} x {d}, eps {eps}: {:?}, {n_segments} segments, {noise} noise",
                began.elapsed()
            );
        }
    }
}
