//! Segments: k-means over points in memory.
//!
//! `fit` standardises, seeds with greedy k-means++ or k-means|| and runs Lloyd's iterations on a fused distance-and-argmin kernel; the
//! model that comes out labels a new row with the very arithmetic of the fit, so training rows keep their labels. (rows,
//! parameters, seed) decide the result, bit for bit, on any number of threads.

mod choose;
mod engine;
mod error;
mod fit;
mod input;
mod limits;
mod model;
pub mod params;
mod quality;
mod reading;
mod seeding;
#[cfg(test)]
mod tests;

pub use choose::{Candidate, Criterion, best, choose_k};
pub use engine::lloyd::Ended;
pub use error::{Error, Malformed};
pub use fit::{Fit, fit, fit_from, fit_points};
pub use input::curve::Curve;
pub use input::features::{Category, Dimensions, Features, Indicators, Level, Wanted};
pub use input::missing::{Missing, check_present, whole_rows};
pub use input::row_weights::{RowWeights, Weighted, Without};
pub use input::rows::{
    Cells, Columns, Ordered, Rows, order_by_content, order_by_integer, order_by_text, original,
};
pub use limits::{MAX_FEATURES, MAX_K, MAX_LEVELS, MAX_MAGNITUDE};
pub use model::fitted::{FORMAT, KMeans};
pub use model::prepared::Prepared;
pub use model::successors::successors;
pub use params::{Metric, Params, Scaling, Seeding, ValidParams};
pub use quality::{Quality, SILHOUETTE_ROWS};
pub use reading::picture::{Picture, picture};
pub use reading::profile::{ProfileRow, profile};
pub use reading::words::in_plain_words;
