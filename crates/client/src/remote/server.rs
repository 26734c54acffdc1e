//! The protocol, one request at a time.

use super::connection::{Answered, Ask, Connection};
use super::{Error, Peer, SigningKey, Trust};
use blindsight_ckks::wire::{self, PlanDigest};
use blindsight_layout::PublicPlan;
use blindsight_protocol::{Address, Code, Keys, Model, Models, headers};
use hyper::Method;
use hyper::body::Bytes;
use std::time::{Duration, Instant};

/// The most bytes of a document or a plan.
const DOCUMENT: usize = 4 << 20;
/// The most bytes of a reply.
const REPLY: usize = 256 << 20;
/// Bytes of keys sent in one request: small enough to show progress, large enough not to wait for answers.
const PART: usize = 4 << 20;
/// How long what fails for the moment is tried again.
const RETRY_BUDGET: Duration = Duration::from_secs(60);

/// A server, as its client sees it. Requests block; those that fail for the moment are repeated for a minute.
pub struct Server {
    connection: Connection,
    retry_budget: Duration,
    pin: Option<SigningKey>,
}

/// An encrypted reply, and what the server says about its making.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The framed reply.
    pub frame: Bytes,
    /// The server's own times.
    pub timing: Timing,
}

/// Milliseconds of the server's steps, as it says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timing(Vec<(String, f64)>);

impl Timing {
    /// The milliseconds of a step: `read`, `queue`, `keys`, `expand` or `compute`.
    pub fn step(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(step, _)| step == name).map(|(_, milliseconds)| *milliseconds)
    }

    fn parse(header: &str) -> Self {
        let step = |part: &str| {
            let (name, duration) = part.trim().split_once(";dur=")?;
            Some((name.to_string(), duration.parse().ok()?))
        };
        Self(header.split(',').filter_map(step).collect())
    }
}

impl Server {
    /// The server at `https://HOST:PORT` (or `http://`, on loopback). Nothing is sent yet.
    ///
    /// # Errors
    /// For an address, a token or a trust that cannot be used.
    pub fn connect(address: &str, token: &str, trust: &Trust) -> Result<Self, Error> {
        Ok(Self {
            connection: Connection::new(address, token, trust)?,
            retry_budget: RETRY_BUDGET,
            pin: None,
        })
    }

    /// How long what fails for the moment is tried again; nothing is repeated where this is zero.
    pub fn with_retry_budget(self, retry_budget: Duration) -> Self {
        Self { retry_budget, ..self }
    }

    /// Accepts only models that this key signed: a plan that it did not is refused before a key is made for
    /// it.
    pub fn pinned_to(self, key: SigningKey) -> Self {
        Self { pin: Some(key), ..self }
    }

    /// What the last TLS handshake was about; none before the first, and where there is no TLS.
    pub fn peer(&self) -> Option<Peer> {
        self.connection.peer()
    }

    /// The address.
    pub fn address(&self) -> &str {
        self.connection.address()
    }

    /// What tells this server from others: its certificate where that is pinned, else its address.
    pub fn identity(&self) -> &str {
        self.connection.identity()
    }

    /// The models that it serves.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub fn models(&self) -> Result<Vec<Model>, Error> {
        let answered = self.get("/v1/models")?;
        let models: Models = document(&answered)?;
        Ok(models.models)
    }

    /// The model of this name, or the only one.
    ///
    /// # Errors
    /// Where there is none, or more than one to choose from.
    pub fn model(&self, name: Option<&str>) -> Result<Model, Error> {
        let mut models = self.models()?;
        let names = models.iter().map(|model| model.id.clone()).collect();
        models.retain(|model| name.is_none_or(|name| name == model.id));
        match models.len() {
            1 => Ok(models.remove(0)),
            _ => Err(Error::Choose(names)),
        }
    }

    /// The public part of a model's plan, checked, and the digest that names it.
    ///
    /// # Errors
    /// As [`models`](Self::models), for a plan that is inconsistent or insecure, and for one that the pinned
    /// key did not sign.
    pub fn plan(&self, model: &str) -> Result<(PublicPlan, PlanDigest), Error> {
        let path = format!("/v1/models/{model}");
        let (plan, digest) = blindsight_protocol::read_plan(&self.get(&path)?.body)?;
        if let Some(pin) = &self.pin {
            let signed = match self.get(&format!("{path}/signature")) {
                Err(error) if error.code() == Some(Code::NotFound) => {
                    return Err(Error::Signature("the server signs nothing".into()));
                }
                other => document(&other?)?,
            };
            pin.check(&signed, model, &wire::hex(&digest), self.peer().as_ref())?;
        }
        Ok((plan, digest))
    }

    /// The keys that this client has registered.
    ///
    /// # Errors
    /// As [`models`](Self::models).
    pub fn keys(&self) -> Result<Keys, Error> {
        document(&self.get("/v1/keys")?)
    }

    /// Registers evaluation keys, from wherever an earlier attempt broke off. `progress` is told how many of
    /// how many bytes have arrived.
    ///
    /// # Errors
    /// As [`models`](Self::models), and where the keys are not those that the server's plans ask for, or
    /// there is no room.
    pub fn register_keys(&self, frame: &[u8], mut progress: impl FnMut(u64, u64)) -> Result<Address, Error> {
        let (address, frame) = (Address::of(frame), Bytes::copy_from_slice(frame));
        let path = format!("/v1/keys/{address}");
        // Never sent before, as far as is known here; where they were, the server says so.
        let mut offset = 0;
        let mut retries = Retries::new(self.retry_budget);
        loop {
            progress(offset, frame.len() as u64);
            match self.send_part(&path, &frame, offset) {
                Ok(Part::Registered) => return Ok(address),
                Ok(Part::Arrived(arrived)) => {
                    offset = arrived;
                    retries = Retries::new(self.retry_budget);
                }
                Err(error) => {
                    retries.wait(error)?;
                    offset = self.arrived(&path)?;
                }
            }
        }
    }

    fn send_part(&self, path: &str, frame: &Bytes, offset: u64) -> Result<Part, Error> {
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(frame.len());
        let body = frame.slice(begin..frame.len().min(begin + PART));
        let headers = [(headers::UPLOAD_OFFSET, begin.to_string())];
        match self.connection.ask(&Ask { method: Method::PUT, path, headers: &headers, body, most: DOCUMENT })
        {
            Ok(answered) if is_complete(&answered) => Ok(Part::Registered),
            Ok(answered) => Ok(Part::Arrived(upload_offset(&answered)?)),
            // Somebody sent some of it before: go on there.
            Err(error) if error.code() == Some(Code::WrongOffset) => Ok(Part::Arrived(self.arrived(path)?)),
            Err(error) => Err(error),
        }
    }

    /// How many bytes of a frame have arrived.
    fn arrived(&self, path: &str) -> Result<u64, Error> {
        let ask = Ask { method: Method::HEAD, path, headers: &[], body: Bytes::new(), most: DOCUMENT };
        upload_offset(&self.patiently(&ask)?)
    }

    /// Deletes registered keys.
    ///
    /// # Errors
    /// As [`models`](Self::models).
    pub fn delete_keys(&self, address: Address) -> Result<(), Error> {
        let path = format!("/v1/keys/{address}");
        let ask =
            Ask { method: Method::DELETE, path: &path, headers: &[], body: Bytes::new(), most: DOCUMENT };
        self.patiently(&ask).map(|_| ())
    }

    /// Has an encrypted image classified.
    ///
    /// # Errors
    /// As [`models`](Self::models); with the code [`Code::UnknownKeys`] where the keys are not registered
    /// (any more), [`Code::RateExceeded`] where the token's rate is used up for some seconds, and
    /// [`Code::BudgetExceeded`] where its budget is.
    pub fn infer(&self, model: &str, keys: Address, request: Vec<u8>) -> Result<Reply, Error> {
        let answered = self.patiently(&Ask {
            method: Method::POST,
            path: &format!("/v1/models/{model}/infer"),
            headers: &[(headers::KEYS, keys.to_string())],
            body: request.into(),
            most: REPLY,
        })?;
        let timing = answered.headers.get(headers::SERVER_TIMING).and_then(|value| value.to_str().ok());
        Ok(Reply { timing: Timing::parse(timing.unwrap_or_default()), frame: answered.body })
    }

    fn get(&self, path: &str) -> Result<Answered, Error> {
        self.patiently(&Ask { method: Method::GET, path, headers: &[], body: Bytes::new(), most: DOCUMENT })
    }

    /// Sends a request that may be repeated.
    fn patiently(&self, ask: &Ask<'_>) -> Result<Answered, Error> {
        let mut retries = Retries::new(self.retry_budget);
        loop {
            match self.connection.ask(ask) {
                Ok(answered) => return Ok(answered),
                Err(error) => retries.wait(error)?,
            }
        }
    }
}

/// What became of a part of a frame.
enum Part {
    Registered,
    Arrived(u64),
}

/// Transient errors: waits longer each time, until the retry budget is spent.
struct Retries {
    end: Instant,
    pause: Duration,
}

impl Retries {
    const SHORTEST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    fn new(retry_budget: Duration) -> Self {
        Self { end: Instant::now() + retry_budget, pause: Self::SHORTEST }
    }

    /// Waits before the next attempt, as long as the server says at least; gives the error back where it will
    /// not pass, the retry budget is spent, or the server says to come much later: the user should know.
    fn wait(&mut self, error: Error) -> Result<(), Error> {
        let asked = error.retry_after().unwrap_or_default();
        let pause = self.pause.max(asked);
        let left = self.end.saturating_duration_since(Instant::now());
        if !error.is_transient() || asked > Self::LONGEST || pause > left {
            return Err(error);
        }
        std::thread::sleep(pause);
        self.pause = (2 * self.pause).min(Self::LONGEST);
        Ok(())
    }
}

fn document<T: serde::de::DeserializeOwned>(answered: &Answered) -> Result<T, Error> {
    serde_json::from_slice(&answered.body).map_err(|error| Error::Answer(error.to_string()))
}

fn is_complete(answered: &Answered) -> bool {
    answered.headers.get(headers::UPLOAD_COMPLETE).is_some_and(|value| value.as_bytes() == b"?1")
}

fn upload_offset(answered: &Answered) -> Result<u64, Error> {
    let offset =
        answered.headers.get(headers::UPLOAD_OFFSET).and_then(|value| value.to_str().ok()?.parse().ok());
    offset.ok_or_else(|| Error::Answer(format!("status {} without Upload-Offset", answered.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_what_is_not_one_is_left_out() {
        let timing = Timing::parse("read;dur=1.5, queue;dur=0.25,other, compute;dur=x");
        assert_eq!((timing.step("read"), timing.step("queue")), (Some(1.5), Some(0.25)));
        assert_eq!((timing.step("other"), timing.step("compute")), (None, None));
    }

    #[test]
    fn addresses_that_would_leak_the_token_or_are_none_are_refused() {
        for wrong in
            ["", "127.0.0.1:8443", "http://example.org", "ftp://example.org", "https://a/b", "https://a/?q"]
        {
            assert!(
                matches!(Server::connect(wrong, "t", &Trust::System), Err(Error::Address { .. })),
                "{wrong}"
            );
        }
        let pin = Trust::Pinned("ab".repeat(32).parse().expect("a fingerprint"));
        for right in ["http://127.0.0.1:80", "http://[::1]:80/", "http://localhost", "https://example.org"] {
            assert!(Server::connect(right, "t", &pin).is_ok(), "{right}");
        }
        assert!(matches!(Server::connect("https://a", "a\nb", &pin), Err(Error::Token)));
    }
}
