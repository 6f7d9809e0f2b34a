//! The rows seen from where they spread most: a plane of two principal components, one dot a row.

use maud::{Markup, html};

use super::svg::{HUES, breakable, colour, count, key, percent, shorten, tenths};
use super::{MapView, SegmentView, section as framed};

const WIDTH: f64 = 480.0;
const HEIGHT: std::ops::RangeInclusive<f64> = 220.0..=430.0;
/// Between the frame and the dots.
const MARGIN: f64 = 16.0;
/// For the words above and below the frame.
const WORDS: f64 = 26.0;
/// Rows of each thousand beyond either end of an axis: a few far rows would press all others into a spot.
const BEYOND: usize = 5;
/// Above so many segments their numbers are drawn smaller.
const CROWD: usize = 16;

pub(super) fn section(view: &MapView, shown: &[&SegmentView]) -> Markup {
    let frame = Frame::around(view);
    let [first, second] = view.explained;
    let picture = html! {
        svg viewBox=(format_args!("0 0 {WIDTH} {:.0}", frame.height + 2.0 * WORDS)) role="img"
            aria-label={ "Map of " (count(view.n_rows)) " rows in " (shown.len()) " segments" } {
            rect .frame x="0.5" y=(WORDS) width=(WIDTH - 1.0) height=(tenths(frame.height)) rx="6" {}
            @for segment in shown { (dots(view, &frame, segment)) }
            @for ring in shown.iter().filter_map(|segment| ring(view, &frame, segment, shown.len() > CROWD)) { (ring) }
            text .muted x="2" y=(WORDS - 8.0) { "\u{2191} second component, " (percent(second)) }
            text .muted.end x=(WIDTH - 2.0) y=(tenths(frame.height + WORDS + 18.0)) { "first component, " (percent(first)) " \u{2192}" }
        }
        // Where colours repeat, the list would be longer than the map.
        @if shown.len() <= HUES {
            ul .legend {
                @for view in shown { li { (key(view.segment)) " " (breakable(&shorten(view.called(), 40))) } }
            }
        }
    };
    let reading = html! {
        "Each dot is one of " (count(view.n_rows)) " rows and each ring the centre of a segment; rows that are alike lie near \
         each other. The two directions hold " (percent(first + second)) " of the rows\u{2019} variance, so segments that overlap \
         here may be apart in the rest."
        @match view.points.iter().filter(|point| frame.is_beyond((point.x, point.y))).count() {
            0 => {}
            1 => " One row farther out is drawn at the edge.",
            far => { " " (count(far as u64)) " rows farther out are drawn at the edge." }
        }
    };
    framed("map", "Map", picture, reading)
}

/// One path a segment: a dot is a line without length, drawn with a round end.
fn dots(view: &MapView, frame: &Frame, segment: &SegmentView) -> Markup {
    let own = view.points.iter().filter(|point| point.segment == segment.segment);
    let places = own.filter_map(|point| frame.place((point.x, point.y)));
    html! {
        path .dots.(colour(segment.segment)) d={ @for (x, y) in places { (format_args!("M{x:.1} {y:.1}h0")) } } {
            title { (segment.segment) " " (segment.called()) }
        }
    }
}

/// Segments past the list of centroids have none.
fn ring(view: &MapView, frame: &Frame, segment: &SegmentView, is_small: bool) -> Option<Markup> {
    let centroid = view.centroids.get((segment.segment as usize).checked_sub(1)?)?;
    let (x, y) = frame.place(*centroid)?;
    Some(html! {
        g .ring.(colour(segment.segment)) {
            title { (segment.segment) " " (segment.called()) }
            circle cx=(tenths(x)) cy=(tenths(y)) r=(if is_small { 9 } else { 12 }) {}
            text .number.small[is_small] x=(tenths(x)) y=(tenths(y)) { (segment.segment) }
        }
    })
}

/// From components to the picture, with one scale for both, since distances are what the map is about.
struct Frame {
    centre: (f64, f64),
    scale: f64,
    height: f64,
}

impl Frame {
    fn around(view: &MapView) -> Self {
        let along = |of: fn(&(f32, f32)) -> f32| {
            let points: Vec<(f32, f32)> = view.points.iter().map(|p| (p.x, p.y)).collect();
            range(points.iter().map(of), view.centroids.iter().map(of))
        };
        let ((left, right), (low, high)) = (along(|p| p.0), along(|p| p.1));
        let (wide, tall) = (right - left, high - low);
        let scale = ((WIDTH - 2.0 * MARGIN) / wide).min((HEIGHT.end() - 2.0 * MARGIN) / tall);
        let height = (tall * scale + 2.0 * MARGIN).clamp(*HEIGHT.start(), *HEIGHT.end());
        Self { centre: ((left + right) / 2.0, (low + high) / 2.0), scale, height }
    }

    /// None for what is no place.
    fn place(&self, point: (f32, f32)) -> Option<(f64, f64)> {
        let (x, y) = self.offset(point);
        let (across, up) = (edge(WIDTH), edge(self.height));
        let x = WIDTH / 2.0 + x.clamp(-across, across);
        let y = WORDS + self.height / 2.0 - y.clamp(-up, up);
        (x.is_finite() && y.is_finite()).then_some((x, y))
    }

    fn is_beyond(&self, point: (f32, f32)) -> bool {
        let (x, y) = self.offset(point);
        x.abs() > edge(WIDTH) || y.abs() > edge(self.height)
    }

    /// From the centre of the frame, up and to the right.
    fn offset(&self, (x, y): (f32, f32)) -> (f64, f64) {
        ((f64::from(x) - self.centre.0) * self.scale, (f64::from(y) - self.centre.1) * self.scale)
    }
}

/// How far from the centre of a frame of that size a dot may lie.
fn edge(size: f64) -> f64 {
    size / 2.0 - MARGIN / 3.0
}

/// From where to where an axis goes: all centroids, and the rows but for the farthest.
fn range(rows: impl Iterator<Item = f32>, centroids: impl Iterator<Item = f32>) -> (f64, f64) {
    let mut rows: Vec<f32> = rows.filter(|value| value.is_finite()).collect();
    rows.sort_unstable_by(f32::total_cmp);
    let beyond = rows.len() * BEYOND / 1000;
    let inner = rows.get(beyond..rows.len() - beyond).unwrap_or_default();
    let ends = inner.first().into_iter().chain(inner.last()).copied();
    let values = ends.chain(centroids.filter(|value| value.is_finite())).map(f64::from);
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    match high - low {
        width if width > 0.0 => (low, high),
        // All in one place, or nothing at all.
        _ if low.is_finite() => {
            let around = (low.abs() / 1000.0).max(0.5);
            (low - around, low + around)
        }
        _ => (-0.5, 0.5),
    }
}
