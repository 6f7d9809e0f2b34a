//! How well each row sits in its segment: per segment a shape of its rows' silhouette widths, widest on top.

use std::collections::BTreeMap;

use super::svg::{colour, count, escape, number, open};
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

pub(super) fn section(view: &SilhouetteView, shown: &[&SegmentView]) -> String {
    let mut by_segment = BTreeMap::<u32, Vec<f64>>::new();
    for &(segment, width) in view.widths.iter().filter(|(_, width)| width.is_finite()) {
        by_segment.entry(segment).or_default().push(f64::from(width).clamp(-1.0, 1.0));
    }
    let n_widths = by_segment.values().map(Vec::len).sum::<usize>().max(1) as f64;
    let mean = by_segment.values().flatten().sum::<f64>() / n_widths;
    let least = by_segment.values().flatten().copied().fold(0.0, f64::min);
    let axis = Axis { low: (least * 4.0).floor() / 4.0 };

    let mut top = TOP;
    let mut shapes = String::new();
    for segment in shown {
        let mut widths = by_segment.remove(&segment.segment).unwrap_or_default();
        widths.sort_unstable_by(|a, b| b.total_cmp(a));
        let height = (widths.len() as f64 / n_widths * SHAPES).max(2.0);
        let room = (height + GAP).max(ROOM);
        shapes += &shape(&axis, segment, &widths, top + (room - height) / 2.0, height);
        top += room;
    }
    let mean_at = axis.at(mean);
    let picture = format!(
        "{}{}{shapes}<line class=\"mean\" x1=\"{mean_at:.1}\" x2=\"{mean_at:.1}\" y1=\"{:.1}\" y2=\"{top:.1}\"/>\n\
         <text class=\"middle\" x=\"{mean_at:.1}\" y=\"{:.1}\">mean {}</text>\n\
         <text class=\"muted end\" x=\"{}\" y=\"{:.1}\">mean</text>\n</svg>\n",
        open(
            WIDTH,
            top + BOTTOM,
            &format!("Silhouette widths of {} segments, mean {}", shown.len(), number(mean))
        ),
        axis.ticks(top),
        TOP - 6.0,
        TOP - 12.0,
        number(mean),
        WIDTH - 2.0,
        top + 18.0,
    );
    let reading = format!(
        "Each segment is a shape of its rows, {} in all, the best fitting on top. Reaching right, towards 1, a row is \
         much nearer to its own segment than to the next one; left of 0 it would sit better in another. At the right \
         stands each segment\u{2019}s mean.",
        count(view.n_rows)
    );
    framed("silhouette", "Silhouettes", &picture, &reading)
}

/// The widths run down from `top` over `height`, two corners for each unit at most.
fn shape(axis: &Axis, segment: &SegmentView, widths: &[f64], top: f64, height: f64) -> String {
    let zero = axis.at(0.0);
    let n_steps = widths.len().min((2.0 * height).ceil() as usize);
    let steps = (0..n_steps).map(|step| {
        // The middle row of each step.
        let row = (2 * step + 1) * widths.len() / (2 * n_steps);
        format!(
            "H{:.1}V{:.1}",
            axis.at(widths[row]),
            top + height * (step + 1) as f64 / n_steps as f64
        )
    });
    let middle = top + height / 2.0;
    let mean = widths.iter().sum::<f64>() / widths.len() as f64;
    format!(
        "<g class=\"{}\"><title>{} {}</title><path class=\"area\" d=\"M{zero:.1} {top:.1}{}H{zero:.1}Z\"/></g>\n\
         <text class=\"number\" x=\"{}\" y=\"{middle:.1}\">{}</text>\
         <text class=\"number right\" x=\"{}\" y=\"{middle:.1}\">{}</text>\n",
        colour(segment.segment),
        segment.segment,
        escape(segment.called()),
        steps.collect::<String>(),
        LEFT / 2.0,
        segment.segment,
        WIDTH - 2.0,
        number(mean),
    )
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

    fn ticks(&self, bottom: f64) -> String {
        // Numbers at every half, lines at every quarter.
        let quarters = (self.low * 4.0) as i32..=4;
        let ticks = quarters.map(|quarter| {
            let value = f64::from(quarter) / 4.0;
            let (x, class) = (self.at(value), if quarter == 0 { "zero" } else { "tick" });
            let text = match quarter % 2 {
                0 => format!(
                    "<text class=\"muted middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                    bottom + 18.0,
                    tick(quarter)
                ),
                _ => String::new(),
            };
            format!(
                "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>{text}\n",
                TOP - 6.0
            )
        });
        ticks.collect()
    }
}
