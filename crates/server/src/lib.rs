//! Blindsight server.
