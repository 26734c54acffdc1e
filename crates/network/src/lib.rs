//! Blindsight network.
