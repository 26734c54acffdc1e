//! The server: runs networks on ciphertexts that it cannot read.
//!
//! # Concepts
//!
//! A [`PreparedModel`] is a model with a plan: its circuit, with the weights encoded. [`ClientKeys`] are one
//! client's evaluation keys. [`PreparedModel::infer`] takes a request to a reply; its three parts can be
//! called, and measured, one by one: a [`Request`] is a request parsed and expanded,
//! [`PreparedModel::compute`] runs the network.
//!
//! # Example
//!
//! A model made ready for every client that will come. What is no client's keys is refused before anything
//! is allocated for it.
//!
//! ```
//! use blindsight_network::Model;
//! use blindsight_planner::{Options, plan};
//! use blindsight_server::PreparedModel;
//!
//! let onnx = include_bytes!("../../../models/lola-small-mnist.onnx");
//! let model = Model::from_bytes("lola-small-mnist", onnx)?;
//! let prepared = PreparedModel::new(&model, &plan(&model, &Options::default())?)?;
//! println!("a request has {} bytes, keys have {}", prepared.request_bytes(), prepared.evaluation_keys_bytes());
//! assert!(prepared.read_keys(&b"no keys at all"[..]).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Contract
//!
//! - Everything that comes is checked against the plan's digest and the client's identity before anything is
//!   allocated for it.
//! - The server cannot hold a secret key, by type: nothing here takes, stores or returns one, and evaluators,
//!   which compute, are made of public tables and evaluation keys. A test keeps the name of the secret key's
//!   type out of these sources.
//! - Computation runs on the caller's thread; inside a rayon pool of several threads it spreads over them.
//!
//! # Non-goals
//!
//! No network protocol and no storage: bytes in, bytes out.

pub mod calibration;
mod error;

pub use error::Error;

use blindsight_circuit::Circuit;
use blindsight_circuit::encrypted::{Inputs, Program, Run};
use blindsight_ckks::wire::{self, Expected, Header, KeyId, Kind, Length, PlanDigest};
use blindsight_ckks::{Ciphertext, Context, EvaluationKeys, Evaluator, Randomness, Reply, SeededCiphertext};
use blindsight_layout::{InputLayout, Masking, PublicPlan};
use blindsight_network::Model;
use blindsight_planner::Plan;
use blindsight_ring::{Kernel, parallel};
use std::borrow::Cow;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A model ready to run on ciphertexts: made once, used for every client.
#[derive(Debug)]
pub struct PreparedModel {
    plan: PublicPlan,
    digest: PlanDigest,
    reply_indices: Vec<usize>,
    context: Arc<Context>,
    program: Program,
}

/// One client's evaluation keys, ready for use.
#[derive(Debug)]
pub struct ClientKeys {
    id: KeyId,
    keys: EvaluationKeys,
}

/// A client's request, parsed; its ciphertexts are expanded, but for those of a batch, which are thousands:
/// each of these is when the circuit comes to it, and forgotten after that.
#[derive(Debug, Clone)]
pub struct Request {
    id: KeyId,
    inputs: RequestInputs,
}

#[derive(Debug)]
enum RequestInputs {
    Expanded(Vec<Ciphertext>),
    Seeded { ciphertexts: Mutex<Vec<Option<SeededCiphertext>>>, context: Arc<Context> },
}

impl RequestInputs {
    fn seeded(ciphertexts: Vec<SeededCiphertext>, context: &Arc<Context>) -> Self {
        let ciphertexts = Mutex::new(ciphertexts.into_iter().map(Some).collect());
        Self::Seeded { ciphertexts, context: context.clone() }
    }
}

impl Clone for RequestInputs {
    fn clone(&self) -> Self {
        match self {
            Self::Expanded(ciphertexts) => Self::Expanded(ciphertexts.clone()),
            Self::Seeded { ciphertexts, context } => {
                let ciphertexts = Mutex::new(lock(ciphertexts).clone());
                Self::Seeded { ciphertexts, context: context.clone() }
            }
        }
    }
}

/// Whoever held the lock before left whole ciphertexts, or none.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inputs<Ciphertext> for RequestInputs {
    fn count(&self) -> usize {
        match self {
            Self::Expanded(ciphertexts) => ciphertexts.len(),
            Self::Seeded { ciphertexts, .. } => lock(ciphertexts).len(),
        }
    }

    fn get(&self, index: usize) -> Cow<'_, Ciphertext> {
        match self {
            Self::Expanded(ciphertexts) => Cow::Borrowed(&ciphertexts[index]),
            Self::Seeded { ciphertexts, context } => {
                let ciphertext = lock(ciphertexts)[index].take().expect("each is asked for once");
                let basis = context.basis(ciphertext.level());
                Cow::Owned(ciphertext.expand(basis))
            }
        }
    }
}

/// What the network gave for a request: still encrypted, not yet bytes.
#[derive(Debug)]
pub struct Answer {
    id: KeyId,
    replies: Vec<Reply>,
    encoding: Duration,
}

impl Answer {
    /// How long computing it waited for weights to be encoded: none but of a model
    /// [for one request](PreparedModel::for_one_request).
    pub fn encoding(&self) -> Duration {
        self.encoding
    }
}

impl ClientKeys {
    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.keys.bytes()
    }
}

impl PreparedModel {
    /// Encodes a model for a plan.
    ///
    /// # Errors
    /// For a plan that was made for another model, with both digests, and for one that is not consistent.
    pub fn new(model: &Model, plan: &Plan) -> Result<Self, Error> {
        Self::encoded(model, plan, Program::encode)
    }

    /// The same for a process that answers one request: weights are encoded for the operations that need
    /// them and forgotten after that. So many helpers, threads beside those that compute, go ahead. The first
    /// reply comes sooner, in a fraction of the memory; every further one takes as long.
    ///
    /// # Errors
    /// As [`new`](Self::new); for weights that cannot be encoded [`compute`](Self::compute) fails.
    pub fn for_one_request(model: &Model, plan: &Plan, helpers: usize) -> Result<Self, Error> {
        let encode = |circuit, context: &_| Program::encode_at_use(circuit, context, helpers);
        Self::encoded(model, plan, encode)
    }

    fn encoded(
        model: &Model,
        plan: &Plan,
        encode: impl FnOnce(Circuit, &Context) -> Result<Program, blindsight_circuit::Error>,
    ) -> Result<Self, Error> {
        let circuit = plan.circuit(model)?;
        let kernel = Kernel::from_environment().map_err(blindsight_ckks::Error::from)?;
        let context = Context::new(circuit.parameters().clone(), kernel)?;
        let program = encode(circuit, &context)?;
        let reply_indices = plan.public.reply.indices();
        Ok(Self { plan: plan.public.clone(), digest: plan.digest(), reply_indices, context, program })
    }

    /// What a client needs to know of the plan.
    pub fn plan(&self) -> &PublicPlan {
        &self.plan
    }

    /// What names the plan.
    pub fn digest(&self) -> PlanDigest {
        self.digest
    }

    /// Payload bytes of the evaluation keys that the plan asks for.
    pub fn evaluation_keys_bytes(&self) -> usize {
        wire::evaluation_keys_bytes(self.context.parameters(), &self.plan.keys)
    }

    /// Payload bytes of a request.
    pub fn request_bytes(&self) -> usize {
        wire::ciphertexts_bytes(
            self.context.parameters(),
            self.plan.input_level,
            self.plan.input.ciphertexts(),
        )
    }

    /// Payload bytes of a reply.
    pub fn reply_bytes(&self) -> usize {
        wire::reply_bytes(self.context.parameters(), self.plan.reply.shape())
    }

    /// Bytes of the encoded model in memory.
    pub fn bytes(&self) -> usize {
        self.program.bytes()
    }

    /// Reads a client's evaluation keys and expands them.
    ///
    /// # Errors
    /// For bytes that are no evaluation keys for this plan.
    pub fn read_keys(&self, source: impl Read) -> Result<ClientKeys, Error> {
        let needed = &self.plan.keys;
        let length = Length::Exactly(self.evaluation_keys_bytes());
        let expected = Expected { kind: Kind::EvaluationKeys, plan: Some(self.digest), key: None, length };
        let read = || {
            let (header, payload) = wire::open(source, &expected)?;
            Ok((header.key, wire::read_evaluation_keys(&self.context, &payload, needed)?))
        };
        let (id, keys) = read().map_err(|source| Error::Wire { what: "evaluation keys", source })?;
        Ok(ClientKeys { id, keys: keys.expand(&self.context) })
    }

    /// Reads a request of the client that `keys` belong to, and expands its ciphertexts; those of a batch
    /// stay seeded.
    ///
    /// # Errors
    /// For bytes that are no request of this client for this plan.
    pub fn read_request(&self, keys: &ClientKeys, frame: &[u8]) -> Result<Request, Error> {
        let (level, scale) = (self.plan.input_level, self.plan.input_scale);
        let count = self.plan.input.ciphertexts();
        let length = Length::Exactly(self.request_bytes());
        let expected =
            Expected { kind: Kind::Ciphertexts, plan: Some(self.digest), key: Some(keys.id), length };
        let read = || {
            let (_, payload) = wire::open_in_place(frame, &expected)?;
            wire::read_ciphertexts(&self.context, payload, count, level, scale)
        };
        let seeded = read().map_err(|source| Error::Wire { what: "request", source })?;
        let inputs = match self.plan.input {
            InputLayout::Batch(_) => RequestInputs::seeded(seeded, &self.context),
            _ => {
                let basis = self.context.basis(level);
                RequestInputs::Expanded(parallel::map(seeded.into_iter(), |c| c.expand(basis)))
            }
        };
        Ok(Request { id: keys.id, inputs })
    }

    /// Runs the network on a request, which is gone then.
    ///
    /// # Errors
    /// Where a key is missing or an operation is refused; not for keys and requests that this model has read.
    /// And where the system gives no randomness to mask a reply with.
    pub fn compute(&self, keys: &ClientKeys, request: Request) -> Result<Answer, Error> {
        let evaluator = Evaluator::new(&self.context, &keys.keys);
        let run = parallel::with_busy_waiting(|| self.program.run(&evaluator, &request.inputs))?;
        let replies = self.replies(&evaluator, &run)?;
        Ok(Answer { id: request.id, replies, encoding: run.encoding })
    }

    /// The replies that outputs become: masked, all of them, where the plan says so. Noise is drawn from the
    /// operating system's randomness, anew for each request.
    fn replies(&self, evaluator: &Evaluator<'_>, run: &Run) -> Result<Vec<Reply>, Error> {
        let indices = &self.reply_indices;
        let Some(Masking { noise_bits, .. }) = self.plan.masking else {
            let ciphertexts = run.outputs.iter().map(|a| evaluator.reply(a, indices));
            let others = run.unrelinearised.iter().map(|a| evaluator.reply_unrelinearised(a, indices));
            return Ok(ciphertexts.chain(others).collect::<Result<_, _>>()?);
        };
        let mut randomness = Randomness::from_system()?;
        let masked =
            run.outputs.iter().map(|a| evaluator.masked_reply(a, indices, noise_bits, &mut randomness));
        Ok(masked.collect::<Result<_, _>>()?)
    }

    /// The bytes of a reply, framed for the client.
    pub fn write_reply(&self, answer: &Answer) -> Vec<u8> {
        let header = Header { kind: Kind::Reply, plan: self.digest, key: answer.id };
        wire::seal(&header, &wire::write_replies(&self.context, &answer.replies))
    }

    /// From a request's bytes to the reply's.
    ///
    /// # Errors
    /// As [`read_request`](Self::read_request) and [`compute`](Self::compute).
    pub fn infer(&self, keys: &ClientKeys, request: &[u8]) -> Result<Vec<u8>, Error> {
        let request = self.read_request(keys, request)?;
        Ok(self.write_reply(&self.compute(keys, request)?))
    }
}
