//! Search for primes with the roots of unity that the transform needs.

/// Whether `n` is prime: Miller-Rabin with the bases 2, 3, 5, 7, which decide every `n` below 3,215,031,751
/// (Jaeschke, "On strong pseudoprimes to several bases", 1993).
pub fn is_prime(n: u64) -> bool {
    debug_assert!(n < 3_215_031_751);
    let bases = [2, 3, 5, 7];
    if n < 2 || bases.iter().any(|&p| n.is_multiple_of(p)) {
        return bases.contains(&n);
    }
    let (shift, odd) = ((n - 1).trailing_zeros(), (n - 1) >> (n - 1).trailing_zeros());
    bases.iter().all(|&base| passes_miller_rabin(n, base, odd, shift))
}

fn passes_miller_rabin(n: u64, base: u64, odd: u64, shift: u32) -> bool {
    let mut x = power(base, odd, n);
    if x == 1 || x == n - 1 {
        return true;
    }
    for _ in 1..shift {
        x = x * x % n;
        if x == n - 1 {
            return true;
        }
    }
    false
}

fn power(mut base: u64, mut exponent: u64, n: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % n;
        }
        base = base * base % n;
        exponent >>= 1;
    }
    result
}

/// The primes `q = 1 mod 4 * degree` in `[low, high)`, those nearest to `centre` first.
///
/// Bounds above `2^30` are cut there, because no [`crate::Modulus`] is larger.
pub fn search(degree: usize, centre: u64, low: u64, high: u64) -> Vec<u32> {
    let step = 4 * degree as u64;
    let (low, high) = (low.max(1 << 16), high.min(1 << 30));
    let first = low.saturating_sub(1).div_ceil(step) * step + 1;
    let mut found: Vec<u64> =
        (first..high).step_by(step as usize).filter(|&q| q >= low && is_prime(q)).collect();
    found.sort_by_key(|&q| (q.abs_diff(centre), q));
    found.into_iter().map(|q| q as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primality_equals_trial_division() {
        let by_trial = |n: u64| n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
        for n in (0..5_000).chain((1 << 26)..(1 << 26) + 500).chain((1 << 30) - 500..1 << 30) {
            assert_eq!(is_prime(n), by_trial(n), "{n}");
        }
    }

    #[test]
    fn finds_as_many_as_are_known_within_a_tenth_of_a_bit_of_2_26() {
        let centre = f64::from(1 << 26);
        let (low, high) = ((centre * 2f64.powf(-0.1)) as u64, (centre * 2f64.powf(0.1)) as u64);
        for (degree, count) in [(8192, 33), (16384, 17), (32768, 9), (65536, 5)] {
            let found = search(degree, 1 << 26, low, high);
            assert_eq!(found.len(), count, "degree {degree}");
            assert!(found.iter().all(|&q| u64::from(q) % (4 * degree as u64) == 1));
        }
    }
}
