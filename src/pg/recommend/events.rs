//! Who had what, as a source says it: the columns of keys, weights and times that are read of it.

use pgrx::prelude::*;

use super::served::{Columns, KeyColumn};
use crate::algo::frame::Frame;
use crate::algo::key::Form;
use crate::algo::recommend::{self, Error, Interactions};
use crate::algo::stop::Watch;
use crate::pg::error::{Report, report};
use crate::pg::rows::ingest::{Others, Request, Role, Work, ingest_for};
use crate::pg::sys::progress::Progress;
use crate::pg::sys::query::spi_failed;
use crate::pg::sys::security::with_catalog_names;
use crate::pg::types::datum::type_name;
use crate::pg::types::key::{folded_words, unite};

/// The names of the columns of a source.
pub(super) struct Names<'a> {
    pub(super) user: &'a str,
    pub(super) item: &'a str,
    pub(super) weight: Option<&'a str>,
    pub(super) time: Option<&'a str>,
}

/// Who had what, as it was read.
pub(super) struct Events {
    pub(super) frame: Frame,
    pub(super) columns: Columns,
    /// The words of users and items without their case, where that says nothing.
    folded: [Option<Vec<String>>; 2],
}

impl Events {
    pub(super) fn interactions(
        &self,
        names: &Names,
        last_share: Option<f64>,
        watch: &Watch,
    ) -> Result<Interactions, Error> {
        let columns = recommend::Columns {
            user: names.user,
            item: names.item,
            weight: names.weight,
            time: names.time,
            user_words: self.folded[0].as_deref(),
            item_words: self.folded[1].as_deref(),
        };
        Interactions::from_frame(&self.frame, &columns, last_share, watch)
    }

    /// Takes the keys, users first, for what they are to a model whose columns have other types.
    pub(super) fn read_as(&mut self, model: &Columns) -> Result<(), Report> {
        let forms =
            [(model.user.form, self.columns.user.form), (model.item.form, self.columns.item.form)];
        for (position, (form, here)) in forms.into_iter().enumerate() {
            let Some(column) = self.frame.columns.get_mut(position) else { continue };
            let folded = &mut self.folded[position];
            match form {
                Form::Folded if folded.is_some() => {}
                Form::Folded => *folded = folded_words(column)?,
                _ => {
                    // To a model of texts the case of a citext says something: it is read as it is written.
                    *folded = None;
                    if form != here {
                        unite(column, form, false)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Codes, histories by user and by item, and what is held out: measured 72 bytes an event with 20 events a user, 112 with one;
/// and 16 for what is had again, what was learned from, and the past.
pub(super) const WORK: Work = Work { per_row: 104, per_number: 0 };

pub(super) fn read(source: &str, names: &Names, progress: &mut Progress) -> Result<Events, Report> {
    if names.user == names.item {
        return Err(report(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("user_column and item_column are both \"{}\"", names.user),
        ));
    }
    let mut columns = vec![(names.user, Role::Key), (names.item, Role::Key)];
    columns.extend(names.weight.map(|name| (name, Role::Amount)));
    columns.extend(names.time.map(|name| (name, Role::Time)));
    let request = Request { source, columns, others: Others::Ignore };
    let read = ingest_for(WORK, &request, progress)?;
    let key_column = |position: usize, name: &str| {
        let read_type = read.types.get(position).map_or("text", String::as_str);
        let form = read.forms.get(position).copied().unwrap_or_default();
        Ok::<_, Report>(KeyColumn { name: name.to_owned(), sql_type: qualified(read_type)?, form })
    };
    let columns = Columns { user: key_column(0, names.user)?, item: key_column(1, names.item)? };
    let folded = |position: usize, key: &KeyColumn| match read.frame.columns.get(position) {
        Some(column) if key.form == Form::Folded => folded_words(column),
        _ => Ok(None),
    };
    let folded = [folded(0, &columns.user)?, folded(1, &columns.item)?];
    Ok(Events { frame: read.frame, columns, folded })
}

/// The type's name as it is found whatever the search_path.
fn qualified(type_of_caller: &str) -> Result<String, Report> {
    let oid = Spi::get_one_with_args::<pg_sys::Oid>(
        "SELECT pg_catalog.to_regtype($1)::pg_catalog.oid",
        &[type_of_caller.into()],
    )
    .map_err(spi_failed)?;
    Ok(oid.map_or_else(|| "text".to_owned(), |oid| with_catalog_names(|| type_name(oid))))
}
