//! Messages between backend and scorer.
