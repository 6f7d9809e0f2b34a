//! `describe(source)`: one row per column of any query, from one pass over its rows in constant memory.

use pgrx::prelude::*;

use crate::algo::describe::{Description, Exact, Number, Numbers, Texts, sparkline};
use crate::algo::memory;
use crate::pg::error::Report;
use crate::pg::rows::ingest::{Row, Sink, stream};
use crate::pg::sys::progress::Progress;
use crate::pg::types::datum::{Kind, type_name, written, written_whole};
use crate::pg::types::options::{required, within};
use crate::pg::types::record::Attribute;

/// The columns as their values come in.
struct Described<'a> {
    columns: Vec<(Attribute, Values)>,
    n_rows: u64,
    progress: &'a Progress,
}

/// What is collected of a column, by its type.
enum Values {
    Numbers(Box<Numbers>),
    Texts(Box<Texts>),
    /// Arrays: only whether a value is there.
    Present {
        n: u64,
        nulls: u64,
    },
}

const PROGRESS_STEP: u64 = 1 << 16;

impl Sink for Described<'_> {
    fn start(&mut self, attributes: &[Attribute]) -> Result<usize, Report> {
        let n_wanted = attributes.last().map_or(0, |last| last.position + 1);
        self.columns = attributes
            .iter()
            .map(|attribute| {
                let values = match attribute.kind {
                    kind if kind.is_number() => Values::Numbers(Box::default()),
                    kind if kind.is_array() => Values::Present { n: 0, nulls: 0 },
                    _ => Values::Texts(Box::default()),
                };
                (attribute.clone(), values)
            })
            .collect();
        Ok(n_wanted)
    }

    fn row(&mut self, row: Row) -> Result<bool, Report> {
        for (place, (attribute, column)) in self.columns.iter_mut().enumerate() {
            match (column, row.get(place)) {
                (Values::Numbers(numbers), None) => numbers.add_null(),
                (Values::Numbers(numbers), Some(value)) => {
                    let number = value.number();
                    if number.abs() < exact_below(attribute.kind)
                        || !number.is_finite()
                        || value.is_short_numeric()
                    {
                        numbers.add(number);
                    } else if attribute.kind == Kind::Numeric {
                        value.digits(&attribute.name, |text| numbers.add_decimal(number, text))?;
                    } else {
                        numbers.add_whole(number, value.whole());
                    }
                }
                (Values::Texts(texts), None) => texts.add_null(),
                (Values::Texts(texts), Some(value)) => {
                    value.text(&attribute.name, |text| texts.add(text))?;
                }
                (Values::Present { nulls, .. }, None) => *nulls += 1,
                (Values::Present { n, .. }, Some(_)) => *n += 1,
            }
        }
        memory::check()?;
        self.n_rows += 1;
        if self.n_rows.is_multiple_of(PROGRESS_STEP) {
            self.progress.rows(self.n_rows);
        }
        Ok(true)
    }
}

/// Up to here, in absolute value, a number of this kind is told apart by its float.
fn exact_below(kind: Kind) -> f64 {
    match kind {
        Kind::Int8 => (1_i64 << 53) as f64,
        // Beyond the year 2106 the seconds of a time have not digits enough for its microseconds.
        Kind::Timestamp => (1_i64 << 32) as f64,
        // With three digits behind the point.
        Kind::Money => (1_i64 << 43) as f64,
        Kind::Numeric => 0.0,
        _ => f64::INFINITY,
    }
}

#[pg_extern]
fn describe(
    source: Option<&str>,
    bins: Option<i64>,
    top: Option<i64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(column_name, String),
            name!(data_type, String),
            name!(n, i64),
            name!(nulls, i64),
            name!(not_finite, i64),
            name!(n_distinct, Option<i64>),
            name!(mean, Option<f64>),
            name!(sd, Option<f64>),
            name!(min, Option<f64>),
            name!(q25, Option<f64>),
            name!(median, Option<f64>),
            name!(q75, Option<f64>),
            name!(max, Option<f64>),
            name!(skew, Option<f64>),
            name!(min_text, Option<String>),
            name!(q25_text, Option<String>),
            name!(median_text, Option<String>),
            name!(q75_text, Option<String>),
            name!(max_text, Option<String>),
            name!(mean_text, Option<String>),
            name!(outliers_z, Option<i64>),
            name!(outliers_iqr, Option<i64>),
            name!(top_values, Option<Vec<String>>),
            name!(top_counts, Option<Vec<i64>>),
            name!(histogram, Option<Vec<i64>>),
            name!(sparkline, Option<String>),
            name!(is_exact, Option<bool>),
        ),
    >,
    Report,
> {
    let source = required(source, "source")?;
    let n_bins = checked("bins", bins, 1)?;
    let n_top = checked("top", top, 0)?;
    let progress = Progress::start("describe", "");
    progress.phase("reading");
    let mut described = Described { columns: Vec::new(), n_rows: 0, progress: &progress };
    stream(source, &mut described)?;
    let columns = described.columns;
    let rows = columns.into_iter().map(move |(attribute, values)| {
        let d = summary(&attribute, values, n_bins, n_top);
        let numeric = d.numeric.as_ref();
        // A point in time is no number to anybody.
        let is_time = is_point_in_time(attribute.kind);
        let number = |number: Option<f64>| number.filter(|_| !is_time);
        let quartiles = numeric.map(|numeric| numeric.quartiles);
        let [q25, median, q75] = [0, 1, 2].map(|j| quartiles.map(|quartiles| quartiles[j]));
        let mean = numeric.and_then(|numeric| numeric.mean);
        let text = |number: Option<f64>| match is_time || attribute.kind == Kind::Interval {
            true => number.map(|number| written(attribute.kind, attribute.type_oid, number)),
            false => number.map(|number| written(Kind::Float8, pg_sys::FLOAT8OID, number)),
        };
        let texts = [q25, median, q75, mean].map(text);
        let [q25_text, median_text, q75_text, mean_text] = texts;
        let count = |of: fn(&crate::algo::describe::Numeric) -> u64| {
            numeric.map(|numeric| of(numeric) as i64)
        };
        let (values, counts): (Vec<String>, Vec<i64>) =
            d.top.iter().map(|(value, n)| (value.1.clone(), *n as i64)).unzip();
        let is_counted = !attribute.kind.is_array();
        (
            attribute.name,
            type_name(attribute.type_oid),
            d.n as i64,
            d.nulls as i64,
            d.not_finite as i64,
            is_counted.then_some(d.n_distinct as i64),
            number(mean),
            numeric.and_then(|numeric| numeric.sd),
            number(d.min.as_ref().and_then(|min| min.0)),
            number(q25),
            number(median),
            number(q75),
            number(d.max.as_ref().and_then(|max| max.0)),
            numeric.and_then(|numeric| numeric.skew),
            d.min.map(|min| min.1),
            q25_text,
            median_text,
            q75_text,
            d.max.map(|max| max.1),
            mean_text,
            count(|numeric| numeric.outliers_z),
            count(|numeric| numeric.outliers_iqr),
            is_counted.then_some(values),
            is_counted.then_some(counts),
            numeric.map(|numeric| numeric.histogram.iter().map(|&n| n as i64).collect()),
            numeric.map(|numeric| sparkline(&numeric.histogram)),
            is_counted.then_some(d.is_exact),
        )
    });
    // Collected, so that the dates are written while the call's own settings hold.
    Ok(TableIterator::new(rows.collect::<Vec<_>>()))
}

fn is_point_in_time(kind: Kind) -> bool {
    matches!(kind, Kind::Date | Kind::Timestamp | Kind::Time | Kind::TimeWithZone)
}

/// A value as a number, if it is one, and as SQL writes it.
type Shown = (Option<f64>, String);

fn summary(
    attribute: &Attribute,
    values: Values,
    n_bins: usize,
    n_top: usize,
) -> Description<Shown> {
    match values {
        Values::Numbers(numbers) => shown(numbers.describe(n_bins, n_top), |number| {
            let Number { value, exact } = number;
            let text = match exact {
                None => written(attribute.kind, attribute.type_oid, value),
                Some(Exact::Whole(whole)) => {
                    written_whole(attribute.type_oid, attribute.kind, whole)
                }
                Some(Exact::Decimal(text)) => text.into(),
            };
            (Some(value), text)
        }),
        Values::Texts(texts) => shown(texts.describe(n_top), |text| (None, text)),
        Values::Present { n, nulls } => Description {
            n,
            nulls,
            not_finite: 0,
            n_distinct: 0,
            is_exact: true,
            min: None,
            max: None,
            top: Vec::new(),
            numeric: None,
        },
    }
}

fn shown<V>(d: Description<V>, show: impl Fn(V) -> Shown) -> Description<Shown> {
    Description {
        n: d.n,
        nulls: d.nulls,
        not_finite: d.not_finite,
        n_distinct: d.n_distinct,
        is_exact: d.is_exact,
        min: d.min.map(&show),
        max: d.max.map(&show),
        top: d.top.into_iter().map(|(value, n)| (show(value), n)).collect(),
        numeric: d.numeric,
    }
}

fn checked(option: &'static str, value: Option<i64>, least: i64) -> Result<usize, Report> {
    let valid = format_args!("a whole number from {least} to 1000");
    within(option, required(value, option)?, least..=1000, valid).map(|value| value as usize)
}
