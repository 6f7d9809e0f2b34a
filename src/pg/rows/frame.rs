//! What frames of a window are like.
#![allow(unsafe_code, reason = "a node of the plan is a C structure")]

use pgrx::pg_sys;
use pgrx::prelude::PgSqlErrorCode as Code;

use crate::pg::error::{Report, report};

/// What frames are like in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// Every row's frame is the whole partition.
    Partition,
    /// From row to row both ends stay or move forward.
    Moving,
    /// With an EXCLUDE.
    Excluding,
}

impl FrameKind {
    /// # Safety
    /// The state of a node that is running.
    pub(crate) unsafe fn of(state: *const pg_sys::WindowAggState) -> Self {
        // SAFETY: such a state is initialised, and its plan is a WindowAgg.
        let (options, n_order) = unsafe {
            let plan = (*state).ss.ps.plan.cast::<pg_sys::WindowAgg>();
            ((*state).frameOptions as u32, (*plan).ordNumCols)
        };
        let has = |option: u32| options & option != 0;
        // Without an order all rows are peers of the current one.
        let to_current = has(pg_sys::FRAMEOPTION_END_CURRENT_ROW)
            && !has(pg_sys::FRAMEOPTION_ROWS)
            && n_order == 0;
        if has(pg_sys::FRAMEOPTION_EXCLUSION) {
            Self::Excluding
        } else if has(pg_sys::FRAMEOPTION_START_UNBOUNDED_PRECEDING)
            && (has(pg_sys::FRAMEOPTION_END_UNBOUNDED_FOLLOWING) || to_current)
        {
            Self::Partition
        } else {
            Self::Moving
        }
    }
}

/// Refuses a frame that is not the whole partition; `what` is what is done once with all of its rows.
pub(crate) fn changing_frame(function: &str, what: &str) -> Report {
    report(
        Code::ERRCODE_FEATURE_NOT_SUPPORTED,
        format!("persona.{function} cannot be computed over a frame that changes from row to row"),
    )
    .set_hint(format!(
        "Leave ORDER BY and the frame out of OVER (...): {what} then sees the whole partition."
    ))
}
