//! Segments: k-means over points in memory.
//!
//! `fit` standardises, seeds with greedy k-means++ or k-means|| and runs Lloyd's iterations on a fused distance-and-argmin kernel; the
//! model that comes out labels a new row with the very arithmetic of the fit, so training rows keep their labels. (rows,
//! parameters, seed) decide the result, bit for bit, on any number of threads.

mod bounding;
mod bounds;
mod carry;
mod choose;
mod closest;
mod error;
mod features;
mod fit;
mod kernel;
mod label;
mod lloyd;
mod matching;
mod model;
mod parallel;
mod params;
mod picture;
mod points;
mod prepared;
mod profile;
mod quality;
mod repair;
mod row_weights;
mod rows;
mod seeding;
mod space;
mod start;
mod state;
pub mod stays;
#[cfg(test)]
mod tests;
mod weighed;
mod words;

pub use choose::{Candidate, Criterion, best, choose_k};
pub use error::{Error, Malformed};
pub use features::{Category, Dimensions, Features, Level, MAX_LEVELS, Wanted};
pub use fit::{Fit, fit, fit_from, fit_points};
pub use matching::successors;
pub use model::{Ended, FORMAT, KMeans};
pub use params::{MAX_FEATURES, MAX_K, Metric, Params, Scaling, Seeding, ValidParams};
pub use picture::{Picture, picture};
pub use prepared::Prepared;
pub use profile::{ProfileRow, profile};
pub use quality::{Quality, SILHOUETTE_ROWS};
pub use row_weights::{RowWeights, Weighted, Without};
pub use rows::{
    Cells, Columns, Ordered, Rows, order_by_content, order_by_integer, order_by_text, original,
};
pub use space::MAX_MAGNITUDE;
pub use words::label_in_plain_words;
