//! The fuzzer's targets without the fuzzer: on every input of the kept corpus, and on seeded mutations of it.
//!
//! `cargo test --release -p blindsight-hostile -- --ignored` feeds twenty times as many mutations, which
//! takes about 20 s for each target.

use blindsight_hostile::{TARGETS, Target};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngSeed, TestRunner};
use std::fs;
use std::path::{Path, PathBuf};

/// One change of an input; places are relative to its length.
#[derive(Debug, Clone)]
enum Mutation {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Erase(Index, usize),
    /// A piece of it, again elsewhere.
    Repeat(Index, usize, Index),
    /// From here on as another input.
    Splice(Index, Vec<u8>),
}

impl Mutation {
    fn any(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Self> {
        let piece = prop_oneof![vec(any::<u8>(), 1..12), Just(vec![0; 8]), Just(vec![0xff; 8])];
        prop_oneof![
            4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Self::Set(at, byte)),
            2 => (any::<Index>(), piece).prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            2 => (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Self::Erase(at, length)),
            1 => (any::<Index>(), 1..40_usize, any::<Index>()).prop_map(|(at, length, to)| Self::Repeat(at, length, to)),
            1 => (any::<Index>(), select(corpus)).prop_map(|(at, other)| Self::Splice(at, other)),
        ]
    }

    fn apply(&self, input: &mut Vec<u8>) {
        let length = input.len();
        let place = |at: &Index| at.index(length + 1);
        let piece = |at: &Index, size: &usize| place(at)..(place(at) + size).min(length);
        match self {
            Self::Set(at, byte) if length > 0 => input[at.index(length)] = *byte,
            Self::Set(_, byte) => input.push(*byte),
            Self::Insert(at, bytes) => drop(input.splice(place(at)..place(at), bytes.iter().copied())),
            Self::Erase(at, size) => drop(input.drain(piece(at, size))),
            Self::Repeat(at, size, to) => {
                let piece = input[piece(at, size)].to_vec();
                drop(input.splice(place(to)..place(to), piece));
            }
            Self::Splice(at, other) => {
                let kept = place(at);
                input.truncate(kept);
                input.extend(other.get(kept..).unwrap_or_default());
            }
        }
    }
}

fn target(name: &str) -> Target {
    TARGETS.into_iter().find(|target| target.name == name).expect("a target")
}

/// What the fuzzer's runs have found worth keeping for a target, in the order of the files' names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).expect("a folder for each target");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("a file")).collect()
}

fn feed_corpus(name: &str) {
    let inputs = corpus(name);
    assert!(inputs.len() >= 5, "{} inputs for {name}", inputs.len());
    inputs.iter().for_each(|input| (target(name).feed)(input));
}

/// Feeds so many mutations; proptest makes a failing one as small as it can, and prints it.
fn feed_mutations(name: &str, cases: u32) {
    let corpus = corpus(name);
    let mutations = vec(Mutation::any(corpus.clone()), 1..6);
    let inputs = (select(corpus), mutations).prop_map(|(mut input, mutations)| {
        mutations.iter().for_each(|mutation| mutation.apply(&mut input));
        input
    });
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x_b11d_5167),
        ..ProptestConfig::default()
    };
    let fed = TestRunner::new(config).run(&inputs, |input| {
        (target(name).feed)(&input);
        Ok(())
    });
    fed.unwrap_or_else(|failure| panic!("{name}: {failure}"));
}

/// The tests of each target, with how many mutations take about a second.
macro_rules! targets {
    ($($name:ident: $cases:literal),*) => {
        $(mod $name {
            #[test]
            fn kept_inputs_are_refused_or_used() {
                super::feed_corpus(stringify!($name));
            }

            #[test]
            fn mutated_inputs_are_refused_or_used() {
                super::feed_mutations(stringify!($name), $cases);
            }

            #[test]
            #[ignore = "takes 20 s: .ci/slow runs it"]
            fn many_mutated_inputs_are_refused_or_used() {
                super::feed_mutations(stringify!($name), 20 * $cases);
            }
        })*

        #[test]
        fn every_target_is_here() {
            assert_eq!([$(stringify!($name)),*], TARGETS.map(|target| target.name));
        }
    };
}

targets! {
    acceptance: 40, audit: 400, documents: 250_000, evaluation_keys: 100, fleet: 50_000, http: 400, image: 20_000,
    inputs: 2_000, onnx: 25_000, plans: 600, reply: 10_000, request: 200, sealed: 15, server_files: 3_000,
    suite_inputs: 250_000
}
