//! Blindsight client.
