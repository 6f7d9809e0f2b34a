//! Text and angles as numbers, in SQL.

mod categories;
mod numbers;
mod target;
