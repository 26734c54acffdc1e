//! Bytes: how keys, ciphertexts and replies are framed and packed. `docs/formats.md` describes the same for
//! other implementations.
//!
//! Every file is one frame: a header that says what it is, a payload whose exact length follows from the
//! plan, a SHA-256 over all of it. A reader checks magic, version, kind, plan digest, key identity and length
//! before it reads (or allocates) the payload, then the checksum, and while unpacking that every residue is
//! below its prime. The checksum finds accidents, not forgery: a frame is not authenticated.

use crate::ciphertext::{Parts, Reply, SeededCiphertext};
use crate::keys::{SeededEvaluationKeys, SeededPublicKey, SeededSwitchingKey};
use crate::{Context, KeyRequirements, Level, Parameters, Scale, SecretKey};
use blindsight_ring::sampler::Seed;
use blindsight_ring::{Basis, Form, Modulus, Poly, parallel};
use sha2::{Digest, Sha256};
use std::io::{BufRead, ErrorKind, Read};
use zeroize::Zeroizing;

/// The first eight bytes of every file.
pub const MAGIC: [u8; 8] = *b"BLINDSGT";
/// The version of the formats; a reader accepts no other.
pub const VERSION: u16 = 2;
/// Bytes of a frame besides its payload.
pub const FRAME_BYTES: usize = HEADER_BYTES + CHECKSUM_BYTES;
/// Bytes of a frame before its payload.
pub const HEADER_BYTES: usize = 68;
const CHECKSUM_BYTES: usize = 32;
const SEED_BYTES: usize = size_of::<Seed>();

/// Digest of the plan that a file belongs to.
pub type PlanDigest = [u8; 32];
/// Random identity of a secret key and all that was made with it.
pub type KeyId = [u8; 16];

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A plan, whole.
    Plan,
    /// A secret key.
    SecretKey,
    /// Evaluation keys, seed-compressed.
    EvaluationKeys,
    /// Fresh ciphertexts, seeded.
    Ciphertexts,
    /// Score coefficients.
    Reply,
    /// The public part of a plan.
    PublicPlan,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Plan, Self::SecretKey, Self::EvaluationKeys, Self::Ciphertexts, Self::Reply, Self::PublicPlan];

    const fn code(self) -> u16 {
        self as u16 + 1
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Plan => "a plan",
            Self::SecretKey => "a secret key",
            Self::EvaluationKeys => "evaluation keys",
            Self::Ciphertexts => "ciphertexts",
            Self::Reply => "a reply",
            Self::PublicPlan => "a public plan",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes were refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The file does not begin with the magic bytes.
    #[error("not a Blindsight file: it begins with {0:02x?}, expected {MAGIC:02x?}")]
    Magic([u8; 8]),
    /// Another version of the formats.
    #[error(
        "format version {0}: this program reads version {VERSION}; plan anew, and make keys and requests anew by that plan, or use the program that wrote the file"
    )]
    Version(u16),
    /// Something else than expected.
    #[error("the file holds {actual}, expected {expected}")]
    Kind {
        /// What was expected.
        expected: Kind,
        /// What the file says.
        actual: String,
    },
    /// The file belongs to another plan.
    #[error("the file belongs to plan {actual}, expected plan {expected}: make both with the same plan")]
    Plan {
        /// Start of the expected digest.
        expected: String,
        /// Start of the file's digest.
        actual: String,
    },
    /// The file belongs to another client's key.
    #[error(
        "the file belongs to key {actual}, expected key {expected}: keys and ciphertexts of different clients do not mix"
    )]
    Key {
        /// The expected identity.
        expected: String,
        /// The file's identity.
        actual: String,
    },
    /// A payload of another length than the plan implies.
    #[error("the payload has {actual} bytes, expected {expected}")]
    Length {
        /// The largest or exact length allowed.
        expected: u64,
        /// What the header says, or the payload has.
        actual: u64,
    },
    /// The file ends early.
    #[error("the file ends after {actual} bytes, expected {expected}: it was cut off")]
    Truncated {
        /// Bytes expected.
        expected: usize,
        /// Bytes there.
        actual: usize,
    },
    /// The file goes on after its end.
    #[error("the file goes on after its {expected} bytes")]
    TooLong {
        /// Bytes expected.
        expected: usize,
    },
    /// The checksum does not match: the file was damaged.
    #[error("checksum mismatch: the file was damaged on the way")]
    Checksum,
    /// A word that is no residue.
    #[error("word {index} is {word}, expected a residue below {modulus}")]
    Residue {
        /// Position of the word within its limb.
        index: usize,
        /// The word.
        word: u32,
        /// The prime.
        modulus: u32,
    },
    /// A secret coefficient other than -1, 0, 1.
    #[error("a coefficient of the secret key is none of -1, 0 and 1: the file was damaged")]
    Secret,
    /// The file could not be read.
    #[error("cannot read: {0}")]
    Io(#[from] std::io::Error),
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the payload is.
    pub kind: Kind,
    /// The plan it belongs to.
    pub plan: PlanDigest,
    /// The key it belongs to; zero for plans.
    pub key: KeyId,
}

/// What a reader insists on.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// The kind of file.
    pub kind: Kind,
    /// The plan, where it is known.
    pub plan: Option<PlanDigest>,
    /// The key, where it is known.
    pub key: Option<KeyId>,
    /// The length of the payload.
    pub length: Length,
}

/// How long a payload may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Exactly so many bytes, as the plan implies.
    Exactly(usize),
    /// At most so many bytes.
    AtMost(usize),
}

/// Frames a payload. (A frame around a secret key is as secret as the key: whoever asks for it wipes it.)
pub fn seal(header: &Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + FRAME_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(header.kind.code().to_le_bytes());
    bytes.extend(header.plan);
    bytes.extend(header.key);
    bytes.extend((payload.len() as u64).to_le_bytes());
    bytes.extend(payload);
    let checksum = Sha256::digest(&bytes);
    bytes.extend(checksum);
    bytes
}

/// Opens a frame that comes from somewhere: checks everything but the payload's own contents. It is not
/// wiped from memory later on: [`open_secret`] does that.
///
/// # Errors
/// The first check that fails, in the order of the module's description. Nothing is allocated before the
/// length was accepted.
pub fn open(source: impl Read, expected: &Expected) -> Result<(Header, Vec<u8>), WireError> {
    let mut payload = vec![];
    Ok((read(source, expected, &mut payload)?, payload))
}

/// The same for what is to be wiped from memory: a secret key.
///
/// # Errors
/// As [`open`].
pub fn open_secret(
    source: impl Read,
    expected: &Expected,
) -> Result<(Header, Zeroizing<Vec<u8>>), WireError> {
    let mut payload = Zeroizing::new(vec![]);
    Ok((read(source, expected, &mut payload)?, payload))
}

/// Reads a frame into a payload that is empty, and lent, so that whoever wipes it does so after errors, too.
fn read(mut source: impl Read, expected: &Expected, payload: &mut Vec<u8>) -> Result<Header, WireError> {
    let mut head = [0; HEADER_BYTES];
    let got = read_up_to(&mut source, &mut head)?;
    let (header, length) = parse_header(&head[..got], expected)?;
    *payload = vec![0; length + CHECKSUM_BYTES];
    let got = read_up_to(&mut source, payload)?;
    let total = HEADER_BYTES + length + CHECKSUM_BYTES;
    if got < payload.len() {
        return Err(WireError::Truncated { expected: total, actual: HEADER_BYTES + got });
    }
    if read_up_to(&mut source, &mut [0])? != 0 {
        return Err(WireError::TooLong { expected: total });
    }
    verify_checksum(&head, payload, length)?;
    payload.truncate(length);
    Ok(header)
}

/// The same as [`open`] for a frame that lies in memory: its payload is lent, and nothing copied.
///
/// # Errors
/// As [`open`].
pub fn open_in_place<'a>(frame: &'a [u8], expected: &Expected) -> Result<(Header, &'a [u8]), WireError> {
    let (header, length) = parse_header(&frame[..frame.len().min(HEADER_BYTES)], expected)?;
    let total = HEADER_BYTES + length + CHECKSUM_BYTES;
    if frame.len() < total {
        return Err(WireError::Truncated { expected: total, actual: frame.len() });
    }
    if frame.len() > total {
        return Err(WireError::TooLong { expected: total });
    }
    let (head, rest) = frame.split_at(HEADER_BYTES);
    verify_checksum(head, rest, length)?;
    Ok((header, &rest[..length]))
}

/// Compares the checksum behind a payload of so many bytes with that of header and payload.
fn verify_checksum(head: &[u8], rest: &[u8], length: usize) -> Result<(), WireError> {
    let mut hasher = Sha256::new();
    hasher.update(head);
    hasher.update(&rest[..length]);
    if hasher.finalize()[..] == rest[length..] { Ok(()) } else { Err(WireError::Checksum) }
}

/// Frames one after the other in one file, all of one length: requests, or replies.
///
/// # Examples
///
/// ```
/// use blindsight_ckks::wire::{Expected, Frames, Header, Kind, Length, open_in_place, seal};
///
/// let header = Header { kind: Kind::Reply, plan: [1; 32], key: [2; 16] };
/// let file = [seal(&header, b"one"), seal(&header, b"two")].concat();
/// let expected = Expected { kind: Kind::Reply, plan: None, key: None, length: Length::Exactly(3) };
/// let (mut frames, mut payloads) = (Frames::new(&file[..], 3), vec![]);
/// while let Some(frame) = frames.next()? {
///     payloads.push(open_in_place(&frame, &expected)?.1.to_vec());
/// }
/// assert_eq!(payloads, [b"one", b"two"]);
/// # Ok::<(), blindsight_ckks::wire::WireError>(())
/// ```
#[derive(Debug)]
pub struct Frames<R> {
    source: R,
    bytes: usize,
    count: usize,
}

impl<R: BufRead> Frames<R> {
    /// The frames in `source`, each with so many bytes of payload.
    pub fn new(source: R, payload: usize) -> Self {
        Self { source, bytes: payload + FRAME_BYTES, count: 0 }
    }

    /// The next frame, for [`open_in_place`]; none at the end of the file, where it held one at least. The
    /// last one may be cut off.
    ///
    /// # Errors
    /// Where the file goes on with something else than a frame, and where it cannot be read.
    #[expect(clippy::should_implement_trait, reason = "an error may be followed by another frame")]
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        if self.count > 0 {
            let next = self.source.fill_buf()?;
            let looked_at = next.len().min(MAGIC.len());
            if looked_at == 0 {
                return Ok(None);
            }
            if next[..looked_at] != MAGIC[..looked_at] {
                return Err(WireError::TooLong { expected: self.count * self.bytes });
            }
        }
        self.count += 1;
        let mut frame = vec![];
        self.source.by_ref().take(self.bytes as u64).read_to_end(&mut frame)?;
        Ok(Some(frame))
    }
}

/// Checks the first bytes of a frame, for a reader that wants to refuse before the rest arrives; fewer than
/// [`HEADER_BYTES`] are cut off, more are not looked at.
///
/// # Errors
/// As [`open`], as far as the header tells.
pub fn read_header(head: &[u8], expected: &Expected) -> Result<Header, WireError> {
    let head = &head[..head.len().min(HEADER_BYTES)];
    parse_header(head, expected).map(|(header, _)| header)
}

fn read_up_to(source: &mut impl Read, buffer: &mut [u8]) -> Result<usize, std::io::Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn parse_header(head: &[u8], expected: &Expected) -> Result<(Header, usize), WireError> {
    if let Some(&magic) = head.first_chunk::<8>()
        && magic != MAGIC
    {
        return Err(WireError::Magic(magic));
    }
    let truncated = || WireError::Truncated { expected: FRAME_BYTES, actual: head.len() };
    let field = |at: usize, length: usize| head.get(at..at + length).ok_or_else(truncated);
    let number = |at: usize, length: usize| -> Result<u64, WireError> {
        Ok(field(at, length)?.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte)))
    };
    let version = number(8, 2)? as u16;
    if version != VERSION {
        return Err(WireError::Version(version));
    }
    let kind = parse_kind(number(10, 2)? as u16, expected.kind)?;
    let plan: PlanDigest = field(12, 32)?.try_into().expect("32 bytes");
    let key: KeyId = field(44, 16)?.try_into().expect("16 bytes");
    let length = number(60, 8)?;
    check_identity(expected, &plan, &key)?;
    check_length(expected.length, length)?;
    Ok((Header { kind, plan, key }, length as usize))
}

fn parse_kind(code: u16, expected: Kind) -> Result<Kind, WireError> {
    let kind = Kind::ALL.into_iter().find(|k| k.code() == code);
    match kind {
        Some(kind) if kind == expected => Ok(kind),
        Some(kind) => Err(WireError::Kind { expected, actual: kind.to_string() }),
        None => Err(WireError::Kind { expected, actual: format!("something of unknown kind {code}") }),
    }
}

fn check_identity(expected: &Expected, plan: &PlanDigest, key: &KeyId) -> Result<(), WireError> {
    if let Some(wanted) = expected.plan.filter(|wanted| wanted != plan) {
        return Err(WireError::Plan { expected: hex(&wanted[..8]), actual: hex(&plan[..8]) });
    }
    if let Some(wanted) = expected.key.filter(|wanted| wanted != key) {
        return Err(WireError::Key { expected: hex(&wanted), actual: hex(key) });
    }
    Ok(())
}

fn check_length(expected: Length, actual: u64) -> Result<(), WireError> {
    let (fits, length) = match expected {
        Length::Exactly(length) => (actual == length as u64, length),
        Length::AtMost(length) => (actual <= length as u64, length),
    };
    if fits { Ok(()) } else { Err(WireError::Length { expected: length as u64, actual }) }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bits of a packed residue: what the largest one needs.
fn width(m: Modulus) -> usize {
    (u32::BITS - (m.value() - 1).leading_zeros()) as usize
}

/// Bytes of a packed polynomial over the primes of `level`: each limb's words at its prime's width.
fn packed_bytes(parameters: &Parameters, level: Level) -> usize {
    limbs_bytes(parameters, &parameters.moduli()[..parameters.limbs(level)])
}

fn limbs_bytes(parameters: &Parameters, moduli: &[Modulus]) -> usize {
    moduli.iter().map(|m| parameters.degree() * width(*m) / 8).sum()
}

fn pack<F: Form>(basis: &Basis, poly: &Poly<F>, out: &mut Vec<u8>) {
    basis.moduli().zip(poly.iter()).for_each(|(m, limb)| pack_words(m, limb, out));
}

fn pack_words(m: Modulus, words: &[u32], out: &mut Vec<u8>) {
    let (bits, mut pending, mut filled) = (width(m), 0u64, 0);
    let start = out.len();
    out.resize(start + (words.len() * bits).div_ceil(8), 0);
    let mut units = out[start..].chunks_mut(4);
    let mut write = |unit: u64| {
        if let Some(bytes) = units.next() {
            bytes.copy_from_slice(&(unit as u32).to_le_bytes()[..bytes.len()]);
        }
    };
    for &word in words {
        pending |= u64::from(word) << filled;
        filled += bits;
        if filled >= 32 {
            write(pending);
            pending >>= 32;
            filled -= 32;
        }
    }
    write(pending);
}

fn unpack<F: Form>(basis: &Basis, bytes: &mut &[u8]) -> Result<Poly<F>, WireError> {
    let mut poly = basis.scratch();
    for (m, limb) in basis.moduli().zip(poly.iter_mut()) {
        unpack_words(m, take(bytes, basis.degree() * width(m) / 8), limb)?;
    }
    Ok(poly)
}

fn unpack_words(m: Modulus, bytes: &[u8], out: &mut [u32]) -> Result<(), WireError> {
    let bits = width(m);
    let mask = (1u64 << bits) - 1;
    for (i, word) in out.iter_mut().enumerate() {
        let (at, shift) = (i * bits / 8, i * bits % 8);
        *word = (eight_from(bytes, at) >> shift & mask) as u32;
    }
    match out.iter().position(|&word| word >= m.value()) {
        Some(index) => Err(WireError::Residue { index, word: out[index], modulus: m.value() }),
        None => Ok(()),
    }
}

/// The eight bytes that begin at `at`, as a number; there are zeros after the last one.
fn eight_from(bytes: &[u8], at: usize) -> u64 {
    if let Some(eight) = bytes[at..].first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    let mut eight = [0; 8];
    eight[..bytes.len() - at].copy_from_slice(&bytes[at..]);
    u64::from_le_bytes(eight)
}

/// Checks a payload's length once, before anything is read or allocated.
fn exactly(bytes: &[u8], expected: usize) -> Result<&[u8], WireError> {
    check_length(Length::Exactly(expected), bytes.len() as u64)?;
    Ok(bytes)
}

/// The next bytes of a payload whose length was checked.
fn take<'b>(bytes: &mut &'b [u8], count: usize) -> &'b [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn take_seed(bytes: &mut &[u8]) -> Seed {
    take(bytes, SEED_BYTES).try_into().expect("the length of a seed")
}

/// Payload bytes of `count` seeded ciphertexts at `level`, which exists.
pub fn ciphertexts_bytes(parameters: &Parameters, level: Level, count: usize) -> usize {
    count.saturating_mul(SEED_BYTES + packed_bytes(parameters, level))
}

/// Payload of seeded ciphertexts, which are all at one level.
pub fn write_ciphertexts(context: &Context, ciphertexts: &[SeededCiphertext]) -> Vec<u8> {
    let level = ciphertexts.first().map_or(Level(0), |c| c.level);
    let mut out = Vec::with_capacity(ciphertexts_bytes(context.parameters(), level, ciphertexts.len()));
    for ciphertext in ciphertexts {
        out.extend(ciphertext.seed);
        pack(context.basis(level), &ciphertext.c0, &mut out);
    }
    out
}

/// Reads `count` seeded ciphertexts at `level` and `scale`, both of which the plan fixes; inside a rayon pool
/// threads read different ones.
pub fn read_ciphertexts(
    context: &Context,
    bytes: &[u8],
    count: usize,
    level: Level,
    scale: Scale,
) -> Result<Vec<SeededCiphertext>, WireError> {
    let bytes = exactly(bytes, ciphertexts_bytes(context.parameters(), level, count))?;
    let read = |mut bytes: &[u8]| {
        let seed = take_seed(&mut bytes);
        Ok(SeededCiphertext { c0: unpack(context.basis(level), &mut bytes)?, seed, level, scale })
    };
    let each = ciphertexts_bytes(context.parameters(), level, 1);
    parallel::map(bytes.chunks_exact(each), read).into_iter().collect()
}

/// Payload bytes of the evaluation keys that `requirements` list, which were checked
/// ([`KeyRequirements::check`]).
pub fn evaluation_keys_bytes(parameters: &Parameters, requirements: &KeyRequirements) -> usize {
    let special = limbs_bytes(parameters, parameters.special());
    let key = |level| parameters.digits(level) * (SEED_BYTES + packed_bytes(parameters, level) + special);
    let public = requirements.public.map_or(0, |level| SEED_BYTES + packed_bytes(parameters, level));
    requirements.iter().map(|(_, level)| key(level)).sum::<usize>() + public
}

/// Payload of evaluation keys.
pub fn write_evaluation_keys(context: &Context, keys: &SeededEvaluationKeys) -> Vec<u8> {
    let mut out = Vec::with_capacity(evaluation_keys_bytes(context.parameters(), &keys.requirements));
    for key in &keys.keys {
        for (b, seed) in &key.digits {
            out.extend(seed);
            pack(context.extended_basis(key.level), b, &mut out);
        }
    }
    if let Some(SeededPublicKey { level, b, seed }) = &keys.public {
        out.extend(seed);
        pack(context.basis(*level), b, &mut out);
    }
    out
}

/// Reads the evaluation keys that `requirements` list, which were checked ([`KeyRequirements::check`]); the
/// plan fixes purposes, order and levels.
pub fn read_evaluation_keys(
    context: &Context,
    bytes: &[u8],
    requirements: &KeyRequirements,
) -> Result<SeededEvaluationKeys, WireError> {
    let mut bytes = exactly(bytes, evaluation_keys_bytes(context.parameters(), requirements))?;
    let mut keys = Vec::new();
    for (_, level) in requirements.iter() {
        let mut digits = Vec::new();
        for _ in 0..context.parameters().digits(level) {
            let seed = take_seed(&mut bytes);
            digits.push((unpack(context.extended_basis(level), &mut bytes)?, seed));
        }
        keys.push(SeededSwitchingKey { level, digits });
    }
    let mut public = None;
    if let Some(level) = requirements.public {
        let seed = take_seed(&mut bytes);
        public = Some(SeededPublicKey { level, b: unpack(context.basis(level), &mut bytes)?, seed });
    }
    Ok(SeededEvaluationKeys { requirements: requirements.clone(), keys, public })
}

/// What the length of a reply's payload follows from; the plan fixes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyShape {
    /// Of how many encryptions it is.
    pub ciphertexts: usize,
    /// How many polynomials each of them has.
    pub parts: Parts,
    /// How many coefficients it carries of the first of these.
    pub coefficients: usize,
}

impl ReplyShape {
    /// That of so many coefficients of one ciphertext.
    pub const fn of_one(coefficients: usize) -> Self {
        Self { ciphertexts: 1, parts: Parts::Two, coefficients }
    }
}

/// Payload bytes of a reply.
pub fn reply_bytes(parameters: &Parameters, shape: ReplyShape) -> usize {
    each_reply_bytes(parameters, shape).saturating_mul(shape.ciphertexts)
}

fn each_reply_bytes(parameters: &Parameters, ReplyShape { parts, coefficients, .. }: ReplyShape) -> usize {
    let own = &parameters.moduli()[..parameters.limbs(Level(0))];
    let words = own.iter().map(|m| coefficients.saturating_mul(width(*m)).div_ceil(8));
    words.fold(parts.whole() * packed_bytes(parameters, Level(0)), usize::saturating_add)
}

/// Payload of replies, one after the other.
pub fn write_replies(context: &Context, replies: &[Reply]) -> Vec<u8> {
    let basis = context.basis(Level(0));
    let mut out = vec![];
    for reply in replies {
        reply.whole.iter().for_each(|part| pack(basis, part, &mut out));
        basis.moduli().zip(&reply.c0).for_each(|(m, words)| pack_words(m, words, &mut out));
    }
    out
}

/// Reads replies of this shape at `scale`, both of which the plan fixes.
pub fn read_replies(
    context: &Context,
    bytes: &[u8],
    shape: ReplyShape,
    scale: Scale,
) -> Result<Vec<Reply>, WireError> {
    let bytes = exactly(bytes, reply_bytes(context.parameters(), shape))?;
    let each = each_reply_bytes(context.parameters(), shape);
    bytes.chunks(each).map(|bytes| read_reply(context, bytes, shape, scale)).collect()
}

/// Reads one of them, whose length was checked.
fn read_reply(
    context: &Context,
    mut bytes: &[u8],
    ReplyShape { parts, coefficients, .. }: ReplyShape,
    scale: Scale,
) -> Result<Reply, WireError> {
    let basis = context.basis(Level(0));
    let whole = (0..parts.whole()).map(|_| unpack(basis, &mut bytes)).collect::<Result<_, _>>()?;
    let mut c0 = vec![vec![0; coefficients]; basis.len()];
    for (m, words) in basis.moduli().zip(&mut c0) {
        unpack_words(m, take(&mut bytes, (coefficients * width(m)).div_ceil(8)), words)?;
    }
    Ok(Reply { c0, whole, scale })
}

/// Payload bytes of a secret key: two bits a coefficient.
pub fn secret_key_bytes(parameters: &Parameters) -> usize {
    parameters.degree() / 4
}

/// Payload of a secret key.
pub fn write_secret_key(secret: &SecretKey) -> Zeroizing<Vec<u8>> {
    let quarter = |four: &[i8]| four.iter().rev().fold(0, |byte: u8, &c| byte << 2 | (c + 1) as u8);
    Zeroizing::new(secret.coefficients().chunks(4).map(quarter).collect())
}

/// Reads a secret key.
pub fn read_secret_key(context: &Context, bytes: &[u8]) -> Result<SecretKey, WireError> {
    let bytes = exactly(bytes, secret_key_bytes(context.parameters()))?;
    let four = |&byte: &u8| (0..4).map(move |i| (byte >> (2 * i) & 3) as i8 - 1);
    // The capacity is there from the start: a vector that grew would leave copies behind.
    let mut coefficients = Zeroizing::new(Vec::with_capacity(4 * bytes.len()));
    coefficients.extend(bytes.iter().flat_map(four));
    SecretKey::from_coefficients(context, &coefficients).ok_or(WireError::Secret)
}
