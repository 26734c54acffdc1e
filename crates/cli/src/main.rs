//! The command line of Blindsight.
fn main() {}
