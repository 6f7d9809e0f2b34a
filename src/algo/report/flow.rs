//! Who moved where between two versions: bands from the segments of the one to those of the other, as in a Sankey diagram.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::svg::{colour, count, percent, shorten, tenths};
use super::{Flow, FlowView, MAX_SEGMENTS, SegmentView, absent, section as framed};

const WIDTH: f64 = 480.0;
/// Where the two columns of segments stand.
const FROM: f64 = 106.0;
const TO: f64 = 322.0;
const BAR: f64 = 10.0;
const TOP: f64 = 32.0;
/// All bars of a column together, and the least room of one, which its text needs.
const BARS: f64 = 320.0;
const ROOM: f64 = 20.0;
const GAP: f64 = 6.0;
/// A band of fewer than one row in so many would not be seen.
const THINNEST: u64 = 4_000;
/// Letters beside the right column.
const NAME: usize = 14;

/// Where a band ends, in the order from top to bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Segment(u32),
    /// Segments beyond those that fit on the page.
    Others,
    Nowhere,
}

/// Rows by where they were and where they are.
type Bands = BTreeMap<(Node, Node), u64>;

pub(super) fn section(view: &FlowView, shown: &[&SegmentView]) -> Markup {
    let n_all = rows(&view.flows, |_| true);
    if n_all == 0 {
        return absent("flow", "Moves", "No row is there to compare the versions by.");
    }
    let bands = bands(&view.flows);
    let scale = BARS / n_all as f64;
    let from = Column::new(bands.iter().map(|(&(from, _), &n_rows)| (from, n_rows)), scale);
    let to = Column::new(bands.iter().map(|(&(_, to), &n_rows)| (to, n_rows)), scale);

    let before = from.bars(FROM, scale, |node, n_rows, y| {
        let word = if node == Node::Nowhere { "none".to_owned() } else { word(node) };
        let share = percent(n_rows as f64 / n_all as f64);
        html! { text .number.right x=(FROM - 8.0) y=(tenths(y)) { (word) ": " (share) } }
    });
    let after = to.bars(TO, scale, |node, _, y| {
        let called = shown.iter().find(|view| Node::Segment(view.segment) == node);
        let (word, name) = (word(node), called.map_or("", |view| view.called()));
        html! {
            text .number.left x=(TO + BAR + 8.0) y=(tenths(y)) { (word) " " (shorten(name, NAME)) title { (word) " " (name) } }
        }
    });
    let picture = html! {
        svg viewBox=(format_args!("0 0 {WIDTH} {:.0}", from.bottom.max(to.bottom) + 4.0)) role="img"
            aria-label={ "Rows by segment in version " (view.from_version) " and " (view.to_version) } {
            @for band in drawn(&bands, &from, &to, n_all) { (band) }
            (before)
            (after)
            text .muted.end x=(FROM + BAR) y="18" { "version " (view.from_version) }
            text .muted x=(TO) y="18" { "version " (view.to_version) }
        }
    };
    let moved = rows(&view.flows, |flow| flow.from != flow.to);
    let reading = html! {
        "Between the versions " (count(moved)) " of " (count(n_all)) " rows, " (percent(moved as f64 / n_all as f64))
        ", changed their segment. A band\u{2019}s width is the number of rows that went from the segment at its left to the one \
         at its right; pale bands stayed."
        @if bands.values().any(|&n_rows| is_thin(n_rows, n_all)) {
            " Bands of less than one row in " (count(THINNEST)) " are too thin to draw."
        }
    };
    framed("flow", "Moves", picture, reading)
}

/// The bands, in each bar one below the other.
fn drawn(bands: &Bands, from: &Column, to: &Column, n_all: u64) -> Vec<Markup> {
    let (mut left, mut right) = (from.tops.clone(), to.tops.clone());
    let mut drawn = Vec::new();
    for (&(source, target), &n_rows) in bands {
        let thick = n_rows as f64 * (BARS / n_all as f64);
        let Some((y0, y1)) = left.get_mut(&source).zip(right.get_mut(&target)) else { continue };
        if !is_thin(n_rows, n_all) {
            drawn.push(band((source, *y0), (target, *y1), thick, n_rows));
        }
        *y0 += thick;
        *y1 += thick;
    }
    drawn
}

fn is_thin(n_rows: u64, n_all: u64) -> bool {
    n_rows < n_all / THINNEST
}

fn rows(flows: &[Flow], which: impl Fn(&Flow) -> bool) -> u64 {
    flows.iter().filter(|flow| which(flow)).fold(0, |sum, flow| sum.saturating_add(flow.n_rows))
}

/// The bands, the smaller segments of either side taken together.
fn bands(flows: &[Flow]) -> Bands {
    let kept = |side: fn(&Flow) -> Option<u32>| {
        let mut rows = BTreeMap::<u32, u64>::new();
        for flow in flows {
            if let Some(segment) = side(flow) {
                let rows = rows.entry(segment).or_default();
                *rows = rows.saturating_add(flow.n_rows);
            }
        }
        let mut rows: Vec<(u32, u64)> = rows.into_iter().collect();
        rows.sort_by_key(|&(_, n_rows)| std::cmp::Reverse(n_rows));
        rows.into_iter().take(MAX_SEGMENTS).map(|(segment, _)| segment).collect::<BTreeSet<u32>>()
    };
    let node = |segment: Option<u32>, kept: &BTreeSet<u32>| match segment {
        Some(segment) if kept.contains(&segment) => Node::Segment(segment),
        Some(_) => Node::Others,
        None => Node::Nowhere,
    };
    let (sources, targets) = (kept(|flow| flow.from), kept(|flow| flow.to));
    let mut bands = Bands::new();
    for flow in flows.iter().filter(|flow| flow.n_rows > 0) {
        let rows = bands.entry((node(flow.from, &sources), node(flow.to, &targets))).or_default();
        *rows = rows.saturating_add(flow.n_rows);
    }
    bands
}

/// A column of segments: their rows, and where each one's bar begins.
struct Column {
    rows: BTreeMap<Node, u64>,
    tops: BTreeMap<Node, f64>,
    bottom: f64,
}

impl Column {
    fn new(ends: impl Iterator<Item = (Node, u64)>, scale: f64) -> Self {
        let mut rows = BTreeMap::<Node, u64>::new();
        for (node, n_rows) in ends {
            let rows = rows.entry(node).or_default();
            *rows = rows.saturating_add(n_rows);
        }
        let mut bottom = TOP;
        let mut tops = BTreeMap::new();
        for (&node, &n_rows) in &rows {
            let height = n_rows as f64 * scale;
            let room = (height + GAP).max(ROOM);
            tops.insert(node, bottom + (room - height) / 2.0);
            bottom += room;
        }
        Self { rows, tops, bottom }
    }

    /// Bars at `x`, each with the text for its middle.
    fn bars(&self, x: f64, scale: f64, text: impl Fn(Node, u64, f64) -> Markup) -> Markup {
        html! {
            @for ((&node, &top), &n_rows) in self.tops.iter().zip(self.rows.values()) {
                @let height = n_rows as f64 * scale;
                rect .area.(class(node)) x=(x) y=(tenths(top)) width=(BAR) height=(tenths(height.max(1.0))) rx="2" {}
                (text(node, n_rows, top + height / 2.0))
            }
        }
    }
}

fn band((source, y0): (Node, f64), (target, y1): (Node, f64), thick: f64, n_rows: u64) -> Markup {
    let (x0, x1) = (FROM + BAR, TO);
    let middle = (x0 + x1) / 2.0;
    let (z0, z1) = (y0 + thick, y1 + thick);
    let kind = if source == target { "stayed" } else { "moved" };
    let outline = format_args!(
        "M{x0} {y0:.1}C{middle} {y0:.1} {middle} {y1:.1} {x1} {y1:.1}V{z1:.1}\
         C{middle} {z1:.1} {middle} {z0:.1} {x0} {z0:.1}Z"
    );
    html! {
        path .(kind).(class(source)) d=(outline) { title { (word(source)) " \u{2192} " (word(target)) ": " (count(n_rows)) } }
    }
}

fn class(node: Node) -> String {
    match node {
        Node::Segment(segment) => colour(segment),
        Node::Others | Node::Nowhere => "c-none l0".to_owned(),
    }
}

fn word(node: Node) -> String {
    match node {
        Node::Segment(segment) => segment.to_string(),
        Node::Others => "others".to_owned(),
        Node::Nowhere => "no segment".to_owned(),
    }
}
