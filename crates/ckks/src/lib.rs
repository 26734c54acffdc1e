//! Blindsight ckks.
