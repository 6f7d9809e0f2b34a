//! What a fit is given: columns and their features, the order and the weights of rows, the space that they are scaled into, and
//! the points as they lie in memory.

pub(crate) mod curve;
pub(crate) mod features;
pub(crate) mod ground;
pub(crate) mod missing;
pub(crate) mod points;
pub(crate) mod population;
pub(crate) mod row_weights;
pub(crate) mod rows;
pub(crate) mod space;
