//! The SQL surface. A SQL function converts in, calls one function of `algo`, and converts out.
//!
//! The plumbing: `datum` and `record` read values, `ingest` reads whole queries, `value` and `models` keep what was
//! fitted, `threads` computes without blocking interrupts, `error` turns every failure into SQLSTATE, message and HINT.

mod algorithms;
mod any_text;
mod applied;
mod bulk;
mod call_site;
mod datum;
mod error;
mod flat;
mod gathered;
mod guc;
mod ingest;
mod key;
mod kind;
mod models;
mod names;
mod progress;
mod query;
mod raw;
mod record;
mod reserve;
mod rowset;
mod scan;
mod security;
mod temporary;
mod threads;
mod value;
mod value_type;
mod window;

mod clean;
mod customers;
mod describe;
mod encode;
mod onnx;
mod options;
mod recommend;
mod score;
mod segment;
mod shapes;
mod standardise;

use kind::Kind;
use models::family::Family;

pgrx::pg_module_magic!();

/// Runs once in each backend that loads the library.
#[pgrx::pg_guard]
#[allow(non_snake_case, unsafe_code, reason = "the name by which PostgreSQL finds it")]
extern "C-unwind" fn _PG_init() {
    // A panic's backtrace would reach the client as DETAIL, with paths of this machine: std reads these once, at the first
    // panic.
    // SAFETY: a backend has one thread while it loads a library.
    unsafe {
        std::env::set_var("RUST_BACKTRACE", "0");
        std::env::set_var("RUST_LIB_BACKTRACE", "0");
    }
    reserve::begin();
    guc::define();
    models::registry::watch_memberships();
    models::family::register(family);
}

/// The room of each kind of models.
fn family(kind: Kind) -> &'static dyn Family {
    match kind {
        Kind::Segments => &segment::Family,
        Kind::Scorer => &score::Family,
        Kind::Recommender => &recommend::Family,
    }
}
