//! The SQL surface. A SQL function converts in, calls one function of `algo`, and converts out.
//!
//! The plumbing: `datum` and `record` read values, `ingest` reads whole queries, `value` and `registry` keep what was
//! fitted, `threads` computes without blocking interrupts, `error` turns every failure into SQLSTATE, message and HINT.

mod bulk;
mod call_site;
mod datum;
mod error;
mod guc;
mod ingest;
mod progress;
mod raw;
mod record;
mod registry;
mod security;
mod threads;
mod value;
mod window;

mod operate;
mod recommend;
mod score;
mod scorer;
mod segment;
mod standardise;

pgrx::pg_module_magic!();

/// Runs once in each backend that loads the library.
#[pgrx::pg_guard]
#[allow(non_snake_case, unsafe_code, reason = "the name by which PostgreSQL finds it")]
extern "C-unwind" fn _PG_init() {
    guc::define();
}
