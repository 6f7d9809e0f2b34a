//! Appends each row of the running query to the columns, within the memory budget.
#![allow(unsafe_code, reason = "datums are untyped words of PostgreSQL")]

use pgrx::{notice, pg_sys};

use crate::algo::frame::{Column, Frame, Values};
use crate::algo::key::Form;
use crate::algo::memory;
use crate::algo::store::{Place, Store};
use crate::pg::error::{Error, Report, no_room};
use crate::pg::sys::guc;
use crate::pg::sys::progress::Progress;
use crate::pg::types::datum::{Kind, type_name};
use crate::pg::types::key::{form_of, unite};
use crate::pg::types::record::{Attribute, check_names};

use super::column::{Builder, Building, builder};

mod room;
use super::stream::{Row, Sink};
use super::{Ingested, MAX_FEATURES, Nature, Others, Request, Role, Work};

/// Text is counted as it comes, and held against the budget every so many bytes.
const TEXT_STEP: usize = 1 << 18;

/// Rows between two reports of how many were read.
const PROGRESS_STEP: usize = 1 << 16;

/// Where the columns are kept.
pub(super) enum Keep {
    /// Within the budget, from which the fit takes so much as well.
    InMemory(Work),
    OnDisk(Place),
}

impl Keep {
    fn place(&self) -> &Place {
        match self {
            Keep::InMemory(_) => &Place::Memory,
            Keep::OnDisk(place) => place,
        }
    }
}

/// The columns as they grow.
pub(super) struct Receiver<'a> {
    request: &'a Request<'a>,
    keep: Keep,
    builders: Vec<Builder>,
    /// Where the next values of columns of a fixed width go. Made anew with the room for rows.
    direct: Vec<Direct>,
    /// The builders of the other columns.
    indirect: Vec<usize>,
    /// Columns that no feature is made of.
    left_out: Vec<Attribute>,
    n_rows: usize,
    capacity: usize,
    /// The row before which to make room or to say how far the reading is.
    pause: usize,
    text_bytes: usize,
    /// What text_bytes were when they were last held against the budget.
    text_checked: usize,
    budget: usize,
    /// Whether to end the query, rather than to fail, when the budget has no room for more.
    ends_when_full: bool,
    is_full: bool,
    progress: &'a mut Progress,
}

/// A column whose values are written as they are, without a look at its builder.
struct Direct {
    position: usize,
    how: How,
    /// Whether NULL is an error.
    is_needed: bool,
    /// Room for `Receiver::capacity` words.
    to: *mut u64,
}

#[derive(Clone, Copy)]
enum How {
    Float8,
    Int4,
    /// As an integer.
    Key(Kind),
}

impl Sink for Receiver<'_> {
    fn start(&mut self, attributes: &[Attribute]) -> Result<usize, Report> {
        self.choose(attributes)
    }

    #[inline]
    fn row(&mut self, row: Row) -> Result<bool, Report> {
        // SAFETY: both point to the values that `start` asked for.
        match unsafe { self.receive(row.values, row.nulls) } {
            Ok(()) => Ok(true),
            Err(_) if self.is_full && self.ends_when_full => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl<'a> Receiver<'a> {
    pub(super) fn new(
        keep: Keep,
        ends_when_full: bool,
        request: &'a Request<'a>,
        progress: &'a mut Progress,
    ) -> Self {
        Self {
            request,
            keep,
            builders: Vec::new(),
            direct: Vec::new(),
            indirect: Vec::new(),
            left_out: Vec::new(),
            n_rows: 0,
            capacity: 0,
            pause: 0,
            text_bytes: 0,
            text_checked: 0,
            budget: guc::max_fit_memory(),
            ends_when_full,
            is_full: false,
            progress,
        }
    }

    /// As of [`Sink::start`].
    fn choose(&mut self, attributes: &[Attribute]) -> Result<usize, Report> {
        check_names(attributes, false)?;
        for (name, role) in &self.request.columns {
            let attribute =
                attributes.iter().find(|attribute| attribute.name == *name).ok_or_else(|| {
                    let available =
                        attributes.iter().map(|attribute| attribute.name.clone()).collect();
                    Report::from(Error::MissingColumn { column: (*name).to_owned(), available })
                })?;
            self.builders.push(builder(attribute, *role, self.keep.place())?);
        }
        let named = |name: &str| self.request.columns.iter().any(|(column, _)| *column == name);
        let others = match self.request.others {
            Others::Ignore => None,
            Others::Numbers { except } => Some((Role::Number, except)),
            Others::Features { except } => Some((Role::Feature, except)),
        };
        if let Some((role, except)) = others {
            let is_other = |name: &String| !named(name) && !except.contains(&name.as_str());
            for attribute in attributes.iter().filter(|attribute| is_other(&attribute.name)) {
                match builder(attribute, role, self.keep.place()) {
                    Ok(builder) => self.builders.push(builder),
                    Err(_) => self.left_out.push(attribute.clone()),
                }
            }
        }
        let last = self.builders.iter().map(|builder| builder.attribute.position + 1).max();
        Ok(last.unwrap_or(0))
    }

    /// # Safety
    /// Both point to the values of a row of the columns that `start` saw.
    #[inline]
    unsafe fn receive(
        &mut self,
        values: *const pg_sys::Datum,
        nulls: *const bool,
    ) -> Result<(), Report> {
        if self.n_rows == self.pause {
            if self.n_rows == self.capacity {
                self.grow()?;
            }
            self.progress.rows(self.n_rows as u64);
            self.pause = self.capacity.min(self.n_rows + PROGRESS_STEP);
        }
        // SAFETY: as promised by the caller; there is room for the row, as it was just made.
        unsafe {
            if self.direct.is_empty() || !self.receive_directly(values, nulls) {
                for builder in &mut self.builders {
                    self.text_bytes += builder.receive(values, nulls)?;
                }
            } else if self.indirect.is_empty() {
                self.n_rows += 1;
                return Ok(());
            } else {
                for &builder in &self.indirect {
                    self.text_bytes += self.builders[builder].receive(values, nulls)?;
                }
            }
        }
        self.n_rows += 1;
        memory::check()?;
        if self.text_bytes - self.text_checked > TEXT_STEP {
            self.text_checked = self.text_bytes;
            self.check_budget()?;
        }
        Ok(())
    }

    /// Writes the row's values of a fixed width, or says no: a value is missing that is needed, or not finite, which the long way reports.
    ///
    /// # Safety
    /// As for `receive`; `direct` was made for the capacity, which is not used up.
    #[inline]
    unsafe fn receive_directly(
        &mut self,
        values: *const pg_sys::Datum,
        nulls: *const bool,
    ) -> bool {
        let mut is_fine = true;
        for column in &self.direct {
            // SAFETY: the position is below the descriptor's number of attributes, the value is of the type that `how` was
            // chosen for, and n_rows is below the capacity.
            unsafe {
                let is_null = *nulls.add(column.position);
                let value = *values.add(column.position);
                let (number, bits) = match column.how {
                    How::Float8 => (f64::from_bits(value.value() as u64), value.value() as u64),
                    How::Int4 => (0.0, f64::from(value.value() as i32).to_bits()),
                    How::Key(kind) => (0.0, kind.integer(value) as u64),
                };
                is_fine &= if is_null { !column.is_needed } else { number.is_finite() };
                column.to.add(self.n_rows).write(if is_null { f64::NAN.to_bits() } else { bits });
            }
        }
        if !is_fine {
            self.keep_direct_rows();
        }
        is_fine
    }

    /// Tells the builders of the rows that were written directly, and goes on without it until there is new room.
    fn keep_direct_rows(&mut self) {
        if std::mem::take(&mut self.direct).is_empty() {
            return;
        }
        for builder in &mut self.builders {
            // SAFETY: each of the first n_rows places, which are within the capacity, was written.
            unsafe {
                match &mut builder.values {
                    Building::Number(values) => values.set_len(self.n_rows),
                    Building::Integer(values) => values.set_len(self.n_rows),
                    Building::Text(_) | Building::Array { .. } => {}
                }
            }
        }
    }

    /// Finds the places to write values of a fixed width to.
    fn direct(&mut self) {
        self.direct.clear();
        self.indirect.clear();
        for (place, builder) in self.builders.iter_mut().enumerate() {
            let kind = builder.attribute.kind;
            let (how, to) = match (&mut builder.values, kind) {
                (Building::Number(values), Kind::Float8) => {
                    (How::Float8, values.as_mut_ptr().cast())
                }
                (Building::Number(values), Kind::Int4) => (How::Int4, values.as_mut_ptr().cast()),
                (Building::Integer(values), _) if kind.is_integer() => {
                    (How::Key(kind), values.as_mut_ptr().cast())
                }
                _ => {
                    self.indirect.push(place);
                    continue;
                }
            };
            let is_needed =
                builder.role.is_needed() || matches!(builder.values, Building::Integer(_));
            let position = builder.attribute.position;
            self.direct.push(Direct { position, how, is_needed, to });
        }
    }

    /// Whether all rows were read, with memory left for the fit.
    pub(super) fn fits(&mut self) -> bool {
        self.keep_direct_rows();
        !self.is_full && self.check_budget().is_ok() && self.probe().is_ok()
    }

    /// A model that lacks a column looks like one that found nothing in it.
    fn tell_left_out(&self) {
        let shown = |one: &Attribute| format!("\"{}\" ({})", one.name, type_name(one.type_oid));
        let columns = self.left_out.iter().map(shown).collect::<Vec<_>>().join(", ");
        let wanted = match self.request.others {
            Others::Features { .. } => "numbers or categories",
            Others::Numbers { .. } | Others::Ignore => "numbers",
        };
        match self.left_out.len() {
            0 => {}
            1 => notice!("column {columns} is left out: it does not hold {wanted}"),
            _ => notice!("columns {columns} are left out: they do not hold {wanted}"),
        }
    }

    /// The columns that were read.
    pub(super) fn finish(mut self) -> Result<Ingested, Report> {
        self.keep_direct_rows();
        self.progress.rows(self.n_rows as u64);
        self.check_budget()?;
        self.probe()?;
        self.tell_left_out();
        let n_rows = self.n_rows;
        let requested = self.builders.iter().take(self.request.columns.len());
        let types = requested.clone().map(|one| type_name(one.attribute.type_oid)).collect();
        let forms: Vec<Form> = requested.map(|one| form_of(one.attribute.type_oid)).collect();
        let nature = |one: &Builder| (one.attribute.name.clone(), nature(one));
        let natures = self.builders.iter().map(nature).collect();
        let mut columns = Vec::new();
        for (position, Builder { attribute, role, values }) in self.builders.into_iter().enumerate()
        {
            let name = attribute.name;
            match values {
                Building::Number(values) => {
                    columns.push(Column { name, values: Values::Number(values) })
                }
                Building::Integer(values) => {
                    columns.push(Column { name, values: Values::Integer(values) })
                }
                Building::Text(builder) => {
                    let mut column = Column { name, values: builder.finish() };
                    let form = forms.get(position).copied().unwrap_or_default();
                    if role == Role::Key {
                        unite(&mut column, form, true)?;
                    }
                    columns.push(column);
                }
                Building::Array { dimension, values, .. } => {
                    let step = dimension.unwrap_or(1);
                    for element in 0..dimension.unwrap_or(0) {
                        let mut column = Store::new(self.keep.place());
                        column.reserve_exact(n_rows).map_err(no_room)?;
                        values
                            .iter()
                            .skip(element)
                            .step_by(step)
                            .for_each(|value| column.push(*value));
                        let name = format!("{name}[{}]", element + 1);
                        columns.push(Column { name, values: Values::Number(column) });
                    }
                }
            }
        }
        if columns.len() > MAX_FEATURES + self.request.columns.len() {
            return Err(Error::TooManyFeatures { found: columns.len(), limit: MAX_FEATURES }.into());
        }
        Ok(Ingested { frame: Frame { n_rows, columns }, types, forms, natures })
    }
}

fn nature(builder: &Builder) -> Nature {
    match (&builder.values, builder.attribute.kind) {
        (Building::Text(_), _) => Nature::Text,
        (Building::Number(_), Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Numeric) => {
            Nature::Exact
        }
        (Building::Number(_), Kind::Date | Kind::Timestamp) => {
            // SAFETY: looks the type up, which is that of a column.
            Nature::Moment(unsafe { pg_sys::getBaseType(builder.attribute.type_oid) })
        }
        _ => Nature::Other,
    }
}
