//! Dates and times as ISO 8601 and PostgreSQL write them, as the seconds that a column of them is read as.

const DAY: f64 = 86_400.0;

/// Of a date, or of a date and a time, the seconds since 1970 UTC, where it is in UTC unless it says otherwise; of a time of day those
/// since midnight UTC. None of anything else.
pub fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Some((date, time)) = text.split_once(['T', 't', ' ']) {
        return Some(f64::from(days(date)?) * DAY + time_of_day(time.trim_start())?);
    }
    if text.contains(':') { time_of_day(text) } else { Some(f64::from(days(text)?) * DAY) }
}

/// Days from 1970-01-01 to YYYY-MM-DD, by Hinnant's `days_from_civil`.
fn days(date: &str) -> Option<i32> {
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if !(4..=6).contains(&year.len()) {
        return None;
    }
    let (year, month, day) = (number(year)?, two(month)?, two(day)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i32::from(is_leap),
        _ => return None,
    };
    if !(1..=last).contains(&day) || year == 0 {
        return None;
    }
    // Years begin in March, so that the leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Seconds since midnight UTC of HH:MM[:SS[.fraction]][zone].
fn time_of_day(text: &str) -> Option<f64> {
    let zone_at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (time, zone) = (text[..zone_at].trim_end(), &text[zone_at..]);
    let mut parts = time.splitn(3, ':');
    let (hours, minutes) = (two(parts.next()?)?, two(parts.next()?)?);
    let seconds = match parts.next() {
        None => 0.0,
        Some(seconds) => {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            two(whole)?;
            if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            seconds.parse::<f64>().ok()?
        }
    };
    let is_time = hours <= 24 && minutes < 60 && seconds < 61.0;
    let of_day = f64::from(hours * 3600 + minutes * 60) + seconds;
    (is_time && of_day <= DAY).then(|| Some(of_day - offset(zone)?)).flatten()
}

/// Seconds east of Greenwich of nothing, Z, ±HH, ±HHMM or ±HH:MM[:SS].
fn offset(zone: &str) -> Option<f64> {
    let sign = match zone.as_bytes() {
        [] | b"Z" | b"z" => return Some(0.0),
        [b'-', ..] => -1.0,
        _ => 1.0,
    };
    let digits: String = zone[1..].split(':').collect();
    let parts = digits.as_bytes().chunks(2).map(|two_digits| std::str::from_utf8(two_digits).ok());
    let parts = parts.map(|part| two(part?)).collect::<Option<Vec<i32>>>()?;
    match parts[..] {
        [hours] if hours < 24 => Some(sign * f64::from(hours * 3600)),
        [hours, minutes] if hours < 24 && minutes < 60 => {
            Some(sign * f64::from(hours * 3600 + minutes * 60))
        }
        [hours, minutes, seconds] if hours < 24 && minutes < 60 && seconds < 60 => {
            Some(sign * f64::from(hours * 3600 + minutes * 60 + seconds))
        }
        _ => None,
    }
}

fn two(text: &str) -> Option<i32> {
    if text.len() == 2 { number(text) } else { None }
}

fn number(text: &str) -> Option<i32> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_seconds() {
        for (text, expected) in [
            ("1970-01-01", 0.0),
            ("1969-12-31", -86_400.0),
            ("2000-02-29", 951_782_400.0),
            ("2018-01-01", 1_514_764_800.0),
            ("0001-01-01", -62_135_596_800.0),
            ("10000-01-01", 253_402_300_800.0),
            ("2018-01-01 00:00:01", 1_514_764_801.0),
            ("2018-01-01T00:00:01.5Z", 1_514_764_801.5),
            ("2018-01-01 05:30:00+05:30", 1_514_764_800.0),
            ("2017-12-31T14:00:00-10", 1_514_764_800.0),
            ("2018-01-01 00:00:00+0000", 1_514_764_800.0),
            ("12:00", 43_200.0),
            ("24:00:00", 86_400.0),
            ("00:00:01+14", 1.0 - 50_400.0),
            (" 2018-01-01 ", 1_514_764_800.0),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "many",
            "12",
            "2018-1-1",
            "2018-02-29",
            "2018-13-01",
            "2018-01-32",
            "18-01-01",
            "2018-01-01T",
            "2018-01-01 25:00",
            "24:00:01",
            "12:60",
            "12:00:61",
            "12:00:00.",
            "12:00:00.x",
            "12:00+1",
            "12:00+24",
            "12:00Zulu",
            "2018-01-01-",
            "2018-01-01 12",
            "0000-01-01",
            "9999999-01-01",
            "2018-01-01 12:00:00 BC",
            "١٢:٠٠",
            "2018-०१-01",
            "12:00+é",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
