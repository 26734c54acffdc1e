//! Inversion of a symmetric distribution, in constant time.

use super::simd::Simd;
use zeroize::Zeroize;

/// Samples that are drawn at a time.
const BLOCK: usize = 64;

/// Every word is compared with every threshold; positions and thresholds are below `2^63`, so signed
/// comparisons do.
#[inline(always)]
pub(super) fn gaussian<S: Simd>(simd: S, thresholds: &[u64], words: &[u64], out: &mut [i32]) {
    let (mut positions, mut magnitudes) = ([0u64; BLOCK], [0u64; BLOCK]);
    for (words, out) in words.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        for (position, word) in positions.iter_mut().zip(words) {
            *position = word >> 1;
        }
        let positions: &[u32] = bytemuck::cast_slice(&positions);
        let magnitudes: &mut [u32] = bytemuck::cast_slice_mut(&mut magnitudes);
        for (p, m) in positions.chunks_exact(4 * S::LANES).zip(magnitudes.chunks_exact_mut(4 * S::LANES)) {
            count_thresholds(simd, thresholds, p, m);
        }
        for ((x, word), magnitude) in out.iter_mut().zip(words).zip(magnitudes.iter().step_by(2)) {
            let sign = (word & 1) as i32;
            *x = (*magnitude as i32 ^ -sign) + sign;
        }
    }
    positions.zeroize();
    magnitudes.zeroize();
}

/// For four vectors of wide positions how many thresholds they have reached.
#[inline(always)]
fn count_thresholds<S: Simd>(simd: S, thresholds: &[u64], positions: &[u32], counts: &mut [u32]) {
    let all = simd.splat_wide(thresholds.len() as u64);
    let mut count = [all; 4];
    let mut position = [all; 4];
    for (v, words) in position.iter_mut().zip(positions.chunks_exact(S::LANES)) {
        *v = simd.load(words);
    }
    for &threshold in thresholds {
        let threshold = simd.splat_wide(threshold);
        for (count, &position) in count.iter_mut().zip(&position) {
            *count = simd.decrement_if_less(*count, position, threshold);
        }
    }
    for (&v, words) in count.iter().zip(counts.chunks_exact_mut(S::LANES)) {
        simd.store(words, v);
    }
}
