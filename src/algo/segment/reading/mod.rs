//! A model told to people: segments in words, beside the population, in a picture, and who moved between them.

pub(crate) mod picture;
pub(crate) mod profile;
pub(crate) mod words;
