//! What is read off a customer's purchases at a time, each in three forms: the time is a timestamptz, a timestamp or a date.

use pgrx::prelude::*;

use crate::algo::customers::purchases::{self, Purchases};
use crate::algo::customers::rfm::{Refunds, Repeats, Rfm, Totals, Unit};
use crate::pg::error::{Error, Report};
use crate::pg::sys::call::{Date, Timestamp, Timestamptz};
use crate::pg::types::options::one_of;
use crate::pg::types::value::{Bytes, SqlType};

use super::rfm::read;
use super::zone::{Clock, Time, finite_time};

macro_rules! forms {
    ($($instant:ident $timestamp:ident $date:ident ($($option:ident),*) -> $type:ty = $figure:ident;)*) => {
        $(
            forms!(@ $instant Timestamptz ($($option),*) -> $type = $figure);
            forms!(@ $timestamp Timestamp ($($option),*) -> $type = $figure);
            forms!(@ $date Date ($($option),*) -> $type = $figure);
        )*
    };
    (@ $name:ident $time:ident ($($option:ident),*) -> $type:ty = $figure:ident) => {
        #[pg_extern]
        fn $name(rfm: Bytes, as_of: $time, $($option: &str),*) -> Result<$type, Report> {
            $figure(rfm, Time::try_from(as_of)?, $($option),*)
        }
    };
}
forms! {
    recency recency_timestamp recency_date (unit, refunds) -> Option<f64> = recency_at;
    customer_age customer_age_timestamp customer_age_date (unit, refunds) -> Option<f64> = age_at;
    purchase_span_until purchase_span_timestamp purchase_span_date (unit, refunds) -> Option<f64> = span_at;
    frequency frequency_timestamp frequency_date (refunds) -> i64 = frequency_at;
    repeat_days repeat_days_timestamp repeat_days_date (refunds) -> i64 = repeat_days_at;
    monetary monetary_timestamp monetary_date (refunds) -> f64 = monetary_at;
    mean_amount mean_amount_timestamp mean_amount_date (refunds) -> Option<f64> = mean_amount_at;
    repeat_amount repeat_amount_timestamp repeat_amount_date (refunds) -> Option<f64> = repeat_amount_at;
}

fn recency_at(rfm: Bytes, as_of: Time, unit: &str, refunds: &str) -> Result<Option<f64>, Report> {
    let (unit, refunds) = (parse_unit(unit)?, parse_refunds(refunds)?);
    until(rfm, as_of, |purchases, as_of, clock| {
        let as_of = finite_time("as_of", as_of)?;
        let wall = |time| clock.wall(time);
        Ok(Totals::until(purchases, as_of, refunds).recency(as_of, unit, wall))
    })
}

fn age_at(rfm: Bytes, as_of: Time, unit: &str, refunds: &str) -> Result<Option<f64>, Report> {
    let (unit, refunds) = (parse_unit(unit)?, parse_refunds(refunds)?);
    until(rfm, as_of, |purchases, as_of, clock| {
        let as_of = finite_time("as_of", as_of)?;
        let wall = |time| clock.wall(time);
        Ok(Totals::until(purchases, as_of, refunds).age(as_of, unit, wall))
    })
}

fn span_at(rfm: Bytes, as_of: Time, unit: &str, refunds: &str) -> Result<Option<f64>, Report> {
    let (unit, refunds) = (parse_unit(unit)?, parse_refunds(refunds)?);
    until(rfm, as_of, |purchases, as_of, clock| {
        Ok(Totals::until(purchases, as_of, refunds).span(unit, |time| clock.wall(time)))
    })
}

fn frequency_at(rfm: Bytes, as_of: Time, refunds: &str) -> Result<i64, Report> {
    Ok(totals(rfm, as_of, refunds)?.n as i64)
}

fn monetary_at(rfm: Bytes, as_of: Time, refunds: &str) -> Result<f64, Report> {
    Ok(totals(rfm, as_of, refunds)?.amount)
}

fn mean_amount_at(rfm: Bytes, as_of: Time, refunds: &str) -> Result<Option<f64>, Report> {
    Ok(totals(rfm, as_of, refunds)?.mean_amount())
}

fn repeat_days_at(rfm: Bytes, as_of: Time, refunds: &str) -> Result<i64, Report> {
    Ok(repeats(rfm, as_of, refunds)?.days as i64)
}

fn repeat_amount_at(rfm: Bytes, as_of: Time, refunds: &str) -> Result<Option<f64>, Report> {
    Ok(repeats(rfm, as_of, refunds)?.mean_amount())
}

fn totals(rfm: Bytes, as_of: Time, refunds: &str) -> Result<Totals, Report> {
    let refunds = parse_refunds(refunds)?;
    until(rfm, as_of, |purchases, as_of, _| Ok(Totals::until(purchases, as_of, refunds)))
}

fn repeats(rfm: Bytes, as_of: Time, refunds: &str) -> Result<Repeats, Report> {
    let refunds = parse_refunds(refunds)?;
    until(rfm, as_of, |purchases, as_of, clock| {
        Ok(Repeats::until(purchases, as_of, refunds, |time| clock.wall(time))?)
    })
}

/// Hands out the purchases, sorted, with the time on their clock.
fn until<T>(
    rfm: Bytes,
    as_of: Time,
    figure: impl FnOnce(&Purchases, i64, Clock) -> Result<T, Report>,
) -> Result<T, Report> {
    let frozen = purchases::frozen(rfm.0)?.ok_or_else(|| unreadable(rfm.0.len()))?;
    let purchases = read(&frozen)?;
    let clock = clock(&purchases)?;
    figure(&purchases, as_of.on(clock)?, clock)
}

pub(super) fn clock(purchases: &Purchases) -> Result<Clock, Report> {
    Clock::of(purchases.zone().ok_or_else(|| unreadable(purchases.n()))?)
}

pub(super) fn unreadable(n_bytes: usize) -> Report {
    let why = format!("{n_bytes} bytes that are not one");
    Error::InvalidValue { type_name: Rfm::NAME, why }.into()
}

fn parse_unit(unit: &str) -> Result<Unit, Report> {
    one_of("unit", unit, &Unit::ALL)
}

pub(super) fn parse_refunds(refunds: &str) -> Result<Refunds, Report> {
    one_of("refunds", refunds, &Refunds::ALL)
}
