//! Text and numbers as they stand on the page.

use std::fmt::{Display, from_fn};

use maud::{Markup, html};

/// Colours that are told apart at a glance.
pub(super) const HUES: usize = 12;

/// With places to break a line after underscores.
pub(super) fn breakable(text: &str) -> Markup {
    html! { @for part in text.split_inclusive('_') { (part) @if part.ends_with('_') { wbr; } } }
}

/// The beginning that takes up to `width` letters' room, where letters of the East take two.
pub(super) fn shorten(text: &str, width: usize) -> String {
    let room = |c: char| if c < '\u{1100}' { 1 } else { 2 };
    if text.chars().map(room).sum::<usize>() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let beginning = text.chars().take_while(|&c| {
        used += room(c);
        used <= width
    });
    let beginning: String = beginning.collect();
    format!("{}…", beginning.trim_end_matches([' ', ',', '_']))
}

/// Three significant digits, thousands apart; a dash for what is no number.
pub(super) fn number(value: f64) -> String {
    let magnitude = value.abs();
    let digits = if !value.is_finite() {
        return "–".to_owned();
    } else if magnitude == 0.0 {
        return "0".to_owned();
    } else if !(1e-4..1e15).contains(&magnitude) {
        format!("{magnitude:.2e}").replace('-', "\u{2212}")
    } else {
        // Of the power of ten after rounding: 9.999 is 10.0.
        let power = magnitude.log10().floor() as i32;
        let digits = (magnitude / 10f64.powi(power - 2)).round();
        let power = if digits >= 1000.0 { power + 1 } else { power };
        if power < 3 {
            format!("{magnitude:.*}", (2 - power) as usize)
        } else {
            let unit = 10f64.powi(power - 2);
            grouped(&format!("{:.0}", (magnitude / unit).round() * unit))
        }
    };
    if value < 0.0 { format!("\u{2212}{digits}") } else { digits }
}

pub(super) fn count(n: u64) -> String {
    grouped(&n.to_string())
}

pub(super) fn percent(share: f64) -> String {
    format!("{}\u{a0}%", number(100.0 * share))
}

/// With a sign, one digit after the point: the difference between 1.23 and 1.24 deviations means nothing.
pub(super) fn deviations(z: f64) -> String {
    if !z.is_finite() {
        return "–".to_owned();
    }
    let digits = if z.abs() < 99.95 { format!("{:.1}", z.abs()) } else { number(z.abs()) };
    match z {
        _ if digits == "0.0" => digits,
        z if z < 0.0 => format!("\u{2212}{digits}"),
        _ => format!("+{digits}"),
    }
}

/// Classes of a segment's colour: the hues, and each again nearer to the text and to the page.
pub(super) fn colour(segment: u32) -> String {
    let idx = segment.saturating_sub(1) as usize;
    format!("c{} l{}", idx % HUES, idx / HUES % 3)
}

/// A segment's number beside its colour.
pub(super) fn key(segment: u32) -> Markup {
    html! { span .key.(colour(segment)) { (segment) } }
}

/// A place or a length in a picture.
pub(super) fn tenths(length: f64) -> impl Display {
    from_fn(move |f| write!(f, "{length:.1}"))
}

/// Whole digits with a narrow space before each three.
fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}
