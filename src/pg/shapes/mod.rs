//! Segments of other shapes in SQL: `dbscan` over a window; the `gaussian_mixture` aggregate and its value.

mod dbscan;
mod error;
mod mixture;
mod value;
