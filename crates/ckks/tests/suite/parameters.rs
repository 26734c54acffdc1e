//! What parameters are accepted, and with which figures others are refused.

use crate::common::{nearest, shipped};
use blindsight_ckks::{Error, Level, ParametersLiteral, Scale, Security, parameters::largest_log_qp};

/// Degree and largest `log2(QP)` at 128, 192 and 256 bits (ia.cr/2024/463, table 5.2).
const TABLE: [(usize, [f64; 3]); 6] = [
    (2048, [53.0, 36.0, 27.0]),
    (4096, [106.0, 73.0, 56.0]),
    (8192, [214.0, 147.0, 114.0]),
    (16384, [430.0, 297.0, 230.0]),
    (32768, [868.0, 597.0, 462.0]),
    (65536, [1747.0, 1199.0, 929.0]),
];

/// A chain whose `log2(QP)` is nearest to `target` from below or (`above`) from above: within half a bit.
fn chain(degree: usize, target: f64, above: bool) -> ParametersLiteral {
    // Two bits above a digit at least; the smallest chains have no room for thirty.
    let special = nearest(degree, if target < 60.0 { (target / 2.0 + 1.5).exp2() as u64 } else { 1 << 30 });
    let mut literal =
        ParametersLiteral { degree, moduli: vec![], special: special[..1].to_vec(), digit_limbs: 1 };
    let mut left = target - f64::from(special[0]).log2();
    // Primes of equal bits, as nearly as there are, but for the last one, which is smaller: it is picked to
    // fit.
    for others in (1..(left / 27.0).ceil() as usize).rev() {
        let typical = nearest(degree, ((left + 2.0) / (others + 1) as f64).exp2() as u64);
        let q = *typical.iter().find(|q| !literal.moduli.contains(q)).unwrap();
        left -= f64::from(q).log2();
        literal.moduli.push(q);
    }
    let fits = |q: &&u32| (f64::from(**q).log2() > left) == above && !literal.moduli.contains(*q);
    let last = *nearest(degree, left.exp2() as u64).iter().find(fits).unwrap();
    literal.moduli.push(last);
    literal
}

fn log_qp(literal: &ParametersLiteral) -> f64 {
    literal.moduli.iter().chain(&literal.special).map(|&q| f64::from(q).log2()).sum()
}

#[test]
fn the_table_decides_at_every_degree() {
    for (degree, [limit, ..]) in TABLE {
        assert_eq!(largest_log_qp(degree, Security::Bits128), limit);
        let accepted = chain(degree, limit, false);
        let parameters = accepted.validate().unwrap_or_else(|e| panic!("{degree}: {e}"));
        assert!(limit - 0.5 < parameters.log_qp() && parameters.log_qp() <= limit, "{}", parameters.log_qp());
        assert!((parameters.log_qp() - log_qp(&accepted)).abs() < 1e-9);
        assert_eq!(parameters.security_bits(), 128);

        let refused = chain(degree, limit, true);
        let Err(Error::Insecure { degree: n, log_qp: asked, largest, .. }) = refused.validate() else {
            panic!("{} bits were accepted at {degree}", log_qp(&refused));
        };
        assert_eq!((n, largest), (degree, limit));
        assert!((asked - log_qp(&refused)).abs() < 1e-9 && asked > limit && asked < limit + 0.5, "{asked}");
        let message = refused.validate().unwrap_err().to_string();
        assert!(
            message.contains(&format!("at most {limit}")) && message.contains(&format!("{asked:.2}")),
            "{message}"
        );
        assert_eq!(refused.validate_insecure().unwrap().security_bits(), 0);
    }
}

#[test]
fn higher_security_is_told() {
    for (degree, [_, at_192, at_256]) in TABLE.into_iter().skip(1) {
        for (limit, above, bits) in
            [(at_192, true, 128), (at_192, false, 192), (at_256, true, 192), (at_256, false, 256)]
        {
            let literal = chain(degree, limit, above);
            let parameters =
                literal.validate().unwrap_or_else(|e| panic!("{degree} at {limit}: {e}: {literal:?}"));
            assert_eq!(parameters.security_bits(), bits, "degree {degree}, {} bits", parameters.log_qp());
        }
    }
}

#[test]
fn small_and_odd_degrees_are_insecure() {
    let mut literal = ParametersLiteral {
        degree: 1024,
        moduli: vec![nearest(1024, 1 << 17)[0]],
        special: vec![nearest(1024, 1 << 20)[0]],
        digit_limbs: 1,
    };
    assert!(matches!(literal.validate(), Err(Error::Insecure { degree: 1024, largest: 26.0, .. })));
    literal.degree = 512;
    assert!(matches!(literal.validate(), Err(Error::Insecure { degree: 512, largest: 0.0, .. })));
    for degree in [0, 1, 8, 1000, 1 << 17, usize::MAX] {
        let literal = ParametersLiteral { degree, ..shipped() };
        assert_eq!(literal.validate(), Err(Error::Ring(blindsight_ring::Error::Degree(degree))));
    }
    assert_eq!(largest_log_qp(1000, Security::Bits128), 0.0);
}

#[test]
fn the_shipped_chain_fits_and_one_level_more_does_not() {
    let parameters = shipped().validate().unwrap();
    assert!((parameters.log_qp() - 213.99).abs() < 0.005, "{}", parameters.log_qp());
    assert_eq!(
        (parameters.security_bits(), parameters.max_level(), parameters.slots()),
        (128, Level(5), 8192)
    );
    let digits: Vec<_> = (0..3).map(|j| parameters.digit(Level(5), j)).collect();
    assert_eq!((parameters.digits(Level(5)), digits), (3, vec![0..2, 2..4, 4..6]));
    assert_eq!((parameters.digits(Level(2)), parameters.digit(Level(2), 1)), (2, 2..3));
    assert_eq!(
        parameters.check_level(Level(6)),
        Err(Error::NoSuchLevel { level: Level(6), largest: Level(5) })
    );

    let mut longer = shipped();
    let unused = |q: &u32| !longer.moduli.contains(q);
    let next = nearest(8192, 1 << 26).into_iter().find(unused).unwrap();
    longer.moduli.push(next);
    let Err(Error::Insecure { log_qp, largest, .. }) = longer.validate() else { panic!("accepted") };
    assert!((log_qp - 240.0).abs() < 0.1 && largest == 214.0, "{log_qp}");
}

#[test]
fn primes_must_differ() {
    for (position, repeated) in [(5, 67043329), (3, 268271617)] {
        let mut literal = shipped();
        literal.moduli[position] = repeated;
        assert_eq!(literal.validate(), Err(Error::RepeatedPrime(repeated)));
    }
    let literal = ParametersLiteral { special: vec![268271617; 2], ..shipped() };
    assert_eq!(literal.validate(), Err(Error::RepeatedPrime(268271617)));
}

#[test]
fn primes_must_be_primes_with_roots_and_in_range() {
    let with = |q: u32| {
        let mut literal = shipped();
        literal.moduli[2] = q;
        literal.validate().unwrap_err()
    };
    // 1 + 4N * 2048 is 3 * 22369622.3: composite; even; one; too small; beyond 2^30.
    let composite = (1..)
        .map(|k| (1 << 26) + 32768 * k + 1)
        .find(|&q| !blindsight_ring::primes::is_prime(q.into()))
        .unwrap();
    let large = (1..)
        .map(|k| (1 << 30) + 32768 * k + 1)
        .find(|&q| blindsight_ring::primes::is_prime(q.into()))
        .unwrap();
    for q in [0, 1, 2, 32769, 67043330, composite, large, u32::MAX] {
        assert_eq!(with(q), Error::Ring(blindsight_ring::Error::Modulus(q.into())), "{q}");
    }
    // A prime that is 1 modulo 2N only.
    let rootless = (1..)
        .map(|k| (1 << 26) + 32768 * k + 16385)
        .find(|&q| blindsight_ring::primes::is_prime(q.into()))
        .unwrap();
    assert_eq!(
        with(rootless),
        Error::Ring(blindsight_ring::Error::NoRoot { modulus: rootless, degree: 8192 })
    );
    let special = ParametersLiteral { special: vec![268271617, rootless], ..shipped() };
    assert_eq!(
        special.validate(),
        Err(Error::Ring(blindsight_ring::Error::NoRoot { modulus: rootless, degree: 8192 }))
    );
}

#[test]
fn special_primes_must_cover_every_digit() {
    let refused = |literal: ParametersLiteral, digit: f64, special: f64| {
        let Err(Error::DigitTooLarge { digit: d, special: s }) = literal.validate() else {
            panic!("accepted: {literal:?}")
        };
        assert!((d - digit).abs() < 0.02 && (s - special).abs() < 0.02, "{d} {s}");
    };
    refused(ParametersLiteral { special: vec![268271617], ..shipped() }, 54.0, 28.0);
    refused(ParametersLiteral { special: vec![268271617], digit_limbs: 1, ..shipped() }, 28.0, 28.0);
    refused(ParametersLiteral { digit_limbs: 3, ..shipped() }, 80.0, 56.0);
    // The largest digit counts wherever it stands: here in the last one.
    let mut literal = shipped();
    let taken = |q: &u32| literal.moduli.contains(q) || literal.special.contains(q);
    literal.moduli[4] = nearest(8192, 1 << 28).into_iter().find(|q| !taken(q)).unwrap();
    literal.moduli.swap(0, 5);
    refused(literal, 56.0, 56.0);
}

#[test]
fn shapes_are_checked_first() {
    let shape = |moduli: usize, special: usize, digit_limbs: usize| {
        let literal = ParametersLiteral {
            degree: 8192,
            moduli: vec![67043329; moduli],
            special: vec![268271617; special],
            digit_limbs,
        };
        assert_eq!(literal.validate(), Err(Error::Shape { moduli, special, digit_limbs }));
    };
    shape(0, 1, 1);
    shape(65, 1, 1);
    shape(65, 0, 1);
    shape(1, 9, 1);
    shape(1, 1, 0);
    shape(1, 1, 9);
    shape(0, 0, 0);
    shape(1, 1, usize::MAX);
}

#[test]
fn scales_and_levels_print_as_they_are_spoken_of() {
    assert_eq!(Scale::bits(26.0), Scale(67_108_864.0));
    assert_eq!((Scale::bits(26.5).to_string(), Level(3).to_string()), ("2^26.5000".into(), "level 3".into()));
    assert!(Scale(1e8).agrees(Scale(1e8 * (1.0 + 1e-13))) && !Scale(1e8).agrees(Scale(1e8 * (1.0 + 1e-11))));
    assert!(!Scale(f64::NAN).agrees(Scale(f64::NAN)));
    assert_eq!((Level(1).below(), Level(0).below()), (Some(Level(0)), None));
}

#[test]
fn levels_come_out_even_or_are_refused() {
    use blindsight_ckks::Demands;
    let of_level = |level_limbs| Demands { level_limbs, ..Demands::default() };
    let wide = shipped().validate_as(of_level(2)).unwrap();
    assert_eq!((wide.max_level(), wide.level_limbs(), wide.limbs(Level(1))), (Level(2), 2, 4));
    let product = shipped().moduli[2..4].iter().map(|q| f64::from(*q)).product::<f64>();
    assert_eq!(wide.modulus(Level(1)), product);
    assert_eq!(wide.nominal_scale(), Scale::bits(52.0));
    let odd = ParametersLiteral { moduli: shipped().moduli[..5].to_vec(), ..shipped() };
    for (literal, level_limbs) in [(odd, 2), (shipped(), 0), (shipped(), 3)] {
        let (moduli, special) = (literal.moduli.len(), literal.special.len());
        let refused = literal.validate_as(of_level(level_limbs)).unwrap_err();
        assert_eq!(refused, Error::LevelShape { moduli, special, level_limbs });
    }
}

#[test]
fn more_security_is_asked_for_and_checked() {
    use blindsight_ckks::Demands;
    // Published in the guidelines' table 5.2.
    let table =
        [(4096, [106.0, 73.0, 56.0]), (16384, [430.0, 297.0, 230.0]), (65536, [1747.0, 1199.0, 929.0])];
    for (degree, row) in table {
        assert_eq!(Security::ALL.map(|security| largest_log_qp(degree, security)), row);
    }
    let short = ParametersLiteral { moduli: shipped().moduli[..3].to_vec(), ..shipped() };
    let granted = short.validate().unwrap();
    assert_eq!(granted.security_bits(), 192);
    for (literal, security, is_sound) in [
        (shipped(), Security::Bits128, true),
        (shipped(), Security::Bits192, false),
        (short.clone(), Security::Bits192, true),
        (short, Security::Bits256, false),
    ] {
        match literal.validate_as(Demands { security, ..Demands::default() }) {
            Ok(_) => assert!(is_sound),
            Err(Error::Insecure { bits, .. }) => assert!(!is_sound && bits == security.bits()),
            Err(other) => panic!("{other}"),
        }
    }
    for security in Security::ALL {
        assert_eq!(security.to_string().parse(), Ok(security));
    }
    assert_eq!("100".parse::<Security>(), Err(Error::SecurityBits("100".into())));
}
