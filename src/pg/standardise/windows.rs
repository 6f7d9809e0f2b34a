//! `zscore`, `minmax`, `robust` and `winsorize` OVER (…): each row's value among those of its frame.
//!
//! Where every frame is the whole partition its values are read once, at the first row. Any other frame without an EXCLUDE
//! moves forward only, so the values that enter are added and those that leave are taken off; with an EXCLUDE the frame of
//! each row is read anew.

use pgrx::prelude::*;

use crate::algo::memory;
use crate::algo::standardise::frames::{Answer, Frame};
use crate::pg::error::{Error, Report, report};
use crate::pg::rows::frame::FrameKind;
use crate::pg::rows::window::{NULL, Partition, Rows, Window, window_functions};
use crate::pg::sys::argument::Nth;
use crate::pg::sys::guc;

window_functions! {
    fn persona_zscore(f64) -> f64 = |window| answer(window, Answer::Zscore, |_| Ok(WHOLE));
    fn persona_minmax(f64) -> f64 = |window| answer(window, Answer::Minmax, |_| Ok(WHOLE));
    fn persona_robust(f64) -> f64 = |window| answer(window, Answer::Robust, |_| Ok(WHOLE));
    fn persona_winsorize(f64, f64, f64) -> f64 = |window| answer(window, Answer::Winsorize, limits);
}

/// The quantiles within which all values are.
const WHOLE: Option<(f64, f64)> = Some((0.0, 1.0));

/// What a call site keeps between the rows of a partition.
struct Site {
    kind: FrameKind,
    frame: Frame,
    /// The partition's values, NaN for NULL, while they are few enough to be kept; for frames that are the whole partition.
    values: Vec<f64>,
    /// The positions of the frame's first row and of the one behind its last.
    head: i64,
    tail: i64,
}

/// Rows that are read under one guard against errors.
const TOGETHER: usize = 256;

fn answer<A: Nth<0, Type = f64>>(
    Window { mut rows, site }: Window<A>,
    answer: Answer,
    limits: fn(&Partition<A>) -> Result<Option<(f64, f64)>, Report>,
) -> Result<Option<f64>, Report> {
    let position = rows.position();
    let site: &mut Site = site.remember(|_| {
        let kind = rows.frame_kind();
        let shrinks = kind != FrameKind::Partition;
        let (frame, values) = (Frame::new(answer, shrinks), Vec::new());
        Ok(Site { kind, frame, values, head: 0, tail: 0 })
    })?;
    if position == 0 {
        site.frame.clear();
        site.values.clear();
        (site.head, site.tail) = (0, 0);
        if site.kind == FrameKind::Partition {
            site.read_partition(&mut rows, answer)?;
        }
    }
    let x = match site.values.get(position as usize) {
        Some(&x) => x,
        None => number(rows.get::<0>(), answer)?,
    };
    match site.kind {
        FrameKind::Partition => rows.release(position, TOGETHER as i64),
        FrameKind::Moving => site.move_frame(&mut rows, answer)?,
        FrameKind::Excluding => site.read_frame(&mut rows, answer)?,
    }
    let Some(limits) = limits(&rows)? else { return Ok(None) };
    let found = site.frame.answer(x, limits);
    if found.is_infinite() {
        return Err(report(
            PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            format!("the values of {} are too large to be standardised", name(answer)),
        )
        .set_hint("Divide the column by a constant first, or take persona.minmax."));
    }
    Ok((!found.is_nan()).then_some(found))
}

impl Site {
    /// Reads the partition once.
    fn read_partition<A: Nth<0, Type = f64>>(
        &mut self,
        partition: &mut Partition<A>,
        answer: Answer,
    ) -> Result<(), Report> {
        let kept = guc::work_mem() / size_of::<f64>();
        let mut keeps = true;
        let mut position = 0;
        let mut part = Vec::with_capacity(TOGETHER);
        loop {
            check_for_interrupts!();
            part.clear();
            partition.floats::<0>(Rows::OfPartition(position), TOGETHER, &mut part)?;
            check_finite(&part, answer)?;
            self.frame.extend_unordered(&part)?;
            if keeps && self.values.len() + part.len() > kept {
                keeps = false;
                self.values = Vec::new();
            }
            if keeps {
                memory::extend(&mut self.values, &part)?;
            }
            position += part.len() as i64;
            if part.len() < TOGETHER {
                self.frame.order();
                return Ok(());
            }
        }
    }

    /// Brings the frame to that of the current row.
    fn move_frame<A: Nth<0, Type = f64>>(
        &mut self,
        partition: &mut Partition<A>,
        answer: Answer,
    ) -> Result<(), Report> {
        let (head, tail) = partition.frame();
        let mut part = Vec::new();
        while self.tail < tail {
            check_for_interrupts!();
            let wanted = (tail - self.tail).min(TOGETHER as i64) as usize;
            part.clear();
            partition.floats::<0>(Rows::OfPartition(self.tail), wanted, &mut part)?;
            check_finite(&part, answer)?;
            self.frame.extend(&part)?;
            self.tail += part.len() as i64;
            if part.len() < wanted {
                break;
            }
        }
        while self.head < head.min(self.tail) {
            self.frame.shift();
            self.head += 1;
        }
        Ok(())
    }

    /// Reads the frame of the current row, without the rows that it excludes.
    fn read_frame<A: Nth<0, Type = f64>>(
        &mut self,
        partition: &mut Partition<A>,
        answer: Answer,
    ) -> Result<(), Report> {
        let mut values = Vec::new();
        loop {
            check_for_interrupts!();
            let before = values.len();
            partition.floats::<0>(Rows::OfFrame(before as i64), TOGETHER, &mut values)?;
            if values.len() < before + TOGETHER {
                break;
            }
        }
        check_finite(&values, answer)?;
        self.frame.clear();
        self.frame.extend(&values)?;
        Ok(())
    }
}

/// The quantiles of a winsorisation; None where one is NULL.
fn limits(rows: &Partition<(f64, f64, f64)>) -> Result<Option<(f64, f64)>, Report> {
    let (Some(lower), Some(upper)) = (rows.get::<1>(), rows.get::<2>()) else { return Ok(None) };
    if 0.0 <= lower && lower <= upper && upper <= 1.0 {
        return Ok(Some((lower, upper)));
    }
    Err(report(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("lower {lower} and upper {upper} are no quantiles to cut off at"),
    )
    .set_hint("Give two numbers of 0 to 1, as in winsorize(x, 0.05, 0.95)."))
}

/// NaN for NULL.
fn number(x: Option<f64>, answer: Answer) -> Result<f64, Report> {
    match x {
        None => Ok(f64::NAN),
        Some(x) if x.is_finite() => Ok(x),
        Some(x) => Err(not_finite(x, answer)),
    }
}

/// Values as [`Partition::floats`] gives them: NULL is a NaN of its own, and any other NaN is the user's.
fn check_finite(values: &[f64], answer: Answer) -> Result<(), Report> {
    let is_wrong = |x: &&f64| !x.is_finite() && x.to_bits() != NULL.to_bits();
    match values.iter().find(is_wrong) {
        Some(&x) => Err(not_finite(x, answer)),
        None => Ok(()),
    }
}

fn not_finite(value: f64, answer: Answer) -> Report {
    Error::NotFinite { column: name(answer).into(), value }.into()
}

fn name(answer: Answer) -> &'static str {
    match answer {
        Answer::Zscore => "zscore",
        Answer::Minmax => "minmax",
        Answer::Robust => "robust",
        Answer::Winsorize => "winsorize",
    }
}
