//! Random graphs of layers: skips, projections, gates, several readers, branches of unequal depth.

use super::equality::assert_close;
use super::{Machine, Random, options};
use crate::search::Map;
use crate::search::Search;
use crate::{Objective, Options, Packing, parameters, sizes};
use blindsight_circuit::encrypted::Program;
use blindsight_circuit::{Circuit, Counts, PlainSpec, Role, Work, clear, dry_run, predict};
use blindsight_ckks::{Context, Parameters, ParametersLiteral, SecretKey};
use blindsight_layers::{Assembly, Choice, Cost, LayerGraph, assemble};
use blindsight_layout::Verdict;
use blindsight_network::{
    Affine, Bias, Convolution, Dense, Fused, FusedNode, FusedOperation, LinearMap, LinearTerm, Padding,
    Polynomial, Shape, Source,
};
use proptest::prelude::*;

/// A part of a network.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// A convolution to so many channels with this stride, and a square.
    Plain(usize, usize),
    /// A convolution, and a polynomial of this degree.
    Polynomial(usize),
    /// A sum of a branch of convolution, square, convolution and the identity.
    Identity,
    /// The same with a projection to so many channels with this stride.
    Projection(usize, usize),
    /// The same, squared after the sum.
    SquaredProjection(usize, usize),
    /// The first, squared after the sum.
    Squared,
    /// The product of two convolutions.
    Gate,
    /// The product of a convolution and what it is of.
    Scaled,
    /// A convolution that reads two tensors: the last and one before.
    Both,
}

struct Builder {
    nodes: Vec<FusedNode>,
    input: Shape,
    random: Random,
}

impl Builder {
    fn shape(&self, source: Source) -> Shape {
        match source {
            Source::Input => self.input,
            Source::Node(index) => self.nodes[index].shape,
        }
    }

    fn push(&mut self, shape: Shape, operation: FusedOperation) -> Source {
        let name = format!("node{}", self.nodes.len());
        self.nodes.push(FusedNode { name, shape, operation });
        Source::Node(self.nodes.len() - 1)
    }

    fn convolution(&mut self, from: Shape, channels: usize, kernel: usize, stride: usize) -> Convolution {
        let taps = from.channels * kernel * kernel;
        Convolution {
            input_channels: from.channels,
            output_channels: channels,
            groups: 1,
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1, 1],
            padding: Padding::uniform(kernel / 2),
            weights: self.random.values(channels * taps, 0.4 / taps as f64),
            bias: Bias::PerChannel(vec![0.0; channels]),
        }
    }

    fn term(&mut self, source: Source, [channels, kernel, stride]: [usize; 3]) -> LinearTerm {
        let map = LinearMap::Convolution(self.convolution(self.shape(source), channels, kernel, stride));
        LinearTerm { source, map }
    }

    fn linear(&mut self, terms: Vec<LinearTerm>) -> Source {
        let LinearTerm { source, map } = &terms[0];
        let LinearMap::Convolution(c) = map else { panic!("a convolution") };
        let shape = c.output_shape("conv", self.shape(*source)).unwrap();
        let bias = Bias::PerChannel(self.random.values(shape.channels, 0.1));
        self.push(shape, FusedOperation::Linear { terms, bias })
    }

    fn square(&mut self, source: Source) -> Source {
        let shape = self.shape(source);
        let polynomial = Polynomial::square(shape.channels);
        self.push(shape, FusedOperation::Polynomial { source, polynomial })
    }

    fn identity(&mut self, source: Source) -> LinearTerm {
        let channels = self.shape(source).channels;
        let scale = self.random.values(channels, 0.3).iter().map(|v| 0.7 + v).collect();
        let affine = Affine { scale, shift: vec![0.0; channels] };
        LinearTerm { source, map: LinearMap::Convolution(Convolution::pointwise(&affine)) }
    }

    /// Appends a part, and returns its result.
    fn part(&mut self, part: Part, last: Source, before: Source) -> Source {
        let channels = self.shape(last).channels;
        match part {
            Part::Plain(channels, stride) => {
                let term = self.term(last, [channels, 3, stride]);
                let linear = self.linear(vec![term]);
                self.square(linear)
            }
            Part::Polynomial(degree) => {
                let term = self.term(last, [channels, 3, 1]);
                let source = self.linear(vec![term]);
                let shape = self.shape(source);
                let coefficients = (0..=degree).map(|_| self.random.values(shape.channels, 0.3)).collect();
                let polynomial = Polynomial { coefficients };
                self.push(shape, FusedOperation::Polynomial { source, polynomial })
            }
            Part::Identity | Part::Squared => {
                let branch = self.branch(last, [channels, 3, 1]);
                let terms = vec![self.term(branch, [channels, 3, 1]), self.identity(last)];
                let sum = self.linear(terms);
                if matches!(part, Part::Squared) { self.square(sum) } else { sum }
            }
            Part::Projection(channels, stride) | Part::SquaredProjection(channels, stride) => {
                let branch = self.branch(last, [channels, 3, stride]);
                let terms = vec![self.term(branch, [channels, 3, 1]), self.term(last, [channels, 1, stride])];
                let sum = self.linear(terms);
                if matches!(part, Part::SquaredProjection(..)) { self.square(sum) } else { sum }
            }
            Part::Gate => {
                let sides = [0, 1].map(|_| {
                    let term = self.term(last, [channels, 3, 1]);
                    self.linear(vec![term])
                });
                let shape = self.shape(sides[0]);
                self.push(shape, FusedOperation::Product(sides))
            }
            Part::Scaled => {
                let term = self.term(last, [channels, 1, 1]);
                let gate = self.linear(vec![term]);
                let shape = self.shape(gate);
                self.push(shape, FusedOperation::Product([gate, last]))
            }
            Part::Both if self.shape(before).positions() == self.shape(last).positions() => {
                let terms = vec![self.term(last, [channels, 3, 1]), self.term(before, [channels, 1, 1])];
                self.linear(terms)
            }
            Part::Both => last,
        }
    }

    fn branch(&mut self, source: Source, figures: [usize; 3]) -> Source {
        let term = self.term(source, figures);
        let linear = self.linear(vec![term]);
        self.square(linear)
    }

    fn scores(mut self, last: Source, rows: usize) -> Fused {
        let columns = self.shape(last).elements();
        let weights = self.random.values(rows * columns, 0.3 / columns as f64);
        let map = LinearMap::Dense(Dense { rows, columns, weights, bias: vec![0.0; rows] });
        let bias = Bias::PerChannel(self.random.values(rows, 0.1));
        let terms = vec![LinearTerm { source: last, map }];
        self.push(Shape::vector(rows), FusedOperation::Linear { terms, bias });
        Fused { input: self.input, nodes: self.nodes }
    }
}

fn network(parts: &[Part], input: Shape, seed: u64) -> Fused {
    let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut builder = Builder { nodes: vec![], input, random };
    let (mut before, mut last) = (Source::Input, Source::Input);
    for part in parts {
        let next = builder.part(*part, last, before);
        (before, last) = (last, next);
    }
    builder.scores(last, 3)
}

fn networks() -> impl Strategy<Value = (Vec<Part>, Shape, u64)> {
    let part = prop_oneof![
        (1usize..=4, 1usize..=2).prop_map(|(channels, stride)| Part::Plain(channels, stride)),
        (2usize..=7).prop_map(Part::Polynomial),
        Just(Part::Identity),
        (1usize..=4, 1usize..=2).prop_map(|(channels, stride)| Part::Projection(channels, stride)),
        Just(Part::Squared),
        Just(Part::Gate),
        Just(Part::Scaled),
        Just(Part::Both),
    ];
    let input = (1usize..=2, 4usize..=6, 4usize..=6);
    let input = input.prop_map(|(c, h, w)| Shape::new(c, h, w));
    (prop::collection::vec(part, 1..=3), input, any::<u64>())
}

fn small(graph: &LayerGraph, degree: usize) -> Parameters {
    let levels = graph.depth();
    let ring = [8192, 16384, 32768].into_iter().find_map(|degree| parameters(degree, levels).ok());
    let literal = ring.expect("some ring has the levels").literal().clone();
    ParametersLiteral { degree, ..literal }.validate_insecure().unwrap()
}

fn image(fused: &Fused, seed: u64) -> Vec<f64> {
    Random(seed | 1).values(fused.input.elements(), 1.0 / 3.0)
}

/// The cheapest choice and its circuit; `None` where nothing fits a packing asked for by name.
fn found(graph: &LayerGraph, parameters: &Parameters, options: &Options) -> Option<(Cost, Choice, Assembly)> {
    let search = Search::new(graph, parameters, options, 64.0);
    let found = Map::new(&search).cheapest(&[], |_| true);
    if options.packing != Packing::Auto && found.is_err() {
        return None;
    }
    let (cost, choice) = found.unwrap().expect("anything is worth it");
    let assembly = assemble(graph, parameters, &choice, 64.0).unwrap();
    Some((cost, choice, assembly))
}

/// The limbs of encoded weights, those that repeat as the parts of a limb that they are.
fn limbs_of_weights(circuit: &Circuit) -> f64 {
    let limbs = |plain: &PlainSpec| {
        let parameters = circuit.parameters();
        let own = parameters.limbs(plain.level);
        match plain.role {
            Role::Factor => own,
            Role::ExtendedFactor => own + parameters.special().len(),
            Role::Summand(_) => 0,
        }
    };
    circuit.plains().iter().map(|plain| limbs(plain) as f64 / plain.repeats as f64).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The clear run computes the network, and what the search counted is what runs.
    #[test]
    fn any_graph_equals_plain_inference((parts, input, seed) in networks(), options in options()) {
        let fused = network(&parts, input, seed);
        let graph = LayerGraph::of(&fused);
        let parameters = small(&graph, 1024);
        let Some((Cost(cost), choice, assembly)) = found(&graph, &parameters, &options) else { return Ok(()) };
        let image = image(&fused, seed);
        let coefficients = clear::run(&assembly.circuit, &assembly.input.write(&image).unwrap()).unwrap();
        let read = assembly.reply.read(&coefficients[0]).unwrap();
        prop_assert_eq!(read.verdict, Verdict::Sound, "{:?}", parts);
        assert_close(&fused.infer(&image).unwrap(), &read.scores)?;
        let totals = dry_run(&assembly.circuit).totals;
        let (hops, switches) = (totals.hops() as f64, totals.key_switches() as f64);
        let counted = match options.objective {
            Objective::Operations => [cost[0], cost[1]],
            Objective::KeySwitches => [cost[1], cost[0]],
            Objective::Upload => [cost[3], switches],
            _ => [cost[2], cost[3]],
        };
        prop_assert_eq!([hops, switches], counted);
        let [time, keys] = match options.objective {
            Objective::Operations | Objective::KeySwitches => [cost[2], cost[3]],
            Objective::Upload => [cost[1], cost[2]],
            _ => [cost[0], cost[1]],
        };
        let (count, level, degree) =
            (assembly.input.ciphertexts(), parameters.max_level(), parameters.degree());
        let sent = sizes::upload(&parameters, level, count) - sizes::upload(&parameters, level, 0);
        // Each sum of products rounds them up, and is rescaled, or the last one of all.
        let (limbs, weights) = (totals.work.factors as f64, limbs_of_weights(&assembly.circuit));
        let sums = totals.rescales as f64 + 1.0;
        prop_assert!((weights..weights + sums).contains(&limbs), "{} of {}", limbs, weights);
        let model = match options.objective {
            Objective::Latency | Objective::Throughput => limbs * (degree * size_of::<u32>()) as f64,
            _ => 0.0,
        };
        let read = Work { ntts: 1, ..Work::default() };
        // The reply's transform is always there, so no cost has it.
        let ran = options.cost.microseconds(&totals.work, degree) - options.cost.microseconds(&read, degree);
        let ran = ran + options.cost.expansion_microseconds(count * parameters.limbs(level), degree);
        // Microseconds for a kilobyte of keys, one of the request, and a megabyte of weights.
        let ran = ran + 0.3 * keys / 1024.0 + 0.5 * sent as f64 / 1024.0 + 20.0 * model / 1048576.0;
        prop_assert!((time - ran).abs() < 1e-6 * ran, "{} for {}: {:?}", time, ran, choice);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_runs_encrypted((parts, input, seed) in networks(), options in options()) {
        let fused = network(&parts, input, seed);
        let graph = LayerGraph::of(&fused);
        let parameters = small(&graph, 1024);
        let Some((_, _, assembly)) = found(&graph, &parameters, &options) else { return Ok(()) };
        let image = image(&fused, seed);
        // Weights may be drawn whose scores no bound of ours holds.
        if fused.infer(&image).unwrap().iter().any(|score| score.abs() > 64.0) {
            return Ok(());
        }
        let predicted = predict(&assembly.circuit, &assembly.input.write(&image).unwrap()).unwrap().remove(0);
        let deviation = assembly.reply.errors(&predicted.errors).score;
        let mut machine = Machine::new(&parameters, seed);
        let own = SecretKey::from_coefficients(&machine.context, &machine.secret.coefficients()).unwrap();
        let (coefficients, counts) = machine.run(&assembly, &image, &own);
        let dry = dry_run(&assembly.circuit).totals;
        prop_assert_eq!(Counts { work: Work::default(), ..dry }, counts);
        let read = assembly.reply.read(&coefficients).unwrap();
        prop_assert_eq!(read.verdict, Verdict::Sound, "{:?}", parts);
        for (expected, score) in fused.infer(&image).unwrap().iter().zip(&read.scores) {
            prop_assert!((expected - score).abs() < 12.0 * deviation, "{} for {}", score, expected);
        }
    }
}

/// Residual networks of CIFAR-10's shape: what planning takes, and what it finds.
#[test]
#[ignore = "takes minutes; for measuring"]
fn residual_networks() {
    let resnet = |blocks: usize| {
        let mut parts = vec![Part::Plain(16, 1)];
        for (stage, channels) in [16, 32, 64].into_iter().enumerate() {
            for block in 0..blocks {
                parts.push(match (stage, block) {
                    (1.., 0) => Part::SquaredProjection(channels, 2),
                    _ => Part::Squared,
                });
            }
        }
        parts
    };
    let depths = std::env::var("BLOCKS").map_or(1, |b| b.parse().unwrap());
    let fused = network(&resnet(depths), Shape::new(3, 32, 32), 1);
    let graph = LayerGraph::of(&fused);
    let degree = std::env::var("DEGREE").map_or(32768, |b| b.parse().unwrap());
    let parameters = parameters(degree, graph.depth()).unwrap();
    println!("{} levels, {} layers, {:?}", graph.depth(), graph.layers.len(), parameters.literal());
    let start = std::time::Instant::now();
    let options = Options::default();
    let search = Search::new(&graph, &parameters, &options, 64.0);
    let map = Map::new(&search);
    println!("map {:?}", start.elapsed());
    let (cost, choice) = map.cheapest(&[], |_| true).unwrap().unwrap();
    println!("search {:?}: {cost:?}", start.elapsed());
    let assembly = assemble(&graph, &parameters, &choice, 64.0).unwrap();
    println!("assembled {:?}", start.elapsed());
    let run = dry_run(&assembly.circuit);
    for layer in &run.layers {
        println!(
            "{:8} {:3} {:6} products {:5} rotations {:6.1} ms {} -> {}",
            layer.label.name,
            layer.level_in.0,
            layer.counts.plaintext_multiplications,
            layer.counts.rotations,
            options.cost.microseconds(&layer.counts.work, degree) / 1e3,
            layer.label.inputs.iter().map(|i| i.representation.as_str()).collect::<Vec<_>>().join("; "),
            layer.label.representation_out
        );
    }
    println!(
        "{:.0} ms, model {:.2} GiB, keys {:.1} MB ({})",
        run.milliseconds(&options.cost),
        crate::sizes::encoded_model(&assembly.circuit) as f64 / (1u64 << 30) as f64,
        crate::sizes::evaluation_keys(&parameters, &assembly.circuit.keys()) as f64 / 1e6,
        assembly.circuit.keys().rotations.len(),
    );
    if std::env::var("ENCODE").is_ok() {
        let context = Context::new(parameters.clone(), blindsight_ring::Kernel::detect()).unwrap();
        let start = std::time::Instant::now();
        let program = Program::encode(assembly.circuit, &context).unwrap();
        println!("encoded {:?}: {} bytes", start.elapsed(), program.bytes());
    }
}
