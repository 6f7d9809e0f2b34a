//! A page about a model that people open in a browser, print and mail: one HTML text that holds its style and pictures
//! and loads nothing, so it looks the same wherever it is kept.
//!
//! All text in it may be a stranger's (names of models, segments and columns): `html!` escapes it wherever it stands, and the
//! page forbids scripts to the browser besides. The same report gives the same page, byte for byte.

mod flow;
mod heat_map;
mod map;
mod quality;
mod silhouette;
mod sizes;
mod svg;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use maud::{Markup, PreEscaped, html};
use svg::{breakable, count, percent};

/// What the page tells about a model of segments. Vectors over features are in the order of `features`; a number that is
/// missing or not finite is printed as a dash.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentsReport {
    pub model: String,
    pub version: i32,
    /// As it is to be read.
    pub fitted_at: String,
    pub n_rows: u64,
    pub features: Vec<String>,
    pub population_mean: Vec<f64>,
    pub segments: Vec<SegmentView>,
    pub quality: QualityView,
    /// None where the rows of the source may not be read.
    pub map: Option<MapView>,
    /// None as for the map, and for a single segment.
    pub silhouette: Option<SilhouetteView>,
    /// None where no earlier version is left.
    pub flow: Option<FlowView>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SegmentView {
    /// From 1.
    pub segment: u32,
    /// What the owner calls it.
    pub name: Option<String>,
    /// What sets it apart, in words: "high monetary, low recency".
    pub words: String,
    pub size: u64,
    /// Part of all rows, from 0 to 1.
    pub share: f64,
    /// Per feature, in its own unit.
    pub mean: Vec<f64>,
    /// Per feature: (mean - population mean) / population sd.
    pub z: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct QualityView {
    pub inertia: f64,
    pub iterations: u32,
    pub is_converged: bool,
    pub silhouette: Option<f64>,
    pub davies_bouldin: Option<f64>,
    pub calinski_harabasz: Option<f64>,
}

/// Rows on the plane of their first two principal components, in the space of the fit.
#[derive(Debug, Clone, PartialEq)]
pub struct MapView {
    pub points: Vec<MapPoint>,
    /// One a segment, in the order of the segments.
    pub centroids: Vec<(f32, f32)>,
    /// Share of the variance along each of the two components, from 0 to 1.
    pub explained: [f64; 2],
    /// Rows that the map shows: all, or an even sample of so many.
    pub n_rows: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapPoint {
    pub x: f32,
    pub y: f32,
    pub segment: u32,
}

/// Silhouette widths of rows (Rousseeuw 1987).
#[derive(Debug, Clone, PartialEq)]
pub struct SilhouetteView {
    /// Segment and width of each row, in any order.
    pub widths: Vec<(u32, f32)>,
    /// Rows that were compared among themselves: all, or an even sample of so many.
    pub n_rows: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FlowView {
    pub from_version: i32,
    pub to_version: i32,
    pub flows: Vec<Flow>,
}

/// Rows that were in one segment and are in another, or in the same; None is no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    pub from: Option<u32>,
    pub to: Option<u32>,
    pub n_rows: u64,
}

/// A picture of more segments is a wall: the largest are shown, and the page says so.
const MAX_SEGMENTS: usize = 60;
const OWNER_ONLY: &str = "the rows of the source, which only the owner may read.";

/// The page as one HTML text.
pub fn segments_page(report: &SegmentsReport) -> String {
    let shown = largest(&report.segments);
    let page = html! {
        (PreEscaped("<!doctype html>"))
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (report.model) ": customer segments" }
                style { (PreEscaped(include_str!("page.css").replace('\n', " "))) }
            }
            body {
                main {
                    (header(report))
                    (sizes::section(report, &shown))
                    (heat_map::section(report, &shown))
                    div .pair {
                        @match &report.map {
                            Some(view) => (map::section(view, &shown)),
                            None => (absent("map", "Map", &format!("The map needs {OWNER_ONLY}"))),
                        }
                        @match &report.silhouette {
                            Some(view) => (silhouette::section(view, &shown)),
                            None if report.segments.len() < 2 =>
                                (absent("silhouette", "Silhouettes", "Silhouettes compare segments, and there is one.")),
                            None => (absent("silhouette", "Silhouettes", &format!("Silhouettes need {OWNER_ONLY}"))),
                        }
                    }
                    div .pair {
                        @match &report.flow {
                            Some(view) => (flow::section(view, &shown)),
                            None => (absent("flow", "Moves", "There is no earlier version of these columns to compare the segments with.")),
                        }
                        (quality::section(&report.quality))
                    }
                }
            }
        }
    };
    ascii(page.into_string())
}

/// As maud has escaped it, in letters that any encoding of a client has. What no reader can see and maud lets through, control
/// characters and the marks that turn the direction of the text after them, becomes U+FFFD. The whole page goes through here.
fn ascii(page: String) -> String {
    if page.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return page;
    }
    let mut ascii = String::with_capacity(page.len());
    for c in page.chars() {
        let shown = match c {
            '\n' | '\r' | '\t' => ' ',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        };
        match shown {
            ' '..='~' => ascii.push(shown),
            _ => ascii.extend(["&#", &u32::from(shown).to_string(), ";"]),
        }
    }
    ascii
}

impl SegmentView {
    /// The given name, else the words.
    fn called(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.words)
    }
}

/// The segments that pictures show, in their given order.
fn largest(segments: &[SegmentView]) -> Vec<&SegmentView> {
    let mut by_size: Vec<(usize, &SegmentView)> = segments.iter().enumerate().collect();
    by_size.sort_by_key(|(_, view)| Reverse(view.size));
    by_size.truncate(MAX_SEGMENTS);
    by_size.sort_by_key(|&(idx, _)| idx);
    by_size.into_iter().map(|(_, view)| view).collect()
}

fn header(report: &SegmentsReport) -> Markup {
    let facts = [
        ("Version", report.version.to_string()),
        ("Rows", count(report.n_rows)),
        ("Segments", count(report.segments.len() as u64)),
        ("Features", count(report.features.len() as u64)),
        ("Fitted", report.fitted_at.clone()),
    ];
    let largest = report.segments.iter().max_by_key(|view| (view.size, Reverse(view.segment)));
    html! {
        header {
            p .kicker { "Customer segments" }
            h1 { (breakable(&report.model)) }
            dl .facts {
                @for (what, value) in facts { div { dt { (what) } dd { (value) } } }
            }
            @match largest {
                Some(largest) if report.segments.len() > 1 => p {
                    "The largest segment is " (largest.segment) " " q { (breakable(largest.called())) }
                    ", with " (percent(largest.share)) " of the rows."
                }
                Some(_) => p { "All rows are in one segment, so nothing sets it apart." }
                None => {}
            }
        }
    }
}

/// One part of the page: a picture and how to read it.
fn section(id: &str, heading: &str, picture: Markup, reading: Markup) -> Markup {
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (heading) }
            (picture)
            p .reading { b { "How to read it." } " " (reading) }
        }
    }
}

/// In place of a picture, why it is not there.
fn absent(id: &str, heading: &str, why: &str) -> Markup {
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (heading) }
            p .absent { (why) }
        }
    }
}
