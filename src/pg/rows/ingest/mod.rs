//! Reads a whole query into a typed frame, as fast as PostgreSQL hands out its rows.
//!
//! The query runs through SPI with a DestReceiver of our own that appends each slot's datums to column builders: the time
//! of `sum()` over the same columns, a seventh of an SPI cursor's. Types are checked before the first row; the builders
//! stop at the memory budget before they allocate.

mod column;
mod receiver;
mod source;
mod stream;

use pgrx::pg_sys::Oid;

use crate::algo::frame::Frame;
use crate::algo::key::Form;
use crate::algo::store::Place;

use crate::pg::error::{Error, Report};
use crate::pg::sys::progress::Progress;

use receiver::{Keep, Receiver};
pub(crate) use source::query_of;
pub(crate) use stream::{Row, Sink, stream};

/// What a fit wants of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// An integer stays one, all else becomes text, the same for all values that are equal in SQL: see [`Ingested::forms`].
    /// NULL is an error.
    Key,
    /// Text, as the type writes it; NULL is missing.
    Category,
    /// A number, or an array of numbers as one feature per element; NULL is missing.
    Number,
    /// As [`Self::Number`], but an integer or a numeric is read as a whole number with all its digits; NULL is an error then.
    Whole,
    /// A number; NULL and what is not finite are an error.
    Weight,
    /// A date, a time or a number, of which only the order and the distances count; NULL is an error.
    Time,
    /// How much there was of something: a number; NULL is an error.
    Amount,
    /// Yes or no; NULL is missing.
    Flag,
    /// What is to be learnt: a boolean, a number or a category; NULL is missing.
    Target,
    /// A number or a category, by the column's type.
    Feature,
}

impl Role {
    /// Whether NULL is an error whatever the column's type.
    fn is_needed(self) -> bool {
        matches!(self, Role::Key | Role::Weight | Role::Time | Role::Amount)
    }
}

pub(crate) struct Request<'a> {
    pub(crate) source: &'a str,
    /// These columns, in this order.
    pub(crate) columns: Vec<(&'a str, Role)>,
    /// What to do with the source's other columns.
    pub(crate) others: Others<'a>,
}

#[derive(Clone, Copy)]
pub(crate) enum Others<'a> {
    Ignore,
    /// Take every numeric column and array of numbers, but for these.
    Numbers {
        except: &'a [&'a str],
    },
    /// Take every column that can be a feature, but for these.
    Features {
        except: &'a [&'a str],
    },
}

/// Bytes that a fit takes beside what was read: they count before the first of them is allocated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) per_row: usize,
    /// For each number of a row.
    pub(crate) per_number: usize,
}

impl Work {
    /// An order of the rows, labels, and the numbers once more as a matrix: measured 36 and 8 for a scorer.
    const MATRIX: Self = Self { per_row: 40, per_number: 8 };
}

/// What was read.
pub(crate) struct Ingested {
    pub(crate) frame: Frame,
    /// The SQL types of the requested columns, in their order.
    pub(crate) types: Vec<String>,
    /// How these types write equal values. Keys have one text for all equal values, but for those of [`Form::Folded`], which
    /// are as they were written: [`crate::pg::types::key::folded_words`] says which are equal.
    pub(crate) forms: Vec<Form>,
    /// What the values of each of the source's columns are, by its name: of those that were read.
    pub(crate) natures: Vec<(String, Nature)>,
}

/// What a column's values are, as far as they may tell rows from each other and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Of a type whose numbers are exact.
    Exact,
    /// A point in time, of this type of PostgreSQL's own.
    Moment(Oid),
    Text,
    Other,
}

pub(crate) const MAX_FEATURES: usize = 4096;

/// Refuses rows of no feature, or of more than there may be.
pub(crate) fn check_width(n_features: usize) -> Result<(), Report> {
    match n_features {
        0 => Err(Error::NoFeatures.into()),
        1..=MAX_FEATURES => Ok(()),
        found => Err(Error::TooManyFeatures { found, limit: MAX_FEATURES }.into()),
    }
}

/// Runs the source and returns the wanted columns. The source is the name of a relation or one SELECT that only reads.
pub(crate) fn ingest(request: &Request, progress: &mut Progress) -> Result<Ingested, Report> {
    ingest_for(Work::MATRIX, request, progress)
}

/// As [`ingest`], for a fit that takes other memory than most.
pub(crate) fn ingest_for(
    work: Work,
    request: &Request,
    progress: &mut Progress,
) -> Result<Ingested, Report> {
    read(Keep::InMemory(work), false, request, progress)?.finish()
}

/// As [`ingest_for`]; None, and the query ended early, when the budget has no room for the rows.
pub(crate) fn ingest_if_it_fits(
    work: Work,
    request: &Request,
    progress: &mut Progress,
) -> Result<Option<Ingested>, Report> {
    let mut receiver = read(Keep::InMemory(work), true, request, progress)?;
    if receiver.fits() { receiver.finish().map(Some) } else { Ok(None) }
}

/// As [`ingest_for`], with the columns in a place on the disk: only the dictionaries of text columns count against the budget.
pub(crate) fn ingest_into(
    place: &Place,
    request: &Request,
    progress: &mut Progress,
) -> Result<Ingested, Report> {
    read(Keep::OnDisk(place.clone()), false, request, progress)?.finish()
}

fn read<'a>(
    keep: Keep,
    ends_when_full: bool,
    request: &'a Request<'a>,
    progress: &'a mut Progress,
) -> Result<Receiver<'a>, Report> {
    progress.phase("reading");
    let mut receiver = Receiver::new(keep, ends_when_full, request, progress);
    stream(request.source, &mut receiver)?;
    Ok(receiver)
}
