//! Blindsight packing.
