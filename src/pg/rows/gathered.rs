//! Rows that an aggregate collects, to fit something to all of them at the end: kept in the aggregate's memory, within
//! `persona.max_fit_memory`, with k and options that are the same in every row.
#![allow(unsafe_code, reason = "the state is changed in place, in memory of the aggregate")]

use ndarray::ArrayView2;
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::algo::declared::{Algorithm, Settings};
use crate::algo::memory;

use crate::pg::error::{Error, Report, report};
use crate::pg::rows::frame::{FrameKind, changing_frame};
use crate::pg::rows::ingest::{Work, check_width};
use crate::pg::sys::call::{Arguments, Call, Internal, Maybe, OwnState};
use crate::pg::sys::guc;
use crate::pg::types::datum::FloatArray;
use crate::pg::types::options::Given;
use crate::pg::types::record::{self, Record};
use crate::pg::types::value::Jsonb;

/// What an aggregate fits, by its options: plain memory, for nothing in a state is dropped.
pub(crate) trait Fit: Copy + 'static {
    /// It has the aggregate's name, and its parameters are options of the aggregate.
    const ALGORITHM: &'static Algorithm;
    /// The names of the options that are none of its parameters.
    const OWN: &'static [&'static str] = &[];
    /// What the fit takes beside the rows.
    const WORK: Work;

    fn of(settings: &Settings) -> Self;

    /// Takes over one of its own options.
    fn set(&mut self, _given: &Given) -> Result<(), Report> {
        Ok(())
    }

    /// Refuses rows of columns of these names; there are none for arrays.
    fn check_names(&self, _names: &[String]) -> Result<(), Report> {
        Ok(())
    }

    /// What it is that a column has a NULL.
    fn missing(&self, column: String) -> Report {
        Error::MissingValue { column }.into()
    }

    /// What a fit of these dimensions takes that does not grow with the rows; k may be more than there are rows.
    fn fixed_bytes(&self, _k: i64, _n_rows: usize, _n_features: usize) -> usize {
        0
    }
}

/// Rows that the first allocation of a group has room for: groups may be many and small.
const FIRST_ROWS: usize = 16;

/// Plain memory: it goes with the aggregate's context, and nothing in it has to be dropped.
pub(crate) struct State<F> {
    context: pg_sys::MemoryContext,
    values: *mut f64,
    /// In values, not rows.
    len: usize,
    capacity: usize,
    n_features: usize,
    /// The features' names, a NUL after each; none for arrays. As the options, they are in the aggregate's memory with the state.
    names: &'static [u8],
    k: i64,
    /// As they were given at the first row.
    options: &'static [u8],
    fit: F,
}

/// What adds a row of the type `R`: its state, the row, k and options.
type Adding<F, R> = (Internal<State<F>>, R, i64, Maybe<Jsonb<'static>>);

/// Adds a row given as float8[].
pub(crate) fn add_array<'call, F: Fit>(
    Call { args, site }: Call<'call, Adding<F, FloatArray>>,
) -> Result<Option<OwnState<'call, State<F>>>, Report> {
    let Some(array) = args.get::<1>() else { return args.internal_if_any() };
    let row: &mut Vec<f64> = site.remember(|_| Ok(Vec::new()))?;
    array.read(row)?;
    add(args, row, &[]).map(Some)
}

/// Adds a row given as a record, whose column names are kept.
pub(crate) fn add_record<'call, F: Fit>(
    Call { args, site }: Call<'call, Adding<F, Record>>,
) -> Result<Option<OwnState<'call, State<F>>>, Report> {
    let Some(record) = args.get::<1>() else { return args.internal_if_any() };
    let (row, names) = record::numbers(site, record)?;
    add(args, row, names).map(Some)
}

/// What a fit calls the features of arrays: 1, 2, 3, ….
pub(crate) fn array_names(n_features: usize) -> Vec<String> {
    (1..=n_features).map(|feature| feature.to_string()).collect()
}

/// Adds the row to the state, made at the first row.
fn add<'call, F: Fit, R>(
    args: Arguments<'call, Adding<F, R>>,
    row: &[f64],
    names: &[String],
) -> Result<OwnState<'call, State<F>>, Report> {
    let options = args.get::<3>();
    if let Some(missing) = row.iter().position(|value| value.is_nan()) {
        let column =
            names.get(missing).cloned().unwrap_or_else(|| format!("features[{}]", missing + 1));
        return Err(parse::<F>(options)?.missing(column));
    }
    let k = args.get::<2>().ok_or(Report::from(Error::NullArgument { argument: "k" }))?;
    let mut state = args.internal_or(|args, context| {
        // SAFETY: the window is that of the running node.
        let frame = args.window().map(|window| unsafe { FrameKind::of(window) });
        if frame.is_some_and(|frame| frame != FrameKind::Partition) {
            // A frame that grows would fit again at every row.
            return Err(changing_frame(F::ALGORITHM.name, "the fit"));
        }
        // SAFETY: the context is that of the state.
        unsafe { State::first(context, row.len(), names, k, options) }
    })?;
    if state.k != k {
        return Err(differs("k"));
    }
    if state.options != options.map_or(&[][..], Jsonb::bytes) {
        return Err(differs("options"));
    }
    if row.len() != state.n_features {
        let column = "the feature array".to_owned();
        let (expected, found) = (state.n_features, row.len());
        return Err(Error::WrongDimension { column, expected, found }.into());
    }
    state.push(row)?;
    Ok(state)
}

fn differs(what: &str) -> Report {
    report(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("{what} must be the same in all rows of a group"),
    )
    .set_hint(format!("Give {what} as a constant."))
}

fn parse<F: Fit>(options: Option<Jsonb>) -> Result<F, Report> {
    let Some(options) = options else { return Ok(F::of(&F::ALGORITHM.defaults())) };
    let options = options.read()?;
    let (settings, own) = options.options("options", F::ALGORITHM, F::OWN)?;
    let mut fit = F::of(&settings);
    own.iter().try_for_each(|given| fit.set(given))?;
    Ok(fit)
}

impl<F: Fit> State<F> {
    /// # Safety
    /// The context is live, and the state goes with it.
    unsafe fn first(
        context: pg_sys::MemoryContext,
        n_features: usize,
        names: &[String],
        k: i64,
        options: Option<Jsonb>,
    ) -> Result<Self, Report> {
        check_width(n_features)?;
        let fit: F = parse(options)?;
        fit.check_names(names)?;
        // SAFETY: by the caller's promise; what is written fits what was allocated.
        let copy = |bytes: &[u8]| unsafe {
            let copy = pg_sys::MemoryContextAlloc(context, bytes.len().max(1)).cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
            std::slice::from_raw_parts(copy, bytes.len())
        };
        let packed: Vec<u8> = names.iter().flat_map(|name| name.bytes().chain([0])).collect();
        let (names, options) = (copy(&packed), copy(options.map_or(&[], Jsonb::bytes)));
        let (values, len, capacity) = (std::ptr::null_mut(), 0, 0);
        Ok(Self { context, values, len, capacity, n_features, names, k, options, fit })
    }

    fn push(&mut self, row: &[f64]) -> Result<(), Report> {
        if self.len + row.len() > self.capacity {
            self.grow()?;
        }
        // SAFETY: there is room for a row.
        unsafe {
            std::ptr::copy_nonoverlapping(row.as_ptr(), self.values.add(self.len), row.len());
        }
        self.len += row.len();
        Ok(())
    }

    pub(crate) fn fit(&self) -> F {
        self.fit
    }

    /// Rows and features.
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.len / self.n_features, self.n_features)
    }

    pub(crate) fn k(&self) -> i64 {
        self.k
    }

    /// The rows, for which and for a fit of which the budget has room.
    pub(crate) fn rows(&self) -> Result<ArrayView2<'_, f64>, Report> {
        self.check_budget()?;
        // SAFETY: there are `len` values, as there is a first row.
        let values = unsafe { std::slice::from_raw_parts(self.values, self.len) };
        ArrayView2::from_shape(self.shape(), values).map_err(|_| Error::NoFeatures.into())
    }

    pub(crate) fn feature_names(&self) -> Vec<String> {
        let Some((_, names)) = self.names.split_last() else {
            return array_names(self.n_features);
        };
        let names = names.split(|byte| *byte == 0);
        names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// Makes room for twice the rows, if the budget allows for it. All states of a context count together.
    #[cold]
    fn grow(&mut self) -> Result<(), Report> {
        let budget = guc::max_fit_memory();
        // SAFETY: the context is the live one that the state is in.
        let held = unsafe { pg_sys::MemoryContextMemAllocated(self.context, true) } as usize;
        let row = self.n_features;
        let doubled = (self.capacity * 2).max(FIRST_ROWS * row);
        let wanted = |capacity: usize| held + capacity * size_of::<f64>();
        let capacity = if wanted(doubled) > budget && self.capacity > 0 {
            // Near the budget by less: the new room would be half empty at worst.
            (self.capacity + self.capacity / 8).next_multiple_of(row)
        } else {
            doubled
        };
        // The rows up to here are kept and will be fitted; the room for them alone does not count twice.
        let wanted = wanted(capacity).max(held.saturating_add(self.fit_bytes()));
        if wanted > budget {
            return Err(Error::OutOfMemoryBudget { wanted, budget }.into());
        }
        let bytes = capacity * size_of::<f64>();
        // SAFETY: the values are null or were allocated here, in the state's context.
        self.values = unsafe {
            if self.values.is_null() {
                pg_sys::MemoryContextAllocHuge(self.context, bytes).cast()
            } else {
                pg_sys::repalloc_huge(self.values.cast(), bytes).cast()
            }
        };
        self.capacity = capacity;
        Ok(())
    }

    /// What the fit takes beside the rows.
    fn fit_bytes(&self) -> usize {
        let (n_rows, n_features) = self.shape();
        self.len * F::WORK.per_number
            + n_rows * F::WORK.per_row
            + self.fit.fixed_bytes(self.k(), n_rows, n_features)
    }

    /// Refuses a fit for which the budget has no room beside the rows of all groups.
    fn check_budget(&self) -> Result<(), Report> {
        // SAFETY: the context is the live one that the state is in.
        let held = unsafe { pg_sys::MemoryContextMemAllocated(self.context, true) } as usize;
        let unused = (self.capacity - self.len) * size_of::<f64>();
        let (wanted, budget) = (held - unused.min(held) + self.fit_bytes(), guc::max_fit_memory());
        if wanted > budget {
            return Err(Error::OutOfMemoryBudget { wanted, budget }.into());
        }
        Ok(memory::probe(self.fit_bytes())?)
    }
}
