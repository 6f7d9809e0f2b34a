//! The SQL surface. A SQL function converts in, calls one function of `algo`, and converts out.
//!
//! Below the rooms of the capabilities are `fitting`, what all fits do alike, `models`, which knows named models, and the plumbing: `sys` is PostgreSQL, `types` are
//! values, `rows` many rows; `error` turns every failure into SQLSTATE, message and HINT.

mod error;
mod fitting;
mod kind;
mod models;
mod rows;
mod sys;
mod types;

mod algorithms;
mod clean;
mod customers;
mod describe;
mod encode;
mod onnx;
mod recommend;
mod score;
mod segment;
mod shapes;
mod standardise;

use kind::Kind;
use models::family::Family;
use sys::{guc, reserve};

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
