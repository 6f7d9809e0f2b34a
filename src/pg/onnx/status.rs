//! `providers` and `onnx_status`: what ONNX Runtime really has, and how its process is; or why it cannot be had.

use pgrx::prelude::*;

use crate::pg::sys::guc;

#[pg_extern]
fn providers() -> TableIterator<
    'static,
    (
        name!(provider, String),
        name!(is_wanted, bool),
        name!(is_available, bool),
        name!(message, Option<String>),
    ),
> {
    let wanted = guc::onnx_settings().providers;
    let (available, message) = match super::status() {
        Ok(status) => (status.providers, status.warning),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let mut all = wanted.clone();
    all.extend(available.iter().filter(|provider| !wanted.contains(provider)).cloned());
    TableIterator::new(all.into_iter().map(move |provider| {
        let is_available = available.contains(&provider);
        let message = message.clone().filter(|_| !is_available);
        (provider.clone(), wanted.contains(&provider), is_available, message)
    }))
}

#[pg_extern]
fn onnx_status() -> TableIterator<
    'static,
    (
        name!(state, String),
        name!(message, Option<String>),
        name!(runtime, Option<String>),
        name!(process_id, Option<i32>),
        name!(uptime_seconds, Option<i64>),
        name!(connections, Option<i32>),
        name!(models, Option<i32>),
        name!(model_bytes, Option<i64>),
        name!(memory_bytes, Option<i64>),
        name!(runs, Option<i64>),
        name!(n_rows, Option<i64>),
        name!(cancelled, Option<i64>),
    ),
> {
    let status = super::status();
    let (state, message) = match &status {
        Ok(status) => ("ready", status.warning.clone()),
        Err(error) => ("unavailable", Some(error.to_string())),
    };
    let status = status.ok();
    let number =
        |of: fn(&crate::onnx::wire::Status) -> u64| status.as_ref().map(|status| of(status) as i64);
    TableIterator::once((
        state.to_owned(),
        message,
        status.as_ref().map(|status| status.runtime.clone()),
        status.as_ref().map(|status| status.process_id as i32),
        number(|status| status.uptime_s),
        status.as_ref().map(|status| status.connections as i32),
        status.as_ref().map(|status| status.models as i32),
        number(|status| status.model_bytes),
        number(|status| status.memory_bytes),
        number(|status| status.runs),
        number(|status| status.rows),
        number(|status| status.cancelled),
    ))
}
