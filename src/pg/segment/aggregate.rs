//! The `kmeans` aggregate: collects rows in the aggregate's memory, within `persona.max_fit_memory`, and fits at the end.
//!
//! The fit reads the rows in the order of their content, so that neither scan order nor a parallel scan below changes it.
#![allow(unsafe_code, reason = "the state is changed in place, in memory of the aggregate")]

use ndarray::ArrayView2;
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo};
use pgrx::prelude::*;
use pgrx::{FromDatum, IntoDatum, JsonB};

use crate::algo::segment::{self, Features, Ordered, Params, Scaling, order_by_content};
use crate::pg::call_site::CallSite;
use crate::pg::datum::{Element, Kind, varlena_bytes};
use crate::pg::error::{Error, Report, report};
use crate::pg::guc;
use crate::pg::ingest::MAX_FEATURES;
use crate::pg::progress::Progress;
use crate::pg::raw::{self, aggregate_context, argument};
use crate::pg::record::{Binding, Record};
use crate::pg::threads::Pool;
use crate::pg::value::Value;

use super::fit::WORK;
use super::value::array_names;

raw::declare! {
    kmeans_add_array, pg_finfo_kmeans_add_array;
    kmeans_add_record, pg_finfo_kmeans_add_record;
    kmeans_final, pg_finfo_kmeans_final;
}

/// Rows that the first allocation of a group has room for: groups may be many and small.
const FIRST_ROWS: usize = 16;

/// Plain memory: it goes with the aggregate's context, and nothing in it has to be dropped.
struct State {
    context: pg_sys::MemoryContext,
    values: *mut f64,
    /// In values, not rows.
    len: usize,
    capacity: usize,
    n_features: usize,
    /// The features' names, a NUL after each; none for arrays.
    names: *const u8,
    names_len: usize,
    k: i32,
    /// The options as they were given at the first row.
    options: *const u8,
    options_len: usize,
    params: Fixed,
}

#[derive(Clone, Copy)]
struct Fixed {
    scaling: Scaling,
    max_iterations: i64,
    n_init: i64,
    seed: i64,
}

/// Adds a row given as float8[]: (internal, float8[], k integer [, options jsonb]).
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kmeans_add_array(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares these arguments, as the transition function of an aggregate.
    unsafe {
        let row: &mut Vec<f64> =
            CallSite::of(fcinfo).remember(|| Ok(Vec::new())).unwrap_or_report();
        row.clear();
        let Some(array) = argument(fcinfo, 1) else { return keep(fcinfo) };
        Kind::Numbers(Element::Float8).numbers(array, "features", row).unwrap_or_report();
        add(fcinfo, row, &[]).unwrap_or_report()
    }
}

/// Adds a row given as a record, whose column names are kept.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kmeans_add_record(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (internal, record, integer [, jsonb]), as the transition function of an aggregate.
    unsafe {
        let binding: &mut Binding =
            CallSite::of(fcinfo).remember(|| Ok(Binding::default())).unwrap_or_report();
        let Some(record) = argument(fcinfo, 1) else { return keep(fcinfo) };
        binding.all_numbers(Record::from_datum(record)).unwrap_or_report();
        let (row, names) = binding.row();
        add(fcinfo, row, names).unwrap_or_report()
    }
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
unsafe fn add(fcinfo: FunctionCallInfo, row: &[f64], names: &[String]) -> Result<Datum, Report> {
    if let Some(missing) = row.iter().position(|value| value.is_nan()) {
        let column =
            names.get(missing).cloned().unwrap_or_else(|| format!("features[{}]", missing + 1));
        return Err(Error::MissingValue { column }.into());
    }
    // SAFETY: the arguments are as SQL declares them; the first is NULL or a state that this function made.
    unsafe {
        let k = argument(fcinfo, 2)
            .map(|k| k.value() as i32)
            .ok_or(Report::from(Error::NullArgument { argument: "k" }))?;
        let options = if (*fcinfo).nargs > 3 { argument(fcinfo, 3) } else { None }
            .map(|options| varlena_bytes(pg_sys::pg_detoast_datum_packed(options.cast_mut_ptr())));
        let state = match argument(fcinfo, 0) {
            Some(state) => state.cast_mut_ptr::<State>(),
            None => first(fcinfo, row, names, k, options)?,
        };
        let state = &mut *state;
        if state.k != k {
            return Err(differs("k"));
        }
        let known = std::slice::from_raw_parts(state.options, state.options_len);
        if known != options.unwrap_or_default() {
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
        Ok(Datum::from(std::ptr::from_mut(state)))
    }
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
unsafe fn first(
    fcinfo: FunctionCallInfo,
    row: &[f64],
    names: &[String],
    k: i32,
    options: Option<&[u8]>,
) -> Result<*mut State, Report> {
    if row.is_empty() {
        return Err(Error::NoFeatures.into());
    }
    if row.len() > MAX_FEATURES {
        return Err(Error::TooManyFeatures { found: row.len(), limit: MAX_FEATURES }.into());
    }
    // SAFETY: the context is live; what is written into it fits what was allocated.
    unsafe {
        let Some(context) = aggregate_context(fcinfo) else {
            return Err(report(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "a transition function can be called by its aggregate alone",
            ));
        };
        if !sees_whole_partition(fcinfo) {
            return Err(report(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "persona.kmeans cannot be computed over a frame that changes from row to row",
            )
            .set_hint(
                "Leave ORDER BY and the frame out of OVER (…): the fit then sees the whole partition.",
            ));
        }
        let params = if (*fcinfo).nargs > 3 { parse(argument(fcinfo, 3))? } else { parse(None)? };
        let copy = |bytes: &[u8]| {
            let copy = pg_sys::MemoryContextAlloc(context, bytes.len().max(1)).cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
            copy.cast_const()
        };
        let packed: Vec<u8> = names.iter().flat_map(|name| name.bytes().chain([0])).collect();
        let options = options.unwrap_or_default();
        let state = pg_sys::MemoryContextAlloc(context, size_of::<State>()).cast::<State>();
        state.write(State {
            context,
            values: std::ptr::null_mut(),
            len: 0,
            capacity: 0,
            n_features: row.len(),
            names: copy(&packed),
            names_len: packed.len(),
            k,
            options: copy(options),
            options_len: options.len(),
            params,
        });
        Ok(state)
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
        let plan = (*node.cast::<pg_sys::WindowAggState>()).ss.ps.plan.cast::<pg_sys::WindowAgg>();
        let frame = (*plan).frameOptions as u32;
        let has = |option: u32| frame & option != 0;
        // Without ORDER BY all rows are peers of the current one.
        let ends_with_partition = has(pg_sys::FRAMEOPTION_END_UNBOUNDED_FOLLOWING)
            || (has(pg_sys::FRAMEOPTION_END_CURRENT_ROW)
                && !has(pg_sys::FRAMEOPTION_ROWS)
                && (*plan).ordNumCols == 0);
        has(pg_sys::FRAMEOPTION_START_UNBOUNDED_PRECEDING)
            && ends_with_partition
            && !has(pg_sys::FRAMEOPTION_EXCLUSION)
    }
}

impl State {
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
        self.len * WORK.per_number + self.len / self.n_features * WORK.per_row
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
        Ok(())
    }

    fn feature_names(&self) -> Vec<String> {
        if self.names_len == 0 {
            return array_names(self.n_features);
        }
        // SAFETY: the names were copied with this length, a NUL after each.
        let names = unsafe { std::slice::from_raw_parts(self.names, self.names_len) };
        let names = names[..names.len() - 1].split(|byte| *byte == 0);
        names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }
}

const OPTIONS: &str = "seed, max_iterations, n_init, scaling";

/// # Safety
/// The datum is a jsonb.
unsafe fn parse(options: Option<Datum>) -> Result<Fixed, Report> {
    let mut fixed = Fixed { scaling: Scaling::None, max_iterations: 100, n_init: 1, seed: 0 };
    // SAFETY: by the caller's promise.
    let options = options
        .and_then(|datum| unsafe { JsonB::from_polymorphic_datum(datum, false, pg_sys::JSONBOID) });
    let Some(JsonB(options)) = options else { return Ok(fixed) };
    let Some(options) = options.as_object() else {
        return Err(Error::InvalidOption {
            option: "options".into(),
            value: options.to_string(),
            valid: format!("a JSON object with any of {OPTIONS}"),
        }
        .into());
    };
    for (option, value) in options {
        let invalid = |valid: &str| {
            Report::from(Error::InvalidOption {
                option: option.clone(),
                value: value.to_string(),
                valid: valid.to_owned(),
            })
        };
        let whole = || value.as_i64().ok_or_else(|| invalid("a whole number"));
        let count = || {
            let count = whole()?;
            if (1..=i64::from(i32::MAX)).contains(&count) {
                Ok(count)
            } else {
                Err(invalid("a whole number from 1 to 2147483647"))
            }
        };
        match option.as_str() {
            "seed" => fixed.seed = whole()?,
            "max_iterations" => fixed.max_iterations = count()?,
            "n_init" => fixed.n_init = count()?,
            "scaling" => {
                fixed.scaling = match value.as_str() {
                    Some("none") => Scaling::None,
                    Some("standard") => Scaling::Standard,
                    _ => return Err(invalid("none, standard")),
                }
            }
            _ => {
                return Err(
                    Error::UnknownOption { option: option.clone(), valid: OPTIONS.into() }.into()
                );
            }
        }
    }
    Ok(fixed)
}

/// Fits; NULL when there was no row. The state stays as it is: a window may ask for its result again.
#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn kmeans_final(fcinfo: FunctionCallInfo) -> Datum {
    // SAFETY: SQL declares (internal), as the final function of the aggregates above.
    unsafe {
        let Some(state) = argument(fcinfo, 0) else { return raw::null(fcinfo) };
        let state = &*state.cast_mut_ptr::<State>();
        let pool: &mut Pool = CallSite::of(fcinfo).remember(Pool::new).unwrap_or_report();
        let values = std::slice::from_raw_parts(state.values, state.len);
        let model = fit(state, values, pool).unwrap_or_report();
        model.into_datum().unwrap_or_else(|| raw::null(fcinfo))
    }
}

fn fit(state: &State, values: &[f64], pool: &Pool) -> Result<Value<segment::KMeans>, Report> {
    let d = state.n_features;
    let n_rows = values.len() / d;
    let rows = ArrayView2::from_shape((n_rows, d), values)
        .map_err(|_| Report::from(segment::Error::EmptyInput))?;
    let Fixed { scaling, max_iterations, n_init, seed } = state.params;
    let k = i64::from(state.k);
    let params =
        Params { scaling, max_iterations, n_init, seed, ..Params::new(k) }.check(n_rows, d)?;
    state.check_budget()?;
    let features = Features::numbers(state.feature_names());
    let progress = Progress::start("kmeans", "");
    progress.rows(n_rows as u64);
    progress.phase("fitting");
    let fit = pool.run(&progress, |watch| {
        let rows = Ordered { order: order_by_content(&rows), rows };
        segment::fit(rows, &features, &params, watch)
    })??;
    Ok(Value(fit.model))
}
