//! What tests share.

/// A small generator of weights.
pub struct Random(pub u64);

impl Random {
    /// A number from -1 to 1.
    pub fn number(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// So many values of this mean square.
    pub fn values(&mut self, count: usize, mean_square: f64) -> Vec<f64> {
        (0..count).map(|_| self.number() * (3.0 * mean_square).sqrt()).collect()
    }
}
