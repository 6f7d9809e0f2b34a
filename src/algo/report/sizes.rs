//! How many rows each segment has: bars of HTML, which wrap on a phone where a drawing would shrink.

use super::svg::{colour, count, escape_with_breaks, key, percent};
use super::{SegmentView, SegmentsReport, section as framed};

pub(super) fn section(report: &SegmentsReport, shown: &[&SegmentView]) -> String {
    let largest = shown.iter().map(|view| view.size).max().unwrap_or(0).max(1);
    let bars: String = shown.iter().map(|view| bar(view, largest)).collect();
    let n_segments = report.segments.len();
    let rest = if shown.len() < n_segments {
        format!(
            "The {} largest of {} segments are shown, here and below. ",
            shown.len(),
            count(n_segments as u64)
        )
    } else {
        String::new()
    };
    let reading = format!(
        "{rest}The longer a bar, the more rows the segment has; the largest fills the width. Shares are of all {} rows. \
         A segment keeps its number and colour in every picture.",
        count(report.n_rows)
    );
    framed("sizes", "Sizes", &format!("<ol class=\"sizes\">\n{bars}</ol>\n"), &reading)
}

fn bar(view: &SegmentView, largest: u64) -> String {
    let words = escape_with_breaks(&view.words);
    let who = match &view.name {
        Some(name) => format!("<b>{}</b><small>{words}</small>", escape_with_breaks(name)),
        None => words,
    };
    format!(
        "<li>{}<span class=\"who\">{who}</span>\
         <span class=\"bar {}\" style=\"--part:{:.2}%\"></span>\
         <span class=\"figure\">{}</span><span class=\"figure part\">{}</span></li>\n",
        key(view.segment),
        colour(view.segment),
        100.0 * view.size as f64 / largest as f64,
        count(view.size),
        percent(view.share),
    )
}
