//! Numbers as people read them: with the unit that fits, and no more than three significant digits.
//!
//! What a script needs exactly is in the JSON.

/// A unit: its name, its size, and the figure from which on the next unit is the one to use.
type Unit = (&'static str, f64, f64);

const TIMES: [Unit; 7] = [
    ("ns", 1e-6, 1e3),
    ("µs", 1e-3, 1e3),
    ("ms", 1.0, 1e3),
    ("s", 1e3, 300.0),
    ("min", 60e3, 300.0),
    ("h", 3600e3, 100.0),
    ("days", 86_400e3, f64::INFINITY),
];
const BYTES: [Unit; 5] =
    [("B", 1.0, 1e3), ("KiB", KIBI, 1e3), ("MiB", KIBI * KIBI, 1e3), ("GiB", KIBI * KIBI * KIBI, 1e3), TIB];
const KIBI: f64 = 1024.0;
const TIB: Unit = ("TiB", KIBI * KIBI * KIBI * KIBI, f64::INFINITY);
const TRAFFIC: [Unit; 5] =
    [("B", 1.0, 1e3), ("kB", 1e3, 1e3), ("MB", 1e6, 1e3), ("GB", 1e9, 1e3), ("TB", 1e12, f64::INFINITY)];
/// Counts to 9999 are exact: nobody misreads four digits, and small sums can be checked.
const COUNTS: [Unit; 4] = [("", 1.0, 1e4), ("k", 1e3, 1e3), ("M", 1e6, 1e3), ("G", 1e9, f64::INFINITY)];

/// A time, of so many milliseconds.
pub fn milliseconds(ms: f64) -> String {
    in_unit(ms, &TIMES)
}

/// So many bytes, in powers of 1024.
pub fn bytes(count: u64) -> String {
    in_unit(count as f64, &BYTES)
}

/// So many bytes, in powers of 1000, as traffic is counted.
pub fn traffic(bytes: f64) -> String {
    in_unit(bytes, &TRAFFIC)
}

/// A count: exact to 9999, then in thousands and millions.
pub fn count(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        _ => in_unit(count as f64, &COUNTS).replace(' ', ""),
    }
}

/// How many in each second; of what happens less often, in each minute or hour.
pub fn rate(per_second: f64) -> String {
    let (each, seconds) = match per_second {
        often if often >= 1.0 || often == 0.0 => ("s", 1.0),
        seldom if seldom >= 1.0 / 60.0 => ("min", 60.0),
        _ => ("h", 3600.0),
    };
    match per_second * seconds {
        many if many >= 1e4 => format!("{}/{each}", count(many as u64)),
        few => format!("{}/{each}", number(few)),
    }
}

/// A length in bits.
pub fn bits(length: f64) -> String {
    format!("{} bits", number(length))
}

/// A share as a percentage: to a hundredth, which is one of ten thousand test images.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A part of a whole, both as they are, and as a percentage.
pub fn part(part: usize, whole: usize) -> String {
    format!("{part} of {whole} ({})", percent(part as f64 / whole.max(1) as f64))
}

/// A count with a comma after each three digits: exact, for charts.
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// A number with three significant digits; small whole ones without decimals.
pub fn number(value: f64) -> String {
    // Nothing is said of the sign of zero.
    let value = value + 0.0;
    let scientific = format!("{value:.2e}");
    match power(&scientific) {
        Some(0..=2) if value.fract() == 0.0 => format!("{value:.0}"),
        Some(power @ -4..=2) => format!("{value:.0$}", (2 - power) as usize),
        Some(3..=5) => format!("{:.0}", rounded(value)),
        _ => scientific,
    }
}

/// The power of ten of a number as Rust writes it.
fn power(scientific: &str) -> Option<i32> {
    scientific.split_once('e')?.1.parse().ok()
}

/// What three significant digits say.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// A figure in the smallest unit that it is small enough for.
fn in_unit(value: f64, units: &[Unit]) -> String {
    let fits = |(_, size, end): &&Unit| rounded(value / size) < *end;
    let (name, size, _) = units.iter().find(fits).unwrap_or(&units[units.len() - 1]);
    format!("{} {name}", number(value / size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_change_where_they_should() {
        assert_eq!([0, 999, 1023, 1024, 5 << 20].map(bytes), ["0 B", "999 B", "0.999 KiB", "1 KiB", "5 MiB"]);
        assert_eq!(bytes(819_507), "800 KiB");
        let times = [0.0004, 0.0613, 0.81, 6.227, 999.7, 299_000.0, 300_000.0, 17_999_000.0, 1.8e7, 7.776e9];
        let said = [
            "400 ns", "61.3 µs", "810 µs", "6.23 ms", "1.00 s", "299 s", "5 min", "5.00 h", "5 h", "90 days",
        ];
        assert_eq!(times.map(milliseconds), said);
        assert_eq!(
            [9999, 10_000, 85_740, 999_999, 1_663_370].map(count),
            ["9999", "10k", "85.7k", "1.00M", "1.66M"]
        );
        assert_eq!([481.8494, 0.5, 0.0123456, 0.0].map(rate), ["482/s", "30/min", "44.4/h", "0/s"]);
        assert_eq!((bits(213.99), traffic(12.34e12)), ("214 bits".into(), "12.3 TB".into()));
        assert_eq!((percent(0.99324), part(1, 0)), ("99.32 %".into(), "1 of 0 (100.00 %)".into()));
    }

    #[test]
    fn numbers_have_three_significant_digits() {
        let numbers = [0.0, -0.0, 2.0, 0.0123456, 5.3051e-3, 2150.56, 999.6, 3.2e-7, 1.5e9, -0.5];
        let said = ["0", "0", "2", "0.0123", "0.00531", "2150", "1000", "3.20e-7", "1.50e9", "-0.500"];
        assert_eq!(numbers.map(number), said);
    }

    #[test]
    fn thousands_are_grouped() {
        let counts = [0, 999, 1000, 212_905, 1_000_000];
        assert_eq!(counts.map(thousands), ["0", "999", "1,000", "212,905", "1,000,000"]);
    }

    /// The digits of a figure without those zeros that only say how large it is.
    fn significant(said: &str) -> usize {
        let figure = said.split([' ', 'e', 'k', 'M', 'G']).next().unwrap_or_default();
        let digits: String = figure.chars().filter(char::is_ascii_digit).collect();
        let digits = digits.trim_start_matches('0');
        if figure.contains('.') { digits.len() } else { digits.trim_end_matches('0').len() }
    }

    proptest! {
        #[test]
        fn no_figure_has_more_than_three_significant_digits(power in -12.0..14.0_f64, whole in 10_000..u64::MAX) {
            let value = 10_f64.powf(power);
            for said in [number(value), milliseconds(value), rate(value), bits(value), bytes(whole), count(whole)] {
                prop_assert!(significant(said.split('/').next().unwrap_or(&said)) <= 3, "{said}");
            }
        }

        #[test]
        fn a_time_is_within_a_hundredth_of_what_is_said(power in -6.0..9.0_f64) {
            let ms = 10_f64.powf(power);
            let said = milliseconds(ms);
            let (figure, unit) = said.split_once(' ').expect("a unit");
            let size = TIMES.iter().find(|(name, ..)| *name == unit).expect("one of ours").1;
            let back = figure.parse::<f64>().expect("a number") * size;
            prop_assert!((back / ms - 1.0).abs() < 0.01, "{ms} is {said}");
        }
    }
}
