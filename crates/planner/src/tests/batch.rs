//! Batches: the literature's counts, and the same scores as in the clear.

use super::{CRYPTONETS, Figures, Random, figures, model, planned};
use crate::literature::batch::assemble;
use crate::literature::schedule::{Outline, Schedule};
use crate::literature::{Chain, batch};
use crate::{Objective, Packing, Plan, explain};
use blindsight_circuit::encrypted::Program;
use blindsight_circuit::{Counts, Operation, Work, clear, dry_run, predict, working_bytes};
use blindsight_ckks::{
    Context, Evaluator, ParametersLiteral, Randomness, Scale, SecretKey, Security, SeededEvaluationKeys,
};
use blindsight_layers::{Assembly, LayerGraph};
use blindsight_layout::{ReplyLayout, Verdict};
use blindsight_network::Model;
use proptest::prelude::*;
use std::path::Path;

/// In a small ring where one is asked for.
fn assembled(model: &Model, degree: usize) -> Assembly {
    assembled_chain(&chain(model).expect("the network is a chain"), degree)
}

/// The chain that a network is: none where a layer that scales one map became part of a polynomial, which is
/// read twice.
fn chain(model: &Model) -> Option<Chain> {
    Chain::new(&LayerGraph::new(&model.graph, &model.metadata).unwrap()).ok()
}

fn assembled_chain(chain: &Chain, degree: usize) -> Assembly {
    let fits = |degree| batch::parameters(chain, degree, 16.0, Security::Bits128).ok();
    let parameters = [8192, 16384].into_iter().find_map(fits).unwrap();
    let small = ParametersLiteral { degree, ..parameters.literal().clone() };
    let parameters = if degree < 1024 { small.validate_insecure().unwrap() } else { parameters };
    assemble(chain, &parameters, 16.0).unwrap()
}

fn images(model: &Model, count: usize) -> Vec<Vec<f64>> {
    let (mut random, elements) = (Random(91), model.graph.input.elements());
    (0..count).map(|_| random.values(elements, 1.0 / 3.0)).collect()
}

/// Im2col that fall on padding are no products: 20,480 of the convolution, 84,500 and 1,000 of the dense
/// layers.
#[test]
fn counts_of_the_cryptonets_network() {
    let model = model(&CRYPTONETS).unwrap();
    let assembly = assembled(&model, 8192);
    let run = dry_run(&assembly.circuit);
    let t = run.totals;
    let counted =
        [t.rotations, t.plaintext_multiplications, t.ciphertext_multiplications, t.additions, t.hops()];
    assert_eq!(counted, [0, 105_980, 945, 105_980, 212_905]);
    assert_eq!([t.relinearizations, t.rescales, t.key_switches()], [110, 220, 110]);
    let layers: Vec<_> = run.layers.iter().map(|l| (l.counts.hops(), l.level_in.0, l.level_out.0)).collect();
    assert_eq!(layers, [(40_960, 4, 4), (845, 4, 4), (169_000, 4, 2), (100, 2, 2), (2_000, 2, 0)]);
    assert_eq!(assembly.input.ciphertexts(), 784);
}

/// Half of the weights gone is half of the products gone.
#[test]
fn weights_that_are_zero_cost_nothing() {
    let mut model = model(&CRYPTONETS).unwrap();
    for layer in &mut model.graph.nodes {
        if let blindsight_network::Operator::Dense(dense) = &mut layer.operator {
            // Not whole columns: what nobody reads would not be computed at all.
            for (row, weights) in dense.weights.chunks_mut(dense.columns).enumerate() {
                weights.iter_mut().skip(row % 2).step_by(2).for_each(|w| *w = 0.0);
            }
        }
    }
    let t = dry_run(&assembled(&model, 8192).circuit).totals;
    assert_eq!([t.plaintext_multiplications, t.additions], [20_480 + 42_250 + 500; 2]);
}

fn check_clear(model: &Model, assembly: &Assembly) {
    let images = images(model, 3);
    let written = assembly.input.write_images(&images.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    let scores = clear::run(&assembly.circuit, &written).unwrap();
    for (i, image) in images.iter().enumerate() {
        let expected = model.graph.infer(image).unwrap();
        assert_eq!(scores.len(), expected.len());
        for (score, expected) in scores.iter().zip(expected) {
            assert!((score[i] - expected).abs() < 1e-9, "{} where {expected} was expected", score[i]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn scores_are_those_of_plain_inference(f in figures()) {
        let Some(model) = model(&f) else { return Ok(()) };
        let Some(chain) = chain(&model) else { return Ok(()) };
        check_clear(&model, &assembled_chain(&chain, 64));
    }
}

/// A client and a server in one: scores within eight predicted deviations, counts as predicted, images in
/// every slot.
fn check_encrypted(figures: &Figures, seed: u64) {
    check_model(&model(figures).unwrap(), seed);
}

fn check_model(model: &Model, seed: u64) {
    let assembly = assembled(model, 128);
    let circuit = &assembly.circuit;
    let images = images(model, 128);
    let written = assembly.input.write_images(&images.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    let context = Context::new(circuit.parameters().clone(), blindsight_ring::Kernel::detect()).unwrap();
    let mut randomness = Randomness::from_test_seed(seed);
    let secret = SecretKey::generate(&context, &mut randomness);
    let keys = SeededEvaluationKeys::generate(&context, &secret, &circuit.keys(), &mut randomness, |_| ());
    let keys = keys.unwrap().expand(&context);
    let (level, scale) = (assembly.input_level, assembly.input_scale);
    let inputs = secret.encrypt_all(&context, &written, level, scale, &mut randomness).unwrap();
    let inputs: Vec<_> = inputs.into_iter().map(|c| c.expand(context.basis(level))).collect();
    let program = Program::encode(circuit.clone(), &context).unwrap();
    let run = program.run(&Evaluator::new(&context, &keys), &inputs).unwrap();
    assert_eq!(Counts { work: Work::default(), ..dry_run(circuit).totals }, run.counts);
    let predicted = predict(circuit, &written).unwrap();
    for (o, output) in run.outputs.iter().enumerate() {
        assert!(output.scale().agrees(assembly.reply.scale));
        let slots = secret.decrypt(&context, output);
        for (slot, image) in slots.iter().zip(&images) {
            let (expected, allowed) = (model.graph.infer(image).unwrap()[o], 8.0 * predicted[o].deviation());
            assert!(
                (slot - expected).abs() < allowed,
                "{slot} where {expected} was expected, within {allowed}"
            );
        }
    }
}

/// Three squares, and maps so many that a row of the first layer has several tiles.
fn deep() -> Model {
    let figures = Figures { outputs: 70, second: Some((40, 3, 2, 1)), hidden: Some(150), ..CRYPTONETS };
    let figures = Figures { input: blindsight_network::Shape::new(2, 24, 9), kernel: [3, 3], ..figures };
    model(&Figures { stride: [1, 1], scores: 3, ..figures }).unwrap()
}

/// Tiles change nothing of what is computed: each product and each square once, though pieces of a layer lie
/// apart.
#[test]
fn tiles_compute_what_whole_layers_do() {
    let model = deep();
    let (assembly, chain) = (assembled(&model, 64), chain(&model).unwrap());
    check_clear(&model, &assembly);
    let run = dry_run(&assembly.circuit);
    let products: usize = chain.links.iter().map(|link| link.linear.products()).sum();
    let squares: usize = chain.links[..3].iter().map(|link| link.linear.rows()).sum();
    let counted = [run.totals.plaintext_multiplications, run.totals.ciphertext_multiplications];
    assert_eq!(counted, [products as u64, squares as u64]);
    let names: Vec<&str> = run.layers.iter().map(|layer| &layer.label.name[..]).collect();
    assert_eq!(names, ["conv", "square1", "conv2", "square2", "hidden", "square3", "scores"]);
    let pieces: Vec<usize> = assembly.circuit.layers().iter().map(|span| span.pieces.len()).collect();
    assert_eq!(pieces[..4], [216, 216, 24, 24]);
}

/// Of a deep network some rows of each layer are there at a time, not whole layers.
#[test]
fn tiles_keep_few_values_alive() {
    let circuit = assembled(&deep(), 64).circuit;
    let bytes = |span: &blindsight_circuit::Span| -> usize {
        let limbs = |node: usize| circuit.parameters().limbs(circuit.nodes()[node].level);
        let ends = |node: &usize| matches!(circuit.nodes()[*node].operation, Operation::Reduce { .. });
        span.nodes().filter(ends).map(|node| 2 * 64 * size_of::<u32>() * limbs(node)).sum()
    };
    let largest = circuit.layers().iter().map(bytes).max().unwrap() as u64;
    assert!(working_bytes(&circuit) < largest * 2 / 3, "{} of {largest}", working_bytes(&circuit));
}

#[test]
fn deep_encrypted_scores_are_those_of_plain_inference() {
    check_model(&deep(), 5);
}

/// Where linear layers are reduced, too, three primes do for two squares.
#[test]
fn a_deep_network_takes_fewer_primes_than_two_a_square() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/cifar10-fast.onnx");
    let chain = chain(&Model::load(&file).unwrap()).unwrap();
    let uncut = &Schedule::all(&Outline::new(&chain), Scale::bits(22.0), |_| 26.0)[0];
    let parameters = batch::parameters(&chain, 16384, 29.0, Security::Bits128).unwrap();
    assert_eq!((uncut.levels(), parameters.max_level().0), (14, 10));
}

/// Sound replies, one with a coefficient that wrapped around, and noise.
#[test]
fn replies_tell_whether_they_are_sound() {
    let slots = 128;
    let reply = ReplyLayout::batch(2, 10.0, 268_369_921.0, slots).unwrap();
    assert_eq!(reply.capacity, 32.0);
    let mut random = Random(17);
    let mut scores: Vec<Vec<f64>> = (0..2).map(|_| random.values(slots, 8.0)).collect();
    let read = reply.read_batch(&scores, 3).unwrap();
    assert_eq!(read.1, Verdict::Sound);
    assert_eq!(read.0, (0..3).map(|i| vec![scores[0][i], scores[1][i]]).collect::<Vec<_>>());
    assert!(reply.read_batch(&scores[..1], 3).is_err());
    assert!(reply.read_batch(&scores, slots + 1).is_err());
    for index in [0, 1, 77] {
        let mut coefficients = vec![0.0; slots];
        coefficients[index] = -2.0 * reply.capacity;
        let mut wrapped = scores.clone();
        blindsight_circuit::Embedding::new(slots).add_coefficients(&coefficients, &mut wrapped[1]);
        assert!(matches!(reply.read_batch(&wrapped, 3).unwrap().1, Verdict::OutOfRange { .. }), "{index}");
    }
    let noise = random.values(slots, reply.capacity.powi(2) / 3.0);
    blindsight_circuit::Embedding::new(slots).add_coefficients(&noise, &mut scores[0]);
    assert!(matches!(
        reply.read_batch(&scores, 3).unwrap().1,
        Verdict::OutOfRange { .. } | Verdict::WrongKeys { .. }
    ));
}

/// As a plan: found by name and by objective, pinned, explained.
#[test]
fn a_batch_is_a_plan() {
    let model = model(&CRYPTONETS).unwrap();
    let plan = planned(&model, Packing::Batch, Objective::Latency);
    assert_eq!("cryptonets".parse::<Packing>().unwrap(), Packing::Batch);
    let fast = planned(&model, Packing::Auto, Objective::Throughput);
    assert_eq!(
        (&fast.public.representation[..], fast.public.keys.clone()),
        ("cryptonets", plan.public.keys.clone())
    );
    assert_eq!(Plan::from_bytes(&plan.to_bytes()).unwrap(), plan);
    let e = explain(&plan, &model, &blindsight_circuit::CostModel::default()).unwrap();
    assert_eq!((e.images, e.totals.hops, e.levels, e.ring_degree), (8192, 212_905, 4, 8192));
    assert!(plan.public.predicted_error < 0.02, "{}", plan.public.predicted_error);
    let image = vec![0.0; 784];
    assert!(plan.public.write_images(&[]).is_err());
    assert!(plan.public.write_images(&vec![&image[..]; 8193]).is_err());
    assert!(plan.public.write_images(&[&image[..], &image[1..]]).is_err());
    assert_eq!(plan.public.write(&image).unwrap().len(), 784);
}

/// Figures that do not fit together are refused.
#[test]
fn tampered_batches_are_refused() {
    let model = model(&CRYPTONETS).unwrap();
    let plan = planned(&model, Packing::Batch, Objective::Latency);
    let changes: [fn(&mut Plan); 5] = [
        |p| p.public.input_scale = blindsight_ckks::Scale(f64::NAN),
        |p| p.public.input_level = blindsight_ckks::Level(5),
        |p| p.public.reply.scores = vec![1, 2],
        |p| p.public.reply.range_checks = vec![10],
        |p| {
            p.public.input =
                planned(&super::model(&CRYPTONETS).unwrap(), Packing::Im2col(2), Objective::Latency)
                    .public
                    .input
        },
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut plan = plan.clone();
        change(&mut plan);
        assert!(Plan::from_bytes(&plan.to_bytes()).is_err(), "{i}");
    }
    let mut other = plan;
    other.public.input_scale = blindsight_ckks::Scale(1e6);
    assert!(other.circuit(&model).is_err(), "not what the model gives");
}

#[test]
fn encrypted_scores_are_those_of_plain_inference() {
    check_encrypted(&CRYPTONETS, 3);
    let small = Figures { hidden: Some(200), scores: 3, ..CRYPTONETS };
    check_encrypted(&Figures { input: blindsight_network::Shape::new(1, 9, 9), ..small }, 4);
}
