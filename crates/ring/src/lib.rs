//! Blindsight ring.
