//! Private replies, from a client's point of view: what a distinguisher with the secret key can tell of the
//! network, what scores come to, and what of the circuit is left.

use blindsight_ckks::wire::{self, Expected, Kind, Length};
use blindsight_ckks::{Context, SecretKey};
use blindsight_client::Client;
use blindsight_layout::Masking;
use blindsight_network::{Dense, FinalActivation, Graph, Metadata, Model, Operator, Shape};
use blindsight_planner::{Options, Plan, ReplyKind, plan};
use blindsight_ring::Kernel;
use blindsight_server::{ClientKeys, PreparedModel};
use std::sync::Arc;

const INPUTS: usize = 16;
const HIDDEN: usize = 8;
const SCORES: usize = 3;
/// Small, so that what it promises can be measured.
const KAPPA: u32 = 5;

/// Numbers in `[-1, 1]` that are the same every time.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from((state >> 44) as u32) / f64::from(1u32 << 19) - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Two dense layers with squares between. `pairs` of further hidden units cancel: their weights and biases
/// are opposite, so their squares are equal, and they enter the scores with opposite signs. Scores are the
/// same whatever
/// the pairs; errors are not.
fn model(pairs: usize) -> Model {
    let mut first = numbers(HIDDEN * INPUTS, 1);
    let second = numbers(SCORES * HIDDEN, 2);
    let units = HIDDEN + 2 * pairs;
    for pair in 0..pairs {
        let row = numbers(INPUTS, 3 + pair as u64);
        first.extend(&row);
        first.extend(row.iter().map(|w| -w));
    }
    let row = |score: usize| {
        let own = second[score * HIDDEN..(score + 1) * HIDDEN].iter().copied();
        own.chain((0..pairs).flat_map(|_| [12.0, -12.0])).collect::<Vec<f64>>()
    };
    let dense = |rows, columns, weights: Vec<f64>| {
        let bias = (0..rows).map(|row| if row < HIDDEN || row % 2 == 0 { 0.25 } else { -0.25 }).collect();
        Operator::Dense(Dense { rows, columns, weights, bias })
    };
    let layers = [
        ("first".to_string(), dense(units, INPUTS, first.iter().map(|w| w / 8.0).collect())),
        ("square".to_string(), Operator::square(units)),
        ("second".to_string(), dense(SCORES, units, (0..SCORES).flat_map(row).collect())),
    ];
    let shape = Shape::new(1, 4, 4);
    let metadata = Metadata { score_bound: Some(16.0), ..Metadata::new(shape, SCORES) };
    let digest = [pairs as u8; 32];
    let (graph, output, remarks) = (Graph::chain(shape, layers), FinalActivation::None, vec![]);
    Model { name: "cancelling".into(), graph, metadata, output, remarks, digest }
}

/// A model, its server and a client whose secret key the test reads.
struct Exchange {
    model: Model,
    plan: Plan,
    server: PreparedModel,
    client: Client,
    keys: ClientKeys,
    context: Arc<Context>,
    secret: SecretKey,
}

impl Exchange {
    /// With noise of so many bits instead of those that its own plan asks for.
    fn new(model: Model, mut plan: Plan, noise_bits: u32) -> Self {
        plan.public.masking = plan.public.masking.map(|masking| Masking { noise_bits, ..masking });
        let server = PreparedModel::new(&model, &plan).expect("its own plan");
        let client = Client::generate(plan.public.clone(), plan.digest()).expect("sound parameters");
        let key_bytes = client.evaluation_keys(|_, _| {}).expect("keys");
        let keys = server.read_keys(&key_bytes[..]).expect("its own keys");
        let parameters = plan.public.validated_parameters().expect("sound parameters");
        let context = Context::new(parameters, Kernel::detect()).expect("tables");
        let secret = payload(&client.secret_key(), Kind::SecretKey);
        let secret = wire::read_secret_key(&context, &secret).expect("a key that was just made");
        Self { model, plan, server, client, keys, context, secret }
    }

    /// The coefficients of a reply to this input.
    fn coefficients(&self, input: &[f64]) -> Vec<f64> {
        let request = self.client.encrypt_input(input).expect("an input of the right length");
        let reply = self.server.infer(&self.keys, &request[..]).expect("a sound request");
        self.decrypted(&reply)
    }

    fn decrypted(&self, reply: &[u8]) -> Vec<f64> {
        let layout = &self.plan.public.reply;
        let indices = layout.indices();
        let payload = payload(reply, Kind::Reply);
        let replies = wire::read_replies(&self.context, &payload, layout.shape(), layout.scale);
        let each = replies.expect("a reply that was just made");
        each.iter().flat_map(|reply| self.secret.decrypt_reply(&self.context, reply, &indices)).collect()
    }

    /// What the coefficients would be without any error.
    fn exact(&self, input: &[f64]) -> Vec<f64> {
        let (scores, reply) =
            (self.model.graph.infer(input).expect("a sound graph"), &self.plan.public.reply);
        let zeros = vec![0.0; reply.zero_checks.len()];
        let copies = scores.iter().map(|score| score / reply.range_check_divisor).collect();
        [scores.clone(), zeros, copies].concat()
    }

    /// The errors of so many replies to one input, each a list.
    fn errors(&self, input: &[f64], replies: usize) -> Vec<Vec<f64>> {
        let exact = self.exact(input);
        let one = |_| self.coefficients(input).iter().zip(&exact).map(|(x, e)| x - e).collect();
        (0..replies).map(one).collect()
    }
}

fn payload(frame: &[u8], kind: Kind) -> Vec<u8> {
    let length = Length::Exactly(frame.len() - wire::FRAME_BYTES);
    wire::open(frame, &Expected { kind, plan: None, key: None, length }).expect("a whole frame").1.to_vec()
}

fn options(kappa: u32) -> Options {
    Options { reply: ReplyKind::Private { kappa }, ..Options::default() }
}

fn mean_square(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), x| (sum + x * x, count + 1));
    sum / f64::from(count)
}

/// The largest distance between two empirical distributions.
fn kolmogorov_smirnov(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let sorted = |all: &[Vec<f64>]| {
        let mut all: Vec<f64> = all.concat();
        all.sort_by(f64::total_cmp);
        all
    };
    let (a, b) = (sorted(a), sorted(b));
    let share = |all: &[f64], x: f64| all.partition_point(|y| *y <= x) as f64 / all.len() as f64;
    a.iter().chain(&b).map(|x| (share(&a, *x) - share(&b, *x)).abs()).fold(0.0, f64::max)
}

/// How much better than by chance the best threshold on the size of a reply's errors tells two networks
/// apart.
fn advantage(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let sizes =
        |all: &[Vec<f64>]| all.iter().map(|e| vec![mean_square(e.iter().copied())]).collect::<Vec<_>>();
    kolmogorov_smirnov(&sizes(a), &sizes(b))
}

/// The plans of two networks with the same scores, and an input for both.
fn rivals() -> ([(Model, Plan); 2], Vec<f64>) {
    let rivals = [0, 4].map(|pairs| {
        let model = model(pairs);
        let plan = plan(&model, &options(KAPPA)).expect("a plan");
        (model, plan)
    });
    let input: Vec<f64> = numbers(INPUTS, 9).iter().map(|x| x.abs()).collect();
    let scores = [0, 1].map(|i: usize| rivals[i].0.graph.infer(&input).expect("a sound graph"));
    for (a, b) in scores[0].iter().zip(&scores[1]) {
        assert!((a - b).abs() < 1e-12, "the pairs cancel: {a} and {b}");
    }
    (rivals, input)
}

const REPLIES: usize = 200;
/// Kolmogorov and Smirnov: exceeded by two samples of one distribution in one of 100,000 tests.
const BY_CHANCE: f64 = 2.5;

#[test]
fn a_distinguisher_with_the_secret_key_tells_no_more_than_kappa_allows() {
    let (rivals, input) = rivals();
    // The public plan says how much noise there is: the same for both.
    let noise = rivals.iter().filter_map(|(_, plan)| plan.public.masking).map(|m| m.noise_bits).max();
    let noise = noise.expect("private plans");
    let allowed = f64::from(KAPPA).exp2().recip();
    let by_chance = |samples: usize| BY_CHANCE * (2.0 / samples as f64).sqrt();

    let flooded = rivals.clone().map(|(model, plan)| Exchange::new(model, plan, noise));
    let scale = flooded[0].plan.public.reply.scale;
    let errors = flooded.each_ref().map(|exchange| exchange.errors(&input, REPLIES));
    for all in &errors {
        let uniform = f64::from(noise).exp2() / scale.0;
        let (count, measured) = (all.concat().len() as f64, mean_square(all.concat().into_iter()));
        let ratio = measured / (uniform * uniform / 3.0);
        assert!((ratio - 1.0).abs() < 0.02 + 5.0 * (0.8 / count).sqrt(), "variance {ratio} of the noise's");
        let mean = all.concat().iter().sum::<f64>() / count / uniform;
        assert!(mean.abs() < allowed + 5.0 * (1.0 / (3.0 * count)).sqrt(), "mean {mean}");
    }
    let [a, b] = &errors;
    let pooled = a.concat().len();
    assert!(kolmogorov_smirnov(a, b) < allowed + by_chance(pooled), "{}", kolmogorov_smirnov(a, b));
    assert!(advantage(a, b) < allowed + by_chance(REPLIES), "{}", advantage(a, b));

    // The same distinguisher without noise.
    let bare = rivals.map(|(model, plan)| Exchange::new(model, plan, 0).errors(&input, REPLIES / 4));
    let [a, b] = &bare;
    assert!(kolmogorov_smirnov(a, b) > 0.2, "{}", kolmogorov_smirnov(a, b));
    assert!(advantage(a, b) > 0.9, "{}", advantage(a, b));
}

#[test]
fn errors_of_any_input_are_within_the_margin() {
    let ([(model, plan), _], _) = rivals();
    let masking = plan.public.masking.expect("a private plan");
    let exchange = Exchange::new(model, plan, 0);
    for input in [vec![0.0; INPUTS], vec![1.0; INPUTS], numbers(INPUTS, 5).iter().map(|x| x.abs()).collect()]
    {
        let errors = exchange.errors(&input, 50);
        let sum: f64 = (0..errors[0].len()).map(|i| mean_square(errors.iter().map(|e| e[i])).sqrt()).sum();
        let noise = f64::from(masking.noise_bits).exp2() / exchange.plan.public.reply.scale.0;
        let distance = sum / noise;
        assert!(distance < f64::from(masking.kappa).exp2().recip(), "{distance} for an input");
    }
}

#[test]
fn a_reply_is_fresh_every_time() {
    let ([(model, plan), _], input) = rivals();
    let clean = blindsight_planner::plan(&model, &Options::default()).expect("a plan");
    for (plan, is_fresh) in [(plan, true), (clean, false)] {
        let noise = plan.public.masking.map_or(0, |masking| masking.noise_bits);
        let exchange = Exchange::new(model.clone(), plan, noise);
        let request = exchange.client.encrypt_input(&input).expect("an input of the right length");
        let replies = [0; 2].map(|_| exchange.server.infer(&exchange.keys, &request[..]).expect("sound"));
        let bytes = replies.each_ref().map(|reply| payload(reply, Kind::Reply));
        let same = bytes[0].iter().zip(&bytes[1]).filter(|(a, b)| a == b).count() as f64;
        // Bytes of uniform words agree once in 256.
        assert_eq!(same / (bytes[0].len() as f64) < 0.02, is_fresh);
    }
}

#[test]
fn scores_of_a_real_network_are_as_exact_as_predicted() {
    let bytes = include_bytes!("../../../models/lola-small-mnist.onnx");
    let model = Model::from_bytes("lola-small-mnist", bytes).expect("the shipped model is sound");
    let plan = plan(&model, &options(20)).expect("a plan");
    let noise = plan.public.masking.expect("a private plan").noise_bits;
    let predicted = plan.public.predicted_error;
    let exchange = Exchange::new(model, plan, noise);
    let digit = include_bytes!("../../../samples/digit-4.png");
    let shape = exchange.model.graph.input;
    let image = blindsight_data::decode_image("digit", digit, shape).expect("a drawn digit").0;
    let plain = exchange.model.scores(&image).expect("an image of the right size");
    let mut squares = vec![];
    for _ in 0..8 {
        let request = exchange.client.encrypt(&image).expect("an image");
        let reply = exchange.server.infer(&exchange.keys, &request[..]).expect("a sound request");
        let read = exchange.client.exact_scores(&reply[..], 1).expect("a sound reply").swap_remove(0);
        assert_eq!(read.label, "4");
        squares.extend(read.scores.iter().zip(&plain).map(|(a, b)| a - b));
    }
    let measured = mean_square(squares.into_iter()).sqrt();
    // Of 80 uniform numbers: 5 deviations of a mean square are a half.
    assert!((0.7..1.25).contains(&(measured / predicted)), "{measured} for {predicted}");
}

#[test]
fn keys_without_the_public_key_are_refused() {
    let ([(model, plan), _], _) = rivals();
    let noise = plan.public.masking.expect("a private plan").noise_bits;
    let exchange = Exchange::new(model.clone(), plan.clone(), noise);
    let bytes = exchange.client.evaluation_keys(|_, _| {}).expect("keys");
    assert_eq!(bytes.len() - wire::FRAME_BYTES, exchange.server.evaluation_keys_bytes());
    let mut short = plan.public.clone();
    short.keys.public = None;
    assert!(short.validate().is_err());
    let cut = wire::evaluation_keys_bytes(exchange.context.parameters(), &short.keys);
    assert!(cut < exchange.server.evaluation_keys_bytes());
    assert!(exchange.server.read_keys(&bytes[..wire::FRAME_BYTES + cut]).is_err());
}
