//! One program for all tests of the crate, so that link-time optimisation runs once and not ten times.

mod common;
mod deep;
mod edges;
mod encoder;
mod examples;
mod keys;
mod masking;
mod operations;
mod parameters;
mod repeats;
mod reply;
mod statistics;
mod unrelinearised;
mod variants;
mod wire;
