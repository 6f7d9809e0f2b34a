//! `rfm_segment`: each customer among the others, in three forms: the time is a timestamptz, a timestamp or a date.

use crate::algo::customers::days_between;
use crate::algo::customers::purchases;
use crate::algo::customers::rfm::{Refunds, Rfm, Totals};
use crate::algo::customers::scores::{self, BINS, Scored, Standing};
use crate::algo::memory;
use crate::pg::error::Report;
use crate::pg::rows::window::{Partition, Window, window_functions};
use crate::pg::sys::call::{Date, Of, Text, Timestamp, Timestamptz};
use crate::pg::types::composite::{Composite, Field, composite};
use crate::pg::types::options::{invalid, required};

use super::figures::{clock, parse_refunds, unreadable};
use super::rfm::read;
use super::zone::{Time, TimeArgument};

window_functions! {
    /// The customer's scores among the whole partition: at a time, in so many bins.
    fn rfm_segment(Of<Rfm>, Timestamptz, i64, Text) -> Composite = segment;
    /// As `rfm_segment`, with a timestamp.
    fn rfm_segment_timestamp(Of<Rfm>, Timestamp, i64, Text) -> Composite = segment;
    /// As `rfm_segment`, with a date.
    fn rfm_segment_date(Of<Rfm>, Date, i64, Text) -> Composite = segment;
}

fn segment<'call, T: TimeArgument>(
    Window { mut rows, site }: Window<'call, (Of<Rfm>, T, i64, Text)>,
) -> Result<Option<Composite<'call>>, Report> {
    let position = rows.position();
    let scores = rows.remember(scores)?;
    let Some(Scored { standing, r, f, m, segment }) =
        scores.get(position as usize).copied().flatten()
    else {
        return Ok(None);
    };
    let fields = [
        Field::Float8(days_between(0, standing.since)),
        Field::Int8(standing.n as i64),
        Field::Float8(standing.amount),
        Field::Int4(r as i32),
        Field::Int4(f as i32),
        Field::Int4(m as i32),
        Field::Text(segment),
    ];
    composite(&site, fields).map(Some)
}

fn scores<T: TimeArgument>(
    rows: &mut Partition<(Of<Rfm>, T, i64, Text)>,
) -> Result<Vec<Option<Scored>>, Report> {
    let bins = rows.get::<2>();
    let n_bins = bins.and_then(|bins| u32::try_from(bins).ok()).filter(|bins| BINS.contains(bins));
    let n_bins = n_bins.ok_or_else(|| {
        let valid = format!("a whole number from {} to {}", BINS.start(), BINS.end());
        invalid("bins", bins.map_or("NULL".into(), |bins| bins.to_string()), &valid)
    })?;
    let refunds = parse_refunds(required(rows.get::<3>(), "refunds")?.read("refunds")?)?;
    let as_of = rows.get::<1>().map(TryInto::try_into).transpose()?;
    let mut customers = Vec::new();
    rows.each(|row| {
        let Some(customer) = row.get::<0>() else { return Ok(false) };
        let standing = match customer.zip(as_of) {
            Some((customer, as_of)) => standing(customer, as_of, refunds)?,
            None => None,
        };
        memory::push(&mut customers, standing)?;
        Ok(true)
    })?;
    Ok(scores::score(&customers, n_bins)?)
}

/// None without a purchase, and where the time is infinite.
fn standing(bytes: &[u8], as_of: Time, refunds: Refunds) -> Result<Option<Standing>, Report> {
    let frozen = purchases::frozen(bytes)?.ok_or_else(|| unreadable(bytes.len()))?;
    let purchases = read(&frozen)?;
    let as_of = as_of.on(clock(&purchases)?)?;
    let totals = Totals::until(&purchases, as_of, refunds);
    Ok(totals.last.filter(|_| as_of != i64::MAX).map(|last| Standing {
        since: as_of.saturating_sub(last),
        n: totals.n,
        amount: totals.amount,
    }))
}
