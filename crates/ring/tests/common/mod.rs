//! Test data.
#![allow(dead_code)]

/// A generator good enough for test data (SplitMix64).
pub struct Words(pub u64);

impl Words {
    /// The next word.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Uniform residues.
    pub fn residues(&mut self, q: u32, count: usize) -> Vec<u32> {
        (0..count).map(|_| (self.next() % u64::from(q)) as u32).collect()
    }

    /// Zeros (`edge` 0), largest residues (1), extremes mixed (2), or uniform residues.
    pub fn edge_residues(&mut self, q: u32, count: usize, edge: usize) -> Vec<u32> {
        let extremes = [0, 1, q / 2, q / 2 + 1, q - 2, q - 1];
        match edge {
            0 => vec![0; count],
            1 => vec![q - 1; count],
            2 => (0..count).map(|_| extremes[(self.next() % 6) as usize]).collect(),
            _ => self.residues(q, count),
        }
    }
}
