//! The maths. Nothing in here knows PostgreSQL: it builds, runs and is tested without it.

mod cholesky;
pub mod declared;
pub mod dictionary;
pub mod difference;
pub mod distinct;
pub mod encoded;
pub mod flat_map;
pub mod float_order;
pub mod frame;
pub mod hash;
pub mod key;
pub mod memory;
pub mod random;
pub mod stop;
pub mod store;

pub mod clean;
pub mod customers;
pub mod describe;
pub mod encode;
pub mod metrics;
pub mod moment;
pub mod recommend;
pub mod report;
pub mod score;
pub mod segment;
pub mod shapes;
pub mod standardise;
