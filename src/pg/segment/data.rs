//! What a fit of segments reads: the key and the features of a source, in memory or, where that has no room, on the disk.

use std::collections::BTreeMap;

use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use crate::algo::frame::{Column, Frame, Values};
use crate::algo::key::Form;
use crate::algo::segment::{
    self, Columns, Features, KMeans, MAX_LEVELS, Missing, Ordered, RowWeights, Rows, Weighted,
    check_present, order_by_integer, order_by_text, original, whole_rows,
};
use crate::algo::stop::Watch;
use crate::algo::store::Place;
use crate::pg::error::{Error, Report};
use crate::pg::fitting::warn_of_suspects;
use crate::pg::models::publish::is_twice;
use crate::pg::rows::ingest::{
    Ingested, Nature, Others, Request, Role, Work, ingest_for, ingest_if_it_fits, ingest_into,
    query_of,
};
use crate::pg::sys::progress::Progress;
use crate::pg::sys::{temporary, threads};
use crate::pg::types::key::folded_words;
use crate::pg::types::names::base_of;

use super::arguments::{Arguments, Scaled, Storage};
use super::choose;

/// Types of numbers that are measured, and no names of anything.
const INEXACT: [pg_sys::Oid; 2] = [pg_sys::FLOAT4OID, pg_sys::FLOAT8OID];

/// The order by key while it is sorted (16 bytes and 4), which makes room for labels (2 and 4) and bounds on distances (12); the
/// points as f32, which a refit holds no more than once.
pub(crate) const WORK: Work = Work { per_row: 32, per_number: 4 };

/// As [`WORK`], for rows that may have weights: the fit has those once more, in its order.
pub(super) fn work(weight_column: Option<&str>) -> Work {
    Work { per_row: WORK.per_row + if weight_column.is_some() { 8 } else { 0 }, ..WORK }
}

/// The column of keys of a source.
pub(super) struct Keys {
    pub(super) column: Column,
    pub(super) sql_type: String,
    /// How equal ones are written.
    pub(super) form: Form,
}

/// What was read of a source.
pub(super) struct Data {
    pub(super) n_rows: usize,
    pub(super) keys: Keys,
    /// A key that is there in two writings which differ in their case alone, where that says nothing.
    written_twice: Option<String>,
    pub(super) columns: Vec<Column>,
    weights: Option<Column>,
    pub(super) features: Features,
    /// The columns that are points in time, and their types.
    pub(super) moments: BTreeMap<String, pg_sys::Oid>,
    missing: Missing,
    pub(super) place: Place,
}

/// What stops a fit on its threads, where no report can be made.
pub(super) enum Failure {
    Algo(segment::Error),
    DuplicateKey { key: String, value: String },
}

impl From<segment::Error> for Failure {
    fn from(error: segment::Error) -> Self {
        Failure::Algo(error)
    }
}

impl From<Failure> for Report {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Algo(error) => error.into(),
            Failure::DuplicateKey { key, value } => is_twice(&quote_identifier(key), &value, None),
        }
    }
}

pub(super) fn read(
    source: &str,
    arguments: &Arguments,
    is_again: bool,
    progress: &mut Progress,
) -> Result<Data, Report> {
    let key = arguments.key.as_str();
    let weight_column = arguments.weight_column.as_deref();
    let work = work(weight_column);
    let mut columns = vec![(key, Role::Key)];
    columns.extend(weight_column.map(|name| (name, Role::Weight)));
    columns.extend(arguments.features.iter().flatten().map(|name| (name.as_str(), Role::Feature)));
    let except = [key];
    let others = match arguments.features {
        Some(_) => Others::Ignore,
        None => Others::Numbers { except: &except },
    };
    let request = Request { source, columns, others };
    let in_memory = match arguments.storage {
        Storage::Memory => Some(ingest_for(work, &request, progress)?),
        Storage::Auto => ingest_if_it_fits(work, &request, progress)?,
        Storage::Disk => None,
    };
    let (Ingested { frame, mut types, forms, natures }, place) = match in_memory {
        Some(ingested) => (ingested, Place::Memory),
        None => {
            let place = temporary::place();
            let source = sorted_by(key, source, progress)?;
            (ingest_into(&place, &Request { source: &source, ..request }, progress)?, place)
        }
    };
    let key_type = types.swap_remove(0);
    let mut columns = frame.columns.into_iter();
    let Some(key) = columns.next() else { return Err(Error::NoFeatures.into()) };
    let weights = weight_column.and_then(|_| columns.next());
    let columns: Vec<Column> = columns.collect();
    if base_of(&key_type)?.is_some_and(|base| INEXACT.contains(&base)) {
        return Err(Error::WrongType {
            column: key.name,
            type_name: key_type,
            wanted: "an integer, text or another exact type",
            hint: "Cast the key to bigint or text in the source.",
        }
        .into());
    }
    let features = dimensions(&columns, &arguments.weights, &arguments.scaling, arguments.missing)?;
    // Who fits again has been told.
    if !is_again {
        warn_of_suspects(&columns, &natures, &place)?;
    }
    let moments = natures.into_iter().filter_map(|(name, nature)| match nature {
        Nature::Moment(type_oid) => Some((name, type_oid)),
        _ => None,
    });
    let moments = moments.filter(|(name, _)| features.names.contains(name)).collect();
    let form = forms.first().copied().unwrap_or_default();
    let mut folded = match form {
        Form::Folded => folded_words(&key)?.unwrap_or_default(),
        _ => Vec::new(),
    };
    folded.sort_unstable();
    let written_twice = folded.windows(2).find(|two| two[0] == two[1]).map(|two| two[0].clone());
    let n_rows = frame.n_rows;
    let keys = Keys { column: key, sql_type: key_type, form };
    let missing = arguments.missing;
    let mut data =
        Data { n_rows, keys, written_twice, columns, weights, features, moments, missing, place };
    data.fill(progress)?;
    Ok(data)
}

/// The key and the features of rows that a model is to label. None where the budget has no room for them.
pub(super) fn read_for(
    model: &KMeans,
    source: &str,
    key: &str,
    progress: &mut Progress,
) -> Result<Option<(Keys, Frame)>, Report> {
    let features = model.columns();
    let mut columns = vec![(key, Role::Key)];
    columns.extend(features.iter().map(|name| (name.as_str(), Role::Feature)));
    let request = Request { source, columns, others: Others::Ignore };
    let Some(Ingested { mut frame, mut types, forms, .. }) =
        ingest_if_it_fits(WORK, &request, progress)?
    else {
        return Ok(None);
    };
    if frame.columns.is_empty() || types.is_empty() {
        return Ok(None);
    }
    let (column, sql_type) = (frame.columns.remove(0), types.swap_remove(0));
    let form = forms.first().copied().unwrap_or_default();
    Ok(Some((Keys { column, sql_type, form }, frame)))
}

/// The source in the order of its key, in which a fit reads it: sorting is then PostgreSQL's, within work_mem, and no order of the
/// rows has to be held.
fn sorted_by(key: &str, source: &str, progress: &mut Progress) -> Result<String, Report> {
    let query = query_of(source)?;
    let none = format!("SELECT * FROM ({query}\n) AS s LIMIT 0");
    let columns = vec![(key, Role::Key)];
    let request = Request { source: &none, columns, others: Others::Ignore };
    let is_integer =
        matches!(ingest_for(WORK, &request, progress)?.frame.columns[0].values, Values::Integer(_));
    let order = match is_integer {
        true => "",
        false => "::pg_catalog.text COLLATE pg_catalog.\"C\"",
    };
    Ok(format!("SELECT * FROM ({query}\n) AS s ORDER BY s.{}{order}", quote_identifier(key)))
}

/// What the rows weigh, by a column that was read as such.
pub(super) fn row_weights(column: Option<&Column>) -> Result<RowWeights<'_>, Report> {
    match column.map(|column| (column.name.as_str(), &column.values)) {
        Some((name, Values::Number(weights))) => Ok(RowWeights::new(name, weights[..].into())?),
        _ => Ok(RowWeights::NONE),
    }
}

/// The dimensions of a fit of these columns. A text column with very many levels is told to the user: it may be an identifier.
pub(super) fn dimensions(
    columns: &[Column],
    weights: &BTreeMap<String, f64>,
    scaling: &Scaled,
    missing: Missing,
) -> Result<Features, Report> {
    if missing != Missing::Error {
        check_present(columns)?;
    }
    let mut features = Features::of(columns, weights)?;
    if features.is_empty() {
        return Err(Error::NoFeatures.into());
    }
    if let Scaled::ByColumn(ways) = scaling {
        features = features.scaled_by(ways)?;
    }
    for category in features.categories.iter().filter(|one| one.levels.max_levels.is_some()) {
        notice!(
            "column \"{}\" has more than {MAX_LEVELS} levels: all but the most frequent count as one",
            category.column
        );
    }
    Ok(features)
}

/// The rows by key, so that the order of a scan does not matter.
pub(super) fn order_by_key(key: &Column, rows: &impl Rows) -> Option<Vec<u32>> {
    match &key.values {
        Values::Integer(keys) => order_by_integer(keys, rows),
        Values::Text { codes, dictionary } => order_by_text(codes, dictionary, rows),
        Values::Number(_) => None,
    }
}

impl Data {
    pub(super) fn rows(&self) -> Result<Weighted<'_, Columns<'_>>, Report> {
        let rows = self.features.dimensions().bind(&self.columns)?;
        Ok(Weighted { rows, weights: row_weights(self.weights.as_ref())? })
    }

    /// A number of segments that suits the rows, told to the user.
    pub(super) fn choose_k(
        &self,
        arguments: &Arguments,
        progress: &mut Progress,
    ) -> Result<i64, Report> {
        let rows = self.rows()?;
        progress.phase("choosing k");
        let (candidates, n_rows) = threads::run(progress, |watch: &Watch| {
            let order = self.order(&rows);
            let order = self.whole(&rows, order.as_deref(), watch)?.or(order);
            let rows = Ordered { order, rows };
            let params = arguments.params(&Place::Memory);
            let found = choose::candidates(&rows, &self.features, &params, watch)?;
            Ok::<_, segment::Error>((found, rows.n_rows()))
        })??;
        Ok(choose::pick(&candidates, n_rows)?)
    }

    pub(super) fn order(&self, rows: &impl Rows) -> Option<Vec<u32>> {
        order_by_key(&self.keys.column, rows)
    }

    /// Has the features know what stands for their missing values, where something is to.
    fn fill(&mut self, progress: &mut Progress) -> Result<(), Report> {
        if self.missing == Missing::Impute {
            let (rows, features) = (self.rows()?, self.features.clone());
            self.features = threads::run(progress, |watch: &Watch| {
                features.filled(&Ordered { order: self.order(&rows), rows }, watch)
            })??;
        }
        Ok(())
    }

    /// The rows that a fit takes, in this order; None where it takes all.
    pub(super) fn whole(
        &self,
        rows: &impl Rows,
        order: Option<&[u32]>,
        watch: &Watch,
    ) -> Result<Option<Vec<u32>>, segment::Error> {
        match self.missing {
            Missing::Skip => whole_rows(rows, order, watch),
            Missing::Error | Missing::Impute => Ok(None),
        }
    }

    pub(super) fn check_distinct(&self, order: Option<&[u32]>) -> Result<(), Failure> {
        if let Some(word) = &self.written_twice {
            let (key, value) = (self.keys.column.name.clone(), word.clone());
            return Err(Failure::DuplicateKey { key, value });
        }
        let at = |place| original(order, place);
        match (1..self.n_rows).find(|&place| self.is_same_key(at(place), at(place - 1))) {
            Some(place) => Err(key_twice(&self.keys.column, at(place))),
            None => Ok(()),
        }
    }

    fn is_same_key(&self, row: usize, other: usize) -> bool {
        match &self.keys.column.values {
            Values::Integer(keys) => keys[row] == keys[other],
            Values::Text { codes, .. } => codes[row] == codes[other],
            Values::Number(_) => false,
        }
    }
}

/// That another row has the key of this one.
pub(super) fn key_twice(key: &Column, row: usize) -> Failure {
    let value = match &key.values {
        Values::Integer(keys) => keys[row].to_string(),
        Values::Text { codes, dictionary } => dictionary[codes[row] as usize].clone(),
        Values::Number(values) => values[row].to_string(),
    };
    Failure::DuplicateKey { key: key.name.clone(), value }
}
