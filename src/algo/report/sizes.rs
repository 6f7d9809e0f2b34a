//! How many rows each segment has: bars of HTML, which wrap on a phone where a drawing would shrink.

use maud::{Markup, html};

use super::svg::{breakable, colour, count, key, percent};
use super::{SegmentView, SegmentsReport, section as framed};

pub(super) fn section(report: &SegmentsReport, shown: &[&SegmentView]) -> Markup {
    let largest = shown.iter().map(|view| view.size).max().unwrap_or(0).max(1);
    let n_segments = report.segments.len();
    let bars = html! { ol .sizes { @for view in shown { (bar(view, largest)) } } };
    let reading = html! {
        @if shown.len() < n_segments {
            "The " (shown.len()) " largest of " (count(n_segments as u64)) " segments are shown, here and below. "
        }
        "The longer a bar, the more rows the segment has; the largest fills the width. Shares are of all "
        (count(report.n_rows)) " rows. A segment keeps its number and colour in every picture."
    };
    framed("sizes", "Sizes", bars, reading)
}

fn bar(view: &SegmentView, largest: u64) -> Markup {
    let part = 100.0 * view.size as f64 / largest as f64;
    html! {
        li {
            (key(view.segment))
            span .who {
                @match &view.name {
                    Some(name) => { b { (breakable(name)) } small { (breakable(&view.words)) } }
                    None => (breakable(&view.words)),
                }
            }
            span .bar.(colour(view.segment)) style=(format_args!("--part:{part:.2}%")) {}
            span .figure { (count(view.size)) }
            span .figure.part { (percent(view.share)) }
        }
    }
}
