//! Questions to a recommender about one user, one basket or one item.

use std::rc::Rc;

use pgrx::prelude::*;
use pgrx::spi::quote_literal;

use super::keys::Key;
use super::served::Served;
use super::{places, required};
use crate::algo::memory;
use crate::algo::recommend::{Error, Recommendation};
use crate::algo::stop::Watch;
use crate::pg::error::{Report, report};
use crate::pg::models::registry::{Privilege, current};
use crate::pg::sys::threads;

#[pg_extern]
fn recommend_bigint(
    model: Option<&str>,
    customer: Option<i64>,
    n: Option<i64>,
    exclude_seen: Option<bool>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(item, i64),
            name!(score, f64),
            name!(rank, i32),
            name!(because_of, Option<i64>),
            name!(is_popular, bool),
        ),
    >,
    Report,
> {
    Ok(TableIterator::new(recommend(model, customer, n, exclude_seen)?))
}

#[pg_extern]
fn recommend_text(
    model: Option<&str>,
    customer: Option<String>,
    n: Option<i64>,
    exclude_seen: Option<bool>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(item, String),
            name!(score, f64),
            name!(rank, i32),
            name!(because_of, Option<String>),
            name!(is_popular, bool),
        ),
    >,
    Report,
> {
    Ok(TableIterator::new(recommend(model, customer, n, exclude_seen)?))
}

#[pg_extern]
fn recommend_for_bigint(
    model: Option<&str>,
    items: Option<Array<i64>>,
    n: Option<i64>,
    exclude_given: Option<bool>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(item, i64),
            name!(score, f64),
            name!(rank, i32),
            name!(because_of, Option<i64>),
            name!(is_popular, bool),
        ),
    >,
    Report,
> {
    let codes = |served: &Served| codes(items.iter().flat_map(Array::iter), served);
    Ok(TableIterator::new(recommend_for::<i64>(model, &codes, n, exclude_given)?))
}

#[pg_extern]
fn recommend_for_text(
    model: Option<&str>,
    items: Option<Array<&str>>,
    n: Option<i64>,
    exclude_given: Option<bool>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(item, String),
            name!(score, f64),
            name!(rank, i32),
            name!(because_of, Option<String>),
            name!(is_popular, bool),
        ),
    >,
    Report,
> {
    let items = || items.iter().flat_map(Array::iter).map(|item| item.map(str::to_owned));
    let codes = |served: &Served| codes(items(), served);
    Ok(TableIterator::new(recommend_for::<String>(model, &codes, n, exclude_given)?))
}

#[pg_extern]
fn similar_items_bigint(
    model: Option<&str>,
    item: Option<i64>,
    n: Option<i64>,
) -> Result<
    TableIterator<'static, (name!(similar_item, i64), name!(similarity, f64), name!(rank, i32))>,
    Report,
> {
    Ok(TableIterator::new(similar_items(model, item, n)?))
}

#[pg_extern]
fn similar_items_text(
    model: Option<&str>,
    item: Option<String>,
    n: Option<i64>,
) -> Result<
    TableIterator<'static, (name!(similar_item, String), name!(similarity, f64), name!(rank, i32))>,
    Report,
> {
    Ok(TableIterator::new(similar_items(model, item, n)?))
}

/// Item, score, rank, the item because of which, and whether it is shown for its popularity.
type Place<K> = (K, f64, i32, Option<K>, bool);

/// A user of NULL is one whom nobody knows, as a LEFT JOIN makes them: the popular items.
fn recommend<K: Key>(
    model: Option<&str>,
    customer: Option<K>,
    n: Option<i64>,
    exclude_seen: Option<bool>,
) -> Result<impl Iterator<Item = Place<K>> + 'static, Report> {
    let served = with_items_as::<K>(required(model, "model")?, "recommend", || shown(&customer))?;
    let n = places(n, "n")?;
    let exclude_seen = required(exclude_seen, "exclude_seen")?;
    let recommender = &served.recommender;
    let user = match customer {
        Some(customer) => customer.find(&served.columns.user, &recommender.user_keys)?,
        None => None,
    };
    let page = page(|watch| recommender.recommend(user, n, exclude_seen, watch))?;
    Ok(rows(served, page))
}

fn page(
    ask: impl Fn(&Watch) -> Result<Vec<Recommendation>, Error>,
) -> Result<Vec<Recommendation>, Report> {
    threads::here(ask, |error| matches!(error, Error::Stopped(_)))
}

/// The codes of items. Those that the model does not know, and NULLs, say nothing about the visitor.
fn codes<K: Key>(
    items: impl Iterator<Item = Option<K>>,
    served: &Served,
) -> Result<Vec<u32>, Report> {
    let mut codes = Vec::new();
    for item in items.flatten() {
        if let Some(code) = item.find(&served.columns.item, &served.recommender.item_keys)? {
            memory::push(&mut codes, code)?;
        }
    }
    Ok(codes)
}

fn recommend_for<K: Key>(
    model: Option<&str>,
    codes: &dyn Fn(&Served) -> Result<Vec<u32>, Report>,
    n: Option<i64>,
    exclude_given: Option<bool>,
) -> Result<impl Iterator<Item = Place<K>> + use<K>, Report> {
    let served =
        with_items_as::<K>(required(model, "model")?, "recommend_for", || "'{10,11}'".to_owned())?;
    let n = places(n, "n")?;
    let exclude_given = required(exclude_given, "exclude_given")?;
    let items = codes(&served)?;
    let page = page(|watch| served.recommender.recommend_for(&items, n, exclude_given, watch))?;
    Ok(rows(served, page))
}

fn similar_items<K: Key>(
    model: Option<&str>,
    item: Option<K>,
    n: Option<i64>,
) -> Result<impl Iterator<Item = (K, f64, i32)> + 'static, Report> {
    let name = required(model, "model")?;
    let served = with_items_as::<K>(name, "similar_items", || shown(&item))?;
    let n = places(n, "n")?;
    let recommender = &served.recommender;
    let code = match item {
        Some(item) => item.find(&served.columns.item, &recommender.item_keys)?,
        None => None,
    };
    let similar = recommender.similar_items(code, n).map_err(|error| match error {
        Error::NoSimilarItems { known } => report(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("model \"{name}\" knows {known}, not which items are alike"),
        )
        .set_hint("Fit it with algorithm => 'item_knn'."),
        error => error.into(),
    })?;
    Ok((1..).zip(similar).map(move |(rank, (item, similarity))| {
        (K::read(&served.recommender.item_keys, item), similarity, rank)
    }))
}

fn rows<K: Key>(
    served: Rc<Served>,
    page: Vec<Recommendation>,
) -> impl Iterator<Item = Place<K>> + 'static {
    page.into_iter().map(move |place| {
        let read = |item| K::read(&served.recommender.item_keys, item);
        (
            read(place.item),
            place.score,
            place.rank as i32,
            place.because_of.map(read),
            place.popular,
        )
    })
}

fn shown<K: Key>(key: &Option<K>) -> String {
    key.as_ref().map_or_else(|| "NULL".to_owned(), K::to_string)
}

/// The model, if its items can be given as this type of key; the call that works is in the HINT of the error.
fn with_items_as<K: Key>(
    model: &str,
    function: &str,
    key: impl FnOnce() -> String,
) -> Result<Rc<Served>, Report> {
    let served = Rc::clone(&current::<Served>(model, Privilege::Use)?.model);
    if K::can_read(&served.recommender.item_keys) {
        return Ok(served);
    }
    Err(report(
        PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        format!(
            "the items of model \"{model}\" are {}, not whole numbers",
            served.columns.item.sql_type
        ),
    )
    .set_hint(format!(
        "Give the key as text, as in persona.{function}({}, {}::text): that form returns items as text.",
        quote_literal(model),
        key(),
    )))
}
