//! What sets segments apart: a table of their means, coloured by the distance from the mean of all rows. A table and no
//! drawing: names wrap, the first column stays in sight while the rest scrolls, and a screen reader reads it.

use maud::{Markup, html};

use super::svg::{breakable, deviations, key, number, shorten};
use super::{SegmentView, SegmentsReport, section as framed};

const MAX_FEATURES: usize = 24;
/// Deviations at which colours are full.
const FULL: f64 = 2.5;
/// Letters of a column's name and of a row's.
const NAME: usize = 40;

pub(super) fn section(report: &SegmentsReport, shown: &[&SegmentView]) -> Markup {
    let features = telling(report);
    let picture = html! {
        div .scroll role="region" aria-labelledby="profile" tabindex="0" {
            table .heat style={ "--columns:" (features.len()) } {
                thead {
                    tr {
                        th scope="col" { "Segment" }
                        @for name in features.iter().map(|&feature| &report.features[feature]) {
                            th scope="col" title=(name) { (breakable(&shorten(name, NAME))) }
                        }
                    }
                }
                tbody {
                    tr .everyone {
                        th scope="row" { "All rows" }
                        @for &feature in &features { td { small { (number(at(&report.population_mean, feature))) } } }
                    }
                    @for view in shown {
                        tr {
                            th scope="row" title=(view.called()) { (key(view.segment)) " " (breakable(&shorten(view.called(), NAME))) }
                            @for &feature in &features { (cell(report, view, feature)) }
                        }
                    }
                }
            }
        }
        p .scale aria-hidden="true" {
            span { "\u{2212}" (FULL) } span .ramp {} span { "+" (FULL) } span { "standard deviations from all rows" }
        }
    };
    let reading = html! {
        @if features.len() < report.features.len() {
            "The " (features.len()) " of " (report.features.len()) " features whose means differ most between segments are shown. "
        }
        "The upper number says how many standard deviations a segment\u{2019}s mean lies above (orange) or below \
         (blue) the mean of all rows; beyond \u{b1}1 is much. The small number is the segment\u{2019}s mean in the \
         feature\u{2019}s own unit."
    };
    framed("profile", "What sets them apart", picture, reading)
}

fn cell(report: &SegmentsReport, view: &SegmentView, feature: usize) -> Markup {
    let (z, mean) = (at(&view.z, feature), number(at(&view.mean, feature)));
    let side = if z < 0.0 { "low" } else { "high" };
    // A NaN has no colour.
    let strength = if z.is_finite() { 100.0 * z.abs().min(FULL) / FULL } else { 0.0 };
    html! {
        td .(side) style=(format_args!("--z:{strength:.0}%")) title={
            (report.features[feature]) ", segment " (view.segment) ": mean " (mean)
            ", all rows " (number(at(&report.population_mean, feature)))
        } { b { (deviations(z)) } small { (mean) } }
    }
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
