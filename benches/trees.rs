//! Boosted trees alone, for `benches/trees.py` to set beside LightGBM.
//!
//! `trees FOLDER TRAIN [REPEATS [NAME=JSON ...]]` reads a table that lies column by column in FOLDER: `numbers` (f64), `codes` (u32, of
//! texts; the largest is missing) and `labels` (u8), little-endian. It fits on the first TRAIN rows, on two threads, with these parameters,
//! and scores the others. It prints a line a repeat: seconds of the fit, seconds of the processor that it took, megabytes above what was
//! there before, trees, bytes of the stored scorer, seconds of scoring, and microseconds a row that is scored by itself. The scores of the
//! last repeat are written to FOLDER/scores (f64).

use std::path::Path;
use std::time::Instant;

use pg_persona::algo::frame::{Column, Frame, TextBuilder, Values};
use pg_persona::algo::score::inputs::Cells;
use pg_persona::algo::score::{self, Cell, Params, Scorer, boosted_trees};
use pg_persona::algo::stop::Watch;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let [folder, train, rest @ ..] = &arguments[..] else {
        return eprintln!("trees FOLDER TRAIN [REPEATS [NAME=JSON ...]]");
    };
    let folder = Path::new(folder);
    let train = train.parse().expect("TRAIN is a number");
    let repeats = rest.first().map_or(1, |repeats| repeats.parse().expect("REPEATS is a number"));
    let threads = std::env::var("TREES_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("a pool starts");

    let mut params =
        Params { settings: boosted_trees::ALGORITHM.defaults(), holdout: 0.0, ..Params::default() };
    for parameter in rest.iter().skip(1) {
        let (name, json) = parameter.split_once('=').expect("NAME=JSON");
        if name == "seed" {
            params.seed = json.parse().expect("a number");
        } else {
            params.settings.set(name, json).expect("a parameter of trees");
        }
    }
    let params = params.check().expect("valid parameters");
    let (learnt, others) = (table(folder, 0..train), table(folder, train..usize::MAX));
    let target = Column::integer("y", labels(folder).into_iter().take(train).collect());
    for _ in 0..repeats {
        let before = memory(true);
        let (began, began_cpu) = (Instant::now(), cpu());
        let fit = score::fit(&learnt, &target, &params, &Watch::new()).expect("a fit");
        let (took, took_cpu) = (began.elapsed().as_secs_f64(), cpu() - began_cpu);
        let peak = memory(false) - before;
        let began = Instant::now();
        let scores = fit.scorer.score_frame(&others, &Watch::new()).expect("scores");
        let scored = began.elapsed().as_secs_f64();
        let bytes = fit.scorer.to_bytes().expect("bytes").len();
        let alone = one_by_one(&fit.scorer, &others, &scores);
        println!(
            "{took:.3} {took_cpu:.3} {peak:.1} {} {bytes} {scored:.3} {alone:.3}",
            fit.iterations
        );
        let bytes: Vec<u8> = scores.iter().flat_map(|score| score.to_le_bytes()).collect();
        std::fs::write(folder.join("scores"), bytes).expect("scores are written");
    }
}

/// Microseconds a row that is scored by itself, with its cells at hand.
fn one_by_one(scorer: &Scorer, frame: &Frame, expected: &[f64]) -> f64 {
    let n_rows = frame.n_rows.min(50_000);
    let n_inputs = frame.columns.len();
    let cell = |row: usize, column: &'_ Column| match &column.values {
        Values::Number(values) => Cell::Number(values[row]),
        Values::Integer(values) => Cell::Number(values[row] as f64),
        Values::Text { .. } => Cell::Category(None),
    };
    let mut cells: Vec<Cell> = Vec::with_capacity(n_rows * n_inputs);
    for row in 0..n_rows {
        for column in &frame.columns {
            cells.push(match &column.values {
                Values::Text { codes, dictionary } => {
                    Cell::Category(dictionary.get(codes[row] as usize).map(String::as_str))
                }
                _ => cell(row, column),
            });
        }
    }
    let prepared = scorer.prepare();
    let began = Instant::now();
    let mut differ = 0;
    for (row, expected) in cells.chunks_exact(n_inputs).zip(expected) {
        let Ok(score) = prepared.score(Cells(row, n_inputs));
        differ += usize::from(score != *expected);
    }
    assert_eq!(differ, 0, "rows have other bits alone than in a frame");
    began.elapsed().as_secs_f64() * 1e6 / n_rows as f64
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the file can be read")
}

fn labels(folder: &Path) -> Vec<i64> {
    read(&folder.join("labels")).into_iter().map(i64::from).collect()
}

fn table(folder: &Path, rows: std::ops::Range<usize>) -> Frame {
    let n_all = labels(folder).len();
    let rows = rows.start..rows.end.min(n_all);
    let mut columns = Vec::new();
    let numbers = read(&folder.join("numbers"));
    for (place, bytes) in numbers.chunks_exact(8 * n_all).enumerate() {
        let values = bytes.as_chunks().0[rows.clone()].iter();
        let values = values.map(|word| f64::from_le_bytes(*word)).collect();
        columns.push(Column::number(&format!("x{place}"), values));
    }
    let codes = read(&folder.join("codes"));
    for (place, bytes) in codes.chunks_exact(4 * n_all).enumerate() {
        let mut text = TextBuilder::default();
        for word in &bytes.as_chunks().0[rows.clone()] {
            let code = u32::from_le_bytes(*word);
            let level = (code != u32::MAX).then(|| format!("level {code}"));
            text.push(level.as_deref()).expect("memory");
        }
        columns.push(Column { name: format!("c{place}"), values: text.finish() });
    }
    Frame { n_rows: rows.len(), columns }
}

/// Megabytes in memory now, from where the peak is then counted, or the peak.
fn memory(now: bool) -> f64 {
    if now {
        std::fs::write("/proc/self/clear_refs", "5").expect("the peak is forgotten");
    }
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let name = if now { "VmRSS:" } else { "VmHWM:" };
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
    let kilobytes: f64 = line.split_whitespace().nth(1).expect("a number").parse().expect("one");
    kilobytes / 1024.0
}

/// Seconds that all threads took.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a status");
    let after = stat.rsplit(')').next().expect("fields");
    let mut fields = after.split_whitespace().skip(11).map(|ticks| ticks.parse::<f64>());
    let mut next = || fields.next().expect("a field").expect("a number");
    (next() + next()) / 100.0
}
