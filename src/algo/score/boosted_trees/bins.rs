//! The rows of a fit as bytes: each value is the number of its bin, of which an input has at most 256.
//!
//! Numbers are cut at thresholds that part the rows into bins of about equal size, a value that many rows have being a bin by itself;
//! the last bin is the missing ones. The bins of a text are its slots (`model::Beside`).

use rayon::prelude::*;

use super::model::{Beside, MAX_CUTS};
use super::search;
use crate::algo::float_order::{order_of, value_of};
use crate::algo::frame::{MISSING, Values};
use crate::algo::memory;
use crate::algo::random::{Random, unit};
use crate::algo::score::Error;
use crate::algo::score::inputs::{Input, Kind, Slots, Source, Training};
use crate::algo::stop::{Stopped, Watch};

pub struct Bins {
    /// Row after row.
    pub cells: Vec<u8>,
    pub inputs: Vec<InputBins>,
}

/// How the values of an input become bins.
pub struct InputBins {
    /// Of a number; a value is in the bin whose number is that of the thresholds below it.
    pub cuts: Vec<f64>,
    pub is_category: bool,
    /// With that of missing values, which of a number is the last one.
    pub n_bins: usize,
}

impl Bins {
    pub fn n_inputs(&self) -> usize {
        self.inputs.len()
    }
}

/// So many rows say where thresholds lie: a bin has some 400 of them.
const SAMPLE: usize = 100_000;
/// Rows between two looks at the watch.
const CHUNK: usize = 2048;
const STREAM: u64 = 0x0062_696e;

pub fn bin(training: &Training, watch: &Watch) -> Result<Bins, Error> {
    let &Training { frame, inputs, rows, seed, .. } = training;
    let n_inputs = inputs.len();
    let sample = sample(rows, seed);
    memory::probe(rows.len() * n_inputs + rayon::current_num_threads() * sample.len() * 16)?;
    let columns: Vec<&Values> = frame.columns.iter().map(|column| &column.values).collect();
    let found = inputs.par_iter().zip(&columns).map(|(input, values)| {
        watch.check()?;
        Ok(InputBins::of(input, values, &sample)?)
    });
    let of_inputs = found.collect::<Result<Vec<_>, Error>>()?;
    let sources: Vec<Option<Source<u8>>> =
        inputs.iter().zip(&columns).map(|(input, values)| source(input, values)).collect();

    let cuts: Vec<search::Cuts> =
        of_inputs.iter().map(|input| search::padded(&input.cuts)).collect();
    let mut cells = memory::zeros::<u8>(rows.len() * n_inputs)?;
    let chunks = cells.par_chunks_mut(CHUNK * n_inputs.max(1)).zip(rows.par_chunks(CHUNK));
    chunks.try_for_each(|(cells, rows)| {
        watch.check()?;
        let mut bins = [0; CHUNK];
        for (input_idx, (source, input)) in sources.iter().zip(&of_inputs).enumerate() {
            let bins = &mut bins[..rows.len()];
            bin_rows(source.as_ref(), rows, input, &cuts[input_idx], bins);
            let places = cells[input_idx..].iter_mut().step_by(n_inputs);
            places.zip(&*bins).for_each(|(cell, bin)| *cell = *bin);
        }
        Ok::<(), Stopped>(())
    })?;
    Ok(Bins { cells, inputs: of_inputs })
}

/// One row of each of as many equal parts.
fn sample(rows: &[usize], seed: i64) -> Vec<usize> {
    if rows.len() <= SAMPLE {
        return rows.to_vec();
    }
    let random = Random::new(seed, STREAM);
    let part = rows.len() as f64 / SAMPLE as f64;
    let place = |i: usize| ((i as f64 + unit(random.at(i as u64))) * part) as usize;
    (0..SAMPLE).map(|i| rows[place(i).min(rows.len() - 1)]).collect()
}

impl InputBins {
    fn of(input: &Input, values: &Values, sample: &[usize]) -> Result<Self, memory::Refused> {
        if let Some(beside) = Beside::of(&input.kind) {
            let n_bins = usize::from(beside.other) + 1;
            return Ok(Self { cuts: Vec::new(), is_category: true, n_bins });
        }
        let mut orders = Vec::new();
        memory::exact_room(&mut orders, sample.len())?;
        match values {
            Values::Number(values) => {
                let present = sample.iter().map(|&row| values[row]).filter(|value| !value.is_nan());
                orders.extend(present.map(order_of));
            }
            Values::Integer(values) => {
                orders.extend(sample.iter().map(|&row| order_of(values[row] as f64)));
            }
            Values::Text { .. } => {}
        }
        orders.sort_unstable();
        let cuts = cuts(&orders);
        Ok(Self { n_bins: cuts.len() + 2, cuts, is_category: false })
    }
}

/// The thresholds of sorted values.
fn cuts(orders: &[u64]) -> Vec<f64> {
    let groups = || orders.chunk_by(|a, b| a == b);
    let n_distinct = groups().take(MAX_CUTS + 2).count();
    let mut cuts = Vec::new();
    let mut push = |below: u64, above: u64| cuts.push(between(value_of(below), value_of(above)));
    if n_distinct <= MAX_CUTS + 1 {
        groups().zip(groups().skip(1)).for_each(|(below, above)| push(below[0], above[0]));
        return cuts;
    }
    // A value as frequent as an average bin is one by itself; the rest is shared out among the bins that are left.
    let n_bins = MAX_CUTS + 1;
    let is_large = |group: &[u64]| group.len() * n_bins >= orders.len();
    let n_large = groups().filter(|group| is_large(group)).count();
    let mut rest: usize = groups().filter(|group| !is_large(group)).map(<[u64]>::len).sum();
    let mut bins_left = n_bins - n_large;
    let mut in_bin = 0;
    for (group, next) in groups().zip(groups().skip(1)) {
        if is_large(group) {
            push(group[0], next[0]);
            in_bin = 0;
            continue;
        }
        in_bin += group.len();
        let is_full = in_bin * bins_left.max(1) >= rest && bins_left > 1;
        if is_full || is_large(next) {
            push(group[0], next[0]);
            rest -= in_bin;
            bins_left = bins_left.saturating_sub(1);
            in_bin = 0;
        }
    }
    cuts.truncate(MAX_CUTS);
    cuts
}

/// A number from `below` on that is less than `above`, half-way where there is one.
fn between(below: f64, above: f64) -> f64 {
    let middle = below / 2.0 + above / 2.0;
    if below <= middle && middle < above { middle } else { below }
}

/// The values of an input, a text's as bins; None where the column is of another kind.
fn source<'a>(input: &Input, values: &'a Values) -> Option<Source<'a, u8>> {
    match (&input.kind, values, Beside::of(&input.kind)) {
        (Kind::Number { .. }, Values::Number(values), _) => Some(Source::Number(values)),
        (Kind::Number { .. }, Values::Integer(values), _) => Some(Source::Integer(values)),
        (kind, Values::Text { codes, dictionary }, Some(beside)) => {
            let slots = Slots::new(kind);
            let by_code = dictionary.iter().map(|level| slot(&slots, level, beside)).collect();
            Some(Source::Text { codes, by_code, missing: beside.missing })
        }
        _ => None,
    }
}

/// The bins of these rows; numbers are gathered first, so that many are looked for at once.
fn bin_rows(
    source: Option<&Source<u8>>,
    rows: &[usize],
    input: &InputBins,
    cuts: &search::Cuts,
    bins: &mut [u8],
) {
    let missing = (input.n_bins - 1) as u8;
    let mut gathered = [0.0; CHUNK];
    let gathered = &mut gathered[..rows.len()];
    match source {
        Some(Source::Number(values)) => {
            gathered.iter_mut().zip(rows).for_each(|(to, &row)| *to = values[row]);
            search::bins(gathered, cuts, missing, bins);
        }
        Some(Source::Integer(values)) => {
            gathered.iter_mut().zip(rows).for_each(|(to, &row)| *to = values[row] as f64);
            search::bins(gathered, cuts, missing, bins);
        }
        Some(Source::Text { codes, by_code, missing }) => {
            for (bin, &row) in bins.iter_mut().zip(rows) {
                let code = codes[row];
                *bin = if code == MISSING { *missing } else { by_code[code as usize] };
            }
        }
        None => bins.fill(missing),
    }
}

/// The slot of a level, the one of other where it has none.
pub fn slot(slots: &Slots, level: &str, beside: Beside) -> u8 {
    let own = slots.of(Some(level)).and_then(|slot| u8::try_from(slot).ok());
    own.filter(|slot| *slot < beside.missing).unwrap_or(beside.other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], expected: &[f64]) {
        let mut orders: Vec<u64> = values.iter().map(|value| order_of(*value)).collect();
        orders.sort_unstable();
        assert_eq!(cuts(&orders), expected);
    }

    #[test]
    fn few_values_are_each_a_bin() {
        check(&[], &[]);
        check(&[3.0, 3.0], &[]);
        check(&[1.0, 3.0, 1.0, 2.0], &[1.5, 2.5]);
        check(&[-0.0, 0.0, 1.0], &[0.5]);
        check(&[-1e308, 1e308, f64::MAX], &[0.0, 1e308 / 2.0 + f64::MAX / 2.0]);
        // Nothing lies between these.
        check(&[0.0, 5e-324], &[0.0]);
        check(&[1.0, 1.0 + f64::EPSILON], &[1.0]);
    }

    #[test]
    fn many_values_make_bins_of_about_equal_size() {
        let orders: Vec<u64> = (0..100_000).map(|i| order_of(f64::from(i))).collect();
        let cuts = cuts(&orders);
        assert_eq!(cuts.len(), MAX_CUTS);
        let sizes: Vec<f64> = cuts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(sizes.iter().all(|size| (350.0..450.0).contains(size)), "{sizes:?}");
    }

    #[test]
    fn a_value_of_many_rows_is_a_bin_by_itself() {
        let mut orders: Vec<u64> = (0..50_000).map(|i| order_of(f64::from(i % 1000))).collect();
        orders.extend([order_of(500.0); 50_000]);
        orders.sort_unstable();
        let cuts = cuts(&orders);
        assert!(cuts.contains(&499.5) && cuts.contains(&500.5), "{cuts:?}");
        assert!((250..=MAX_CUTS).contains(&cuts.len()), "{}", cuts.len());
    }
}
