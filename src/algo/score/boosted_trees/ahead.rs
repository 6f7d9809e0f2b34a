//! Rows of a leaf lie far apart, so what is needed of them is asked for some rows ahead.
#![allow(unsafe_code, reason = "a hint to the processor, which reads no value")]

/// Rows between the one that is asked for and the one that is worked on.
pub const ROWS: usize = 24;

/// Asks the processor to have this value at hand; one that is not there is not asked for.
#[inline(always)]
pub fn ask<T>(values: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let place = values.as_ptr().wrapping_add(at).cast();
        // SAFETY: a prefetch of any address reads nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at);
}
