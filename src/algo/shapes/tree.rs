//! A k-d tree over distinct points, each of which stands for some rows.
//!
//! Every node keeps the box of its points. The distance to a box is summed in the order in which a distance between points
//! is; subtraction, multiplication and addition round monotonically, so what a box promises holds for every point in it to
//! the last bit, and a search gives what comparing all pairs would.

use ndarray::ArrayView2;

use crate::algo::stop::{Stopped, Watch};

/// Points of a leaf: half as many at least, where there are that many.
const LEAF: usize = 32;
/// Features after which a sum of squares that has grown too large is given up.
const BLOCK: usize = 32;
/// Points between two looks at the watch.
const TOGETHER: usize = 256;

pub(super) struct Tree {
    n_features: usize,
    /// n x d, leaf after leaf.
    values: Vec<f64>,
    /// For each point in this order, its number as it was given.
    pub(super) numbers: Vec<u32>,
    /// For each point in this order, how many rows it stands for.
    pub(super) weights: Vec<u32>,
    nodes: Vec<Node>,
    /// For each node the least values of its points, then the greatest.
    boxes: Vec<f64>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) start: u32,
    pub(super) end: u32,
    /// Rows of all its points.
    weight: u32,
    /// 0 for a leaf. The left child is the next node.
    right: u32,
}

/// How far a neighbor may be. Differences are multiplied by a power of two, which brings this near 1, so that no square of
/// a difference about as large leaves the range of f64.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    scale: f64,
    /// The square of the reach, scaled.
    limit: f64,
}

impl Reach {
    /// `distance` is finite and above 0.
    pub(super) fn new(distance: f64) -> Self {
        let exponent = ((distance.to_bits() >> 52) as i64 - 1023).clamp(-1022, 1022);
        let scale = f64::from_bits(((1023 - exponent) as u64) << 52);
        Self { scale, limit: (distance * scale) * (distance * scale) }
    }

    /// The sum of the squared differences; where it is beyond the limit, perhaps only a part that is beyond it too. In four
    /// sums, which the compiler keeps side by side.
    #[inline]
    fn squares(self, n_features: usize, difference: impl Fn(usize) -> f64) -> f64 {
        let square = |feature: usize| {
            let scaled = difference(feature) * self.scale;
            scaled * scaled
        };
        let mut total = 0.0;
        for first in (0..n_features).step_by(BLOCK) {
            let end = n_features.min(first + BLOCK);
            let whole = first + (end - first) / 4 * 4;
            let mut sums = [0f64; 4];
            for feature in (first..whole).step_by(4) {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    *sum += square(feature + lane);
                }
            }
            let rest: f64 = (whole..end).map(square).sum();
            total += (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest;
            if total > self.limit {
                break;
            }
        }
        total
    }
}

impl Tree {
    /// A tree over some rows of `rows`, at least one: point number i is row `points[i]` and stands for `weights[i]` rows.
    pub(super) fn new(
        rows: ArrayView2<f64>,
        points: &[u32],
        weights: &[u32],
        watch: &Watch,
    ) -> Result<Self, Stopped> {
        let n_features = rows.ncols();
        let mut tree = Self {
            n_features,
            values: Vec::new(),
            numbers: (0..points.len() as u32).collect(),
            weights: Vec::with_capacity(points.len()),
            nodes: Vec::new(),
            boxes: Vec::new(),
        };
        let value = |number: u32, feature: usize| rows[[points[number as usize] as usize, feature]];
        let mut numbers = std::mem::take(&mut tree.numbers);
        tree.split(&mut numbers, 0, &value, weights, watch)?;
        tree.numbers = numbers;
        tree.values.reserve_exact(points.len() * n_features);
        for (place, &number) in tree.numbers.iter().enumerate() {
            if place % TOGETHER == 0 {
                watch.check()?;
            }
            tree.weights.push(weights[number as usize]);
            tree.values.extend((0..n_features).map(|feature| value(number, feature)));
        }
        Ok(tree)
    }

    /// Makes the node of these points, which begin at `start`, and those below it: split at the median of the widest feature.
    /// The points are distinct, so that feature is not constant.
    fn split(
        &mut self,
        numbers: &mut [u32],
        start: usize,
        value: &impl Fn(u32, usize) -> f64,
        weights: &[u32],
        watch: &Watch,
    ) -> Result<(), Stopped> {
        let (node, d) = (self.nodes.len(), self.n_features);
        let (mut low, mut high) = (vec![f64::INFINITY; d], vec![f64::NEG_INFINITY; d]);
        for (place, &number) in numbers.iter().enumerate() {
            if place % TOGETHER == 0 {
                watch.check()?;
            }
            for feature in 0..d {
                let value = value(number, feature);
                low[feature] = low[feature].min(value);
                high[feature] = high[feature].max(value);
            }
        }
        // Halved, so that the width of what reaches from -1e308 to 1e308 is a number.
        let width = |feature: &usize| high[*feature] / 2.0 - low[*feature] / 2.0;
        let widest = (0..d).max_by(|a, b| width(a).total_cmp(&width(b))).unwrap_or(0);
        self.boxes.extend_from_slice(&low);
        self.boxes.extend_from_slice(&high);
        self.nodes.push(Node {
            start: start as u32,
            end: (start + numbers.len()) as u32,
            weight: numbers.iter().map(|&number| weights[number as usize]).sum(),
            right: 0,
        });
        if numbers.len() > LEAF {
            let middle = numbers.len() / 2;
            numbers.select_nth_unstable_by(middle, |&a, &b| {
                value(a, widest).total_cmp(&value(b, widest))
            });
            let (left, right) = numbers.split_at_mut(middle);
            self.split(left, start, value, weights, watch)?;
            self.nodes[node].right = self.nodes.len() as u32;
            self.split(right, start + middle, value, weights, watch)?;
        }
        Ok(())
    }

    pub(super) fn n_points(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, node: usize) -> Node {
        self.nodes[node]
    }

    /// None for a leaf.
    pub(super) fn children(&self, node: usize) -> Option<[usize; 2]> {
        let right = self.nodes[node].right as usize;
        (right > 0).then_some([node + 1, right])
    }

    pub(super) fn point(&self, point: usize) -> &[f64] {
        &self.values[point * self.n_features..][..self.n_features]
    }

    fn bounds(&self, node: usize) -> (&[f64], &[f64]) {
        self.boxes[2 * node * self.n_features..][..2 * self.n_features].split_at(self.n_features)
    }

    /// The squared distance of two points, scaled, or something beyond the limit.
    #[inline]
    pub(super) fn squares(&self, a: usize, b: usize, reach: Reach) -> f64 {
        let (a, b) = (self.point(a), self.point(b));
        reach.squares(self.n_features, |feature| a[feature] - b[feature])
    }

    pub(super) fn is_within(&self, a: usize, b: usize, reach: Reach) -> bool {
        self.squares(a, b, reach) <= reach.limit
    }

    /// No point of the node is nearer.
    fn least_squares(&self, node: usize, point: &[f64], reach: Reach) -> f64 {
        let (low, high) = self.bounds(node);
        reach.squares(self.n_features, |feature| {
            (low[feature] - point[feature]).max(point[feature] - high[feature]).max(0.0)
        })
    }

    fn is_all_within(&self, node: usize, point: &[f64], reach: Reach) -> bool {
        let (low, high) = self.bounds(node);
        let squares = reach.squares(self.n_features, |feature| {
            (high[feature] - point[feature]).max(point[feature] - low[feature])
        });
        squares <= reach.limit
    }

    /// No points of the two nodes are nearer to each other.
    pub(super) fn least_between(&self, a: usize, b: usize, reach: Reach) -> f64 {
        let ((a_low, a_high), (b_low, b_high)) = (self.bounds(a), self.bounds(b));
        reach.squares(self.n_features, |feature| {
            (a_low[feature] - b_high[feature]).max(b_low[feature] - a_high[feature]).max(0.0)
        })
    }

    pub(super) fn is_apart(&self, a: usize, b: usize, reach: Reach) -> bool {
        self.least_between(a, b, reach) > reach.limit
    }

    /// Whether every point of one node is within reach of every point of the other; of a node with itself, whether all of its
    /// points are within reach of each other.
    pub(super) fn is_all_between(&self, a: usize, b: usize, reach: Reach) -> bool {
        let ((a_low, a_high), (b_low, b_high)) = (self.bounds(a), self.bounds(b));
        let squares = reach.squares(self.n_features, |feature| {
            (a_high[feature] - b_low[feature]).max(b_high[feature] - a_low[feature])
        });
        squares <= reach.limit
    }

    /// Whether at least `enough` rows are within reach of a point, its own included.
    pub(super) fn has_neighbors(
        &self,
        point: usize,
        enough: u32,
        reach: Reach,
        watch: &Watch,
    ) -> Result<bool, Stopped> {
        let mut missing = enough;
        self.count(0, self.point(point), reach, &mut missing, watch)?;
        Ok(missing == 0)
    }

    fn count(
        &self,
        node: usize,
        point: &[f64],
        reach: Reach,
        missing: &mut u32,
        watch: &Watch,
    ) -> Result<(), Stopped> {
        watch.check()?;
        if self.is_all_within(node, point, reach) {
            *missing = missing.saturating_sub(self.nodes[node].weight);
            return Ok(());
        }
        let Some(children) = self.children(node) else {
            let Node { start, end, .. } = self.nodes[node];
            for other in start as usize..end as usize {
                let value = self.point(other);
                let squares =
                    reach.squares(self.n_features, |feature| value[feature] - point[feature]);
                if squares <= reach.limit {
                    *missing = missing.saturating_sub(self.weights[other]);
                    if *missing == 0 {
                        break;
                    }
                }
            }
            return Ok(());
        };
        for (child, least) in self.nearer_first(children, point, reach) {
            if *missing > 0 && least <= reach.limit {
                self.count(child, point, reach, missing, watch)?;
            }
        }
        Ok(())
    }

    fn nearer_first(&self, children: [usize; 2], point: &[f64], reach: Reach) -> [(usize, f64); 2] {
        let [a, b] = children.map(|child| (child, self.least_squares(child, point, reach)));
        if b.1 < a.1 { [b, a] } else { [a, b] }
    }

    /// The nearest of the points within reach that `is_wanted`; of several, the one with the least number.
    pub(super) fn nearest(
        &self,
        point: usize,
        reach: Reach,
        is_wanted: impl Fn(usize) -> bool,
        watch: &Watch,
    ) -> Result<Option<usize>, Stopped> {
        let mut search = Nearest { tree: self, reach, is_wanted, best: reach.limit, found: None };
        search.visit(0, self.point(point), watch)?;
        Ok(search.found)
    }
}

struct Nearest<'a, F> {
    tree: &'a Tree,
    reach: Reach,
    is_wanted: F,
    /// The squared distance of what was found, and before that the limit.
    best: f64,
    found: Option<usize>,
}

impl<F: Fn(usize) -> bool> Nearest<'_, F> {
    fn visit(&mut self, node: usize, point: &[f64], watch: &Watch) -> Result<(), Stopped> {
        watch.check()?;
        let tree = self.tree;
        if let Some(children) = tree.children(node) {
            for (child, least) in tree.nearer_first(children, point, self.reach) {
                if least <= self.best {
                    self.visit(child, point, watch)?;
                }
            }
            return Ok(());
        }
        let Node { start, end, .. } = tree.nodes[node];
        for other in (start as usize..end as usize).filter(|&other| (self.is_wanted)(other)) {
            let value = tree.point(other);
            let squares =
                self.reach.squares(tree.n_features, |feature| value[feature] - point[feature]);
            let is_first = self.found.is_none_or(|found| {
                squares < self.best || tree.numbers[other] < tree.numbers[found]
            });
            if squares <= self.best && is_first {
                (self.best, self.found) = (squares, Some(other));
            }
        }
        Ok(())
    }
}
