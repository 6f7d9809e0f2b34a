//! What sets segments apart: a table of their means, coloured by the distance from the mean of all rows. A table and no
//! drawing: names wrap, the first column stays in sight while the rest scrolls, and a screen reader reads it.

use super::svg::{deviations, escape, escape_with_breaks, key, number, shorten};
use super::{SegmentView, SegmentsReport, section as framed};

const MAX_FEATURES: usize = 24;
/// Deviations at which colours are full.
const FULL: f64 = 2.5;
/// Letters of a column's name and of a row's.
const NAME: usize = 40;

pub(super) fn section(report: &SegmentsReport, shown: &[&SegmentView]) -> String {
    let features = telling(report);
    let names = features.iter().map(|&feature| {
        let name = &report.features[feature];
        format!(
            "<th scope=\"col\" title=\"{}\">{}</th>",
            escape(name),
            escape_with_breaks(&shorten(name, NAME))
        )
    });
    let everyone = features.iter().map(|&feature| {
        format!("<td><small>{}</small></td>", number(at(&report.population_mean, feature)))
    });
    let rows = shown.iter().map(|view| {
        let cells = features.iter().map(|&feature| cell(report, view, feature));
        format!(
            "<tr><th scope=\"row\" title=\"{}\">{} {}</th>{}</tr>\n",
            escape(view.called()),
            key(view.segment),
            escape_with_breaks(&shorten(view.called(), NAME)),
            cells.collect::<String>(),
        )
    });
    let picture = format!(
        "<div class=\"scroll\" role=\"region\" aria-labelledby=\"profile\" tabindex=\"0\">\n<table class=\"heat\" style=\"--columns:{}\">\n\
         <thead><tr><th scope=\"col\">Segment</th>{}</tr></thead>\n\
         <tbody>\n<tr class=\"everyone\"><th scope=\"row\">All rows</th>{}</tr>\n{}</tbody>\n</table>\n</div>\n\
         <p class=\"scale\" aria-hidden=\"true\"><span>\u{2212}{FULL}</span><span class=\"ramp\"></span><span>+{FULL}</span>\
         <span>standard deviations from all rows</span></p>\n",
        features.len(),
        names.collect::<String>(),
        everyone.collect::<String>(),
        rows.collect::<String>(),
    );
    let rest = if features.len() < report.features.len() {
        format!(
            "The {} of {} features whose means differ most between segments are shown. ",
            features.len(),
            report.features.len()
        )
    } else {
        String::new()
    };
    let reading = format!(
        "{rest}The upper number says how many standard deviations a segment\u{2019}s mean lies above (orange) or below \
         (blue) the mean of all rows; beyond \u{b1}1 is much. The small number is the segment\u{2019}s mean in the \
         feature\u{2019}s own unit."
    );
    framed("profile", "What sets them apart", &picture, &reading)
}

fn cell(report: &SegmentsReport, view: &SegmentView, feature: usize) -> String {
    let (z, mean) = (at(&view.z, feature), at(&view.mean, feature));
    let side = if z < 0.0 { "low" } else { "high" };
    // A NaN has no colour.
    let strength = if z.is_finite() { 100.0 * z.abs().min(FULL) / FULL } else { 0.0 };
    format!(
        "<td class=\"{side}\" style=\"--z:{strength:.0}%\" title=\"{}, segment {}: mean {}, all rows {}\">\
         <b>{}</b><small>{}</small></td>",
        escape(&report.features[feature]),
        view.segment,
        number(mean),
        number(at(&report.population_mean, feature)),
        deviations(z),
        number(mean),
    )
}

/// The features to show, in their order: all, or those whose z ranges widest over the segments.
fn telling(report: &SegmentsReport) -> Vec<usize> {
    let spread = |feature: usize| {
        let z = report.segments.iter().map(|view| at(&view.z, feature)).filter(|z| z.is_finite());
        let (low, high) =
            z.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), z| (low.min(z), high.max(z)));
        if low <= high { high - low } else { -1.0 }
    };
    let mut features: Vec<(usize, f64)> =
        (0..report.features.len()).map(|feature| (feature, spread(feature))).collect();
    features.sort_by(|a, b| b.1.total_cmp(&a.1));
    features.truncate(MAX_FEATURES);
    let mut features: Vec<usize> = features.into_iter().map(|(feature, _)| feature).collect();
    features.sort_unstable();
    features
}

fn at(values: &[f64], feature: usize) -> f64 {
    values.get(feature).copied().unwrap_or(f64::NAN)
}
