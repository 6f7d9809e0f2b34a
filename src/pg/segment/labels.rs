//! Tables of labels: key, segment and label of each row, remembered so that a refit writes them again.

use pgrx::prelude::PgSqlErrorCode;

use crate::algo::difference::{self, Difference, Keyed, differences};
use crate::algo::frame::{Column, MISSING, Values};
use crate::algo::key::Form;
use crate::algo::segment::original;
use crate::algo::store::Store;
use crate::pg::error::{Report, report};
use crate::pg::models::family::Answers;
use crate::pg::models::publish::table::{self, Output, Stamp, Written, refuse_twice};
use crate::pg::models::publish::target;
use crate::pg::models::publish::{self, Publication};
use crate::pg::models::registry::{self, Path, Version};
use crate::pg::rows::bulk::RowWriter;
use crate::pg::rows::ingest::{Others, Request, Role, Work, ingest_if_it_fits};
use crate::pg::sys::progress::Progress;
use crate::pg::sys::threads;
use crate::pg::types::names::written_type;

use super::data::{Keys, key_twice, read_for};
use super::model::{self, Described, Segments};

/// What a table of labels has, after the key.
pub(super) const COLUMNS: [table::Column; 2] =
    [table::Column::new("segment", "integer"), table::Column::new("label", "text")];

/// The rows of a fit with their labels.
pub(super) struct Labelled {
    key: Column,
    /// Of the table's key.
    key_type: String,
    form: Form,
    /// Which row each label is of.
    order: Option<Vec<u32>>,
    /// From 1; 0 for a row without a segment.
    labels: Store<u32>,
    /// What each segment is called.
    words: Vec<String>,
}

impl Labelled {
    pub(super) fn of(
        keys: Keys,
        order: Option<Vec<u32>>,
        labels: Store<u32>,
        described: &[Described],
    ) -> Result<Self, Report> {
        let Keys { column: key, sql_type, form } = keys;
        Ok(Self {
            key,
            key_type: written_type(&sql_type)?.unwrap_or_else(|| "text".to_owned()),
            form,
            order,
            labels,
            words: described.iter().map(|one| one.label().to_owned()).collect(),
        })
    }

    /// Writes key, segment and label into the table, by difference.
    pub(super) fn write(
        &self,
        version: &Version,
        into: &str,
        stamp: &Stamp,
        progress: &mut Progress,
    ) -> Result<Written, Report> {
        let key = self.key.name.as_str();
        target::check_key(key, &COLUMNS)?;
        let is_copy = target::is_temporary(into)?;
        target::must_be_fit(version.model_id, is_copy, into, (key, &self.key_type), &COLUMNS)?;
        if let Some(written) = self.change(into, stamp, progress)? {
            return Ok(written);
        }
        let output = |name, sql_type, is_key| Output { name, sql_type, is_key };
        let others =
            COLUMNS.iter().map(|one| output(one.name, one.sql_type.unwrap_or("text"), false));
        let columns: Vec<Output> =
            [output(key, self.key_type.as_str(), true)].into_iter().chain(others).collect();
        table::write(into, &columns, stamp, self.labels.len(), |place, row| {
            self.write_row(place, row);
        })
    }

    /// Makes a table that is there equal to the labels, as [`Self::write`]. None where there is none, or where its rows have no room in
    /// memory, or are told apart by more than the text of their keys.
    fn change(
        &self,
        table: &str,
        stamp: &Stamp,
        progress: &mut Progress,
    ) -> Result<Option<Written>, Report> {
        let (Some(table), false) = (table::existing(table)?, self.form == Form::Folded) else {
            return Ok(None);
        };
        let key = self.key.name.as_str();
        let n_keyless = table::without_keyless(&table, &[key])?;
        let [segment, label] = COLUMNS.map(|column| column.name);
        let columns = vec![(key, Role::Key), (segment, Role::Number), (label, Role::Category)];
        let request = Request { source: &table, columns, others: Others::Ignore };
        // As it is now: another session may have written it while this one waited for the model.
        let found = registry::fresh(|| ingest_if_it_fits(COMPARED, &request, progress))?;
        let Some(found) = found else {
            return Ok(None);
        };
        let [found_keys, segments, words] = &found.frame.columns[..] else { return Ok(None) };
        let (Values::Number(segments), Values::Text { codes, dictionary }) =
            (&segments.values, &words.values)
        else {
            return Ok(None);
        };
        let is_same = |place: usize, found: usize| {
            let (segment, code) = (self.labels[place], codes[found]);
            match self.word(segment) {
                Some(word) => {
                    segments[found] == f64::from(segment)
                        && code != MISSING
                        && dictionary[code as usize] == word
                }
                None => segments[found].is_nan() && code == MISSING,
            }
        };
        let (n_rows, n_found) = (self.labels.len(), found.frame.n_rows);
        progress.phase("comparing");
        let all = match (&self.key.values, &found_keys.values) {
            (Values::Integer(wanted), Values::Integer(found)) => {
                let wanted = Keyed { n_rows, key: |place| wanted[self.row(place)] };
                let found = Keyed { n_rows: n_found, key: |row| found[row] };
                threads::run(progress, |watch| differences(&wanted, &found, is_same, watch))?
            }
            (
                Values::Text { codes: wanted, dictionary: texts },
                Values::Text { codes: found, dictionary: found_texts },
            ) => {
                let wanted = |place: usize| texts[wanted[self.row(place)] as usize].as_str();
                let found = |row: usize| found_texts[found[row] as usize].as_str();
                let wanted = Keyed { n_rows, key: wanted };
                let found = Keyed { n_rows: n_found, key: found };
                threads::run(progress, |watch| differences(&wanted, &found, is_same, watch))?
            }
            _ => return Ok(None),
        };
        let all = match all {
            Ok(all) => all,
            Err(difference::Error::WantedTwice(place)) => {
                return Err(key_twice(&self.key, self.row(place)).into());
            }
            Err(difference::Error::FoundTwice(_)) => {
                refuse_twice(&table, &[key], None)?;
                return Ok(None);
            }
            Err(difference::Error::Stopped(stopped)) => {
                return Err(report(PgSqlErrorCode::ERRCODE_QUERY_CANCELED, stopped.to_string()));
            }
            Err(difference::Error::Refused(refused)) => return Err(refused.into()),
        };
        let columns = [key, segment, label];
        let before = table::Before { n_keyless, n_rows: Some(n_found as i64) };
        let written = table::write_differences(
            &table,
            (&columns, key),
            stamp,
            &before,
            all.len(),
            |at, row| {
                let (was, is) = match all[at] {
                    Difference::Gone(found) => {
                        write_key(found_keys, found, row);
                        (0..COLUMNS.len()).for_each(|_| row.null());
                        (true, false)
                    }
                    Difference::New(place) => {
                        self.write_row(place, row);
                        (false, true)
                    }
                    Difference::Changed(place) => {
                        self.write_row(place, row);
                        (true, true)
                    }
                };
                for is_there in [was, is] {
                    if is_there { row.boolean(true) } else { row.null() }
                }
            },
        )?;
        Ok(Some(written))
    }

    fn write_row(&self, place: usize, row: &mut RowWriter) {
        write_key(&self.key, self.row(place), row);
        let segment = self.labels[place];
        match self.word(segment) {
            Some(word) => {
                row.integer(i64::from(segment));
                row.text(word);
            }
            None => (0..COLUMNS.len()).for_each(|_| row.null()),
        }
    }

    fn row(&self, place: usize) -> usize {
        original(self.order.as_deref(), place)
    }

    /// None for a row without a segment.
    fn word(&self, segment: u32) -> Option<&str> {
        self.words.get((segment as usize).checked_sub(1)?).map(String::as_str)
    }

    /// Remembers that the table is kept from this model, by the source of its fit. A temporary one is a copy.
    pub(super) fn remember(
        &self,
        version: &Version,
        target: &str,
        n_rows: i64,
        stamp: &Stamp,
    ) -> Result<(), Report> {
        let target = table::qualified_name(target)?;
        if target::is_temporary(&target)? {
            return Ok(());
        }
        publish::remember(
            version,
            &Publication {
                target,
                source: None,
                key_column: self.key.name.clone(),
                key_type: self.key_type.clone(),
                n: None,
                history: None,
                path: Path::current()?,
            },
            n_rows,
            stamp,
        )
    }
}

impl Answers for Labelled {
    fn publish(
        &self,
        version: &Version,
        publication: &Publication,
        stamp: &Stamp,
    ) -> Result<Option<Written>, Report> {
        let Publication { target, key_column, key_type, .. } = publication;
        // A query publishes keys as they are written in the source.
        if (&self.key.name, &self.key_type) != (key_column, key_type)
            || !matches!(self.form, Form::Exact | Form::Uuid)
        {
            return Ok(None);
        }
        self.write(version, target, stamp, &mut Progress::start("publish", &version.name)).map(Some)
    }
}

/// The labels of rows of a source; None where they have no room in memory, or the source has not the columns of the fit.
pub(super) fn of_source(
    version: &Version,
    source: &str,
    key: &str,
) -> Result<Option<Labelled>, Report> {
    let Segments { model, prepared, .. } =
        &*registry::fresh(|| registry::load::<Segments>(version))?;
    let mut progress = Progress::start("publish", &version.name);
    let Some((keys, frame)) = registry::fresh(|| read_for(model, source, key, &mut progress))?
    else {
        return Ok(None);
    };
    let Ok(rows) = model.dimensions().bind(&frame.columns) else { return Ok(None) };
    progress.phase("labelling");
    let labels = threads::run(&progress, |watch| prepared.labels(&rows, watch))??;
    let described = registry::fresh(|| model::describe(version, model))?;
    Labelled::of(keys, None, labels.into(), &described).map(Some)
}

/// The orders of both, and the differences.
const COMPARED: Work = Work { per_row: 24, per_number: 0 };

fn write_key(key: &Column, row: usize, into: &mut RowWriter) {
    match &key.values {
        Values::Integer(keys) => into.integer(keys[row]),
        Values::Text { codes, dictionary } => into.text(&dictionary[codes[row] as usize]),
        Values::Number(values) => into.float(values[row]),
    }
}
