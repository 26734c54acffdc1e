//! The ChaCha20 key stream, one block in each lane.
//!
//! Bernstein's original layout: a 64-bit block counter in words 12 and 13, a 64-bit stream number in words 14
//! and 15.

use super::simd::Simd;
use crate::seed::Seed;

/// Words in a block.
const BLOCK: usize = 16;

/// Writes the key stream from block `first` on; the length is a multiple of 256 words.
#[inline(always)]
pub(super) fn keystream<S: Simd>(simd: S, key: &Seed, stream: u64, first: u64, out: &mut [u32]) {
    let mut state = initial_state(simd, key, stream);
    for (i, out) in out.chunks_exact_mut(BLOCK * S::LANES).enumerate() {
        let block = first.wrapping_add((i * S::LANES) as u64);
        let (mut low, mut high) = ([0; 16], [0; 16]);
        for (lane, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
            let counter = block.wrapping_add(lane as u64);
            (*low, *high) = (counter as u32, (counter >> 32) as u32);
        }
        (state[12], state[13]) = (simd.load(&low), simd.load(&high));
        let words = in_order(simd, permuted(simd, state));
        for (v, out) in words.into_iter().zip(out.chunks_exact_mut(S::LANES)) {
            simd.store(out, v);
        }
    }
}

#[inline(always)]
fn initial_state<S: Simd>(simd: S, key: &Seed, stream: u64) -> [S::Vector; BLOCK] {
    let mut state = [simd.splat(0); BLOCK];
    for (v, word) in state.iter_mut().zip([0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]) {
        *v = simd.splat(word);
    }
    for (v, bytes) in state[4..].iter_mut().zip(key.as_chunks::<4>().0) {
        *v = simd.splat(u32::from_le_bytes(*bytes));
    }
    (state[14], state[15]) = (simd.splat(stream as u32), simd.splat((stream >> 32) as u32));
    state
}

/// Twenty rounds, and the initial state added.
#[inline(always)]
fn permuted<S: Simd>(simd: S, state: [S::Vector; BLOCK]) -> [S::Vector; BLOCK] {
    let mut v = state;
    for _ in 0..10 {
        quarter_round(simd, &mut v, [0, 4, 8, 12]);
        quarter_round(simd, &mut v, [1, 5, 9, 13]);
        quarter_round(simd, &mut v, [2, 6, 10, 14]);
        quarter_round(simd, &mut v, [3, 7, 11, 15]);
        quarter_round(simd, &mut v, [0, 5, 10, 15]);
        quarter_round(simd, &mut v, [1, 6, 11, 12]);
        quarter_round(simd, &mut v, [2, 7, 8, 13]);
        quarter_round(simd, &mut v, [3, 4, 9, 14]);
    }
    for (v, initial) in v.iter_mut().zip(state) {
        *v = simd.add(*v, initial);
    }
    v
}

#[inline(always)]
fn quarter_round<S: Simd>(simd: S, v: &mut [S::Vector; BLOCK], [a, b, c, d]: [usize; 4]) {
    v[a] = simd.add(v[a], v[b]);
    v[d] = simd.rotate_left::<16, 16>(simd.xor(v[d], v[a]));
    v[c] = simd.add(v[c], v[d]);
    v[b] = simd.rotate_left::<12, 20>(simd.xor(v[b], v[c]));
    v[a] = simd.add(v[a], v[b]);
    v[d] = simd.rotate_left::<8, 24>(simd.xor(v[d], v[a]));
    v[c] = simd.add(v[c], v[d]);
    v[b] = simd.rotate_left::<7, 25>(simd.xor(v[b], v[c]));
}

/// From word-major to block-major order: interleaving the halves rotates a word's position `(word, lane)` by
/// one bit, and four times that brings the four bits of `word` behind those of `lane`.
#[inline(always)]
fn in_order<S: Simd>(simd: S, mut v: [S::Vector; BLOCK]) -> [S::Vector; BLOCK] {
    for _ in 0..4 {
        let old = v;
        for i in 0..8 {
            (v[2 * i], v[2 * i + 1]) = simd.interleave(old[i], old[i + 8]);
        }
    }
    v
}

/// The residues of the words below `end`, a multiple of `q`: fills `out` from the front; the number of words
/// written.
#[inline(always)]
pub(super) fn accept<S: Simd>(simd: S, m: crate::Modulus, words: &[u32], end: u32, out: &mut [u32]) -> usize {
    let field = super::field::Field::new(simd, m);
    let mut filled = 0;
    for block in words.as_chunks::<16>().0 {
        let room = &mut out[filled..];
        if room.len() >= 16 && block.iter().fold(0, |max, &word| word.max(max)) < end {
            for (words, out) in block.chunks_exact(S::LANES).zip(room.chunks_exact_mut(S::LANES)) {
                simd.store(out, field.reduce_word(simd.load(words)));
            }
            filled += 16;
        } else {
            filled += super::scalar::accept(m, block, end, room);
        }
    }
    filled
}
