//! Segments of other shapes in SQL: `dbscan` over a window.

mod dbscan;
mod error;
