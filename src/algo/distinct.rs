//! Columns of which each row has a value of its own, as an identifier has: no group of rows shares one.

use super::float_order::order_of;
use super::frame::{MISSING, Values};
use super::memory;
use super::store::{Place, Store};

/// Among fewer rows any number may be distinct by chance.
pub const LEAST_ROWS: usize = 20;

/// So many rows tell of any number: a third of a second of sorting.
const MOST_ROWS: usize = 1 << 23;

/// Whether no two rows have the same value and none has none; of numbers, where they are whole ones if these are asked for. What
/// the sorting takes lies in this place.
pub fn is_distinct(values: &Values, only_whole: bool, place: &Place) -> std::io::Result<bool> {
    /// Most columns have a value twice among so many rows.
    const SOME: usize = 1024;
    match values {
        Values::Number(values) => {
            if values.len() < LEAST_ROWS
                || values.iter().any(|value| value.is_nan() || only_whole && value.fract() != 0.0)
            {
                return Ok(false);
            }
            let is_some = differ(&values[..values.len().min(SOME)], &Place::Memory)?;
            let most = &values[..values.len().min(MOST_ROWS)];
            Ok(is_some && (most.len() <= SOME || differ(most, place)?))
        }
        // The words are those that there are, each once.
        Values::Text { codes, dictionary } => Ok(codes.len() >= LEAST_ROWS
            && dictionary.len() >= codes.len()
            && codes.iter().all(|code| *code != MISSING)
            && differ_as_codes(codes, dictionary.len())?),
        Values::Integer(_) => Ok(false),
    }
}

fn differ(values: &[f64], place: &Place) -> std::io::Result<bool> {
    let mut sorted = Store::<u64>::zeroed(place, values.len())?;
    sorted.iter_mut().zip(values).for_each(|(to, value)| *to = order_of(*value));
    sorted.sort_unstable();
    Ok(sorted.windows(2).all(|two| two[0] != two[1]))
}

fn differ_as_codes(codes: &[u32], n_words: usize) -> std::io::Result<bool> {
    let mut is_seen = memory::filled(false, n_words)?;
    Ok(codes.iter().all(|code| !std::mem::replace(&mut is_seen[*code as usize], true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::frame::Column;

    #[track_caller]
    fn check(column: &Column, only_whole: bool, expected: bool) {
        let found = is_distinct(&column.values, only_whole, &Place::Memory).unwrap();
        assert_eq!(found, expected, "{}", column.name);
    }

    #[test]
    fn a_column_is_distinct_where_each_row_has_a_value_of_its_own() {
        let up_to = |n: usize| (0..n).map(|row| row as f64).collect::<Vec<_>>();
        check(&Column::number("ids", up_to(20)), true, true);
        check(&Column::number("few", up_to(19)), true, false);
        check(&Column::number("many", up_to(5000)), true, true);
        let with = |place: usize, value| {
            let mut values = up_to(5000);
            values[place] = value;
            values
        };
        check(&Column::number("one twice", with(4999, 3.0)), true, false);
        check(&Column::number("one missing", with(7, f64::NAN)), true, false);
        check(&Column::number("one of a fraction", with(7, 7.5)), true, false);
        check(&Column::number("one of a fraction", with(7, 7.5)), false, true);
        let words: Vec<String> = (0..30).map(|row| format!("w{row}")).collect();
        check(&Column::text("words", words.iter().map(|word| Some(word.as_str()))), false, true);
        let twice =
            words.iter().enumerate().map(|(row, word)| Some(if row == 9 { "w8" } else { word }));
        check(&Column::text("one twice", twice), false, false);
        let missing =
            words.iter().enumerate().map(|(row, word)| (row != 9).then_some(word.as_str()));
        check(&Column::text("one missing", missing), false, false);
    }
}
