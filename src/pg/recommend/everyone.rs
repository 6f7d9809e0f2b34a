//! A page for every user of a model: as rows, or into a table of the caller's.

use std::rc::Rc;

use pgrx::prelude::*;

use super::keys::{self, Key};
use super::served::{KeyColumn, Served};
use super::{places, required};
use crate::algo::memory;
use crate::algo::recommend::{Pages, Recommendation};
use crate::pg::error::{Error, Report, report};
use crate::pg::models::publish::table::{self, Column, Output, Stamp, Written};
use crate::pg::models::publish::target;
use crate::pg::models::publish::{self, Publication};
use crate::pg::models::registry::{self, Model, Privilege, Version, current};
use crate::pg::sys::guc;
use crate::pg::sys::progress::Progress;
use crate::pg::sys::security::{current_role, refuse_read_only};
use crate::pg::sys::threads;
use crate::pg::types::names::written_type;

#[pg_extern]
fn recommend_all(
    model: Option<&str>,
    n: Option<i64>,
    exclude_seen: Option<bool>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(user_key, String),
            name!(item, String),
            name!(score, f64),
            name!(rank, i32),
            name!(because_of, Option<String>),
            name!(is_popular, bool),
        ),
    >,
    Report,
> {
    let (_, served, pages) = everyone(model, n, exclude_seen)?;
    Ok(TableIterator::new(Rows { served, pages, user: 0, place: 0 }))
}

#[pg_extern]
fn save_recommendations(
    model: Option<&str>,
    save_to: Option<&str>,
    n: Option<i64>,
    exclude_seen: Option<bool>,
) -> Result<
    TableIterator<
        'static,
        (name!(n_rows, i64), name!(inserted, i64), name!(updated, i64), name!(deleted, i64)),
    >,
    Report,
> {
    let target = required(save_to, "save_to")?;
    refuse_read_only(|| format!("table {target}"))?;
    let target = table::qualified_name(target)?;
    let found = registry::find(required(model, "model")?, Privilege::Read)?;
    // A refit writes the table again, as the model's owner: another role's table is a copy.
    let is_published = exclude_seen == Some(true) && found.owner == current_role();
    if is_published {
        registry::lock_existing(&found.name, Model::must_be_its_owner)?;
        target::must_be_own(&found.name, &target)?;
    }
    let (version, served, pages) = registry::fresh(|| everyone(model, n, exclude_seen))?;
    let is_copy = !is_published || target::is_temporary(&target)?;
    target::must_be_fit(
        version.model_id,
        is_copy,
        &target,
        (own_name(&served.columns.user), &usable_type(&served.columns.user)?),
        &COLUMNS,
    )?;
    let stamp = Stamp::of(&version);
    let written = write(&target, &served, &pages, &stamp)?;
    if is_published && !target::is_temporary(&target)? {
        let user = &served.columns.user;
        publish::remember(
            &version,
            &Publication {
                target,
                source: None,
                key_column: own_name(user).to_owned(),
                key_type: usable_type(user)?,
                n,
                history: None,
                path: registry::Path::current()?,
            },
            written.n_rows,
            &stamp,
        )?;
    }
    Ok(TableIterator::once((written.n_rows, written.inserted, written.updated, written.deleted)))
}

pub(super) const RANK: &str = "rank";
/// What a table of pages has, after the key.
pub(super) const COLUMNS: [Column; 5] = [
    Column::new(RANK, "integer"),
    Column { name: "item", sql_type: None },
    Column::new("score", "double precision"),
    Column { name: "because_of", sql_type: None },
    Column::new("is_popular", "boolean"),
];

/// The type of a recommender's users, as SQL here calls it.
pub(super) fn user_type(model: &str) -> Result<String, Report> {
    let found = current::<Served>(model, Privilege::Use)?;
    usable_type(&found.model.columns.user)
}

/// The type of a recommender's items, as SQL here calls it.
pub(super) fn item_type(model: &str) -> Result<String, Report> {
    let found = current::<Served>(model, Privilege::Use)?;
    usable_type(&found.model.columns.item)
}

/// Writes everyone's page into a table, keys in their own types.
fn write(target: &str, served: &Served, pages: &Pages, stamp: &Stamp) -> Result<Written, Report> {
    let (user, item) = (&served.columns.user, &served.columns.item);
    let (user_type, item_type) = (usable_type(user)?, usable_type(item)?);
    let others = COLUMNS.iter().map(|one| Output {
        name: one.name,
        sql_type: one.sql_type.unwrap_or(&item_type),
        is_key: one.name == RANK,
    });
    let key = Output { name: own_name(user), sql_type: &user_type, is_key: true };
    let columns: Vec<Output> = [key].into_iter().chain(others).collect();
    let recommender = &served.recommender;
    let mut rows = (0..pages.len())
        .flat_map(|user| pages.page(user).iter().map(move |place| (user as u32, place)));
    let n_rows = (0..pages.len()).map(|user| pages.page(user).len()).sum();
    table::write(target, &columns, stamp, n_rows, |_, row| {
        let Some((user, place)) = rows.next() else { return };
        keys::write(&recommender.user_keys, user, row);
        row.integer(i64::from(place.rank));
        keys::write(&recommender.item_keys, place.item, row);
        row.float(place.score);
        match place.because_of {
            Some(item) => keys::write(&recommender.item_keys, item, row),
            None => row.null(),
        }
        row.boolean(place.popular);
    })
}

fn everyone(
    model: Option<&str>,
    n: Option<i64>,
    exclude_seen: Option<bool>,
) -> Result<(Version, Rc<Served>, Pages), Report> {
    let model = required(model, "model")?;
    let n = places(n, "n")?;
    let exclude_seen = required(exclude_seen, "exclude_seen")?;
    let found = current::<Served>(model, Privilege::Read)?;
    let (version, served) = (found.version.clone(), Rc::clone(&found.model));
    let recommender = &served.recommender;
    check_memory(recommender.n_users(), n.min(recommender.n_items()))?;
    let progress = Progress::start("recommend_all", model);
    progress.phase("recommending");
    let pages =
        threads::run(&progress, |watch| recommender.recommend_all(n, exclude_seen, watch))??;
    Ok((version, served, pages))
}

/// A page is held twice, by the thread that made it and in the whole.
fn check_memory(n_users: usize, n_places: usize) -> Result<(), Report> {
    let page = 2 * n_places * size_of::<Recommendation>() + 2 * size_of::<Vec<Recommendation>>();
    let wanted = n_users.saturating_mul(page);
    let budget = guc::max_fit_memory();
    if wanted > budget {
        return Err(Error::OutOfMemoryBudget { wanted, budget }.into());
    }
    Ok(memory::probe(wanted)?)
}

/// The name of the fit's column, unless the table has another use for it.
fn own_name(user: &KeyColumn) -> &str {
    let is_taken =
        |name: &str| COLUMNS.iter().chain(&table::STAMPED).any(|column| column.name == name);
    if is_taken(&user.name) { "user_key" } else { &user.name }
}

/// The type of a stored model's column, as it is called here; what a stored model claims is not trusted to be a type.
fn usable_type(column: &KeyColumn) -> Result<String, Report> {
    written_type(&column.sql_type)?.ok_or_else(|| {
        report(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("type \"{}\" of column \"{}\" does not exist", column.sql_type, column.name),
        )
        .set_hint("Fit the model again on the columns as they are now.")
    })
}

struct Rows {
    served: Rc<Served>,
    pages: Pages,
    user: usize,
    place: usize,
}

impl Iterator for Rows {
    type Item = (String, String, f64, i32, Option<String>, bool);

    fn next(&mut self) -> Option<Self::Item> {
        while self.user < self.pages.len() {
            let Some(place) = self.pages.page(self.user).get(self.place) else {
                self.user += 1;
                self.place = 0;
                continue;
            };
            self.place += 1;
            let recommender = &self.served.recommender;
            let item = |code| String::read(&recommender.item_keys, code);
            return Some((
                String::read(&recommender.user_keys, self.user as u32),
                item(place.item),
                place.score,
                place.rank as i32,
                place.because_of.map(item),
                place.popular,
            ));
        }
        None
    }
}
