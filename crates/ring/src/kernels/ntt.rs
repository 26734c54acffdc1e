//! Generic vector transforms, on the lazily bounded values of [`Lazy`].
//!
//! # Forward
//!
//! A layer maps `(x, y)` to `(x + w y, x - w y)`: the bound grows by that of a product. See [`Correction`]:
//! * `Never`: the table has summed up that growth over all layers: it ends below [`Correction`]'s limit,
//!   `0.95 * 2^31`.
//! * `EachPass`: a pass is at most four layers. The left inputs of its first layer are corrected, the right
//!   ones go into a product, so the pass ends below `c + 4 * 1.5 q`, which the table has checked against the
//!   limit.
//! * `EachLayer`: both inputs are corrected, to at most `3/4 q` for `q` near `2^30`, so results are below
//!   `c + (1 + c / 2^32) q < 0.75 q + 1.19 q < 2 q < 2^31`; for smaller `q` all the more. NEON's corrections
//!   of primes above `2^29` leave more, in units of `2^30`: `c <= q/2 + q |e x| / 2`, where `q |e|` is the
//!   distance of 2 from a multiple of `q`: at most `0.4`, and at most `2 - 2q` from `q = 0.8` on. So from
//!   `|x| <= 1.9` follows `c <= 0.78` up to `q = 0.8`, and `c <= 1.9 - 1.4 q` beyond: results are below
//!   `c + (1 + c / 4) q`, most at `q = 0.8` and there `1.74`.
//!
//! The last layer brings `x` to `|x| <= 0.506 q` by way of a float quotient: `|x / q| < 2^15` with three
//! roundings of `2^-24` is wrong by less than `0.006`. Because `b < 0.475`, `x + w y` and `x + q - w y` lie
//! in `(-q, 2q)`: two conditional steps are left.
//!
//! # Inverse
//!
//! A layer maps `(x, y)` to `(x + y, (x - y) w)`: sums double, products are below `1.5 q`. A pass is two
//! layers of four inputs each: if the inputs are at most `B`, then the outputs are at most `4 B`, `3 q`,
//! `1.5 q` and `1.5 q`. `Never` corrects the first, so `B = max(c, 3 q)`; `EachPass` corrects the first two,
//! so `B = max(c, 1.5 q)`; `EachLayer` corrects everything at once, so `B = c` and sums are at most
//! `2 c <= 1.5 q < 2^31`. The layers within vectors come first, from residues: four layers of sums reach
//! `16 q` before a correction (`Never`), or `4 q` before one and four times `max(c, 1.5 q)` before the next
//! (`EachPass`). The table has checked `4 B`, too. NEON, for primes above `2^29`, leaves at most
//! `q/2 + 0.2 |x|`: `0.9 q` of the first sums of residues, less of products, and then sums are at most
//! `1.8 q`.
//!
//! # The fold
//!
//! Layer and fold together map the four words `p, b, a, s` at `j`, `N/2 - j`, `N/2 + j`, `N - j`. With
//! `z = zeta^(N/2)`, `z^2 = I`:
//!
//! ```text
//! c_j, c_(N/2+j)     = (p - I s) +- z (a - I b)
//! c_(N/2-j), c_(N-j) = (b - I a) +- z (s - I p)
//! ```
//!
//! and since `s - I p = -I (p + I s)`, the four products `I s`, `I a`, `-z^3 (p + I s) = z (s - I p)`,
//! `-z^3 (b + I a)` suffice: the fold is as cheap as a layer.
//!
//! # Layers within vectors
//!
//! Two vectors hold `2^k` = 32 or 16 consecutive words. Interleaving them rotates the bits of a word's
//! position by one, so after `i` interleavings the `i`-th layer works between the two registers, and lane `l`
//! belongs to node `l mod 2^i`: its twiddle factors are a load that repeats. After `k` interleavings the
//! words are back in order.

use super::lazy::Lazy;
use super::scalar;
use super::simd::Simd;
use crate::NttTable;
use crate::ntt::{Correction, LastTwiddles};

/// How many words to transform to the end before going on: a share of the first-level cache.
const CACHED_WORDS: usize = 8192;

/// The least degree for which the parts below fit together.
const MIN_WORDS: usize = 2 * LEAF_WORDS;

/// Words that are taken through the last six layers at once: two nodes of 64, four groups of 32.
const LEAF_WORDS: usize = 128;

/// Coefficients to values.
#[inline(always)]
pub(super) fn forward<S: Simd>(simd: S, table: &NttTable, a: &mut [u32]) {
    if a.len() < MIN_WORDS {
        return scalar::ntt_forward(table, a);
    }
    match table.lazy().correction {
        Correction::Never => Lazy::<S, false, false>::new(simd, table, table.forward()).forward(table, a),
        Correction::EachPass => Lazy::<S, true, false>::new(simd, table, table.forward()).forward(table, a),
        Correction::EachLayer => Lazy::<S, true, true>::new(simd, table, table.forward()).forward(table, a),
    }
}

/// Values to coefficients.
#[inline(always)]
pub(super) fn inverse<S: Simd>(simd: S, table: &NttTable, a: &mut [u32]) {
    if a.len() < MIN_WORDS {
        return scalar::ntt_inverse(table, a);
    }
    match table.lazy().correction {
        Correction::Never => Lazy::<S, false, false>::new(simd, table, table.inverse()).inverse(table, a),
        Correction::EachPass => Lazy::<S, true, false>::new(simd, table, table.inverse()).inverse(table, a),
        Correction::EachLayer => Lazy::<S, true, true>::new(simd, table, table.inverse()).inverse(table, a),
    }
}

impl<S: Simd, const PASS: bool, const LAYER: bool> Lazy<'_, S, PASS, LAYER> {
    #[inline(always)]
    fn forward(self, table: &NttTable, a: &mut [u32]) {
        let degree = a.len();
        self.fold(table, a);
        let mut size = degree / 2;
        while size > CACHED_WORDS {
            self.split_twice_all(a, 1, size);
            size /= 4;
        }
        let last = self.twiddles.last().chunks_exact(size / 32);
        for (i, (block, last)) in a.chunks_exact_mut(size).zip(last).enumerate() {
            self.forward_subtree(block, degree / size + i, last);
        }
    }

    /// From node `root`, whose words are `block`, down to the leaves.
    #[inline(always)]
    fn forward_subtree(self, block: &mut [u32], root: usize, last: &[LastTwiddles]) {
        let mut size = block.len();
        if size.trailing_zeros() % 2 == 1 {
            self.split_once(block, root);
            size /= 2;
        }
        while size > 64 {
            self.split_twice_all(block, root, size);
            size /= 4;
        }
        let first = root * (block.len() / 64);
        let leaves = block.as_chunks_mut::<LEAF_WORDS>().0.iter_mut().zip(last.as_chunks().0);
        for (i, (leaf, last)) in leaves.enumerate() {
            self.forward_leaf(leaf, first + 2 * i, last);
        }
    }

    /// One layer.
    #[inline(always)]
    fn split_once(self, block: &mut [u32], node: usize) {
        let w = self.node(node);
        let (left, right) = block.split_at_mut(block.len() / 2);
        for (x, y) in left.chunks_exact_mut(S::LANES).zip(right.chunks_exact_mut(S::LANES)) {
            let (v_0, v_1) = self.split(self.simd.load(x), self.simd.load(y), w, true);
            self.simd.store(x, v_0);
            self.simd.store(y, v_1);
        }
    }

    /// Two layers of all nodes of `size` words below `root`.
    #[inline(always)]
    fn split_twice_all(self, words: &mut [u32], root: usize, size: usize) {
        let nodes = root * (words.len() / size);
        for (i, block) in words.chunks_exact_mut(size).enumerate() {
            if S::LANES == 16 {
                self.split_twice::<2>(block, nodes + i);
            } else {
                self.split_twice::<1>(block, nodes + i);
            }
        }
    }

    /// Two layers, `UNROLL` vectors of each quarter at a time.
    #[inline(always)]
    fn split_twice<const UNROLL: usize>(self, block: &mut [u32], node: usize) {
        let w = [self.node(node), self.node(2 * node), self.node(2 * node + 1)];
        let mut quarters = quarters(block);
        for start in (0..quarters[0].len()).step_by(UNROLL * S::LANES) {
            let mut units = [[self.simd.splat(0); 4]; UNROLL];
            for (i, unit) in units.iter_mut().enumerate() {
                for (v, quarter) in unit.iter_mut().zip(&quarters) {
                    *v = self.simd.load(&quarter[start + i * S::LANES..]);
                }
            }
            for v in &mut units {
                (v[0], v[2]) = self.split(v[0], v[2], w[0], true);
                (v[1], v[3]) = self.split(v[1], v[3], w[0], true);
            }
            for v in &mut units {
                (v[0], v[1]) = self.split(v[0], v[1], w[1], false);
                (v[2], v[3]) = self.split(v[2], v[3], w[2], false);
            }
            for (i, unit) in units.iter().enumerate() {
                for (&v, quarter) in unit.iter().zip(&mut quarters) {
                    self.simd.store(&mut quarter[start + i * S::LANES..], v);
                }
            }
        }
    }

    /// The last six layers, from the nodes `node` and `node + 1` of 64 words.
    #[inline(always)]
    fn forward_leaf(self, words: &mut [u32; LEAF_WORDS], node: usize, last: &[LastTwiddles; 4]) {
        if S::LANES == 16 {
            self.forward_leaf_in_registers(words, node, last);
        } else {
            self.split_twice_all(words, node / 2, 64);
            for (groups, last) in words.as_chunks_mut::<64>().0.iter_mut().zip(last.as_chunks().0) {
                self.forward_halves(groups, last, 0);
                self.forward_halves(groups, last, 1);
            }
        }
    }

    /// The last four layers of the first or the second half of two groups, in vectors of 8 lanes: two pairs
    /// at once, so that one has something to do while the other's results arrive.
    #[inline(always)]
    fn forward_halves(self, groups: &mut [u32; 64], last: &[LastTwiddles; 2], half: usize) {
        let mut pairs = [(self.simd.splat(0), self.simd.splat(0)); 2];
        for k in 0..2 {
            let words = &groups[32 * k + 16 * half..];
            let w = self.splat(last[k].values[half], last[k].quotients[half]);
            pairs[k] = self.split(self.simd.load(words), self.simd.load(&words[8..]), w, true);
        }
        let pairs = self.forward_pairs(pairs, last.each_ref(), half);
        for k in 0..2 {
            let words = &mut groups[32 * k + 16 * half..];
            self.simd.store(words, pairs[k].0);
            self.simd.store(&mut words[8..], pairs[k].1);
        }
    }

    /// [`Self::forward_leaf`] in eight vectors of 16 lanes: as four independent pairs it has enough to do
    /// while results arrive.
    #[inline(always)]
    fn forward_leaf_in_registers(self, words: &mut [u32; LEAF_WORDS], node: usize, last: &[LastTwiddles; 4]) {
        let s = self.simd;
        let mut v = [s.splat(0); 8];
        for (v, words) in v.iter_mut().zip(words.chunks_exact(16)) {
            *v = s.load(words);
        }
        for i in 0..2 {
            let w = self.node(node + i);
            (v[4 * i], v[4 * i + 2]) = self.split(v[4 * i], v[4 * i + 2], w, true);
            (v[4 * i + 1], v[4 * i + 3]) = self.split(v[4 * i + 1], v[4 * i + 3], w, true);
        }
        let mut pairs = [(v[0], v[1]), (v[2], v[3]), (v[4], v[5]), (v[6], v[7])];
        for (i, (x, y)) in pairs.iter_mut().enumerate() {
            (*x, *y) = self.split(*x, *y, self.node(2 * node + i), false);
        }
        for ((x, y), last) in pairs.iter_mut().zip(last) {
            (*x, *y) = s.interleave(*x, *y);
            (*x, *y) = self.split(*x, *y, self.last(last, 2, 0), true);
        }
        let pairs = self.forward_pairs(pairs, last.each_ref(), 0);
        for (&(x, y), group) in pairs.iter().zip(words.chunks_exact_mut(32)) {
            s.store(group, x);
            s.store(&mut group[16..], y);
        }
    }

    /// The last three layers in pairs of vectors: pair `index` of each of `COUNT` groups.
    #[inline(always)]
    fn forward_pairs<const COUNT: usize>(
        self,
        mut pairs: [(S::Vector, S::Vector); COUNT],
        last: [&LastTwiddles; COUNT],
        index: usize,
    ) -> [(S::Vector, S::Vector); COUNT] {
        let s = self.simd;
        for k in 0..COUNT {
            let (x, y) = s.interleave(pairs[k].0, pairs[k].1);
            pairs[k] = self.split(x, y, self.last(last[k], 4, index), false);
        }
        for k in 0..COUNT {
            let (x, y) = s.interleave(pairs[k].0, pairs[k].1);
            pairs[k] = self.split(x, y, self.last(last[k], 8, index), false);
        }
        for k in 0..COUNT {
            let (x, y) = s.interleave(pairs[k].0, pairs[k].1);
            let (x, y) = self.split_finally(x, y, self.last(last[k], 16, index));
            pairs[k] = s.interleave(x, y);
        }
        pairs
    }

    /// The fold and the first layer.
    #[inline(always)]
    fn fold(self, table: &NttTable, a: &mut [u32]) {
        let (m, fold) = (table.modulus(), &table.lazy().forward);
        let half = a.len() / 2;
        let middle = m.mul_scalar(a[half], fold.middle);
        let ends = [m.add(a[0], middle), m.sub(a[0], middle)];
        let (p, s) = (a[half / 2], a[half / 2 + half]);
        let product = m.mul_scalar(s, fold.rotate);
        let turned = m.mul_scalar(m.add(p, product), fold.turn);
        let difference = m.sub(p, product);
        let middles = [m.add(difference, turned), m.sub(difference, turned)];

        let (rotate, turn) = (self.constant(m, fold.rotate), self.constant(m, fold.turn));
        self.for_each_four(
            a,
            #[inline(always)]
            |[p, b, a, s]| {
                let (u, u_prime) = self.split(p, s, rotate, true);
                let (v, v_prime) = self.split(b, a, rotate, true);
                let (c_0, c_2) = self.split(u_prime, v, turn, false);
                let (c_1, c_3) = self.split(v_prime, u, turn, false);
                [c_0, c_1, c_2, c_3]
            },
        );
        [a[0], a[half]] = ends;
        [a[half / 2], a[half / 2 + half]] = middles;
    }

    #[inline(always)]
    fn inverse(self, table: &NttTable, a: &mut [u32]) {
        let degree = a.len();
        let mut size = degree / 2;
        while size > CACHED_WORDS {
            size /= 4;
        }
        let last = self.twiddles.last().chunks_exact(size / 32);
        for (i, (block, last)) in a.chunks_exact_mut(size).zip(last).enumerate() {
            self.inverse_subtree(block, degree / size + i, last);
        }
        while size < degree / 2 {
            size *= 4;
            self.join_twice_all(a, 1, size);
        }
        self.unfold(table, a);
    }

    /// From the leaves up to node `root`, whose words are `block`.
    #[inline(always)]
    fn inverse_subtree(self, block: &mut [u32], root: usize, last: &[LastTwiddles]) {
        let first = root * (block.len() / 64);
        let leaves = block.as_chunks_mut::<LEAF_WORDS>().0.iter_mut().zip(last.as_chunks().0);
        for (i, (leaf, last)) in leaves.enumerate() {
            self.inverse_leaf(leaf, first + 2 * i, last);
        }
        let mut size = 64;
        while 4 * size <= block.len() {
            size *= 4;
            self.join_twice_all(block, root, size);
        }
        if size < block.len() {
            self.join_once(block, root);
        }
    }

    /// One layer.
    #[inline(always)]
    fn join_once(self, block: &mut [u32], node: usize) {
        let w = self.node(node);
        let (left, right) = block.split_at_mut(block.len() / 2);
        for (x, y) in left.chunks_exact_mut(S::LANES).zip(right.chunks_exact_mut(S::LANES)) {
            let (v_0, v_1) = self.join(self.simd.load(x), self.simd.load(y), w, true);
            self.simd.store(x, v_0);
            self.simd.store(y, v_1);
        }
    }

    /// Two layers of all nodes of `size` words below `root`.
    #[inline(always)]
    fn join_twice_all(self, words: &mut [u32], root: usize, size: usize) {
        let nodes = root * (words.len() / size);
        for (i, block) in words.chunks_exact_mut(size).enumerate() {
            if S::LANES == 16 {
                self.join_twice::<2>(block, nodes + i);
            } else {
                self.join_twice::<1>(block, nodes + i);
            }
        }
    }

    /// Two layers, `UNROLL` vectors of each quarter at a time.
    #[inline(always)]
    fn join_twice<const UNROLL: usize>(self, block: &mut [u32], node: usize) {
        let w = [self.node(node), self.node(2 * node), self.node(2 * node + 1)];
        let mut quarters = quarters(block);
        for start in (0..quarters[0].len()).step_by(UNROLL * S::LANES) {
            let mut units = [[self.simd.splat(0); 4]; UNROLL];
            for (i, unit) in units.iter_mut().enumerate() {
                for (v, quarter) in unit.iter_mut().zip(&quarters) {
                    *v = self.simd.load(&quarter[start + i * S::LANES..]);
                }
            }
            for v in &mut units {
                (v[0], v[1]) = self.join(v[0], v[1], w[1], false);
                (v[2], v[3]) = self.join(v[2], v[3], w[2], false);
            }
            for v in &mut units {
                (v[0], v[2]) = self.join(v[0], v[2], w[0], true);
                (v[1], v[3]) = self.join(v[1], v[3], w[0], PASS);
            }
            for (i, unit) in units.iter().enumerate() {
                for (&v, quarter) in unit.iter().zip(&mut quarters) {
                    self.simd.store(&mut quarter[start + i * S::LANES..], v);
                }
            }
        }
    }

    /// The first six layers, to the nodes `node` and `node + 1` of 64 words.
    #[inline(always)]
    fn inverse_leaf(self, words: &mut [u32; LEAF_WORDS], node: usize, last: &[LastTwiddles; 4]) {
        if S::LANES == 16 {
            self.inverse_leaf_in_registers(words, node, last);
        } else {
            for (groups, last) in words.as_chunks_mut::<64>().0.iter_mut().zip(last.as_chunks().0) {
                self.inverse_halves(groups, last, 0);
                self.inverse_halves(groups, last, 1);
            }
            self.join_twice_all(words, node / 2, 64);
        }
    }

    /// The first four layers of the first or the second half of two groups: see [`Self::forward_halves`].
    #[inline(always)]
    fn inverse_halves(self, groups: &mut [u32; 64], last: &[LastTwiddles; 2], half: usize) {
        let mut pairs = [(self.simd.splat(0), self.simd.splat(0)); 2];
        for k in 0..2 {
            let words = &groups[32 * k + 16 * half..];
            pairs[k] = (self.simd.load(words), self.simd.load(&words[8..]));
        }
        let mut pairs = self.inverse_pairs(pairs, last.each_ref(), half);
        for k in 0..2 {
            let w = self.splat(last[k].values[half], last[k].quotients[half]);
            pairs[k] = self.join(pairs[k].0, pairs[k].1, w, true);
        }
        for k in 0..2 {
            let words = &mut groups[32 * k + 16 * half..];
            self.simd.store(words, pairs[k].0);
            self.simd.store(&mut words[8..], pairs[k].1);
        }
    }

    /// [`Self::inverse_leaf`] in eight vectors of 16 lanes.
    #[inline(always)]
    fn inverse_leaf_in_registers(self, words: &mut [u32; LEAF_WORDS], node: usize, last: &[LastTwiddles; 4]) {
        let s = self.simd;
        let mut pairs = [(s.splat(0), s.splat(0)); 4];
        for ((x, y), group) in pairs.iter_mut().zip(words.chunks_exact(32)) {
            (*x, *y) = (s.load(group), s.load(&group[16..]));
        }
        let mut pairs = self.inverse_pairs(pairs, last.each_ref(), 0);
        for ((x, y), last) in pairs.iter_mut().zip(last) {
            (*x, *y) = self.join(*x, *y, self.last(last, 2, 0), true);
            (*x, *y) = s.deinterleave(*x, *y);
        }
        for (i, (x, y)) in pairs.iter_mut().enumerate() {
            (*x, *y) = self.join(*x, *y, self.node(2 * node + i), false);
        }
        for (i, words) in words.chunks_exact_mut(64).enumerate() {
            let w = self.node(node + i);
            let ((v_0, v_1), (v_2, v_3)) = (pairs[2 * i], pairs[2 * i + 1]);
            let (v_0, v_2) = self.join(v_0, v_2, w, true);
            let (v_1, v_3) = self.join(v_1, v_3, w, PASS);
            s.store(words, v_0);
            s.store(&mut words[16..], v_1);
            s.store(&mut words[32..], v_2);
            s.store(&mut words[48..], v_3);
        }
    }

    /// The first three layers in pairs of vectors: pair `index` of each of `COUNT` groups.
    #[inline(always)]
    fn inverse_pairs<const COUNT: usize>(
        self,
        mut pairs: [(S::Vector, S::Vector); COUNT],
        last: [&LastTwiddles; COUNT],
        index: usize,
    ) -> [(S::Vector, S::Vector); COUNT] {
        let s = self.simd;
        for k in 0..COUNT {
            let (x, y) = s.deinterleave(pairs[k].0, pairs[k].1);
            pairs[k] = self.join(x, y, self.last(last[k], 16, index), false);
        }
        for k in 0..COUNT {
            let (x, y) = s.deinterleave(pairs[k].0, pairs[k].1);
            pairs[k] = self.join(x, y, self.last(last[k], 8, index), PASS);
        }
        for k in 0..COUNT {
            let (x, y) = s.deinterleave(pairs[k].0, pairs[k].1);
            let (x, y) = self.join(x, y, self.last(last[k], 4, index), false);
            pairs[k] = s.deinterleave(x, y);
        }
        pairs
    }

    /// The last layer and the unfold, to residues.
    #[inline(always)]
    fn unfold(self, table: &NttTable, a: &mut [u32]) {
        let (m, unfold) = (table.modulus(), &table.lazy().inverse);
        let (first, scale, _) = table.unfold();
        let half = a.len() / 2;
        let residue = |x: u32| m.reduce_signed(i64::from(x as i32));
        let (c_0, c_2) = (residue(a[0]), residue(a[half]));
        let ends = [m.mul_scalar(m.add(c_0, c_2), first), m.mul_scalar(m.sub(c_0, c_2), unfold.middle)];
        let (c_1, c_3) = (residue(a[half / 2]), residue(a[half / 2 + half]));
        let (sum, turned) = (m.add(c_1, c_3), m.mul_scalar(m.sub(c_1, c_3), unfold.turn));
        let middles =
            [m.mul_scalar(m.add(sum, turned), scale), m.mul_scalar(m.sub(turned, sum), unfold.rotate)];

        let (rotate, turn) = (self.constant(m, unfold.rotate), self.constant(m, unfold.turn));
        let scale = self.constant(m, scale);
        self.for_each_four(
            a,
            #[inline(always)]
            |[c_0, c_1, c_2, c_3]| {
                let (u_prime, v) = self.join(c_0, c_2, turn, false);
                let (v_prime, u) = self.join(c_1, c_3, turn, false);
                let (p, s) = (self.simd.add(u_prime, u), self.simd.sub(u, u_prime));
                let (b, a) = (self.simd.add(v_prime, v), self.simd.sub(v, v_prime));
                [
                    self.finish(self.mul(p, scale)),
                    self.finish(self.mul(b, scale)),
                    self.finish(self.mul(a, rotate)),
                    self.finish(self.mul(s, rotate)),
                ]
            },
        );
        [a[0], a[half]] = ends;
        [a[half / 2], a[half / 2 + half]] = middles;
    }

    /// Replaces the words at `j`, `N/2 - j`, `N/2 + j`, `N - j` for all `0 < j < N/4` by what `f` makes of
    /// them; those at 0 and `N/2` are left undefined, those at `N/4` and `3N/4` untouched.
    #[inline(always)]
    fn for_each_four(self, a: &mut [u32], f: impl Fn([S::Vector; 4]) -> [S::Vector; 4]) {
        let (s, half) = (self.simd, a.len() / 2);
        // Lane 0 of the first vectors is j = 0, whose word N - j does not exist.
        let mut last = [0; 16];
        last[..S::LANES - 1].copy_from_slice(&a[2 * half + 1 - S::LANES..]);
        for j in (0..half / 2).step_by(S::LANES) {
            let (down, end) = (half + 1 - S::LANES - j, 2 * half + 1 - S::LANES - j);
            let fourth = if j == 0 { &last[..] } else { &a[end..] };
            let (b, fourth) = (s.reverse(s.load(&a[down..])), s.reverse(s.load(fourth)));
            let [v_0, v_1, v_2, v_3] = f([s.load(&a[j..]), b, s.load(&a[half + j..]), fourth]);
            s.store(&mut a[down..], s.reverse(v_1));
            s.store(&mut a[j..], v_0);
            s.store(&mut a[half + j..], v_2);
            let fourth = if j == 0 { &mut last[..] } else { &mut a[end..] };
            s.store(fourth, s.reverse(v_3));
        }
        a[2 * half + 1 - S::LANES..].copy_from_slice(&last[..S::LANES - 1]);
    }
}

/// The quarters of a block. (Iterators over their vectors, zipped, would be made by a call and four
/// divisions, which for blocks of 64 words is a tenth of a transform.)
#[inline(always)]
fn quarters(block: &mut [u32]) -> [&mut [u32]; 4] {
    let quarter = block.len() / 4;
    let (first, rest) = block.split_at_mut(quarter);
    let (second, rest) = rest.split_at_mut(quarter);
    let (third, rest) = rest.split_at_mut(quarter);
    [first, second, third, &mut rest[..quarter]]
}
