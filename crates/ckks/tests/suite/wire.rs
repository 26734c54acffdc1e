//! Bytes from outside: every format comes back as it was, and nothing else is accepted.

use crate::common::{Setup, random_slots, shipped, tight};
use blindsight_ckks::wire::{self, Expected, Header, Kind, Length, ReplyShape, WireError};
use blindsight_ckks::{
    Context, Error, Evaluator, KeyRequirements, Level, Scale, SecretKey, SeededEvaluationKeys,
};
use blindsight_ring::Kernel;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::io::{self, Read};

const N: usize = 16;
const SCALE: Scale = Scale(1_048_576.0);
const LEVEL: Level = Level(2);
const INDICES: [usize; 3] = [3, 1, 15];
const PLAN: [u8; 32] = [0xa5; 32];
const KEY: [u8; 16] = [0x3c; 16];

fn requirements() -> KeyRequirements {
    let mut requirements = KeyRequirements::default();
    requirements.relinearise_at(Level(3));
    requirements.rotate_at(1, Level(5));
    requirements.rotate_at(7, Level(0));
    requirements.public = Some(Level(1));
    requirements
}

fn setup() -> Setup {
    Setup::new(N, 2, &KeyRequirements::default(), 31)
}

/// The same, and a chain of primes of mixed sizes with digits of four limbs.
fn setups() -> [Setup; 2] {
    let wide = tight(N, 6, 4).validate_insecure().unwrap();
    let kernel = Kernel::from_environment().unwrap();
    [setup(), Setup::with(wide, &KeyRequirements::default(), 31, kernel)]
}

fn keys(setup: &Setup) -> SeededEvaluationKeys {
    let mut randomness = setup.randomness.borrow_mut();
    SeededEvaluationKeys::generate(&setup.context, &setup.secret, &requirements(), &mut randomness, |_| ())
        .unwrap()
}

/// A payload of every kind, with the reader that takes it.
type Reader = fn(&Context, &[u8]) -> Result<(), WireError>;

fn payloads(setup: &Setup) -> Vec<(Kind, Vec<u8>, Reader)> {
    let context = &setup.context;
    let mut randomness = setup.randomness.borrow_mut();
    let slots = [1, 2].map(|seed| random_slots(N, seed));
    let ciphertexts = setup.secret.encrypt_all(context, &slots, LEVEL, SCALE, &mut randomness).unwrap();
    drop(randomness);
    let last = setup.encrypt(&slots[0], Level(0), SCALE);
    let reply = Evaluator::new(context, &setup.keys).reply(&last, &INDICES).unwrap();
    vec![
        (Kind::SecretKey, wire::write_secret_key(&setup.secret).to_vec(), |c, b| {
            wire::read_secret_key(c, b).map(|_| ())
        }),
        (Kind::EvaluationKeys, wire::write_evaluation_keys(context, &keys(setup)), |c, b| {
            wire::read_evaluation_keys(c, b, &requirements()).map(|_| ())
        }),
        (Kind::Ciphertexts, wire::write_ciphertexts(context, &ciphertexts), |c, b| {
            wire::read_ciphertexts(c, b, 2, LEVEL, SCALE).map(|_| ())
        }),
        (Kind::Reply, wire::write_replies(context, std::slice::from_ref(&reply)), |c, b| {
            wire::read_replies(c, b, ReplyShape::of_one(INDICES.len()), SCALE).map(|_| ())
        }),
    ]
}

fn header(kind: Kind) -> Header {
    Header { kind, plan: PLAN, key: KEY }
}

fn expected(kind: Kind, length: usize) -> Expected {
    Expected { kind, plan: Some(PLAN), key: Some(KEY), length: Length::Exactly(length) }
}

/// A reader that must not be read beyond what it was given.
struct Guarded<'a>(&'a [u8]);

impl Read for Guarded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!self.0.is_empty() || buffer.is_empty(), "read beyond the header");
        self.0.read(buffer)
    }
}

/// Opens a frame in each of the ways there are, which agree.
fn open(frame: &[u8], expected: &Expected) -> Result<(Header, Vec<u8>), WireError> {
    let opened = wire::open(frame, expected);
    let in_place = wire::open_in_place(frame, expected).map(|(header, payload)| (header, payload.to_vec()));
    let secret = wire::open_secret(frame, expected).map(|(header, payload)| (header, payload.to_vec()));
    assert_eq!(format!("{opened:?}"), format!("{in_place:?}"));
    assert_eq!(format!("{opened:?}"), format!("{secret:?}"));
    opened
}

#[test]
fn every_format_comes_back() {
    setups().iter().for_each(check_formats);
}

fn check_formats(setup: &Setup) {
    let context = &setup.context;
    for (kind, payload, read) in payloads(setup) {
        let frame = wire::seal(&header(kind), &payload);
        assert_eq!(frame.len(), payload.len() + wire::FRAME_BYTES);
        let (found, opened) = open(&frame[..], &expected(kind, payload.len())).unwrap();
        assert_eq!((found, &opened), (header(kind), &payload), "{kind}");
        read(context, &opened).unwrap();
    }
    let secret = wire::read_secret_key(context, &wire::write_secret_key(&setup.secret)).unwrap();
    assert_eq!(*secret.coefficients(), *setup.secret.coefficients());
    let keys = keys(setup);
    let bytes = wire::write_evaluation_keys(context, &keys);
    assert_eq!(wire::read_evaluation_keys(context, &bytes, &requirements()).unwrap(), keys);
    for level in (0..=5).map(Level) {
        let mut randomness = setup.randomness.borrow_mut();
        let slots: Vec<_> = (0..3).map(|seed| random_slots(N, seed)).collect();
        let ciphertexts = setup.secret.encrypt_all(context, &slots, level, SCALE, &mut randomness).unwrap();
        let bytes = wire::write_ciphertexts(context, &ciphertexts);
        assert_eq!(bytes.len(), wire::ciphertexts_bytes(context.parameters(), level, 3));
        assert_eq!(wire::read_ciphertexts(context, &bytes, 3, level, SCALE).unwrap(), ciphertexts);
    }
    assert_eq!(wire::write_ciphertexts(context, &[]), []);
    assert_eq!(wire::read_ciphertexts(context, &[], 0, LEVEL, SCALE).unwrap(), []);
    let a = setup.encrypt(&random_slots(N, 1), Level(0), SCALE);
    for count in 0..=N {
        let indices: Vec<usize> = (0..count).collect();
        let reply = Evaluator::new(context, &setup.keys).reply(&a, &indices).unwrap();
        let bytes = wire::write_replies(context, std::slice::from_ref(&reply));
        assert_eq!(bytes.len(), wire::reply_bytes(context.parameters(), ReplyShape::of_one(count)));
        assert_eq!(wire::read_replies(context, &bytes, ReplyShape::of_one(count), SCALE).unwrap(), [reply]);
    }
}

#[test]
fn sizes_are_those_of_the_formats_page() {
    let context = Context::new(shipped().validate().unwrap(), Kernel::from_environment().unwrap()).unwrap();
    let packed = |primes: &[u32]| {
        primes.iter().map(|q| 8192 * (32 - (q - 1).leading_zeros() as usize) / 8).sum::<usize>()
    };
    let literal = shipped();
    for level in 0..6 {
        let moduli = &literal.moduli[..=level];
        assert_eq!(
            wire::ciphertexts_bytes(context.parameters(), Level(level), 25),
            25 * (32 + packed(moduli))
        );
        let mut requirements = KeyRequirements::default();
        requirements.rotate_at(1, Level(level));
        let extended = [moduli, &literal.special].concat();
        let digits = (level + 1).div_ceil(2);
        assert_eq!(
            wire::evaluation_keys_bytes(context.parameters(), &requirements),
            digits * (32 + packed(&extended))
        );
        requirements.relinearise_at(Level(level));
        assert_eq!(
            wire::evaluation_keys_bytes(context.parameters(), &requirements),
            2 * digits * (32 + packed(&extended))
        );
    }
    let rotation =
        |level| KeyRequirements { rotations: [(1, Level(level))].into(), ..KeyRequirements::default() };
    let files = [
        wire::secret_key_bytes(context.parameters()),
        wire::ciphertexts_bytes(context.parameters(), Level(5), 1),
        wire::evaluation_keys_bytes(context.parameters(), &rotation(5)),
        wire::evaluation_keys_bytes(context.parameters(), &rotation(1)),
        wire::reply_bytes(context.parameters(), ReplyShape::of_one(10)),
    ];
    assert_eq!(files.map(|bytes| bytes + wire::FRAME_BYTES), [2_148, 163_972, 663_748, 112_772, 28_807]);
    // A count that no memory holds is a length that no file has.
    assert_eq!(wire::ciphertexts_bytes(context.parameters(), Level(5), usize::MAX), usize::MAX);
    assert!(wire::reply_bytes(context.parameters(), ReplyShape::of_one(usize::MAX)) > usize::MAX / 16);
}

/// Words at their prime's width, the first in the lowest bits, read bit by bit.
#[test]
fn words_are_packed_from_the_lowest_bit_on() {
    let setup = setup();
    let mut randomness = setup.randomness.borrow_mut();
    let seeded =
        setup.secret.encrypt(&setup.context, &random_slots(N, 1), LEVEL, SCALE, &mut randomness).unwrap();
    let bytes = wire::write_ciphertexts(&setup.context, std::slice::from_ref(&seeded));
    let bit = |i: usize| u32::from(bytes[32 + i / 8] >> (i % 8) & 1);
    let ciphertext = seeded.expand(setup.context.basis(LEVEL));
    let mut at = 0;
    for (limb, m) in
        blindsight_ckks::testing::halves(&ciphertext)[0].iter().zip(setup.context.basis(LEVEL).moduli())
    {
        let width = 32 - m.value().leading_zeros() as usize;
        for &word in limb {
            assert_eq!((0..width).rev().fold(0, |w, i| w << 1 | bit(at + i)), word);
            at += width;
        }
    }
    assert_eq!(bytes.len(), 32 + at / 8);
}

#[test]
fn every_truncation_is_refused_as_one() {
    let [_, setup] = setups();
    for (kind, payload, read) in payloads(&setup) {
        let frame = wire::seal(&header(kind), &payload);
        for length in 0..frame.len() {
            let opened = open(&frame[..length], &expected(kind, payload.len()));
            let Err(WireError::Truncated { expected, actual }) = opened else {
                panic!("{kind} of {length} bytes")
            };
            let wanted = if length < 68 { wire::FRAME_BYTES } else { frame.len() };
            assert_eq!((expected, actual), (wanted, length), "{kind}");
        }
        for length in (0..payload.len()).chain([payload.len() + 1, 2 * payload.len()]) {
            let mut other = payload.clone();
            other.resize(length, 0);
            let Err(WireError::Length { expected, actual }) = read(&setup.context, &other) else {
                panic!("{kind} of {length} bytes")
            };
            assert_eq!((expected, actual), (payload.len() as u64, length as u64));
        }
    }
}

#[test]
fn every_flipped_bit_is_refused_by_the_check_of_its_field() {
    let setup = setup();
    for (kind, payload, _) in payloads(&setup) {
        let frame = wire::seal(&header(kind), &payload);
        for bit in 0..8 * frame.len() {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = open(&damaged[..], &expected(kind, payload.len())).unwrap_err();
            let right = match bit / 8 {
                0..8 => matches!(error, WireError::Magic(_)),
                8..10 => matches!(error, WireError::Version(_)),
                10..12 => matches!(error, WireError::Kind { .. }),
                12..44 => matches!(error, WireError::Plan { .. }),
                44..60 => matches!(error, WireError::Key { .. }),
                60..68 => matches!(error, WireError::Length { .. }),
                _ => matches!(error, WireError::Checksum),
            };
            assert!(right, "{kind}, byte {}: {error}", bit / 8);
            // A reader that knows neither plan nor key nor exact length still has the checksum.
            let length = Length::AtMost(payload.len() + 1000);
            let lenient = Expected { kind, plan: None, key: None, length };
            assert!(open(&damaged[..], &lenient).is_err(), "{kind}, byte {}", bit / 8);
        }
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    let frame = wire::seal(&header(Kind::Plan), b"a plan");
    let mut longer = frame.clone();
    longer.push(0);
    let error = open(&longer[..], &expected(Kind::Plan, 6)).unwrap_err();
    assert!(matches!(error, WireError::TooLong { expected: 106 }), "{error}");
    let error = wire::open(frame.chain(io::repeat(7)), &expected(Kind::Plan, 6)).unwrap_err();
    assert!(matches!(error, WireError::TooLong { expected: 106 }), "{error}");
}

#[test]
fn lengths_are_refused_before_anything_is_allocated_or_read() {
    let frame = wire::seal(&header(Kind::Plan), b"a plan");
    for announced in [0, 5, 7, 1 << 20, 1 << 40, 1 << 63, u64::MAX - 99, u64::MAX] {
        let mut head = frame[..68].to_vec();
        head[60..].copy_from_slice(&announced.to_le_bytes());
        let opened = wire::open(Guarded(&head), &expected(Kind::Plan, 6));
        let Err(WireError::Length { expected: 6, actual }) = opened else {
            panic!("{announced} was accepted")
        };
        assert_eq!(actual, announced);
        if announced > 1000 {
            let at_most = Expected { length: Length::AtMost(1000), ..expected(Kind::Plan, 0) };
            let opened = wire::open(Guarded(&head), &at_most);
            assert!(matches!(opened, Err(WireError::Length { expected: 1000, .. })), "{announced}");
        }
    }
    let at_most = Expected { length: Length::AtMost(6), ..expected(Kind::Plan, 0) };
    assert_eq!(&*open(&frame[..], &at_most).unwrap().1, b"a plan");
}

#[test]
fn what_belongs_elsewhere_is_refused_with_both_names() {
    let frame = wire::seal(&header(Kind::Ciphertexts), &[1, 2, 3]);
    let wanted = expected(Kind::Ciphertexts, 3);
    let message = |expected: Expected| wire::open(Guarded(&frame[..68]), &expected).unwrap_err().to_string();
    let kind = message(Expected { kind: Kind::Reply, ..wanted });
    assert_eq!(kind, "the file holds ciphertexts, expected a reply");
    let plan = message(Expected { plan: Some([0x11; 32]), ..wanted });
    assert!(
        plan.contains("plan a5a5a5a5a5a5a5a5,") && plan.contains("expected plan 1111111111111111"),
        "{plan}"
    );
    let key = message(Expected { key: Some([0x22; 16]), ..wanted });
    assert!(key.contains(&"3c".repeat(16)) && key.contains(&"22".repeat(16)), "{key}");
    let kinds = [Kind::Plan, Kind::SecretKey, Kind::EvaluationKeys, Kind::Ciphertexts, Kind::Reply];
    for (i, kind) in kinds.into_iter().enumerate() {
        let frame = wire::seal(&header(kind), &[]);
        assert_eq!(frame[10..12], [i as u8 + 1, 0], "{kind}");
        for other in kinds.into_iter().filter(|&k| k != kind) {
            let opened = open(&frame[..], &expected(other, 0));
            assert!(matches!(opened, Err(WireError::Kind { expected, .. }) if expected == other));
        }
    }
    let mut former = frame.clone();
    former[8] = 1;
    let error = open(&former[..], &wanted).unwrap_err();
    assert!(
        matches!(error, WireError::Version(1)) && error.to_string().contains("reads version 2"),
        "{error}"
    );
}

/// The checks in their order: each is reached only by files that pass those before it.
#[test]
fn checks_come_in_the_documented_order() {
    let mut frame = wire::seal(&header(Kind::Reply), &[9; 4]);
    let wanted = expected(Kind::Reply, 4);
    let mut errors = Vec::new();
    let error = |frame: &[u8]| wire::open(frame, &wanted).unwrap_err();
    // Damage everything, then repair from the front.
    let good = frame.clone();
    frame.iter_mut().for_each(|byte| *byte ^= 0xff);
    for end in [8, 10, 12, 44, 60, 68, 72, 104] {
        errors.push(format!("{:?}", error(&frame)).split(['(', ' ', '{']).next().unwrap().to_string());
        frame[..end].copy_from_slice(&good[..end]);
    }
    assert_eq!(errors, ["Magic", "Version", "Kind", "Plan", "Key", "Length", "Checksum", "Checksum"]);
    assert!(open(&frame[..], &wanted).is_ok());
}

#[test]
fn readers_that_stutter_or_fail() {
    struct Stutter<'a>(&'a [u8], bool);
    impl Read for Stutter<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            let one = buffer.len().min(1);
            if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.read(&mut buffer[..one]) }
        }
    }
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let frame = wire::seal(&header(Kind::Plan), b"a plan");
    let (_, payload) = wire::open(Stutter(&frame, false), &expected(Kind::Plan, 6)).unwrap();
    assert_eq!(&*payload, b"a plan");
    assert!(matches!(wire::open(Broken, &expected(Kind::Plan, 6)), Err(WireError::Io(_))));
    let cut = (&frame[..80]).chain(Broken);
    assert!(matches!(wire::open(cut, &expected(Kind::Plan, 6)), Err(WireError::Io(_))));
}

#[test]
fn the_checksum_is_sha_256_of_all_before_it() {
    let frame = wire::seal(&header(Kind::Reply), b"payload");
    assert_eq!(frame[frame.len() - 32..], Sha256::digest(&frame[..frame.len() - 32])[..]);
}

/// A frame around a payload that no writer makes, its checksum right: what only the payload's reader can
/// find.
fn reopened(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let frame = wire::seal(&header(kind), payload);
    open(&frame[..], &expected(kind, payload.len())).unwrap().1
}

/// Sets `count` bits from `first` on.
fn fill(bytes: &mut [u8], first: usize, count: usize) {
    (first..first + count).for_each(|bit| bytes[bit / 8] |= 1 << (bit % 8));
}

#[test]
fn words_that_are_no_residues_are_refused_wherever_they_are() {
    setups().iter().for_each(check_residues);
}

fn check_residues(setup: &Setup) {
    let width = |q: u32| 32 - q.leading_zeros() as usize;
    for (kind, payload, read) in payloads(setup).into_iter().skip(1) {
        let basis = match kind {
            Kind::EvaluationKeys => setup.context.extended_basis(Level(3)),
            Kind::Ciphertexts => setup.context.basis(LEVEL),
            _ => setup.context.basis(Level(0)),
        };
        let mut at = if kind == Kind::Reply { 0 } else { 8 * 32 };
        for modulus in basis.moduli().map(|m| m.value()) {
            for index in 0..N {
                let mut bad = payload.clone();
                fill(&mut bad, at, width(modulus));
                at += width(modulus);
                let Err(WireError::Residue { index: i, word, modulus: q }) =
                    read(&setup.context, &reopened(kind, &bad))
                else {
                    panic!("{kind}: word {index} modulo {modulus}")
                };
                assert_eq!((i, word, q), (index, (1 << width(modulus)) - 1, modulus));
            }
        }
    }
    // The coefficients of a reply, the last of them, too.
    let (_, payload, read) = payloads(setup).pop().unwrap();
    let q = setup.context.basis(Level(0)).modulus(0).value();
    let mut bad = payload;
    fill(&mut bad, (N + 2) * width(q), width(q));
    assert!(matches!(read(&setup.context, &bad), Err(WireError::Residue { index: 2, .. })));
}

#[test]
fn the_prime_itself_is_no_residue_and_the_word_before_it_is() {
    let setup = setup();
    let q = setup.context.basis(Level(0)).modulus(0).value();
    let width = 32 - q.leading_zeros() as usize;
    let mut bytes = vec![0; wire::reply_bytes(setup.context.parameters(), ReplyShape::of_one(0))];
    let mut set = |word: u32| {
        (0..width)
            .for_each(|i| bytes[i / 8] = bytes[i / 8] & !(1 << (i % 8)) | ((word >> i & 1) as u8) << (i % 8));
        wire::read_replies(&setup.context, &bytes, ReplyShape::of_one(0), SCALE)
    };
    assert!(set(q - 1).is_ok() && set(0).is_ok());
    assert!(
        matches!(set(q), Err(WireError::Residue { index: 0, word, modulus }) if word == q && modulus == q)
    );
}

#[test]
fn secret_coefficients_other_than_ternary_are_refused() {
    let setup = setup();
    let (kind, payload, read) = payloads(&setup).swap_remove(0);
    for position in 0..N {
        let mut bad = payload.clone();
        fill(&mut bad, 2 * position, 2);
        assert!(
            matches!(read(&setup.context, &reopened(kind, &bad)), Err(WireError::Secret)),
            "coefficient {position}"
        );
    }
    let all: Vec<i8> = (0..N).map(|i| (i % 3) as i8 - 1).collect();
    let secret = SecretKey::from_coefficients(&setup.context, &all).unwrap();
    // -1, 0, 1, -1 are 0, 1, 2, 0, the first in the lowest bits.
    assert_eq!(wire::write_secret_key(&secret)[0], 0b00_10_01_00);
}

#[test]
fn requirements_from_outside_are_checked_before_sizes_are_asked_for() {
    let setup = setup();
    let parameters = setup.context.parameters();
    let mut requirements = KeyRequirements::default();
    requirements.rotate_at(1, Level(1 << 40));
    assert!(matches!(requirements.check(parameters), Err(Error::NoSuchLevel { .. })));
    requirements.rotations = [(N, Level(0))].into_iter().collect();
    assert_eq!(requirements.check(parameters), Err(Error::NoSuchRotation { steps: N, slots: N }));
    assert_eq!(self::requirements().check(parameters), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_are_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), valid in 0usize..68) {
        let frame = wire::seal(&header(Kind::Reply), &[0; 40]);
        let valid = valid.min(bytes.len());
        bytes[..valid].copy_from_slice(&frame[..valid]);
        for length in [Length::Exactly(40), Length::AtMost(200)] {
            let expected = Expected { kind: Kind::Reply, plan: None, key: None, length };
            prop_assert!(open(&bytes[..], &expected).is_err());
        }
    }

    #[test]
    fn several_flipped_bits_are_refused(flips in proptest::collection::btree_set(any::<u16>(), 1..8), which in 0usize..4) {
        let setup = setup();
        let (kind, payload, _) = payloads(&setup).swap_remove(which);
        let mut frame = wire::seal(&header(kind), &payload);
        let bits = 8 * frame.len();
        let flips: std::collections::BTreeSet<usize> = flips.into_iter().map(|f| usize::from(f) % bits).collect();
        flips.iter().for_each(|bit| frame[bit / 8] ^= 1 << (bit % 8));
        prop_assert!(open(&frame[..], &expected(kind, payload.len())).is_err());
    }

    /// Random payloads of any length: an error or a value, never a panic.
    #[test]
    fn random_payloads_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000), right_length: bool, wide: bool) {
        let setup = &setups()[usize::from(wide)];
        for (_, payload, read) in payloads(setup) {
            let mut bytes = bytes.clone();
            if right_length {
                bytes.resize(payload.len(), 0x55);
            }
            let _ = read(&setup.context, &bytes);
        }
    }
}
