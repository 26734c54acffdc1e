//! Blindsight circuit.
