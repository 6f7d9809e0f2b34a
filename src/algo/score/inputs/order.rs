//! Puts the rows of a frame into an order that depends on their content alone.
//!
//! Scans return rows in any order (parallel workers, synchronised scans, updated tables), but a holdout is drawn by row
//! number and sums of floats depend on their order. Rows are sorted by a hash of their values; where two different rows
//! share a hash, by the values themselves. Rows that are equal may stand either way.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::algo::frame::{Column, Frame, MISSING, Values};
use crate::algo::hash::fnv;
use crate::algo::random;
use crate::algo::stop::{Stopped, Watch};

pub fn by_content(frame: &mut Frame, watch: &Watch) -> Result<(), Stopped> {
    let mut order = hashes(frame, watch)?;
    let columns = &frame.columns;
    order.par_sort_unstable_by(|a, b| {
        a.0.cmp(&b.0).then_with(|| {
            let mut orders = columns.iter().map(|column| compare(column, a.1, b.1));
            orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        })
    });
    for column in &mut frame.columns {
        watch.check()?;
        match &mut column.values {
            Values::Number(values) => *values = permuted(values, &order).into(),
            Values::Integer(values) => *values = permuted(values, &order).into(),
            Values::Text { codes, .. } => *codes = permuted(codes, &order).into(),
        }
    }
    Ok(())
}

/// Rows between two looks at the watch.
const CHUNK: usize = 8192;

/// The hash of each row and its number.
fn hashes(frame: &Frame, watch: &Watch) -> Result<Vec<(u64, usize)>, Stopped> {
    let mut hashes: Vec<(u64, usize)> = (0..frame.n_rows).map(|row_idx| (0, row_idx)).collect();
    for column in &frame.columns {
        let by_code: Vec<u64> = match &column.values {
            Values::Text { dictionary, .. } => {
                dictionary.iter().map(|text| of_text(text)).collect()
            }
            _ => Vec::new(),
        };
        hashes.par_chunks_mut(CHUNK).try_for_each(|chunk| {
            watch.check()?;
            for (hash, row_idx) in chunk {
                let word = match &column.values {
                    Values::Number(values) => (values[*row_idx] + 0.0).to_bits(),
                    Values::Integer(values) => values[*row_idx] as u64,
                    Values::Text { codes, .. } => match codes[*row_idx] {
                        MISSING => u64::MAX,
                        code => by_code[code as usize],
                    },
                };
                *hash = mix(*hash ^ word);
            }
            Ok(())
        })?;
    }
    Ok(hashes)
}

pub fn of_text(text: &str) -> u64 {
    fnv(text.as_bytes())
}

/// A step of splitmix64: every bit of the result depends on every bit.
pub fn mix(word: u64) -> u64 {
    random::mix(word.wrapping_add(random::WEYL))
}

fn compare(column: &Column, a: usize, b: usize) -> Ordering {
    match &column.values {
        Values::Number(values) => (values[a] + 0.0).total_cmp(&(values[b] + 0.0)),
        Values::Integer(values) => values[a].cmp(&values[b]),
        Values::Text { codes, dictionary } => {
            let text = |code: u32| dictionary.get(code as usize);
            text(codes[a]).cmp(&text(codes[b]))
        }
    }
}

fn permuted<T: Copy + Send + Sync>(values: &[T], order: &[(u64, usize)]) -> Vec<T> {
    order.par_iter().map(|&(_, row_idx)| values[row_idx]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algo::random::Random;

    fn sample(order: &[usize]) -> Frame {
        let x = |row: usize| if row.is_multiple_of(7) { f64::NAN } else { row as f64 / 3.0 };
        let levels = [Some("north"), None, Some(""), Some("south")];
        Frame {
            n_rows: order.len(),
            columns: vec![
                Column::number("x", order.iter().map(|&row| x(row)).collect()),
                Column::text("c", order.iter().map(|&row| levels[row % 4])),
                Column::integer("k", order.iter().map(|&row| row as i64 / 2).collect()),
            ],
        }
    }

    fn texts(frame: &Frame) -> Vec<Option<String>> {
        let Values::Text { codes, dictionary } = &frame.columns[1].values else { return vec![] };
        codes.iter().map(|&code| dictionary.get(code as usize).cloned()).collect()
    }

    #[test]
    fn the_order_of_the_rows_does_not_depend_on_how_they_came() {
        let mut one = sample(&(0..1000).collect::<Vec<_>>());
        let mut shuffled: Vec<usize> = (0..1000).collect();
        Random::new(3, 0).shuffle(&mut shuffled);
        let mut other = sample(&shuffled);
        by_content(&mut one, &Watch::new()).unwrap();
        by_content(&mut other, &Watch::new()).unwrap();
        assert_eq!(texts(&one), texts(&other));
        let bits = |frame: &Frame| match &frame.columns[0].values {
            Values::Number(values) => values.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
            _ => vec![],
        };
        assert_eq!(bits(&one), bits(&other));
        assert_eq!(one.columns[2], other.columns[2]);
    }

    #[test]
    fn rows_stay_whole_and_none_is_lost() {
        let mut frame = sample(&(0..100).collect::<Vec<_>>());
        by_content(&mut frame, &Watch::new()).unwrap();
        let Values::Integer(keys) = &frame.columns[2].values else { panic!("keys") };
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        assert_eq!(*sorted, (0..100).map(|row| row / 2).collect::<Vec<i64>>());
        let Values::Number(x) = &frame.columns[0].values else { panic!("numbers") };
        for (x, key) in x.iter().zip(keys) {
            assert!(x.is_nan() || (x * 3.0 / 2.0).floor() as i64 == *key);
        }
    }

    #[test]
    fn no_rows_and_no_columns_are_fine() {
        by_content(&mut sample(&[]), &Watch::new()).unwrap();
        by_content(&mut Frame { n_rows: 3, columns: vec![] }, &Watch::new()).unwrap();
    }
}
