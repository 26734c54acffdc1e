//! What travels between fronts and workers: a [`Job`] there, an [`Answer`] back.
//!
//! A job's message is its descriptor, sealed, and behind it the request's frame where that is small. The
//! request is not under the seal: its own checksum, which the descriptor names, is checked where it is
//! parsed, so nothing is hashed twice.

use crate::seal::{CODE_BYTES, FleetKey, NotOurs, Purpose};
use blindsight_protocol::{Address, Code};
use blindsight_service::{ClientName, Computed, Outcome, Refusal, Timing};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of both messages. Workers of another version leave them to others.
pub const VERSION: u8 = 1;
/// The most bytes that a sealed descriptor has: names are bounded.
const MOST_DESCRIPTOR: usize = 1024;
/// Bytes of a frame's checksum, at its end.
const CHECKSUM_BYTES: usize = 32;

/// What is to be computed, for whom, until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What tells the request from others, in all logs.
    pub id: JobId,
    /// Which front waits for the answer.
    pub front: FrontId,
    /// Whose request it is.
    pub client: ClientName,
    /// The client's keys.
    pub keys: [u8; 32],
    /// SHA-256 of the model's file.
    pub model: [u8; 32],
    /// The digest of the plan.
    pub plan: [u8; 32],
    /// The request's checksum.
    pub request: [u8; 32],
    /// Bytes of the request's frame.
    pub bytes: u64,
    /// Whether the request lies in the store, not behind the descriptor.
    pub stored: bool,
    /// When nobody waits any more that it begins: milliseconds since 1970.
    pub deadline: u64,
}

/// What tells a request from others: 64 random bits, as in the server's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobId(pub u64);

/// What tells a front from others, and from itself before it was started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FrontId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for FrontId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAMessage {
    /// Too short to be one, or longer than one can be.
    #[error("a message of {0} bytes: no descriptor has such a length")]
    Length(usize),
    /// Another version.
    #[error("a message of version {0}, this is version {VERSION}: run one version of fronts and workers")]
    Version(u8),
    /// Not authenticated.
    #[error(transparent)]
    NotOurs(#[from] NotOurs),
    /// Authenticated, and not understood.
    #[error("a message that is no {0} of this version")]
    Form(&'static str),
    /// A request that is not the descriptor's.
    #[error("a request of {found} bytes, the descriptor says {expected}")]
    Request {
        /// What the descriptor says.
        expected: u64,
        /// What came.
        found: usize,
    },
}

impl Job {
    /// The message: the request stands in it where it does not lie in the store.
    pub fn write(&self, key: &FleetKey, request: &[u8]) -> Vec<u8> {
        let mut message = sealed(self, key, Purpose::Job);
        if !self.stored {
            message.extend(request);
        }
        message
    }

    /// Reads a message: the job, and the request where it stands in it.
    ///
    /// # Errors
    /// For everything else.
    pub fn read<'a>(key: &FleetKey, message: &'a [u8]) -> Result<(Self, &'a [u8]), NotAMessage> {
        let (job, request) = opened::<Self>(key, Purpose::Job, message, "job")?;
        let expected = if job.stored { 0 } else { job.bytes };
        if request.len() as u64 != expected {
            return Err(NotAMessage::Request { expected, found: request.len() });
        }
        Ok((job, request))
    }

    /// The client's keys.
    pub fn address(&self) -> Address {
        Address(self.keys)
    }

    /// Where a large request lies in the store.
    pub fn request_path(&self) -> String {
        format!("requests/{}.{}", Address(self.request), self.id)
    }

    /// The shard of the client among so many: jobs of one client go to one shard, where its keys are in
    /// memory.
    pub fn shard(client: &ClientName, shards: u16) -> u16 {
        // FNV-1a: the same on all machines, and for names it spreads well enough.
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = client.as_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, hash);
        ((hash ^ (hash >> 32)) % u64::from(shards.max(1))) as u16
    }
}

/// The checksum at the end of a frame, which is its address.
pub fn checksum(frame: &[u8]) -> Option<[u8; CHECKSUM_BYTES]> {
    frame.last_chunk().copied()
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The job's.
    pub id: JobId,
    /// Which worker says so.
    pub worker: u64,
    /// What it says.
    pub ending: Ending,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Computed: the steps and their microseconds; the reply's frame follows.
    Computed(Vec<(u8, u32)>),
    /// Refused, and why.
    Refused(Code, String),
    /// Not begun in time.
    TooLate,
    /// Every worker that tried it ended.
    Dead,
}

impl Ending {
    /// A refusal whose text fits into a descriptor.
    pub fn refused(code: Code, detail: &str) -> Self {
        Self::Refused(code, detail.chars().take(MOST_DESCRIPTOR / 8).collect())
    }
}

impl Answer {
    /// The message, with the reply's frame behind it.
    pub fn write(&self, key: &FleetKey, reply: &[u8]) -> Vec<u8> {
        let mut message = sealed(self, key, Purpose::Answer);
        message.extend(reply);
        message
    }

    /// Reads a message: the answer, and the reply's frame.
    ///
    /// # Errors
    /// For everything else.
    pub fn read<'a>(key: &FleetKey, message: &'a [u8]) -> Result<(Self, &'a [u8]), NotAMessage> {
        opened(key, Purpose::Answer, message, "answer")
    }

    /// What the service makes of it: the outer refusal where nothing was computed.
    pub fn outcome(self, reply: &[u8]) -> Outcome<Outcome<Computed>> {
        let id = self.id;
        match self.ending {
            Ending::Computed(numbers) => {
                let timing = Timing::from_numbers(&numbers);
                Ok(Ok(Computed { reply: reply.to_vec(), timing }))
            }
            Ending::Refused(code @ (Code::Unavailable | Code::StorageFull), detail) => {
                Err(Refusal::for_now(code, &detail))
            }
            Ending::Refused(code, detail) => Ok(Err(Refusal::new(code, detail))),
            Ending::TooLate => {
                let detail = "no worker became free in time: try again";
                Err(Refusal::for_now(Code::Unavailable, detail))
            }
            Ending::Dead => {
                tracing::error!(%id, "every worker that tried this request ended");
                let detail = format!(
                    "request {id}: every worker that tried it ended, so it was laid aside: do not send it \
                     again, and give its number to whoever runs the server"
                );
                Ok(Err(Refusal::new(Code::Internal, detail)))
            }
        }
    }
}

/// Version, length of what is sealed, and that.
fn sealed(message: &impl Serialize, key: &FleetKey, purpose: Purpose) -> Vec<u8> {
    let body = postcard::to_allocvec(message).expect("memory takes all bytes");
    let sealed = key.seal(purpose, [&[VERSION], &body[..]].concat());
    let length = u16::try_from(sealed.len()).expect("names and texts are bounded");
    [&length.to_le_bytes()[..], &sealed].concat()
}

/// The message, and what lies behind it. Its code is checked before anything of it is read.
fn opened<'a, T: Deserialize<'a>>(
    key: &FleetKey,
    purpose: Purpose,
    bytes: &'a [u8],
    what: &'static str,
) -> Result<(T, &'a [u8]), NotAMessage> {
    let wrong = || NotAMessage::Length(bytes.len());
    let (length, rest) = bytes.split_first_chunk().ok_or_else(wrong)?;
    let length = usize::from(u16::from_le_bytes(*length));
    if !(CODE_BYTES + 1..=MOST_DESCRIPTOR).contains(&length) {
        return Err(wrong());
    }
    let (sealed, rest) = rest.split_at_checked(length).ok_or_else(wrong)?;
    let (version, body) = key.open(purpose, sealed)?.split_first().ok_or_else(wrong)?;
    if *version != VERSION {
        return Err(NotAMessage::Version(*version));
    }
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok((message, rest)),
        _ => Err(NotAMessage::Form(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> FleetKey {
        FleetKey::new(&[3; 32])
    }

    prop_compose! {
        fn jobs()(
            numbers: [u64; 5],
            client in "[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}",
            digests: [[u8; 32]; 4],
            stored: bool,
        ) -> Job {
            Job {
                id: JobId(numbers[0]),
                front: FrontId(numbers[1]),
                client: client.parse().expect("a name"),
                keys: digests[0],
                model: digests[1],
                plan: digests[2],
                request: digests[3],
                bytes: if stored { numbers[2] } else { numbers[2] % 300 },
                stored,
                deadline: numbers[3],
            }
        }
    }

    proptest! {
        #[test]
        fn every_job_is_read_back(job in jobs(), fill: u8) {
            let request = vec![fill; if job.stored { 0 } else { job.bytes as usize }];
            let message = job.write(&key(), &request);
            prop_assert_eq!(Job::read(&key(), &message), Ok((job, &request[..])));
        }

        #[test]
        fn a_request_of_another_length_is_refused(job in jobs(), more in 1..9_usize) {
            let expected = if job.stored { 0 } else { job.bytes };
            let mut message = job.write(&key(), &vec![0; expected as usize]);
            message.extend(vec![0; more]);
            let found = expected as usize + more;
            prop_assert_eq!(Job::read(&key(), &message), Err(NotAMessage::Request { expected, found }));
        }

        #[test]
        fn one_wrong_bit_in_a_descriptor_is_found(job in jobs(), position: usize, bit in 0..8u8) {
            let job = Job { stored: true, ..job };
            let mut message = job.write(&key(), &[]);
            let position = position % message.len();
            message[position] ^= 1 << bit;
            prop_assert!(Job::read(&key(), &message).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Job::read(&key(), &bytes);
            let _ = Answer::read(&key(), &bytes);
            // Past the seal: what a fault of a front might send.
            let sealed = key().seal(Purpose::Job, [&[VERSION], &bytes[..]].concat());
            if let Ok(length) = u16::try_from(sealed.len()) {
                let _ = Job::read(&key(), &[&length.to_le_bytes()[..], &sealed].concat());
            }
        }

        #[test]
        fn every_answer_is_read_back(id: u64, worker: u64, steps: [(u8, u32); 5], reply: Vec<u8>) {
            for ending in [
                Ending::Computed(steps.to_vec()),
                Ending::Refused(Code::NotConforming, "wrong".into()),
                Ending::TooLate,
                Ending::Dead,
            ] {
                let answer = Answer { id: JobId(id), worker, ending };
                let message = answer.write(&key(), &reply);
                prop_assert_eq!(Answer::read(&key(), &message), Ok((answer, &reply[..])));
            }
        }

        #[test]
        fn shards_are_within_bounds(client in "[a-z]{1,20}", shards in 1..2000u16) {
            prop_assert!(Job::shard(&client.parse().expect("a name"), shards) < shards);
        }
    }

    #[test]
    fn clients_spread_over_shards() {
        let mut counts = [0; 8];
        for n in 0..8000 {
            let client = format!("client-{n}").parse().expect("a name");
            counts[usize::from(Job::shard(&client, 8))] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn another_version_is_told_from_garbage() {
        let sealed = key().seal(Purpose::Job, vec![VERSION + 1, 9, 9]);
        let message = [&(sealed.len() as u16).to_le_bytes()[..], &sealed].concat();
        assert_eq!(Job::read(&key(), &message).map(|_| ()), Err(NotAMessage::Version(VERSION + 1)));
    }
}
