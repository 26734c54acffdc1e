//! Whether the time that encryption and decryption take tells of what is encrypted and of the secret key, by
//! dudect's method (Reparaz, Balasch and Verbauwhede, ia.cr/2016/1123): times of a fixed input and of random
//! ones, taken in random order, and Welch's t-test of the two, raw and with the longest times cut off. Beyond
//! 4.5 there is probably a difference, beyond 10 there is.
//!
//! ```text
//! cargo test --release -p blindsight-client --test timing -- --ignored --nocapture
//! ```
//!
//! `BLINDSIGHT_TIMING_ROUNDS` changes how many times are taken. A quiet machine sees more.

use blindsight_ckks::wire::{self, FRAME_BYTES, HEADER_BYTES, Header, Kind};
use blindsight_client::Client;
use blindsight_network::Model;
use blindsight_planner::Plan;
use blindsight_planner::{self as planner, Options};
use blindsight_ring::sampler::{Generator, Rng, SeedableRng};
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

/// Inputs of each class. The fixed ones are as many copies, so that caches treat both classes alike.
const POOL: usize = 48;
/// Shares of the shortest times that tests are made of.
const CUTS: [f64; 5] = [1.0, 0.95, 0.9, 0.75, 0.5];
/// From here on there is a difference.
const DEFINITE: f64 = 10.0;

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let onnx = include_bytes!("../../../models/lola-small-mnist.onnx");
    let model = Model::from_bytes("lola-small-mnist", onnx).expect("the shipped model");
    // One with evaluation keys.
    let options = Options { packing: planner::Packing::Im2col(5), ..Options::default() };
    planner::plan(&model, &options).expect("it has a plan")
});

fn generator() -> Generator {
    let mut seed = [0; 32];
    seed[0] = 7;
    Generator::from_seed(seed)
}

/// The largest t of two classes of inputs, over all cuts.
fn largest_t<T>(name: &str, classes: [&[T]; 2], rounds: usize, work: impl Fn(&T)) -> f64 {
    let mut random = generator();
    let mut times = [vec![], vec![]];
    for round in 0..rounds + rounds / 10 {
        let draw = random.next_u64() as usize;
        let (class, input) = (draw & 1, (draw >> 1) % classes[0].len());
        let start = Instant::now();
        work(black_box(&classes[class][input]));
        let time = start.elapsed().as_secs_f64();
        // The first ones warm up.
        if round >= rounds / 10 {
            times[class].push(time);
        }
    }
    let mut sorted = times.concat();
    sorted.sort_by(f64::total_cmp);
    let at = |cut: f64| {
        let longest = sorted[((sorted.len() as f64 * cut) as usize).clamp(1, sorted.len()) - 1];
        welch(times.each_ref().map(|class| class.iter().copied().filter(|t| *t <= longest).collect()))
    };
    let ts = CUTS.map(at);
    let shown: Vec<String> =
        CUTS.iter().zip(ts).map(|(cut, t)| format!("{:.0} %: {t:+.2}", 100.0 * cut)).collect();
    println!("{name}, {rounds} times: t of the shortest {}", shown.join(", "));
    ts.iter().fold(0.0, |largest, t| largest.max(t.abs()))
}

/// Welch's t of two samples.
fn welch(samples: [Vec<f64>; 2]) -> f64 {
    let [a, b] = samples.map(|sample| {
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    (a.0 - b.0) / (a.1 + b.1).sqrt()
}

fn rounds(default: usize) -> usize {
    let given = std::env::var("BLINDSIGHT_TIMING_ROUNDS").ok();
    given.map_or(default, |text| text.parse().expect("BLINDSIGHT_TIMING_ROUNDS is a number"))
}

/// A comparison that ends at the first difference is told from one that does not.
#[test]
fn the_method_sees_a_leak_and_none_where_there_is_none() {
    let mut random = generator();
    let mut bytes = || (0..4096).map(|_| random.next_u64() as u8 | 1).collect::<Vec<u8>>();
    let (fixed, others) = (vec![vec![0; 4096]; POOL], (0..POOL).map(|_| bytes()).collect::<Vec<_>>());
    let leaky = |input: &Vec<u8>| {
        black_box(input.iter().all(|byte| black_box(*byte) == 0));
    };
    let t = largest_t("early exit", [&fixed, &others], 4000, leaky);
    assert!(t > DEFINITE, "a leak that is there is not seen: {t}");
    let even = |input: &Vec<u8>| {
        black_box(input.iter().fold(0, |sum, byte| sum | black_box(*byte)));
    };
    let t = largest_t("no exit", [&fixed, &others], 4000, even);
    assert!(t < 2.0 * DEFINITE, "a leak that is not there is seen: {t}");
}

#[test]
#[ignore = "takes minutes, and a quiet machine"]
fn decryption_takes_as_long_under_every_key() {
    let (public, digest) = (PLAN.public.clone(), PLAN.digest());
    let new = || Client::generate(public.clone(), digest).expect("a client");
    let first = new();
    let copy = |_| Client::read(public.clone(), digest, &first.secret_key()[..]).expect("its own key");
    let request = first.encrypt_input(&vec![0.5; public.input.shape().elements()]).expect("encrypted");
    let reply = |client: Client| {
        let frame = random_reply(&request, client.key_id());
        (client, frame)
    };
    let fixed: Vec<_> = (0..POOL).map(copy).map(reply).collect();
    let random: Vec<_> = (0..POOL).map(|_| reply(new())).collect();
    let decrypt = |(client, frame): &(Client, Vec<u8>)| drop(black_box(client.exact_scores(&frame[..], 1)));
    let t = largest_t("decrypt, fixed and random keys", [&fixed, &random], rounds(20_000), decrypt);
    assert!(t < DEFINITE, "the time of decryption depends on the key: t = {t}");
}

#[test]
#[ignore = "takes minutes, and a quiet machine"]
fn encryption_takes_as_long_for_every_image() {
    let client = Client::generate(PLAN.public.clone(), PLAN.digest()).expect("a client");
    let (low, high) = PLAN.public.input_range;
    let elements = PLAN.public.input.shape().elements();
    let mut random = generator();
    let mut pixel = || low + (high - low) * f64::from(random.next_u32() >> 24) / 255.0;
    let images: Vec<Vec<f64>> = (0..POOL).map(|_| (0..elements).map(|_| pixel()).collect()).collect();
    let encrypt = |image: &Vec<f64>| drop(black_box(client.encrypt_input(image)));
    for (name, fixed) in [("a random image", images[0].clone()), ("a black image", vec![low; elements])] {
        let fixed = vec![fixed; POOL];
        let name = format!("encrypt, {name} and random ones");
        let t = largest_t(&name, [&fixed, &images], rounds(20_000), encrypt);
        assert!(t < DEFINITE, "{name}: the time of encryption depends on the image: t = {t}");
    }
}

/// A reply whose second half is as random as a real one: the first limb of a request's ciphertext. It
/// decrypts to noise under every key.
fn random_reply(request: &[u8], key: wire::KeyId) -> Vec<u8> {
    let parameters = PLAN.public.validated_parameters().expect("a plan");
    let layout = &PLAN.public.reply;
    let bytes = wire::reply_bytes(&parameters, layout.shape());
    let limb = parameters.degree() * 28 / 8;
    let begin = HEADER_BYTES + 32;
    let mut payload = request[begin..begin + limb].to_vec();
    payload.resize(bytes, 0);
    let frame = wire::seal(&Header { kind: Kind::Reply, plan: PLAN.digest(), key }, &payload);
    assert_eq!(frame.len(), FRAME_BYTES + bytes);
    frame
}
