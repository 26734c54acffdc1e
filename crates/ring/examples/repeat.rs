//! Runs one kernel function so many times, for a tool that counts instructions: `tools/arm --count`.
//!
//!     cargo run --release -p blindsight-ring --example repeat -- KERNEL FUNCTION BITS TIMES
//!
//! `FUNCTION` is `forward`, `inverse` or `dot` (the sums of 8 products that key-switches are made of), on
//! 8192 words modulo a prime of 26, 28 or 30 `BITS`. What 0 `TIMES` cost is the program around it.

use blindsight_ring::kernels::{self, Pair};
use blindsight_ring::{Kernel, Modulus, NttTable, primes};
use std::hint::black_box;

const DEGREE: usize = 8192;
const TERMS: usize = 8;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kernel, function, bits, times] = &arguments[..] else {
        panic!("expected KERNEL FUNCTION BITS TIMES, not {arguments:?}");
    };
    let kernel =
        Kernel::available().into_iter().find(|k| k.name() == kernel).expect("a kernel of this machine");
    let modulus = prime(bits.parse().expect("a number of bits"));
    run(kernel, function, modulus, times.parse().expect("a number of times"));
}

/// The largest prime of so many bits.
fn prime(bits: u32) -> Modulus {
    let end = 1 << bits;
    let found = primes::search(DEGREE, end, end - end / 8, end);
    Modulus::new(found[0].into()).expect("a prime")
}

fn run(kernel: Kernel, function: &str, modulus: Modulus, times: usize) {
    let table = NttTable::new(modulus, DEGREE).expect("a prime of this degree");
    let limb = |seed: u32| (0..DEGREE as u32).map(|i| (i * 2_654_435 + seed) % modulus.value()).collect();
    let limbs: Vec<Vec<u32>> = (0..3 * TERMS as u32).map(limb).collect();
    let terms: Vec<Pair<'_>> =
        limbs.chunks(3).map(|l| Pair { left: [&l[0], &l[1]], shared: &l[2] }).collect();
    let mut out = [limbs[0].clone(), limbs[1].clone()];
    for _ in 0..times {
        match function {
            "forward" => kernels::ntt_forward(kernel, &table, &mut out[0]),
            "inverse" => kernels::ntt_inverse(kernel, &table, &mut out[0]),
            "dot" => kernels::dot_pair(kernel, modulus, &terms, out.each_mut().map(Vec::as_mut_slice)),
            _ => panic!("expected forward, inverse or dot, not {function}"),
        }
        black_box(&mut out);
    }
}
