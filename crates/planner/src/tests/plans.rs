//! What plans count, what they refuse, and what becomes of damaged ones.

use super::{CRYPTONETS, Figures, figures, image, model, planned, with_squares};
use crate::Limit;
use crate::search::Map;
use crate::search::Search;
use crate::{Error, Explanation, Lola, Objective, Options, Packing, Plan, ReplyKind, explain, parameters};
use blindsight_circuit::{CostModel, Hoisting, dry_run};
use blindsight_ckks::wire::{self, Header, Kind};
use blindsight_ckks::{GiantOrder, Level};
use blindsight_layers::{Choice, LayerChoice, LayerGraph, Preference, RotateAndSum, Split, assemble};
use blindsight_layout::Error as LayoutError;
use blindsight_layout::{Blocks, Layout, PublicPlan, ReplyForm, ReplyLayout, Verdict};
use blindsight_network::{Model, Operator, Padding, Shape};
use proptest::prelude::*;

/// Rotations, products with plaintexts, products, additions, HOPs, key-switches, inputs.
fn counted(model: &Model, plan: &Plan) -> [u64; 7] {
    let t = explain(plan, model, &CostModel::default()).unwrap().totals;
    let inputs = plan.public.input.ciphertexts() as u64;
    let products = [t.plaintext_multiplications, t.ciphertext_multiplications];
    [t.rotations, products[0], products[1], t.additions, t.hops, t.key_switches, inputs]
}

#[test]
fn counts_of_the_cryptonets_network() {
    let model = model(&CRYPTONETS).unwrap();
    let rows = [
        [12, 41, 2, 45, 100, 14, 25],
        [13, 30, 2, 34, 79, 15, 13],
        [15, 29, 2, 34, 80, 17, 9],
        [16, 30, 2, 35, 83, 18, 7],
        [19, 32, 2, 40, 93, 21, 5],
        [19, 38, 2, 44, 103, 21, 5],
    ];
    for (taps, row) in (1..).zip(rows) {
        let plan = planned(&model, Packing::Im2col(taps), Objective::Operations);
        assert_eq!(counted(&model, &plan), row, "{taps} taps in a ciphertext");
    }
}

/// The figures that can be added up by hand: six limbs at first; a stage of a rotate-and-sum costs a
/// decomposition and a division.
#[test]
fn transforms_of_the_cryptonets_network() {
    let (model, parameters) = (model(&CRYPTONETS).unwrap(), parameters(8192, 5).unwrap());
    let chain = LayerGraph::new(&model.graph, &model.metadata).unwrap();
    let sum_by = |radices, rescale_first| RotateAndSum { radices, rescale_first };
    let copies = Blocks { count: 9, spacing: 881, parts: 1 };
    let output = Layout::packed(Shape::new(5, 13, 13), 8192).with_blocks(copies);
    let windows = LayerChoice::Im2col { output, sum: sum_by(vec![], false) };
    let dense = LayerChoice::Diagonals {
        output: Layout::packed(Shape::vector(100), 8192).with_blocks(Blocks::cyclic(64, 8192, 64)),
        preference: Preference::First,
        split: Split { origin: 0, span: 4, stride: 4, order: GiantOrder::Apart, hoisting: Hoisting::Twice },
        sum: sum_by(vec![2; 6], false),
    };
    let choice = Choice { image: None, layers: vec![windows, dense, LayerChoice::Coefficients] };
    let assembly = assemble(&chain, &parameters, &choice, 64.0).unwrap();
    let run = dry_run(&assembly.circuit);
    let ntts: Vec<u64> = run.layers.iter().map(|l| l.counts.work.ntts).collect();
    let transform = 12 + 3 * (6 + 12) + 12;
    let sums = 5 * (12 + 12) + (12 + 12);
    assert_eq!(ntts, [12, 21 + 14, transform + sums, 10 + 10, 4 + 1]);
    assert_eq!(run.totals.work.ntts, 294);
}

const OBJECTIVES: [Objective; 4] =
    [Objective::Latency, Objective::Operations, Objective::KeySwitches, Objective::Upload];

/// The best plan that a packing has, explained; `None` where it does not fit.
fn best(model: &Model, packing: Packing, objective: Objective) -> Option<Explanation> {
    let plan = match crate::plan(model, &Options { packing, objective, ..Options::default() }) {
        // A map whose weights were drawn as zeros leaves a ciphertext of LoLa's without a product.
        Err(
            Error::Layout(LayoutError::DoesNotFit { .. })
            | Error::Ckks(_)
            | Error::Limit { .. }
            | Error::Constant { .. },
        ) if packing != Packing::Auto => return None,
        plan => plan.unwrap(),
    };
    Some(explain(&plan, model, &CostModel::default()).unwrap())
}

/// The search costs the keys of each layer by themselves, a finished plan those that layers share once: part
/// of a cost of which keys are a few percent.
fn slack(objective: Objective) -> f64 {
    if objective == Objective::Latency { 1.02 } else { 1.0 }
}

/// By its own objective no plan with a name is better than what the planner chooses. A batch is comparable
/// where images a second count.
fn assert_none_is_better(model: &Model) {
    // There is nothing to choose in the plans of the literature, so the objective changes nothing.
    let literature = [Packing::Lola(Lola::Offsets), Packing::Lola(Lola::Dense)];
    let literature: Vec<_> =
        literature.into_iter().filter_map(|packing| best(model, packing, Objective::Latency)).collect();
    let auto = |objective| best(model, Packing::Auto, objective).unwrap();
    for objective in OBJECTIVES {
        let least = auto(objective).cost(objective);
        let packings = [Packing::Im2col(1), Packing::Im2col(2), Packing::Im2col(5), Packing::Image];
        let others = packings.into_iter().filter_map(|packing| best(model, packing, objective));
        for other in others.chain(literature.iter().cloned()) {
            let cost = other.cost(objective);
            assert!(
                least <= slack(objective) * cost,
                "{objective}: {} has {cost}, auto {least}",
                other.representation
            );
        }
    }
    let (objective, batch) = (Objective::Throughput, best(model, Packing::Batch, Objective::Latency));
    let least = auto(objective).cost(objective);
    let single = auto(Objective::Latency);
    for other in literature.into_iter().chain(batch).chain([single]) {
        assert!(least <= other.cost(objective), "{}", other.representation);
    }
}

#[test]
fn each_objective_is_best_at_its_own() {
    let model = model(&CRYPTONETS).unwrap();
    assert_none_is_better(&model);
    let plans = OBJECTIVES.map(|objective| best(&model, Packing::Auto, objective).unwrap());
    assert_eq!(plans[1].totals.hops, 79);
    assert_eq!(plans[2].totals.key_switches, 14);
    let sums = plans[0].layers.iter().fold((0, 0), |(h, n), l| (h + l.counts.hops, n + l.counts.ntts));
    assert_eq!(sums, (plans[0].totals.hops, plans[0].totals.ntts));
}

proptest! {
    // A case makes two dozen plans: none are made to shrink it, and which networks it sees is fixed.
    #![proptest_config(ProptestConfig {
        cases: 3,
        max_shrink_iters: 0,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_named_plan_is_better_than_the_planners(f in figures()) {
        let Some(model) = model(&f) else { return Ok(()) };
        assert_none_is_better(&model);
    }
}

/// The runner-up is what the planner finds when its own packing is asked for, where later layers lie alike,
/// and never better.
#[test]
fn the_runner_up_is_the_best_of_another_family() {
    let model = model(&CRYPTONETS).unwrap();
    // For the fewest bytes the image itself is best, or what stands in for it where its error is too large.
    for objective in [Objective::Latency, Objective::Operations, Objective::KeySwitches] {
        let options = Options { objective, ..Options::default() };
        let plan = crate::plan(&model, &options).unwrap();
        let other = crate::runner_up(&model, &plan, &options).unwrap().expect("there are other packings");
        assert_ne!(other.public.representation, plan.public.representation);
        let cost = |plan: &Plan| explain(plan, &model, &options.cost).unwrap().cost(objective);
        assert!(cost(&plan) <= slack(objective) * cost(&other));
        let asked = best(&model, other.public.representation.parse().unwrap(), objective).unwrap();
        assert!(cost(&other) <= 1.05 * asked.cost(objective), "{objective}");
        assert!(
            crate::runner_up(&model, &other, &Options { packing: Packing::Im2col(1), ..options })
                .unwrap()
                .is_none()
        );
    }
}

/// Each linear layer says why it is computed as it is, with the figures that are counted.
#[test]
fn choices_are_explained() {
    let model = model(&CRYPTONETS).unwrap();
    let explained = best(&model, Packing::Im2col(2), Objective::Operations).unwrap();
    let reason = |layer: usize| explained.layers[layer].reason.clone().unwrap_or_default();
    assert!(
        reason(0).contains("13 products and 1 rotation to add the 2 that share a ciphertext"),
        "{}",
        reason(0)
    );
    assert!(reason(2).contains("16 products instead of"), "{}", reason(2));
    assert!(reason(2).contains("6 rotations to sum the 64 parts (2 x 2 x 2 x 2 x 2 x 2)"), "{}", reason(2));
    assert!(reason(4).contains("64 slots"), "{}", reason(4));
    let all: f64 = explained.layers.iter().map(|layer| layer.predicted_ms).sum();
    assert!((all - explained.predicted_ms).abs() < 1e-9);
    let lola = best(&model, Packing::Lola(Lola::Offsets), Objective::Latency).unwrap();
    assert!(lola.layers.iter().all(|layer| layer.reason.is_none()));
}

/// Hidden units without weights or readers and taps without weights are dropped, from all plans.
#[test]
fn what_is_pruned_is_not_computed() {
    let whole = model(&CRYPTONETS).unwrap();
    let mut pruned = whole.clone();
    let Operator::Convolution(c) = &mut pruned.graph.nodes[0].operator else { unreachable!() };
    c.weights.chunks_mut(25).for_each(|taps| taps[16..].fill(0.0));
    let Operator::Dense(hidden) = &mut pruned.graph.nodes[2].operator else { unreachable!() };
    hidden.weights[63 * hidden.columns..80 * hidden.columns].fill(0.0);
    let Operator::Dense(scores) = &mut pruned.graph.nodes[4].operator else { unreachable!() };
    scores.weights.chunks_mut(100).for_each(|row| row[80..].fill(0.0));
    let plan = planned(&pruned, Packing::Im2col(1), Objective::Operations);
    // 16 taps; 63 rows and a bias slot repeat every 64 slots, so that 8 diagonals do; the scores.
    assert_eq!((counted(&pruned, &plan)[1], counted(&pruned, &plan)[6]), (16 + 8 + 1, 16));
    let batch = planned(&pruned, Packing::Batch, Objective::Throughput);
    assert_eq!(counted(&pruned, &batch)[2], 845 + 63);
    let image = image(&CRYPTONETS);
    let assembly = plan.recipe().assemble(
        &LayerGraph::new(&pruned.graph, &pruned.metadata).unwrap(),
        &plan.public.validated_parameters().unwrap(),
        plan.public.score_bound,
    );
    let assembly = assembly.unwrap();
    let coefficients =
        blindsight_circuit::clear::run(&assembly.circuit, &plan.public.write(&image).unwrap()).unwrap();
    let scores = assembly.reply.read(&coefficients[0]).unwrap().scores;
    for (score, expected) in scores.iter().zip(pruned.graph.infer(&image).unwrap()) {
        assert!((score - expected).abs() < 1e-9);
    }
}

#[test]
fn limits_on_keys_and_errors_are_kept_or_refused_with_figures() {
    let model = model(&CRYPTONETS).unwrap();
    let free = planned(&model, Packing::Auto, Objective::Latency);
    let free = explain(&free, &model, &CostModel::default()).unwrap();
    let limit = free.evaluation_key_bytes - 1;
    let tight = crate::plan(&model, &Options { max_key_bytes: limit, ..Options::default() }).unwrap();
    assert!(explain(&tight, &model, &CostModel::default()).unwrap().evaluation_key_bytes <= limit);
    let keys = crate::plan(&model, &Options { max_key_bytes: 1 << 20, ..Options::default() });
    assert!(matches!(keys, Err(Error::Limit { limit: Limit::KeyBytes, .. })));
    let error = crate::plan(&model, &Options { max_error: Some(1e-9), ..Options::default() });
    assert!(matches!(error, Err(Error::Limit { limit: Limit::Error, .. })));
}

/// What is read of the sums in the small layers of a large ring is a share of thousands of slots, of which
/// each is rescaled: where that error is too large, sums are rescaled after their rotations, also where the
/// model does not say how large its scores are.
#[test]
fn too_large_an_error_is_mended_where_scores_are_unknown() {
    let f = Figures {
        input: Shape::new(2, 8, 7),
        outputs: 2,
        kernel: [1, 4],
        stride: [1, 3],
        dilation: [2, 1],
        padding: Padding { top: 2, ..Padding::default() },
        second: Some((5, 2, 2, 1)),
        hidden: Some(15),
        scores: 1,
        seed: 5604474161543323213,
        ..CRYPTONETS
    };
    let small = model(&f).unwrap();
    for objective in OBJECTIVES {
        let error = planned(&small, Packing::Auto, objective).public.predicted_error;
        assert!(error < 1e-3, "{objective}: {error}");
    }
    // The same is tried where a limit is asked for.
    let cryptonets = model(&CRYPTONETS).unwrap();
    let first = planned(&cryptonets, Packing::Auto, Objective::Latency).public.predicted_error;
    let options = Options { max_error: Some(first / 2.0), ..Options::default() };
    let quieter = crate::plan(&cryptonets, &options).unwrap();
    assert!(quieter.public.predicted_error <= first / 2.0);
}

/// What the search finds for three taps has too large an error; mended it costs more than what it finds for
/// two, which may stay as it is.
#[test]
fn a_family_that_may_stay_as_it_is_found_can_be_cheaper() {
    let f = Figures {
        input: Shape::new(2, 9, 9),
        outputs: 4,
        groups: 2,
        kernel: [1, 5],
        stride: [3, 1],
        dilation: [2, 1],
        padding: Padding { top: 0, left: 0, bottom: 1, right: 0 },
        hidden: Some(22),
        scores: 1,
        seed: 14997257107287898093,
        ..CRYPTONETS
    };
    let model = model(&f).unwrap();
    let (chain, options) = (LayerGraph::new(&model.graph, &model.metadata).unwrap(), Options::default());
    let [three, two] = [3, 2].map(|taps| best(&model, Packing::Im2col(taps), Objective::Latency).unwrap());
    let parameters = parameters(two.ring_degree, chain.depth()).unwrap();
    let auto = crate::plan_for(&model, &parameters, &options).unwrap();
    let search = Search::new(&chain, &parameters, &options, 16.0);
    let (_, found) = Map::new(&search).cheapest(&[], |_| true).unwrap().unwrap();
    assert_eq!(Packing::of(&found), Packing::Im2col(3));
    assert_eq!(auto.public.representation, two.representation);
    assert!(two.cost(Objective::Latency) < three.cost(Objective::Latency));
}

#[test]
fn a_limit_on_memory_is_kept_or_refused_with_the_least_that_was_found() {
    let model = model(&CRYPTONETS).unwrap();
    let capped = |limit| crate::plan(&model, &Options { max_memory: Some(limit), ..Options::default() });
    let bytes = |plan: &Plan| {
        let explained = explain(plan, &model, &CostModel::default()).unwrap();
        explained.server_bytes + explained.working_bytes
    };
    let free = planned(&model, Packing::Auto, Objective::Latency);
    assert_eq!(capped(bytes(&free)).unwrap(), free);
    let Err(Error::Limit { actual, allowed, .. }) = capped(1 << 10) else { panic!("it is too little") };
    assert_eq!(allowed, 1024.0);
    assert!(actual <= bytes(&free) as f64 && actual > allowed);
    // What the refusal says is enough.
    let least = capped(actual as u64).unwrap();
    assert_eq!(bytes(&least) as f64, actual);
    assert_eq!(least.public.objective, "latency");
    let said = capped(1 << 10).unwrap_err().to_string();
    assert!(said.contains(&format!("{actual:.0}")) && said.contains("1024"), "{said}");
}

/// A network whose best plan has weights with special limbs.
pub(crate) fn of_two_convolutions() -> Model {
    let f = Figures {
        input: Shape::new(1, 16, 16),
        outputs: 8,
        second: Some((16, 3, 2, 1)),
        hidden: None,
        ..CRYPTONETS
    };
    model(&f).unwrap()
}

/// Where the best plan has weights with special limbs, one without them takes a quarter less memory for
/// these, and less time than the one of the fewest operations.
#[test]
fn memory_is_saved_at_the_least_cost() {
    let model = of_two_convolutions();
    let explained = |options: &Options| {
        let plan = crate::plan(&model, options).unwrap();
        explain(&plan, &model, &CostModel::default()).unwrap()
    };
    let memory = |of: &Explanation| of.server_bytes + of.working_bytes;
    let [best, fewest] = [Objective::Latency, Objective::Operations]
        .map(|objective| explained(&Options { objective, ..Options::default() }));
    let nine_tenths = memory(&best) * 9 / 10;
    let capped = explained(&Options { max_memory: Some(nine_tenths), ..Options::default() });
    assert!(memory(&capped) <= nine_tenths);
    assert!(4 * capped.server_bytes < 3 * best.server_bytes, "{} {}", capped.server_bytes, best.server_bytes);
    let [best, capped, fewest] = [best, capped, fewest].map(|plan| plan.cost(Objective::Latency));
    assert!(best <= capped && capped < fewest, "{best} {capped} {fewest}");
}

#[test]
fn what_does_not_fit_is_refused_with_figures() {
    let options = |degree| Options { ring_degree: Some(degree), ..Options::default() };
    let fits = model(&CRYPTONETS).unwrap();
    let refusal = |model: &Model, options: &Options| crate::plan(model, options).unwrap_err().to_string();
    assert!(refusal(&fits, &options(4096)).contains("128 bits of security allow at most 106"));
    assert!(refusal(&fits, &options(5000)).contains("5000: expected a power of two"));

    let mut deep = fits.clone();
    deep.graph = with_squares(&deep.graph, 3);
    assert!(refusal(&deep, &options(8192)).contains("at most 214"));
    let Operator::Convolution(first) = &mut deep.graph.nodes[0].operator else { unreachable!() };
    first.weights.iter_mut().for_each(|w| *w *= 0.5);
    assert_eq!(planned(&deep, Packing::Im2col(1), Objective::Latency).public.parameters.degree, 16384);
    let Operator::Convolution(first) = &mut deep.graph.nodes[0].operator else { unreachable!() };
    first.weights.iter_mut().for_each(|w| *w *= 100.0);
    let large_values = refusal(&deep, &options(16384));
    assert!(
        large_values.contains("values of layer") || large_values.contains("score_bound"),
        "{large_values}"
    );

    let large = model(&Figures { outputs: 60, hidden: Some(4), ..CRYPTONETS }).unwrap();
    let taps = Options { packing: Packing::Im2col(1), ..options(8192) };
    assert!(crate::plan(&large, &taps).is_ok());
    let few = Options { packing: Packing::Im2col(2), ..options(8192) };
    assert!(refusal(&large, &few).contains("60x13x13 (10140 elements): expected a tensor that the im2col-2"));

    let scores = model(&Figures { scores: 40, ..CRYPTONETS }).unwrap();
    // Too many for coefficients: they repeat over the slots.
    let plan = crate::plan(&scores, &options(8192)).unwrap();
    assert!(matches!(plan.public.reply.form, ReplyForm::Periodic { period: 128, .. }));
    let taps = Options { packing: Packing::Im2col(10), ..options(8192) };
    assert!(refusal(&fits, &taps).contains("a tensor that the im2col-10 representation can lay out"));
    let taps = Options { packing: Packing::Im2col(11), ..options(16384) };
    assert!(refusal(&fits, &taps).contains("im2col-11"));
}

#[test]
fn names_are_parsed_or_refused_with_what_is_offered() {
    assert_eq!("im2col-3".parse::<Packing>().unwrap(), Packing::Im2col(3));
    assert_eq!("auto".parse::<Packing>().unwrap(), Packing::Auto);
    assert_eq!("image".parse::<Packing>().unwrap(), Packing::Image);
    for name in ["lola", "lola-dense", "cryptonets"] {
        assert_eq!(name.parse::<Packing>().unwrap().to_string(), name);
    }
    for name in ["", "im2col-", "im2col-0", "im2col-x", "dense"] {
        assert!(name.parse::<Packing>().unwrap_err().to_string().contains("unknown"));
    }
    assert_eq!("throughput".parse::<Objective>().unwrap(), Objective::Throughput);
    assert!("fast".parse::<Objective>().is_err());
    assert!("raw".parse::<ReplyKind>().is_err());
}

#[test]
fn an_input_out_of_range_is_clamped_and_one_of_the_wrong_length_refused() {
    let model = model(&CRYPTONETS).unwrap();
    let public = planned(&model, Packing::Im2col(2), Objective::Latency).public;
    let mut image = image(&CRYPTONETS);
    assert_eq!(public.write(&image).unwrap().len(), 13);
    assert!(matches!(public.write(&image[1..]), Err(LayoutError::Length { expected: 784, actual: 783, .. })));
    let (least, largest) = public.input_range;
    for (value, clamped) in [(1.5, largest), (f64::INFINITY, largest), (-1e300, least), (f64::NAN, least)] {
        image[5] = clamped;
        let expected = public.write(&image).unwrap();
        image[5] = value;
        assert_eq!(public.write(&image).unwrap(), expected, "{value}");
        assert_eq!(public.clamp(&mut image), 1);
        assert_eq!(image[5], clamped);
        assert_eq!(public.clamp(&mut image), 0);
    }
}

/// What is changed in a plan, and how.
type Tampering = (&'static str, fn(&mut PublicPlan));

/// Each of these plans told an image's pixels by which images it refused, or switched the reply's checks off.
#[test]
fn plans_that_would_not_encrypt_every_image_are_refused() {
    let model = model(&CRYPTONETS).unwrap();
    let plan = planned(&model, Packing::Auto, Objective::Latency);
    plan.public.validate().unwrap();
    let tamperings: [Tampering; 10] = [
        ("range", |p| p.input_range = (0.0, 0.5)),
        ("range", |p| p.input_range = (-1e300, 1e300)),
        ("mean", |p| p.mean[0] = -3.0),
        ("std", |p| p.std[0] = 1e-3),
        ("std", |p| p.std[0] = 1e-320),
        ("level", |p| (p.input_level, p.input_range.1) = (Level(0), 1e6)),
        ("capacity", |p| p.reply.capacity = 1e300),
        ("capacity", |p| p.reply.scale.0 *= 2.0),
        ("divisor", |p| p.reply.range_check_divisor = 1e9),
        ("error", |p| p.predicted_error = p.reply.capacity),
    ];
    for (what, tamper) in tamperings {
        let mut public = plan.public.clone();
        tamper(&mut public);
        assert!(public.validate().is_err(), "{what}: {public:?}");
    }
}

/// A plan that fits its model in all but how inputs are normalised would be believed, and give wrong answers.
#[test]
fn plans_that_normalise_otherwise_than_their_model_are_refused() {
    let model = model(&CRYPTONETS).unwrap();
    let plan = planned(&model, Packing::Auto, Objective::Latency);
    assert!(plan.circuit(&model).is_ok());
    let tamperings: [fn(&mut PublicPlan); 3] =
        [|p| p.mean[0] += 1e-3, |p| p.std[0] *= 1.01, |p| p.input_range.1 *= 0.99];
    for tamper in tamperings {
        let mut other = plan.clone();
        tamper(&mut other.public);
        let refused = other.circuit(&model).expect_err("it is another plan").to_string();
        assert!(refused.contains("not what its choices give"), "{refused}");
    }
}

#[test]
fn a_digest_commits_to_the_public_part() {
    let model = model(&CRYPTONETS).unwrap();
    let plan = planned(&model, Packing::Auto, Objective::Latency);
    assert_eq!(plan.public.digest(&plan.private_digest()), plan.digest());
    let mut other = plan.public.clone();
    other.labels[0].push('x');
    assert_ne!(other.digest(&plan.private_digest()), plan.digest());
    assert_ne!(plan.public.digest(&[0; 32]), plan.digest());
}

/// The coefficients of a reply with these scores, wrapped around as the modulus would.
fn reply(layout: &ReplyLayout, scores: &[f64]) -> Vec<f64> {
    let wrap = |s: f64| s - 2.0 * layout.capacity * (s / (2.0 * layout.capacity)).round();
    let fine = scores.iter().map(|s| wrap(*s));
    let range_checks = scores.iter().map(|s| wrap(s / layout.range_check_divisor));
    fine.chain(layout.zero_checks.iter().map(|_| 0.0)).chain(range_checks).collect()
}

fn layout(scores: usize) -> ReplyLayout {
    ReplyLayout::coefficients(scores, 8.0, 268369921.0, 64).unwrap()
}

#[test]
fn scores_that_wrapped_around_are_recognised() {
    let layout = layout(3);
    assert_eq!(layout.capacity, 16.0);
    let verdict = |scores: [f64; 3]| layout.read(&reply(&layout, &scores)).unwrap().verdict;
    assert_eq!(verdict([1.0, -15.9, 15.9]), Verdict::Sound);
    assert!(matches!(verdict([1.0, 20.0, 2.0]), Verdict::OutOfRange { .. }));
    // Two that wrap in opposite directions, so that their sum is right.
    assert!(matches!(verdict([17.5, -21.8, 2.0]), Verdict::OutOfRange { .. }));
    // As often as the divisor: beyond what can be told, as the documentation says.
    assert_eq!(verdict([2.0 * 64.0 * 16.0, 1.0, 2.0]), Verdict::Sound);
    let mut random = reply(&layout, &[1.0, 2.0, 3.0]);
    random[4] = -0.5;
    assert!(matches!(layout.read(&random).unwrap().verdict, Verdict::WrongKeys { .. }));
    random[4] = f64::NAN;
    assert!(matches!(layout.read(&random).unwrap().verdict, Verdict::WrongKeys { .. }));
    random[4] = 0.0;
    random[0] = f64::NAN;
    assert!(matches!(layout.read(&random).unwrap().verdict, Verdict::OutOfRange { .. }));
    assert!(layout.read(&[0.0; 8]).is_err());
}

#[test]
fn a_reply_with_little_room_has_fewer_zero_checks_and_then_is_refused() {
    let zero_checks =
        |scores| ReplyLayout::coefficients(scores, 8.0, 268369921.0, 64).map(|l| l.zero_checks.len());
    assert_eq!([10, 13, 14].map(|scores| zero_checks(scores).unwrap()), [5, 5, 3]);
    let refused = zero_checks(15).unwrap_err().to_string();
    assert!(
        refused.contains("33 (15 scores, 15 range checks, 3 zero checks): expected at most 31"),
        "{refused}"
    );
}

proptest! {
    /// Any scores, each wrapped around any number of times that the range_checks copies can tell: sound only
    /// if none was.
    #[test]
    fn wraps_of_any_scores_by_any_multiple_are_recognised(
        scores in prop::collection::vec((-15.9f64..15.9, prop_oneof![3 => Just(0i32), 1 => -63i32..=63]), 1..=14),
        errors in prop::collection::vec(-1.0f64..1.0, 33),
    ) {
        let layout = layout(scores.len());
        let true_scores: Vec<f64> = scores.iter().map(|(s, wraps)| s + 32.0 * f64::from(*wraps)).collect();
        let mut coefficients = reply(&layout, &true_scores);
        coefficients.iter_mut().zip(&errors).for_each(|(c, e)| *c += e * layout.tolerance());
        let verdict = layout.read(&coefficients).unwrap().verdict;
        match scores.iter().all(|(_, wraps)| *wraps == 0) {
            true => prop_assert_eq!(verdict, Verdict::Sound),
            false => prop_assert!(matches!(verdict, Verdict::OutOfRange { .. }), "{:?}", verdict),
        }
    }
}

#[test]
fn plans_are_the_same_each_time_and_survive_encoding() {
    let model = model(&CRYPTONETS).unwrap();
    let [first, second] = [0, 1].map(|_| planned(&model, Packing::Auto, Objective::Latency));
    assert_eq!(first.digest(), second.digest());
    assert_eq!(Plan::from_bytes(&first.to_bytes()).unwrap(), first);
    assert_eq!(Plan::read(&first.write()[..]).unwrap(), first);
    let wrong = Header { kind: Kind::Plan, plan: [9; 32], key: [0; 16] };
    let wrong = Plan::read(&wire::seal(&wrong, &first.to_bytes())[..]).unwrap_err();
    assert!(wrong.to_string().contains("0909090909090909"), "{wrong}");
    assert_ne!(first.digest(), planned(&model, Packing::Auto, Objective::Operations).digest());
    let other = Model { digest: [9; 32], ..model.clone() };
    assert_ne!(first.digest(), planned(&other, Packing::Auto, Objective::Latency).digest());
    assert!(matches!(first.circuit(&other), Err(Error::OtherModel { .. })));
    assert!(first.circuit(&model).is_ok());
}

/// Every single byte of a plan changed in every way that a bit can: an error, or a plan that is consistent;
/// never a panic.
#[test]
fn damaged_plans_are_refused_or_consistent() {
    let model =
        model(&Figures { input: Shape::new(1, 9, 9), hidden: Some(8), scores: 3, ..CRYPTONETS }).unwrap();
    let plan = planned(&model, Packing::Im2col(2), Objective::Latency);
    let bytes = plan.to_bytes();
    for at in 0..bytes.len() {
        assert!(Plan::from_bytes(&bytes[..at]).is_err(), "truncated to {at}");
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            if let Ok(read) = Plan::from_bytes(&damaged) {
                assert_ne!(read.digest(), plan.digest());
                let _ = read.circuit(&model);
            }
        }
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(Plan::from_bytes(&longer).unwrap_err().to_string().contains("1 bytes follow"));
    assert!(Plan::from_bytes(&vec![0; 2 << 20]).unwrap_err().to_string().contains("at most 1048576"));
}

#[test]
fn a_plan_with_other_choices_than_its_public_part_is_refused() {
    let model = model(&CRYPTONETS).unwrap();
    let (one, two) = (
        planned(&model, Packing::Im2col(1), Objective::Latency),
        planned(&model, Packing::Im2col(2), Objective::Latency),
    );
    let mut mixed = one.clone();
    mixed.public = two.public.clone();
    assert!(matches!(mixed.circuit(&model), Err(Error::Layout(LayoutError::Plan(_)))));
}

proptest! {
    #[test]
    fn random_bytes_are_no_plan(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Plan::from_bytes(&bytes).is_err());
    }
}

/// At each degree one level more than its most is refused for its size.
#[test]
fn how_deep_each_degree_goes() {
    for (degree, most) in [(4096, 1), (8192, 6), (16384, 14), (32768, 31), (65536, 59)] {
        let fits = |levels: &usize| parameters(degree, *levels).is_ok();
        assert_eq!((1..=most).filter(fits).count(), most, "ring degree {degree}");
        assert!(!fits(&(most + 1)), "ring degree {degree}");
    }
}

#[test]
fn keys_that_servers_and_clients_refuse_by_default_are_said_beforehand() {
    let model = model(&CRYPTONETS).unwrap();
    let mut plan = planned(&model, Packing::Auto, Objective::Latency);
    let said = |plan: &Plan| {
        let notices = crate::notices(&model, plan).unwrap();
        notices
            .iter()
            .map(ToString::to_string)
            .filter(|notice| notice.starts_with("keys"))
            .collect::<Vec<_>>()
    };
    assert!(said(&plan).is_empty());
    let level = plan.public.input_level;
    plan.public.keys.rotations.extend((1..1300).map(|rotation| (rotation, level)));
    let [quota] = &said(&plan)[..] else { panic!("one of both is exceeded") };
    assert!(quota.contains("512 MiB") && quota.contains("serve --quota"), "{quota}");
    plan.public.keys.rotations.extend((1..3000).map(|rotation| (rotation, level)));
    let [_, agreed] = &said(&plan)[..] else { panic!("both are exceeded") };
    assert!(agreed.contains("1024 MiB") && agreed.contains("--max-key-bytes"), "{agreed}");
}

#[test]
fn networks_that_are_far_too_large_are_refused_at_once_with_figures() {
    let input = blindsight_network::Shape::new(3, 256, 256);
    let large =
        Figures { input, outputs: 64, kernel: [7, 7], stride: [1, 1], hidden: None, scores: 1, ..CRYPTONETS };
    let refusal = crate::plan(&model(&large).unwrap(), &Options::default()).unwrap_err().to_string();
    assert!(refusal.contains("multiplications") && refusal.contains("smaller images"), "{refusal}");
    assert!(refusal.contains("536870912"), "{refusal}");
}
