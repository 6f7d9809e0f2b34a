//! Keys that are equal in SQL are one key, however they are written: 5 and 5.00, 'a' and 'a ' as char(2).
//!
//! A key is kept as text where it is no integer. Each type has a [`Form`], by which equal values become equal texts: on the
//! way in and, for arguments that ask for a key, once more.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// How a type writes equal values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Form {
    /// Equal values have equal texts.
    #[default]
    Exact,
    /// Decimal digits, without zeros at the end of a fraction.
    Decimal,
    /// The shortest digits of a float of four bytes, and 0 for -0.
    Real,
    /// The shortest digits of a float of eight bytes, and 0 for -0.
    Double,
    /// Blanks at the end say nothing.
    Padded,
    /// Hexadecimal digits in groups, in lower case.
    Uuid,
    /// Case says nothing. What is one letter to another is the server's to say: [`Form::canonical`] leaves such a text alone.
    Folded,
    /// As PostgreSQL's own type of this number reads and writes it, which is the server's to say as well.
    Read(u32),
}

impl Form {
    /// The one text of all that are equal to this one; None where the type has no such value.
    pub fn canonical(self, text: &str) -> Option<Cow<'_, str>> {
        match self {
            Form::Exact | Form::Folded | Form::Read(_) => Some(text.into()),
            Form::Padded => Some(text.trim_end_matches(' ').into()),
            Form::Decimal => decimal(text).map(Cow::Owned),
            Form::Real => {
                let number: f32 = text.trim().parse().ok()?;
                Some(float(f64::from(number), &format!("{number:e}"), 6).into())
            }
            Form::Double => {
                let number: f64 = text.trim().parse().ok()?;
                Some(float(number, &format!("{number:e}"), 15).into())
            }
            Form::Uuid => uuid(text).map(Cow::Owned),
        }
    }
}

/// The most places that an exponent moves the point by: an argument of a few bytes is not to become one of megabytes.
const MOST_PLACES: usize = 400;

/// A decimal number without leading zeros and without zeros at the end of its fraction.
pub fn decimal(text: &str) -> Option<String> {
    let text = text.trim();
    let (is_negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest.eq_ignore_ascii_case("nan") {
        return Some("NaN".to_owned());
    }
    if rest.eq_ignore_ascii_case("infinity") || rest.eq_ignore_ascii_case("inf") {
        return Some(if is_negative { "-Infinity" } else { "Infinity" }.to_owned());
    }
    let (number, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let places = exponent.unsigned_abs() as usize;
    if places > MOST_PLACES {
        return None;
    }
    let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
    if exponent > 0 {
        let moved = places.min(fraction.len());
        whole.extend(fraction.drain(..moved));
        whole.extend(std::iter::repeat_n('0', places - moved));
    } else if exponent < 0 {
        let moved = places.min(whole.len());
        let tail = whole.split_off(whole.len() - moved);
        fraction = format!("{}{tail}{fraction}", "0".repeat(places - moved));
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if whole.is_empty() && fraction.is_empty() {
        return Some("0".to_owned());
    }
    let sign = if is_negative { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

/// A float from its shortest digits (`1.5e3`) as PostgreSQL writes it: with an exponent from so many places on.
fn float(number: f64, shortest: &str, places: i32) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let exponent =
        shortest.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    if (-4..places).contains(&exponent) {
        return decimal(shortest).unwrap_or_default();
    }
    let digits = shortest.split('e').next().unwrap_or_default();
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// The text with each decimal number in it as [`decimal`] writes it, but for what is in double quotes: JSON, an array, a range.
pub fn decimals(text: &str) -> String {
    let mut all = String::new();
    let (mut rest, mut is_quoted) = (text, false);
    while let Some(first) = rest.chars().next() {
        let is_number =
            |one: char| one.is_ascii_digit() || matches!(one, '.' | '-' | '+' | 'e' | 'E');
        let starts = first.is_ascii_digit() || matches!(first, '-' | '.');
        let length = match first {
            '\\' if is_quoted => rest.chars().take(2).map(char::len_utf8).sum(),
            _ if starts && !is_quoted => rest.find(|one| !is_number(one)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        is_quoted ^= first == '"';
        let (token, after) = rest.split_at(length);
        let number = if starts && !is_quoted { decimal(token) } else { None };
        all.push_str(number.as_deref().unwrap_or(token));
        rest = after;
    }
    all
}

/// An interval as PostgreSQL compares it, with months of 30 days and days of 24 hours: in days and time alone.
pub fn span(months: i32, days: i32, microseconds: i64) -> String {
    const DAY: i128 = 86_400_000_000;
    let days = i128::from(months) * 30 + i128::from(days);
    let total = days * DAY + i128::from(microseconds);
    let (days, rest) = (total / DAY, total % DAY);
    // A number of days that is too large for PostgreSQL to read.
    let (months, days) =
        if i32::try_from(days).is_ok() { (0, days) } else { (days / 30, days % 30) };
    let sign = if rest < 0 { "-" } else { "" };
    let rest = rest.unsigned_abs();
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let mut parts = Vec::new();
    parts.extend((months != 0).then(|| format!("{months} mons")));
    parts.extend((days != 0).then(|| format!("{days} days")));
    if rest > 0 || parts.is_empty() {
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let fraction = if fraction > 0 { format!(".{fraction:06}") } else { String::new() };
        let fraction = fraction.trim_end_matches('0');
        parts.push(format!("{sign}{hours:02}:{minutes:02}:{:02}{fraction}", seconds % 60));
    }
    parts.join(" ")
}

fn uuid(text: &str) -> Option<String> {
    let digits: String = text
        .chars()
        .filter(|one| !matches!(one, '-' | '{' | '}'))
        .map(|one| one.to_ascii_lowercase())
        .collect();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| &digits[group]);
    Some(groups.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(form: Form, texts: &[&str], expected: Option<&str>) {
        for text in texts {
            assert_eq!(form.canonical(text).as_deref(), expected, "{form:?} {text}");
        }
    }

    #[test]
    fn equal_decimals_have_one_text() {
        check(
            Form::Decimal,
            &["5", "5.0", "5.00", "+5", "005", " 5. ", "5e0", "0.5e1", "500e-2"],
            Some("5"),
        );
        check(Form::Decimal, &["0", "-0", "0.00", ".0", "-0e5"], Some("0"));
        check(Form::Decimal, &["-12.340", "-1234e-2", "-.1234e2"], Some("-12.34"));
        check(Form::Decimal, &["100", "1e2", "1.00E+2"], Some("100"));
        check(Form::Decimal, &["0.00120", "12e-4"], Some("0.0012"));
        check(Form::Decimal, &["nan", "NaN"], Some("NaN"));
        check(Form::Decimal, &["-inf", "-Infinity"], Some("-Infinity"));
        check(Form::Decimal, &["", ".", "-", "five", "1e", "1e999999999", "1.2.3", "0x1f"], None);
        check(Form::Decimal, &["90071992547409931"], Some("90071992547409931"));
    }

    #[test]
    fn equal_floats_have_the_text_of_postgresql() {
        check(Form::Double, &["0", "-0", "0.0"], Some("0"));
        check(Form::Double, &["0.1", "1e-1"], Some("0.1"));
        check(Form::Double, &["100000000000000", "1e14"], Some("100000000000000"));
        check(Form::Double, &["1000000000000000", "1e15"], Some("1e+15"));
        check(Form::Double, &["0.0001"], Some("0.0001"));
        check(Form::Double, &["0.00001234"], Some("1.234e-05"));
        check(Form::Double, &["-1.5e300"], Some("-1.5e+300"));
        check(Form::Real, &["0.10000000149011612", "0.1"], Some("0.1"));
        check(Form::Real, &["1000000"], Some("1e+06"));
        check(Form::Double, &["inf", "Infinity"], Some("Infinity"));
        check(Form::Double, &["", "x"], None);
    }

    #[test]
    fn decimals_in_a_text_have_one_form() {
        for (text, expected) in [
            (
                r#"{"a": [1.0, -0.50, 1e2], "b 1.0\" 2.0": "5.00"}"#,
                r#"{"a": [1, -0.5, 100], "b 1.0\" 2.0": "5.00"}"#,
            ),
            ("{1.0,NULL,-0,Infinity}", "{1,NULL,0,Infinity}"),
            ("{[1.00,2.50),(3,)}", "{[1,2.5),(3,)}"),
            ("[é, -]", "[é, -]"),
            ("", ""),
        ] {
            assert_eq!(decimals(text), expected);
        }
    }

    #[test]
    fn equal_spans_have_one_text() {
        for (months, days, microseconds, expected) in [
            (0, 1, 0, "1 days"),
            (0, 0, 86_400_000_000, "1 days"),
            (1, 0, 0, "30 days"),
            (1, -30, 0, "00:00:00"),
            (0, 1, -1_500_000, "23:59:58.5"),
            (0, -1, -3_600_000_000, "-1 days -01:00:00"),
            (0, 0, -1, "-00:00:00.000001"),
            (i32::MAX, 5, 0, "2147483647 mons 5 days"),
        ] {
            assert_eq!(span(months, days, microseconds), expected);
        }
    }

    #[test]
    fn padding_and_the_case_of_a_uuid_say_nothing() {
        check(Form::Padded, &["a", "a ", "a   "], Some("a"));
        check(Form::Padded, &[" a"], Some(" a"));
        let expected = Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
        check(
            Form::Uuid,
            &[
                "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
                "{a0eebc999c0b4ef8bb6d6bb9bd380a11}",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            ],
            expected,
        );
        check(Form::Uuid, &["a0eebc99", "", "éééééééééééééééé"], None);
        check(Form::Exact, &["5.00"], Some("5.00"));
    }
}
