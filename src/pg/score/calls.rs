//! `score`, `score_batch` and `predict`.

use pgrx::JsonB;
use pgrx::prelude::*;

use crate::pg::error::{Error, Report};
use crate::pg::rows::window::{Partition, Window, window_functions};
use crate::pg::sys::call::{Call, Text, functions};
use crate::pg::sys::call_site::CallSite;
use crate::pg::types::record::{Object, Record, Row};
use crate::pg::types::value::Jsonb;

use super::ahead::Batched;
use super::batch::Ahead;
use super::scoring::{By, Site};
use crate::pg::types::options::required;

functions! {
    /// NULL for a NULL record.
    fn persona_score(Text, Record) -> f64 = score;
}

window_functions! {
    /// Rows are read ahead of the current one, and scored in batches.
    fn persona_score_batch(Text, Record) -> f64 = score_batch;
    /// As that, of texts that hold JSON objects.
    fn persona_score_batch_json(Text, Text) -> f64 = score_batch;
    fn persona_score_batch_jsonb(Text, Jsonb) -> f64 = score_batch;
}

#[inline]
fn score(Call { args, site }: Call<(Text, Record)>) -> Result<Option<f64>, Report> {
    let site: &mut Site = site.remember(|_| Ok(Site::default()))?;
    let Some(record) = args.get::<1>() else { return Ok(None) };
    site.find(model_name(args.get::<0>())?)?.score(record.into())
}

#[inline]
fn score_batch<'call, F>(
    Window { mut rows, site }: Window<'call, (Text<'call>, F)>,
) -> Result<Option<f64>, Report>
where
    Partition<'call, (Text<'call>, F)>: Batched,
{
    let position = rows.position();
    let (site, ahead, is_stable) =
        site.remember(|site| Ok((Site::default(), Ahead::default(), site.is_stable(0))))?;
    if let Some(score) = ahead.at(position) {
        return Ok(score);
    }
    let by = site.find(model_name(rows.model())?)?;
    // One model for all rows, or the rows ahead may be another's.
    if *is_stable {
        return ahead.read(&mut rows, position, by);
    }
    rows.release_before(position);
    rows.score(by)
}

#[pg_extern]
fn predict(
    model: Option<&str>,
    features: Option<Record>,
    site: CallSite,
) -> Result<Option<JsonB>, Report> {
    answer(model, features.map(Row::Record), site, predicted)
}

/// As `score`, of a JSON object.
#[pg_extern]
fn score_json(
    model: Option<&str>,
    features: Option<&str>,
    site: CallSite,
) -> Result<Option<f64>, Report> {
    let object = features.map(Object::parse).transpose()?;
    answer(model, object.as_ref().map(Row::Object), site, |by, row| by.score(row))
}

/// As `predict`, of a JSON object.
#[pg_extern]
fn predict_json(
    model: Option<&str>,
    features: Option<&str>,
    site: CallSite,
) -> Result<Option<JsonB>, Report> {
    let object = features.map(Object::parse).transpose()?;
    answer(model, object.as_ref().map(Row::Object), site, predicted)
}

/// What the model says of a row; None of none.
fn answer<T>(
    model: Option<&str>,
    row: Option<Row>,
    site: CallSite,
    ask: impl Fn(By, Row) -> Result<Option<T>, Report>,
) -> Result<Option<T>, Report> {
    let site: &mut Site = site.remember(|_| Ok(Site::default()))?;
    let Some(row) = row else { return Ok(None) };
    ask(site.find(required(model, "model")?)?, row)
}

fn predicted(by: By, row: Row) -> Result<Option<JsonB>, Report> {
    by.predict(row).map(|value| Some(JsonB(value)))
}

#[inline]
fn model_name(model: Option<Text<'_>>) -> Result<&str, Report> {
    model.ok_or(Error::NullArgument { argument: "model" })?.read("model")
}
