//! Rows that an aggregate collects, to fit something to all of them at the end: kept in the aggregate's memory, within
//! `persona.max_fit_memory`, with k and options that are the same in every row.
#![allow(unsafe_code, reason = "the state is changed in place, in memory of the aggregate")]

use ndarray::ArrayView2;
use pgrx::FromDatum;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::*;

use crate::algo::declared::{Algorithm, Settings};
use crate::algo::memory;

use crate::pg::error::{Error, Report, report};
use crate::pg::rows::ingest::{Work, check_width};
use crate::pg::rows::window::{FrameKind, changing_frame};
use crate::pg::sys::call_site::CallSite;
use crate::pg::sys::guc;
use crate::pg::sys::raw::{self, Tagged, aggregate_context, argument, bytes_of};
use crate::pg::types::datum::{Element, Kind};
use crate::pg::types::options::{Given, Json};
use crate::pg::types::record;

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

/// Adds a row given as float8[]: (internal, float8[], k bigint [, options jsonb]).
///
/// # Safety
/// `fcinfo` is of a call of a function that SQL declares so, as the transition function of an aggregate that fits `F`.
pub(crate) unsafe fn add_array<F: Fit>(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by the caller's promise.
    unsafe {
        let row: &mut Vec<f64> =
            CallSite::of(fcinfo).remember(|| Ok(Vec::new())).unwrap_or_report();
        row.clear();
        let Some(array) = argument(fcinfo, 1) else { return keep(fcinfo) };
        Kind::Numbers(Element::Float8).numbers(array, "features", row).unwrap_or_report();
        add::<F>(fcinfo, row, &[]).unwrap_or_report()
    }
}

/// Adds a row given as a record, whose column names are kept: (internal, record, k bigint [, options jsonb]).
///
/// # Safety
/// As [`add_array`].
pub(crate) unsafe fn add_record<F: Fit>(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: by the caller's promise.
    unsafe {
        let Some((row, names)) = record::numbers(fcinfo, 1).unwrap_or_report() else {
            return keep(fcinfo);
        };
        add::<F>(fcinfo, row, names).unwrap_or_report()
    }
}

/// What a fit calls the features of arrays: 1, 2, 3, ….
pub(crate) fn array_names(n_features: usize) -> Vec<String> {
    (1..=n_features).map(|feature| feature.to_string()).collect()
}

/// The state unchanged: the row is NULL.
///
/// # Safety
/// `fcinfo` is of the running call of a transition function, whose first argument is the state.
unsafe fn keep(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: both callers have a state as their first argument.
    unsafe { argument(fcinfo, 0).unwrap_or_else(|| raw::null(fcinfo)) }
}

/// Adds the row to the state in the first argument, made at the first row.
///
/// # Safety
/// `fcinfo` is of the running call of a transition function, whose first argument is the state.
unsafe fn add<F: Fit>(
    fcinfo: FunctionCallInfo,
    row: &[f64],
    names: &[String],
) -> Result<Datum, Report> {
    if let Some(missing) = row.iter().position(|value| value.is_nan()) {
        let column =
            names.get(missing).cloned().unwrap_or_else(|| format!("features[{}]", missing + 1));
        // SAFETY: the options are as SQL declares them.
        return Err(unsafe { parse::<F>(options(fcinfo)) }?.missing(column));
    }
    // SAFETY: the arguments are as SQL declares them; the first is NULL or a state that this function made.
    unsafe {
        let k = argument(fcinfo, 2)
            .map(|k| k.value() as i64)
            .ok_or(Report::from(Error::NullArgument { argument: "k" }))?;
        let options = options(fcinfo).map(|options| bytes_of(options));
        let next = match argument(fcinfo, 0) {
            Some(state) => state,
            None => first::<F>(fcinfo, row, names, k, options)?,
        };
        let state = Tagged::<State<F>>::of(next)?;
        if state.k != k {
            return Err(differs("k"));
        }
        if state.options != options.unwrap_or_default() {
            return Err(differs("options"));
        }
        if row.len() != state.n_features {
            let column = "the feature array".to_owned();
            let (expected, found) = (state.n_features, row.len());
            return Err(Error::WrongDimension { column, expected, found }.into());
        }
        if state.len + row.len() > state.capacity {
            state.grow()?;
        }
        std::ptr::copy_nonoverlapping(row.as_ptr(), state.values.add(state.len), row.len());
        state.len += row.len();
        Ok(next)
    }
}

/// The options of a row, if the function takes any.
///
/// # Safety
/// As [`add`].
unsafe fn options(fcinfo: FunctionCallInfo) -> Option<Datum> {
    // SAFETY: by the caller's promise.
    unsafe { if (*fcinfo).nargs > 3 { argument(fcinfo, 3) } else { None } }
}

fn differs(what: &str) -> Report {
    report(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("{what} must be the same in all rows of a group"),
    )
    .set_hint(format!("Give {what} as a constant."))
}

/// # Safety
/// As [`add`].
unsafe fn first<F: Fit>(
    fcinfo: FunctionCallInfo,
    row: &[f64],
    names: &[String],
    k: i64,
    options: Option<&[u8]>,
) -> Result<Datum, Report> {
    check_width(row.len())?;
    // SAFETY: the context is live; what is written into it fits what was allocated.
    unsafe {
        let Some(context) = aggregate_context(fcinfo) else {
            return Err(report(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "a transition function can be called by its aggregate alone",
            ));
        };
        if !sees_whole_partition(fcinfo) {
            return Err(changing_frame(F::ALGORITHM.name, "the fit"));
        }
        let fit: F = parse(self::options(fcinfo))?;
        fit.check_names(names)?;
        let copy = |bytes: &[u8]| {
            let copy = pg_sys::MemoryContextAlloc(context, bytes.len().max(1)).cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
            std::slice::from_raw_parts(copy, bytes.len())
        };
        let packed: Vec<u8> = names.iter().flat_map(|name| name.bytes().chain([0])).collect();
        let state = pg_sys::MemoryContextAlloc(context, size_of::<Tagged<State<F>>>());
        state.cast::<Tagged<State<F>>>().write(Tagged::new(State {
            context,
            values: std::ptr::null_mut(),
            len: 0,
            capacity: 0,
            n_features: row.len(),
            names: copy(&packed),
            k,
            options: copy(options.unwrap_or_default()),
            fit,
        }));
        Ok(Datum::from(state))
    }
}

/// Whether the aggregate gets all rows of its group or partition once: a frame that grows would fit again at every row.
///
/// # Safety
/// `fcinfo` is of a transition function's call.
unsafe fn sees_whole_partition(fcinfo: FunctionCallInfo) -> bool {
    // SAFETY: the context of an aggregate's call is the executor's node, whose tag says which.
    unsafe {
        let node = (*fcinfo).context;
        if node.is_null() || (*node).type_ != pg_sys::NodeTag::T_WindowAggState {
            return true;
        }
        FrameKind::of(node.cast()) == FrameKind::Partition
    }
}

/// # Safety
/// The datum is a jsonb.
unsafe fn parse<F: Fit>(options: Option<Datum>) -> Result<F, Report> {
    // SAFETY: by the caller's promise.
    let options = options.and_then(|options| unsafe { Json::from_datum(options, false) });
    let Some(options) = options else { return Ok(F::of(&F::ALGORITHM.defaults())) };
    let (settings, own) = options.options("options", F::ALGORITHM, F::OWN)?;
    let mut fit = F::of(&settings);
    own.iter().try_for_each(|given| fit.set(given))?;
    Ok(fit)
}

impl<F: Fit> State<F> {
    /// The state that a final function is given; None when there was no row. It stays as it is: a window may ask for its result
    /// again.
    ///
    /// # Safety
    /// `fcinfo` is of the running call of a final function, of an aggregate that fits `F`.
    pub(crate) unsafe fn of<'a>(fcinfo: FunctionCallInfo) -> Result<Option<&'a Self>, Report> {
        // SAFETY: by the caller's promise; the state lives as long as the aggregate's context.
        let state = unsafe { argument(fcinfo, 0).map(|state| Tagged::of(state)) };
        Ok(state.transpose()?.map(|state| &*state))
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
