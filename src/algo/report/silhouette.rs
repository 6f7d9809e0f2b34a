//! How well each row sits in its segment: per segment a shape of its rows' silhouette widths, widest on top.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::svg::{colour, count, number, tenths};
use super::{SegmentView, SilhouetteView, section as framed};

const WIDTH: f64 = 480.0;
/// Columns at the left for the segment's number and at the right for its mean.
const LEFT: f64 = 40.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 28.0;
/// All shapes together, and the least room of one, which its number needs.
const SHAPES: f64 = 330.0;
const ROOM: f64 = 18.0;
const GAP: f64 = 5.0;

pub(super) fn section(view: &SilhouetteView, shown: &[&SegmentView]) -> Markup {
    let mut by_segment = BTreeMap::<u32, Vec<f64>>::new();
    for &(segment, width) in view.widths.iter().filter(|(_, width)| width.is_finite()) {
        by_segment.entry(segment).or_default().push(f64::from(width).clamp(-1.0, 1.0));
    }
    let n_widths = by_segment.values().map(Vec::len).sum::<usize>().max(1) as f64;
    let mean = by_segment.values().flatten().sum::<f64>() / n_widths;
    let least = by_segment.values().flatten().copied().fold(0.0, f64::min);
    let axis = Axis { low: (least * 4.0).floor() / 4.0 };

    let mut top = TOP;
    let mut shapes = Vec::new();
    for segment in shown {
        let mut widths = by_segment.remove(&segment.segment).unwrap_or_default();
        widths.sort_unstable_by(|a, b| b.total_cmp(a));
        let height = (widths.len() as f64 / n_widths * SHAPES).max(2.0);
        let room = (height + GAP).max(ROOM);
        shapes.push(shape(&axis, segment, &widths, top + (room - height) / 2.0, height));
        top += room;
    }
    let mean_at = axis.at(mean);
    let picture = html! {
        svg viewBox=(format_args!("0 0 {WIDTH} {:.0}", top + BOTTOM)) role="img"
            aria-label={ "Silhouette widths of " (shown.len()) " segments, mean " (number(mean)) } {
            (axis.ticks(top))
            @for shape in shapes { (shape) }
            line .mean x1=(tenths(mean_at)) x2=(tenths(mean_at)) y1=(tenths(TOP - 6.0)) y2=(tenths(top)) {}
            text .middle x=(tenths(mean_at)) y=(tenths(TOP - 12.0)) { "mean " (number(mean)) }
            text .muted.end x=(WIDTH - 2.0) y=(tenths(top + 18.0)) { "mean" }
        }
    };
    let reading = html! {
        "Each segment is a shape of its rows, " (count(view.n_rows)) " in all, the best fitting on top. Reaching right, \
         towards 1, a row is much nearer to its own segment than to the next one; left of 0 it would sit better in another. \
         At the right stands each segment\u{2019}s mean."
    };
    framed("silhouette", "Silhouettes", picture, reading)
}

/// The widths run down from `top` over `height`, two corners for each unit at most.
fn shape(axis: &Axis, segment: &SegmentView, widths: &[f64], top: f64, height: f64) -> Markup {
    let zero = axis.at(0.0);
    let n_steps = widths.len().min((2.0 * height).ceil() as usize);
    let steps = (0..n_steps).map(|step| {
        // The middle row of each step.
        let row = (2 * step + 1) * widths.len() / (2 * n_steps);
        (axis.at(widths[row]), top + height * (step + 1) as f64 / n_steps as f64)
    });
    let middle = top + height / 2.0;
    let mean = widths.iter().sum::<f64>() / widths.len() as f64;
    html! {
        g .(colour(segment.segment)) {
            title { (segment.segment) " " (segment.called()) }
            path .area d={
                (format_args!("M{zero:.1} {top:.1}"))
                @for (x, y) in steps { (format_args!("H{x:.1}V{y:.1}")) }
                (format_args!("H{zero:.1}Z"))
            } {}
        }
        text .number x=(LEFT / 2.0) y=(tenths(middle)) { (segment.segment) }
        text .number.right x=(WIDTH - 2.0) y=(tenths(middle)) { (number(mean)) }
    }
}

/// At every half.
fn tick(quarter: i32) -> &'static str {
    match quarter {
        -4 => "\u{2212}1",
        -2 => "\u{2212}0.5",
        0 => "0",
        2 => "0.5",
        _ => "1",
    }
}

/// From silhouette widths to the picture.
struct Axis {
    low: f64,
}

impl Axis {
    fn at(&self, width: f64) -> f64 {
        LEFT + (width - self.low) / (1.0 - self.low) * (WIDTH - LEFT - RIGHT)
    }

    fn ticks(&self, bottom: f64) -> Markup {
        // Numbers at every half, lines at every quarter.
        html! {
            @for quarter in (self.low * 4.0) as i32..=4 {
                @let x = self.at(f64::from(quarter) / 4.0);
                line .(if quarter == 0 { "zero" } else { "tick" })
                    x1=(tenths(x)) x2=(tenths(x)) y1=(tenths(TOP - 6.0)) y2=(tenths(bottom)) {}
                @if quarter % 2 == 0 {
                    text .muted.middle x=(tenths(x)) y=(tenths(bottom + 18.0)) { (tick(quarter)) }
                }
            }
        }
    }
}
