//! Fused networks against the graphs they come from, and small cases by hand.

use proptest::prelude::*;
use std::collections::HashSet;

use crate::testing::{assert_close, numbers};
use crate::{
    Affine, AveragePool, Bias, Convolution, Dense, Error, Fused, FusedOperation, Graph, LinearMap, Metadata,
    Node, Operator, Padding, Polynomial, Shape, Source,
};

/// A source of small choices and of weights, replayed from a seed.
struct Draw {
    seed: u64,
    values: std::vec::IntoIter<f64>,
}

impl Draw {
    fn new(seed: u64) -> Self {
        Self { seed, values: numbers(seed, 32).into_iter() }
    }

    /// A whole number from `least` to `most`.
    fn size(&mut self, least: usize, most: usize) -> usize {
        let unit = (self.values.next().unwrap_or(0.0) + 1.0) / 2.0;
        least + ((most - least + 1) as f64 * unit) as usize
    }

    fn pair(&mut self, least: usize, most: usize) -> [usize; 2] {
        [self.size(least, most), self.size(least, most)]
    }

    fn padding(&mut self, most: usize) -> Padding {
        let [top, left] = self.pair(0, most);
        let [bottom, right] = self.pair(0, most);
        Padding { top, left, bottom, right }
    }

    /// Weights from -1 to 1.
    fn weights(&mut self, count: usize) -> Vec<f64> {
        self.seed = self.seed.wrapping_add(1);
        numbers(self.seed, count)
    }
}

fn convolution(draw: &mut Draw, input: Shape) -> Operator {
    let groups = [1, input.channels][draw.size(0, 1)];
    let output_channels = groups * draw.size(1, if groups == 1 { 4 } else { 2 });
    let kernel = draw.pair(1, 3);
    let taps = input.channels / groups * kernel[0] * kernel[1];
    Operator::Convolution(Convolution {
        input_channels: input.channels,
        output_channels,
        groups,
        kernel,
        stride: draw.pair(1, 2),
        dilation: draw.pair(1, 2),
        padding: draw.padding(2),
        weights: draw.weights(output_channels * taps),
        bias: Bias::PerChannel(draw.weights(output_channels)),
    })
}

fn quadratic(draw: &mut Draw, channels: usize) -> Operator {
    let away_from_zero = |v: f64| v + 0.2f64.copysign(v);
    let a = draw.weights(channels).into_iter().map(away_from_zero).collect();
    Operator::Polynomial(Polynomial { coefficients: vec![draw.weights(channels), draw.weights(channels), a] })
}

/// A layer of the kind `choice` that is meant for `input`, which it may not fit.
fn layer(choice: u8, seed: u64, input: Shape) -> Operator {
    let mut draw = Draw::new(seed);
    match choice {
        0 | 1 => convolution(&mut draw, input),
        2 => {
            let kernel = draw.pair(1, 3);
            Operator::AveragePool(AveragePool {
                kernel,
                stride: draw.pair(1, 3),
                padding: draw.padding(kernel[0].min(kernel[1]) - 1),
                include_padding: draw.size(0, 2) > 0,
            })
        }
        3 => Operator::Affine(Affine {
            scale: draw.weights(input.channels),
            shift: draw.weights(input.channels),
        }),
        4 => quadratic(&mut draw, input.channels),
        5 => Operator::square(input.channels),
        6 => Operator::Reshape(Shape::vector(input.elements())),
        _ => {
            let (rows, columns) = (draw.size(1, 6), input.elements());
            let (weights, bias) = (draw.weights(rows * columns), draw.weights(rows));
            Operator::Dense(Dense { rows, columns, weights, bias })
        }
    }
}

/// A graph of those of the chosen layers that fit, with at most three squares.
fn graph(input: Shape, choices: &[(u8, u64)]) -> Graph {
    let (mut layers, mut shape, mut squares) = (vec![], input, 0);
    for (i, &(choice, seed)) in choices.iter().enumerate() {
        let layer = layer(choice, seed, shape);
        let squaring = matches!(layer, Operator::Polynomial(_));
        if let Ok(output) = layer.output_shape("layer", &[shape])
            && !(squaring && squares == 3)
        {
            squares += usize::from(squaring);
            shape = output;
            layers.push((format!("layer{i}"), layer));
        }
    }
    Graph::chain(input, layers)
}

/// Fused, with what the metadata of no model say.
fn fused(graph: &Graph) -> Fused {
    graph.fused(&Metadata::new(graph.input, 0)).unwrap_or_else(|e| panic!("{e}"))
}

/// Compares a graph with what it is fused to, for one input.
fn check(graph: &Graph) -> Result<(), TestCaseError> {
    let fused = fused(graph);
    let input = numbers(1, graph.input.elements());
    assert_close(&fused.infer(&input).unwrap(), &graph.infer(&input).unwrap(), 1e-8);
    promised(&fused)
}

/// Checks what a fused network promises.
pub(crate) fn promised(fused: &Fused) -> Result<(), TestCaseError> {
    let linear = matches!(fused.nodes.last().unwrap().operation, FusedOperation::Linear { .. });
    prop_assert!(linear, "the last node is linear");
    let mut names = HashSet::new();
    for node in &fused.nodes {
        prop_assert!(names.insert(&node.name), "two nodes are called {}", node.name);
        if let FusedOperation::Polynomial { polynomial, .. } = &node.operation {
            prop_assert!(polynomial.is_square() || polynomial.degree() > 2);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn fused_chains_compute_the_same(
        channels in 1usize..4, height in 3usize..9, width in 3usize..9,
        choices in prop::collection::vec((0u8..8, any::<u64>()), 1..8),
    ) {
        check(&graph(Shape::new(channels, height, width), &choices))?;
    }
}

/// Sets the weights of some units, and what some units are read with, to zero.
fn prune(graph: &mut Graph, seed: u64) {
    let mut chances = numbers(seed, 64).into_iter().cycle();
    let mut clear = |units: &mut dyn Iterator<Item = &mut [f64]>| {
        units.filter(|_| chances.next().is_some_and(|c| c > 0.2)).for_each(|unit| unit.fill(0.0));
    };
    for layer in &mut graph.nodes {
        match &mut layer.operator {
            Operator::Dense(dense) => {
                clear(&mut dense.weights.chunks_mut(dense.columns));
                (0..dense.columns).for_each(|column| {
                    clear(
                        &mut dense.weights[column..]
                            .chunks_mut(dense.columns)
                            .map(|row| &mut row[..1])
                            .take(1),
                    );
                });
            }
            Operator::Convolution(c) => {
                let (taps, window) = (c.taps(), c.kernel[0] * c.kernel[1]);
                clear(&mut c.weights.chunks_mut(taps));
                clear(&mut c.weights.chunks_mut(window));
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn pruned_chains_compute_the_same_fused(
        channels in 1usize..4, height in 3usize..9, width in 3usize..9,
        choices in prop::collection::vec((0u8..8, any::<u64>()), 1..8), seed in any::<u64>(),
    ) {
        let mut graph = graph(Shape::new(channels, height, width), &choices);
        prune(&mut graph, seed);
        check(&graph)?;
    }
}

/// A dense layer with these rows, each its weights and then its bias.
fn rows(rows: &[&[f64]]) -> Operator {
    let columns = rows[0].len() - 1;
    let (weights, bias) = rows.iter().map(|row| (row[..columns].to_vec(), row[columns])).unzip();
    let (weights, bias): (Vec<Vec<f64>>, Vec<f64>) = (weights, bias);
    Operator::Dense(Dense { rows: rows.len(), columns, weights: weights.concat(), bias })
}

#[test]
fn units_that_are_constant_or_not_read_are_dropped() {
    // The second unit is always 3, squared 9; nobody reads the third; the second layer's second row is read
    // by nobody, and with it the fourth unit is not either.
    let first =
        rows(&[&[1.0, 2.0, 4.0, 0.5], &[0.0, 0.0, 0.0, 3.0], &[1.0, 1.0, 1.0, 1.0], &[5.0, 6.0, 7.0, 0.0]]);
    let second = rows(&[&[1.0, 2.0, 0.0, 0.0, 0.25], &[1.0, 1.0, 0.0, 8.0, 0.0]]);
    let layers =
        folded(&[first, Operator::square(4), second, Operator::square(2), rows(&[&[7.0, 0.0, 1.0]])]);
    let expected = [rows(&[&[1.0, 2.0, 4.0, 0.5]]), rows(&[&[1.0, 18.25]]), rows(&[&[7.0, 1.0]])];
    let [first, second, third] = expected;
    assert_eq!(layers, [first, Operator::square(1), second, Operator::square(1), third]);
}

#[test]
fn layers_that_become_narrow_are_merged() {
    // Nobody reads more than one row of the wide layer, and one row of it is merged into the layer before.
    let wide = rows(&[&[2.0, 1.0], &[3.0, 0.0], &[5.0, 0.0]]);
    let layers =
        folded(&[rows(&[&[1.0, 1.0, 1.0, 0.0]]), wide, Operator::square(3), rows(&[&[7.0, 0.0, 0.0, 1.0]])]);
    assert_eq!(layers, [rows(&[&[2.0, 2.0, 2.0, 1.0]]), Operator::square(1), rows(&[&[7.0, 1.0]])]);
}

#[test]
fn a_constant_map_stays_where_a_convolution_pads_it() {
    let maps = |weights: &[f64], bias: &[f64], inputs: usize, padding: usize| {
        Operator::Convolution(Convolution {
            input_channels: inputs,
            output_channels: bias.len(),
            groups: 1,
            kernel: [1, weights.len() / inputs / bias.len()],
            stride: [1, 1],
            dilation: [1, 1],
            padding: Padding { left: padding, right: padding, ..Padding::default() },
            weights: weights.to_vec(),
            bias: Bias::PerChannel(bias.to_vec()),
        })
    };
    let reader = maps(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[0.5], 2, 1);
    for (bias, kept) in [(2.0, 2), (0.0, 1)] {
        let layers = folded(&[maps(&[1.0, 0.0], &[1.0, bias], 1, 0), Operator::square(2), reader.clone()]);
        let Operator::Convolution(first) = &layers[0] else { panic!("{layers:?}") };
        assert_eq!(first.output_channels, kept, "a bias of {bias}");
    }
}

/// A convolution of one channel to one, with a 1xn kernel.
fn row(weights: &[f64], bias: f64, left: usize, right: usize) -> Operator {
    Operator::Convolution(Convolution {
        input_channels: 1,
        output_channels: 1,
        groups: 1,
        kernel: [1, weights.len()],
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding { left, right, ..Padding::default() },
        weights: weights.to_vec(),
        bias: Bias::PerChannel(vec![bias]),
    })
}

fn affine(scale: f64, shift: f64) -> Operator {
    Operator::Affine(Affine { scale: vec![scale], shift: vec![shift] })
}

fn quadratics(a: f64, b: f64, c: f64) -> Operator {
    Operator::Polynomial(Polynomial { coefficients: vec![vec![c], vec![b], vec![a]] })
}

/// What a chain on a row of three values is fused to, as a chain again.
fn folded(kinds: &[Operator]) -> Vec<Operator> {
    let named = kinds.iter().enumerate().map(|(i, kind)| (format!("layer{i}"), kind.clone()));
    let fused = fused(&Graph::chain(Shape::new(1, 1, 3), named));
    fused.nodes.into_iter().map(operator).collect()
}

fn operator(node: crate::FusedNode) -> Operator {
    match node.operation {
        FusedOperation::Polynomial { polynomial, .. } => Operator::Polynomial(polynomial),
        FusedOperation::Linear { terms, bias } => match (&terms[..], bias) {
            ([term], bias) => match term.map.clone() {
                LinearMap::Convolution(c) => Operator::Convolution(Convolution { bias, ..c }),
                LinearMap::Dense(d) => Operator::Dense(Dense { bias: bias.elements(node.shape), ..d }),
                LinearMap::Sparse(s) => panic!("{s:?}"),
            },
            (terms, _) => panic!("{terms:?}"),
        },
        FusedOperation::Product(sources) => panic!("{sources:?}"),
    }
}

#[track_caller]
fn only_convolution(kinds: &[Operator]) -> Convolution {
    match kinds {
        [Operator::Convolution(c)] => c.clone(),
        other => panic!("expected one convolution, got {other:?}"),
    }
}

#[test]
fn batch_norm_after_a_convolution() {
    let c = only_convolution(&folded(&[row(&[1.0, 2.0], 3.0, 1, 0), affine(10.0, 0.5)]));
    assert_eq!((c.weights, c.bias), (vec![10.0, 20.0], Bias::PerChannel(vec![30.5])));
}

#[test]
fn constant_before_a_padded_convolution_depends_on_the_position() {
    // 5 x + 7, then x[i-1] + 2 x[i] + 4 x[i+1] + 1 with zeros around: at the ends one tap misses its 7.
    let c = only_convolution(&folded(&[affine(5.0, 7.0), row(&[1.0, 2.0, 4.0], 1.0, 1, 1)]));
    assert_eq!(c.weights, [5.0, 10.0, 20.0]);
    assert_eq!(c.bias, Bias::PerElement(vec![1.0 + 42.0, 1.0 + 49.0, 1.0 + 21.0]));
}

#[test]
fn constant_before_an_unpadded_convolution_is_one_bias() {
    let c = only_convolution(&folded(&[affine(5.0, 7.0), row(&[1.0, 2.0], 1.0, 0, 0)]));
    assert_eq!((c.weights, c.bias), (vec![5.0, 10.0], Bias::PerChannel(vec![22.0])));
}

#[test]
fn neighbouring_convolutions_only_where_the_padding_allows() {
    // (1 + x)(1 + 2x) = 1 + 3x + 2x^2 costs one output's 3 taps, where the two cost 2 + 2 for two and one
    // outputs.
    let c = only_convolution(&folded(&[row(&[1.0, 1.0], 0.0, 0, 0), row(&[1.0, 2.0], 0.0, 0, 0)]));
    assert_eq!(c.weights, [1.0, 3.0, 2.0]);
    // The second one's padding is zero, but the first one's window there would meet the image.
    assert_eq!(folded(&[row(&[1.0, 1.0], 0.0, 0, 0), row(&[1.0, 2.0], 0.0, 1, 0)]).len(), 2);
}

#[test]
fn completing_the_square() {
    // -4 x^2 + 8 x + 1 = -(2 x - 2)^2 + 5, and x is three times the input.
    let layers = folded(&[affine(3.0, 0.0), quadratics(-4.0, 8.0, 1.0)]);
    let [Operator::Convolution(before), Operator::Polynomial(_), Operator::Convolution(after)] =
        layers.as_slice()
    else {
        panic!("expected convolution, square, convolution, got {layers:?}");
    };
    assert_eq!((before.weights.as_slice(), &before.bias), (&[6.0][..], &Bias::PerChannel(vec![-2.0])));
    assert_eq!((after.weights.as_slice(), &after.bias), (&[-1.0][..], &Bias::PerChannel(vec![5.0])));
}

#[test]
fn pure_square_and_plain_layers_stay_as_they_are() {
    let kinds = [row(&[0.1, 0.7], 0.3, 1, 0), Operator::square(1), row(&[0.3], 0.1, 0, 0)];
    assert_eq!(folded(&kinds), kinds);
    assert_eq!(folded(&[quadratics(1.0, 0.0, 0.0)]), [Operator::square(1), row(&[1.0], 0.0, 0, 0)]);
}

#[test]
fn dense_bottleneck_is_not_widened() {
    let dense = |rows, columns, seed| {
        let (weights, bias) = (numbers(seed, rows * columns), numbers(seed, rows));
        Operator::Dense(Dense { rows, columns, weights, bias })
    };
    assert_eq!(folded(&[dense(1, 3, 1), dense(8, 1, 2)]).len(), 2);
    assert_eq!(folded(&[dense(8, 3, 1), dense(1, 8, 2)]).len(), 1);
}

#[test]
fn what_has_no_near_vertex_is_read_twice() {
    for (a, shared) in [(0.001, false), (0.0, false), (-0.001, false), (1.0, true)] {
        let node = |name: &str, operator, read| Node { name: name.into(), operator, inputs: vec![read] };
        let mut nodes = vec![
            node("first", row(&[0.5, 1.0], 0.25, 1, 0), Source::Input),
            node("act", quadratics(a, 1.0, 0.5), Source::Node(0)),
            node("last", row(&[2.0, 3.0], 0.5, 1, 0), Source::Node(1)),
        ];
        if shared {
            nodes.push(Node {
                name: "sum".into(),
                operator: Operator::Sum,
                inputs: vec![Source::Node(0), Source::Node(2)],
            });
        }
        let output = Source::Node(nodes.len() - 1);
        let graph = Graph { input: Shape::new(1, 1, 3), nodes, output };
        check(&graph).unwrap();
        let fused = fused(&graph);
        let FusedOperation::Linear { terms, .. } = &fused.nodes.last().unwrap().operation else {
            unreachable!()
        };
        let read: Vec<_> = terms.iter().map(|t| t.source).collect();
        // x alone where a is 0: the activation is no polynomial then.
        if a == 0.0 {
            assert!(fused.nodes.len() <= 2, "{fused:?}");
        } else {
            assert!(read.contains(&Source::Node(0)) && read.contains(&Source::Node(1)), "{fused:?}");
            assert_eq!(fused.nodes.len(), 3);
        }
    }
}

#[test]
fn constant_channels_need_no_vertex() {
    let layers = folded(&[quadratics(0.0, 0.0, 3.0), row(&[2.0], 1.0, 0, 0)]);
    let named = layers.into_iter().map(|kind| (String::new(), kind));
    let graph = Graph::chain(Shape::new(1, 1, 3), named);
    assert_eq!(graph.infer(&[1.0, 2.0, 3.0]).unwrap(), [7.0, 7.0, 7.0]);
}

#[test]
fn overflowing_products_are_refused() {
    let infinite = vec![affine(1e200, 0.0), affine(1e200, 0.0)];
    let not_a_number = vec![affine(1e200, 0.0), row(&[1e200, -1e200], 0.0, 0, 0), rows(&[&[1.0, 1.0, 0.0]])];
    for kinds in [infinite, not_a_number] {
        let layers = kinds.into_iter().map(|kind| ("huge".into(), kind));
        let graph = Graph::chain(Shape::new(1, 1, 3), layers);
        let refused = graph.fused(&Metadata::new(graph.input, 0));
        assert!(matches!(refused, Err(Error::NotFinite { .. })), "{refused:?}");
    }
}

/// A graph of named operators, each reading the nodes at these places, or the input where the place is -1.
fn graph_of(input: Shape, nodes: Vec<(&str, Operator, &[isize])>) -> Graph {
    let source = |place: &isize| usize::try_from(*place).map_or(Source::Input, Source::Node);
    let nodes: Vec<Node> = nodes
        .into_iter()
        .map(|(name, operator, reads)| Node {
            name: name.into(),
            operator,
            inputs: reads.iter().map(source).collect(),
        })
        .collect();
    let output = Source::Node(nodes.len() - 1);
    Graph { input, nodes, output }
}

/// The node's terms, each by the kernel of its convolution and what it reads.
fn terms(fused: &Fused, node: usize) -> Vec<([usize; 2], Source)> {
    let FusedOperation::Linear { terms, .. } = &fused.nodes[node].operation else { panic!("{fused:?}") };
    let kernel = |map: &LinearMap| match map {
        LinearMap::Convolution(c) => c.kernel,
        other => panic!("{other:?}"),
    };
    terms.iter().map(|term| (kernel(&term.map), term.source)).collect()
}

/// A convolution of so many channels to as many, padded so that the image stays as large.
fn same(channels: usize, side: usize, seed: u64) -> Operator {
    Operator::Convolution(Convolution {
        input_channels: channels,
        output_channels: channels,
        groups: 1,
        kernel: [side; 2],
        stride: [1; 2],
        dilation: [1; 2],
        padding: Padding::uniform(side / 2),
        weights: numbers(seed, channels * channels * side * side),
        bias: Bias::PerChannel(numbers(seed + 1, channels)),
    })
}

const IMAGE: Shape = Shape::new(2, 5, 5);

#[test]
fn a_projection_is_a_term_of_the_sum() {
    let graph = graph_of(
        IMAGE,
        vec![
            ("a", same(2, 3, 1), &[-1]),
            ("act", Operator::square(2), &[0]),
            ("b", same(2, 3, 3), &[1]),
            ("project", same(2, 1, 5), &[-1]),
            ("sum", Operator::Sum, &[2, 3]),
            ("last", Operator::square(2), &[4]),
            ("end", same(2, 3, 7), &[5]),
        ],
    );
    check(&graph).unwrap();
    let fused = fused(&graph);
    assert_eq!(fused.nodes.len(), 5);
    assert_eq!(terms(&fused, 2), [([3, 3], Source::Node(1)), ([1, 1], Source::Input)]);
    assert_eq!(fused.nodes[2].name, "b");
}

#[test]
fn a_skip_reads_a_completed_square_with_its_factor() {
    let act = Operator::Polynomial(Polynomial {
        coefficients: vec![vec![0.5; 2], vec![0.2, 0.4], vec![0.5, -0.25]],
    });
    let graph = graph_of(
        IMAGE,
        vec![
            ("a", same(2, 3, 1), &[-1]),
            ("act", act, &[0]),
            ("b", same(2, 3, 3), &[1]),
            ("square", Operator::square(2), &[2]),
            ("c", same(2, 3, 5), &[3]),
            ("sum", Operator::Sum, &[4, 1]),
            ("last", Operator::square(2), &[5]),
            ("end", same(2, 3, 7), &[6]),
        ],
    );
    check(&graph).unwrap();
    let fused = fused(&graph);
    assert_eq!(fused.nodes.len(), 7);
    let FusedOperation::Linear { terms, .. } = &fused.nodes[4].operation else { panic!("{fused:?}") };
    assert_eq!(terms[1].map.channel_factors(), Some(&[1.0, -1.0][..]));
}

#[test]
fn parallel_branches_of_one_value_are_one_term() {
    let graph = graph_of(
        IMAGE,
        vec![
            ("three", same(2, 3, 1), &[-1]),
            ("one", same(2, 1, 3), &[-1]),
            ("sum", Operator::Sum, &[0, 1, -1]),
            ("act", Operator::square(2), &[2]),
            ("end", same(2, 1, 5), &[3]),
        ],
    );
    check(&graph).unwrap();
    let fused = fused(&graph);
    assert_eq!(terms(&fused, 0), [([3, 3], Source::Input)]);
    assert_eq!(fused.nodes.len(), 3);
}

#[test]
fn a_linear_layer_moves_into_a_sum_of_activations() {
    let graph = graph_of(
        IMAGE,
        vec![
            ("a", same(2, 3, 1), &[-1]),
            ("b", same(2, 3, 3), &[-1]),
            ("qa", Operator::square(2), &[0]),
            ("qb", Operator::square(2), &[1]),
            ("sum", Operator::Sum, &[2, 3]),
            ("end", same(2, 3, 5), &[4]),
        ],
    );
    check(&graph).unwrap();
    let fused = fused(&graph);
    assert_eq!(terms(&fused, 4), [([3, 3], Source::Node(2)), ([3, 3], Source::Node(3))]);
}

#[test]
fn a_reader_of_a_concatenation_has_a_term_for_each_part() {
    let mut end = same(4, 3, 5);
    if let Operator::Convolution(c) = &mut end {
        c.bias = Bias::PerChannel(vec![0.0; 4]);
    }
    let graph = graph_of(
        IMAGE,
        vec![
            ("a", same(2, 3, 1), &[-1]),
            ("b", same(2, 3, 3), &[-1]),
            ("qa", Operator::square(2), &[0]),
            ("qb", Operator::square(2), &[1]),
            ("concat", Operator::Concat, &[2, 3]),
            ("end", end, &[4]),
        ],
    );
    check(&graph).unwrap();
    let fused = fused(&graph);
    assert_eq!(terms(&fused, 4), [([3, 3], Source::Node(2)), ([3, 3], Source::Node(3))]);
}

#[test]
fn powers_of_two_are_squares_of_squares() {
    let power = |n: usize| {
        let mut coefficients = vec![vec![0.0; 2]; n];
        coefficients.push(vec![1.0; 2]);
        Operator::Polynomial(Polynomial { coefficients })
    };
    let graph = graph_of(
        IMAGE,
        vec![("a", same(2, 3, 1), &[-1]), ("act", power(4), &[0]), ("end", same(2, 1, 5), &[1])],
    );
    check(&graph).unwrap();
    assert_eq!(fused(&graph).nodes.len(), 4);
    let graph = graph_of(
        IMAGE,
        vec![("a", same(2, 3, 1), &[-1]), ("act", power(5), &[0]), ("end", same(2, 1, 5), &[1])],
    );
    check(&graph).unwrap();
    assert_eq!(fused(&graph).nodes.len(), 3);
}

/// The largest value that the polynomial of a fused network reads.
fn largest_argument(fused: &Fused, input: &[f64]) -> f64 {
    let trace = fused.trace(input).unwrap();
    let argument = fused.nodes.iter().find_map(|node| match &node.operation {
        FusedOperation::Polynomial { source: Source::Node(read), .. } => Some(&trace[*read]),
        _ => None,
    });
    argument.unwrap().iter().fold(0.0, |m, v| m.max(v.abs()))
}

#[test]
fn arguments_of_high_degree_are_about_one_at_most() {
    let cube = Polynomial { coefficients: vec![vec![0.1; 2], vec![0.5; 2], vec![0.0; 2], vec![1.0; 2]] };
    let mut first = same(2, 3, 1);
    if let Operator::Convolution(c) = &mut first {
        c.weights.iter_mut().for_each(|w| *w *= 50.0);
    }
    let nodes = vec![
        ("a", first, &[-1][..]),
        ("act", Operator::Polynomial(cube), &[0]),
        ("end", same(2, 1, 5), &[1]),
    ];
    let graph = graph_of(IMAGE, nodes);
    check(&graph).unwrap();
    let input: Vec<f64> = numbers(1, 50).iter().map(|v| (v + 1.0) / 2.0).collect();
    let largest = largest_argument(&fused(&graph), &input);
    assert!((0.05..=1.5).contains(&largest), "{largest}");
    let mut metadata = Metadata::new(IMAGE, 0);
    metadata.ranges.insert("a".into(), crate::ValueRange { max: 400.0, rms: 100.0 });
    let unscaled = graph.trace(&input).unwrap()[0].iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let by_range = largest_argument(&graph.fused(&metadata).unwrap(), &input);
    assert!((by_range * 400.0 / unscaled - 1.0).abs() < 1e-9, "{by_range}, {unscaled}");
}

#[test]
fn a_channel_far_larger_than_the_others_is_scaled_and_undone() {
    let twin = |factor: f64| {
        let (mut first, mut end) = (same(2, 3, 1), same(2, 1, 5));
        if let (Operator::Convolution(f), Operator::Convolution(e)) = (&mut first, &mut end) {
            f.weights[18..].iter_mut().for_each(|w| *w *= factor);
            let Bias::PerChannel(bias) = &mut f.bias else { unreachable!() };
            bias[1] *= factor;
            e.weights.iter_mut().skip(1).step_by(2).for_each(|w| *w /= factor * factor);
        }
        graph_of(IMAGE, vec![("a", first, &[-1]), ("act", Operator::square(2), &[0]), ("end", end, &[1])])
    };
    let input: Vec<f64> = numbers(1, 50).iter().map(|v| (v + 1.0) / 2.0).collect();
    let good = fused(&twin(1.0));
    for factor in [1000.0, 1e-4, 1e6] {
        check(&twin(factor)).unwrap();
        let scaled = fused(&twin(factor));
        let [largest, expected] = [&scaled, &good].map(|f| largest_argument(f, &input));
        assert!(largest / expected < 16.0 && expected / largest < 16.0, "{factor}: {largest}, {expected}");
        assert_close(&scaled.infer(&input).unwrap(), &good.infer(&input).unwrap(), 1e-9);
    }
}
