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
//! enough, so that dense data costs no more than sparse. (A run that lists every point's neighbors, as linfa's does, takes
//! time and memory in proportion to all pairs within reach, and cannot be stopped.)

#[cfg(test)]
mod tests;

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
    /// The Euclidean distance up to which two rows are neighbors.
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
