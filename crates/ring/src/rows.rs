//! Rows of integer matrices: what sums of integer multiples are computed from.

use crate::Modulus;

/// A few rows of a sparse matrix of integers over one list of inputs: while an input lies in a register it is
/// used by all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegerRows {
    rows: Vec<u32>,
    inputs: Vec<u32>,
    /// For each input the weight in each row, each as wide as the lane it is multiplied in.
    weights: Vec<i64>,
    largest: u32,
    pairs: Option<Pairs>,
}

/// Small weights, those of two inputs in one word: vector instructions multiply two numbers of 16 bits each
/// and add the products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pairs {
    /// Two inputs each; of an odd number the last one twice.
    pub inputs: Vec<[u32; 2]>,
    /// For each pair the weights of both in each row, that of the first in the low half; zero for an input
    /// that is there for the second time.
    pub weights: Vec<u32>,
    /// For each row the sum of its weights.
    pub totals: Vec<i64>,
    /// How many pairs' products with signed halves of words a sum of 32 bits holds.
    pub batch: usize,
}

impl Pairs {
    /// Sums of fewer pairs are widened too often: of two they would take as long as products of 64 bits.
    const LEAST_BATCH: u32 = 4;
    /// So many inputs at most, and a weight of 13 bits times a word of 30 for each fits 62 bits.
    const MOST_INPUTS: usize = 1 << 20;

    /// For inputs and their weights, where these are small enough.
    fn new(inputs: &[u32], weights: &[i64], rows: usize, largest: u32) -> Option<Self> {
        // A pair's product with halves of words is at most 2^16 times the largest weight.
        let batch = (i32::MAX as u32 >> 16) / largest.max(1);
        if batch < Self::LEAST_BATCH || inputs.is_empty() || inputs.len() > Self::MOST_INPUTS {
            return None;
        }
        let both = |weights: &[i64]| -> Vec<u32> {
            let (first, second) = weights.split_at(rows);
            let halves = |r: usize| {
                let second = second.get(r).map_or(0, |weight| *weight as u16);
                u32::from(first[r] as u16) | u32::from(second) << 16
            };
            (0..rows).map(halves).collect()
        };
        Some(Self {
            inputs: inputs.chunks(2).map(|pair| [pair[0], pair[pair.len() - 1]]).collect(),
            weights: weights.chunks(2 * rows).flat_map(both).collect(),
            totals: (0..rows).map(|r| weights.iter().skip(r).step_by(rows).sum()).collect(),
            batch: batch as usize,
        })
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.inputs[..]) + size_of_val(&self.weights[..]) + size_of_val(&self.totals[..])
    }
}

/// A row of a sparse matrix: pairs of an input and its weight, in rising order of the inputs.
pub type SparseRow = Vec<(u32, i32)>;

impl IntegerRows {
    /// No more rows share a list: their sums must fit the registers.
    pub const MOST: usize = 6;
    /// By how much the list that rows share may be longer, on average, than what each of them needs.
    const WASTE: f64 = 1.25;

    /// Divides the rows of a matrix among blocks, such that rows of one block have nearly the same inputs.
    pub fn blocks(matrix: &[SparseRow]) -> Vec<Self> {
        let mut order: Vec<usize> = (0..matrix.len()).collect();
        order.sort_by(|&a, &b| matrix[a].iter().map(|t| t.0).cmp(matrix[b].iter().map(|t| t.0)));
        let (mut blocks, mut rest) = (vec![], &order[..]);
        while !rest.is_empty() {
            let (block, after) = rest.split_at(alike(matrix, rest));
            blocks.push(Self::new(matrix, block));
            rest = after;
        }
        blocks
    }

    /// The block of the rows at these indices, at most [`MOST`](Self::MOST).
    fn new(matrix: &[SparseRow], rows: &[usize]) -> Self {
        let inputs = union(matrix, rows);
        let mut weights = vec![0; inputs.len() * rows.len()];
        for (r, &row) in rows.iter().enumerate() {
            for (input, weight) in &matrix[row] {
                let at = inputs.binary_search(input).expect("the list has every row's inputs");
                weights[at * rows.len() + r] = i64::from(*weight);
            }
        }
        let largest = weights.iter().map(|w| w.unsigned_abs() as u32).max().unwrap_or(0);
        let pairs = Pairs::new(&inputs, &weights, rows.len(), largest);
        Self { rows: rows.iter().map(|&r| r as u32).collect(), inputs, weights, largest, pairs }
    }

    /// The indices of its rows in the matrix.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The inputs, and for each the weights of all rows.
    pub fn terms(&self) -> impl Iterator<Item = (usize, &[i64])> + '_ {
        self.inputs.iter().map(|&i| i as usize).zip(self.weights.chunks_exact(self.rows.len()))
    }

    pub(crate) fn inputs(&self) -> &[u32] {
        &self.inputs
    }

    pub(crate) fn weights(&self) -> &[i64] {
        &self.weights
    }

    /// The weights of two inputs at a time, where all are small.
    pub(crate) fn pairs(&self) -> Option<&Pairs> {
        self.pairs.as_ref()
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let pairs = self.pairs.as_ref().map_or(0, Pairs::bytes);
        size_of_val(&self.rows[..]) + size_of_val(&self.inputs[..]) + size_of_val(&self.weights[..]) + pairs
    }

    /// How many products of a weight and a residue a signed sum of so many bits holds, beside a word.
    pub(crate) fn unreduced(&self, m: Modulus, bits: u32) -> usize {
        let product = u64::from(self.largest.max(1)) * u64::from(m.value() - 1);
        (((1u64 << (bits - 1)) - (1 << 31)) / product) as usize
    }
}

/// How many of the first rows may share a list.
fn alike(matrix: &[SparseRow], rows: &[usize]) -> usize {
    let (mut list, mut needed) = (vec![], 0);
    let fits = |&(count, row): &(usize, usize)| {
        needed += matrix[row].len();
        list = with_inputs(std::mem::take(&mut list), &matrix[row]);
        (list.len() * count) as f64 <= IntegerRows::WASTE * needed as f64
    };
    let rows = rows.iter().copied().take(IntegerRows::MOST);
    (1..).zip(rows).take_while(fits).last().map_or(1, |(count, _)| count)
}

/// All inputs of these rows, in rising order.
fn union(matrix: &[SparseRow], rows: &[usize]) -> Vec<u32> {
    rows.iter().fold(vec![], |list, &row| with_inputs(list, &matrix[row]))
}

/// A list in rising order with the inputs of one more row, which are often the same.
fn with_inputs(mut list: Vec<u32>, row: &SparseRow) -> Vec<u32> {
    if !row.iter().map(|term| &term.0).eq(&list) {
        list.extend(row.iter().map(|term| term.0));
        list.sort_unstable();
        list.dedup();
    }
    list
}

/// A multiple of `q` of at least `2^63`: it makes every signed 64-bit sum positive.
pub(crate) fn positive(m: Modulus) -> u64 {
    ((1u64 << 63) / u64::from(m.value()) + 1) * u64::from(m.value())
}
