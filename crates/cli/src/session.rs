//! Client and server in one process, with the bytes that would travel between them.

use crate::arguments::PlanFlags;
use crate::failure::{During, Outcome};
use crate::passphrase::PassphraseFlags;
use crate::{configuration, machine, plan_file, progress};
use blindsight_client::{Classification, Client, Warning, is_sealed};
use blindsight_network::Model;
use blindsight_planner::{Explanation, Plan};
use blindsight_ring::parallel::Pool;
use blindsight_server::{ClientKeys, PreparedModel};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// A model planned and prepared, a client with fresh keys, and the server's view of both.
pub struct Session {
    pub model: Model,
    pub plan: Plan,
    client: Client,
    server: PreparedModel,
    /// The threads that encrypt and that expand requests; what is measured as latency runs on the caller's.
    beside: Pool,
    keys: ClientKeys,
    pub setup: Setup,
}

/// What was done once, before the first input.
#[derive(Debug, Clone, Serialize)]
pub struct Setup {
    pub plan_ms: f64,
    pub keygen_ms: f64,
    pub prepare_model_ms: f64,
    pub prepare_keys_ms: f64,
    pub evaluation_key_bytes: u64,
}

/// The way of the inputs of one request to their scores.
#[derive(Debug)]
pub struct Round {
    /// What the reply says, or why the client does not believe it.
    pub classifications: Result<Vec<Classification>, blindsight_client::Error>,
    pub times: Times,
    pub upload_bytes: u64,
    pub download_bytes: u64,
}

/// Milliseconds of each step of a round.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub encrypt: f64,
    pub expand: f64,
    /// The server's work from expanded ciphertexts to the reply, without waiting for weights to be encoded.
    /// Where other cores encode meanwhile, it shares the memory with them, and is up to a fifth higher.
    pub latency: f64,
    /// What of it the processor was at work for, all threads together, where the system tells.
    pub processor: Option<f64>,
    pub decrypt: f64,
}

impl Session {
    /// Plans the model, generates keys and prepares the server.
    pub fn open(model: Model, flags: &PlanFlags) -> Outcome<Self> {
        let (plan, plan_ms) = timed(|| flags.plan(&model));
        Self::with_plan(model, plan?, plan_ms)
    }

    /// The same for one round on one thread: the server encodes weights when it comes to them, and forgets
    /// them after that, which takes a fraction of the memory. All other cores encode ahead of it.
    pub fn for_one_round(model: Model, flags: &PlanFlags) -> Outcome<Self> {
        let (plan, plan_ms) = timed(|| flags.plan(&model));
        let helpers = machine::cores() - 1;
        let prepare = |model: &_, plan: &_| PreparedModel::for_one_request(model, plan, helpers);
        Self::prepared(model, plan?, plan_ms, Pool::new(machine::cores())?, prepare)
    }

    /// Generates keys and prepares the server for a plan of this model, which took `plan_ms` to make.
    pub fn with_plan(model: Model, plan: Plan, plan_ms: f64) -> Outcome<Self> {
        Self::prepared(model, plan, plan_ms, Pool::of_caller(), PreparedModel::new)
    }

    fn prepared(
        model: Model,
        plan: Plan,
        plan_ms: f64,
        beside: Pool,
        prepare: impl FnOnce(&Model, &Plan) -> Result<PreparedModel, blindsight_server::Error>,
    ) -> Outcome<Self> {
        let (server, prepare_model_ms) =
            timed(|| progress::spinning("preparing the model", || prepare(&model, &plan)));
        let server = server?;
        let (generated, keygen_ms) = timed(|| generate(&plan));
        let (client, key_bytes) = generated?;
        let (keys, prepare_keys_ms) =
            timed(|| progress::spinning("reading the keys", || server.read_keys(&key_bytes[..])));
        let evaluation_key_bytes = key_bytes.len() as u64;
        let setup = Setup { plan_ms, keygen_ms, prepare_model_ms, prepare_keys_ms, evaluation_key_bytes };
        Ok(Self { keys: keys?, model, plan, client, server, beside, setup })
    }

    /// Encrypts inputs into one request, classifies them encrypted, decrypts the reply.
    pub fn classify(&self, inputs: &[Vec<f64>]) -> Outcome<Round> {
        let (request, encrypt) = timed(|| self.beside.run(|| self.client.encrypt_inputs(inputs)));
        let request = request?;
        let (parsed, expand) =
            timed(|| self.beside.run(|| self.server.read_request(&self.keys, &request[..])));
        let parsed = parsed?;
        let before = machine::processor_ms();
        let (answered, computing) = timed(|| -> Result<_, blindsight_server::Error> {
            let answer = self.server.compute(&self.keys, parsed)?;
            Ok((self.server.write_reply(&answer), answer.encoding()))
        });
        let (reply, encoding) = answered?;
        let latency = computing - encoding.as_secs_f64() * 1e3;
        let processor = before.zip(machine::processor_ms()).map(|(before, after)| after - before);
        let (classifications, decrypt) = timed(|| self.client.exact_scores(&reply[..], inputs.len()));
        Ok(Round {
            classifications,
            times: Times { encrypt, expand, latency, processor, decrypt },
            upload_bytes: request.len() as u64,
            download_bytes: reply.len() as u64,
        })
    }

    /// A classification as it is shown: rounded to the predicted error, unless exact scores were asked for.
    pub fn shown(&self, classification: Classification, exact: bool) -> Classification {
        if exact { classification } else { self.client.rounded(classification) }
    }

    /// What is to be said of an input before it is encrypted: values that are out of range.
    pub fn check(&self, input: &[f64]) -> Option<Warning> {
        self.client.check_input(input)
    }

    /// The latencies of so many inferences of these inputs, after one that is not counted.
    pub fn latencies(&self, inputs: &[Vec<f64>], runs: u32) -> Outcome<Vec<f64>> {
        let request = self.server.read_request(&self.keys, &self.client.encrypt_inputs(inputs)?[..])?;
        let infer = |_| {
            let request = request.clone();
            let (computed, ms) = timed(|| self.server.compute(&self.keys, request));
            Ok(computed.map(|_| ms)?)
        };
        Ok((0..=runs).map(infer).collect::<Outcome<Vec<_>>>()?.split_off(1))
    }

    /// The scores of inputs, computed in the clear.
    pub fn plain_scores(&self, inputs: &[Vec<f64>]) -> Outcome<Vec<Vec<f64>>> {
        Ok(self.model.graph.infer_batch(inputs)?)
    }

    /// How many inputs a request holds.
    pub fn batch(&self) -> usize {
        self.plan.public.input.images()
    }

    /// What the plan costs, with this machine's figures where they were measured.
    pub fn explain(&self) -> Outcome<Explanation> {
        let costs = configuration::costs()?;
        progress::spinning("dry run", || Ok(blindsight_planner::explain(&self.plan, &self.model, &costs)?))
    }

    /// Bytes of the encoded model in the server's memory.
    pub fn server_bytes(&self) -> usize {
        self.server.bytes()
    }
}

/// A new client and its evaluation keys.
pub fn generate(plan: &Plan) -> Outcome<(Client, Vec<u8>)> {
    let client = Client::generate(plan.public.clone(), plan.digest())?;
    let bar = progress::slow_bar("generating keys", 0);
    let keys = client.evaluation_keys(|done, count| {
        bar.set_length(count as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    Ok((client, keys))
}

/// The client that a plan's file and a secret key's file make.
pub fn load_client(plan: &Path, secret: &Path, passphrase: &PassphraseFlags) -> Outcome<Client> {
    let plan = plan_file::read(plan)?;
    let digest = plan.digest();
    if !is_sealed(secret)? {
        return Client::load(plan.public, digest, secret).during(|| secret.display().to_string());
    }
    let passphrase = passphrase.ask(&secret.display().to_string())?;
    Ok(Client::load_sealed(plan.public, digest, secret, &passphrase)?)
}

/// A value and the milliseconds that making it took.
pub fn timed<T>(make: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let made = make();
    (made, start.elapsed().as_secs_f64() * 1e3)
}
