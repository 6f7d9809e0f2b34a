//! What customers did, in SQL: RFM, and behaviour by day and kind of event.

mod behaviour;
mod figures;
mod rfm;
mod rfm_segment;
mod zone;
