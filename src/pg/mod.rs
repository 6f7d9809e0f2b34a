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

sys::server::library!(start);

/// Once in each process that loads the library.
fn start() {
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
