//! Folded graphs against the graphs they come from, and small cases by hand.

use proptest::prelude::*;

use crate::testing::{assert_close, numbers};
use crate::{
    Affine, AveragePool, Bias, Convolution, Dense, Error, Graph, Layer, LayerKind, Padding, Quadratic, Shape,
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

fn convolution(draw: &mut Draw, input: Shape) -> LayerKind {
    let groups = [1, input.channels][draw.size(0, 1)];
    let output_channels = groups * draw.size(1, if groups == 1 { 4 } else { 2 });
    let kernel = draw.pair(1, 3);
    let taps = input.channels / groups * kernel[0] * kernel[1];
    LayerKind::Convolution(Convolution {
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

fn quadratic(draw: &mut Draw, channels: usize) -> LayerKind {
    let away_from_zero = |v: f64| v + 0.2f64.copysign(v);
    LayerKind::Quadratic(Quadratic {
        a: draw.weights(channels).into_iter().map(away_from_zero).collect(),
        b: draw.weights(channels),
        c: draw.weights(channels),
    })
}

/// A layer of the kind `choice` that is meant for `input`, which it may not fit.
fn layer(choice: u8, seed: u64, input: Shape) -> LayerKind {
    let mut draw = Draw::new(seed);
    match choice {
        0 | 1 => convolution(&mut draw, input),
        2 => {
            let kernel = draw.pair(1, 3);
            LayerKind::AveragePool(AveragePool {
                kernel,
                stride: draw.pair(1, 3),
                padding: draw.padding(kernel[0].min(kernel[1]) - 1),
                include_padding: true,
            })
        }
        3 => LayerKind::Affine(Affine {
            scale: draw.weights(input.channels),
            shift: draw.weights(input.channels),
        }),
        4 => quadratic(&mut draw, input.channels),
        5 => LayerKind::Square,
        6 => LayerKind::Flatten,
        _ => {
            let (rows, columns) = (draw.size(1, 6), input.elements());
            let (weights, bias) = (draw.weights(rows * columns), draw.weights(rows));
            LayerKind::Dense(Dense { rows, columns, weights, bias })
        }
    }
}

/// A graph of those of the chosen layers that fit, with at most three squares.
fn graph(input: Shape, choices: &[(u8, u64)]) -> Graph {
    let (mut graph, mut shape, mut squares) = (Graph { input, layers: vec![] }, input, 0);
    for (i, &(choice, seed)) in choices.iter().enumerate() {
        let layer = Layer { name: format!("layer{i}"), kind: layer(choice, seed, shape) };
        let squaring = matches!(layer.kind, LayerKind::Square | LayerKind::Quadratic(_));
        if let Ok(output) = layer.output_shape(shape)
            && !(squaring && squares == 3)
        {
            squares += usize::from(squaring);
            shape = output;
            graph.layers.push(layer);
        }
    }
    graph
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn folded_graphs_compute_the_same(
        channels in 1usize..4, height in 3usize..9, width in 3usize..9,
        choices in prop::collection::vec((0u8..8, any::<u64>()), 1..8),
    ) {
        let graph = graph(Shape::new(channels, height, width), &choices);
        let folded = graph.folded().unwrap();
        let input = numbers(1, graph.input.elements());
        assert_close(&folded.infer(&input).unwrap(), &graph.infer(&input).unwrap(), 1e-9);
        let linear = |l: &Layer| matches!(l.kind, LayerKind::Convolution(_) | LayerKind::Dense(_));
        prop_assert!(folded.layers.iter().all(|l| linear(l) || matches!(l.kind, LayerKind::Square | LayerKind::Flatten)));
        prop_assert_eq!(folded.folded().unwrap(), folded);
    }
}

/// Sets the weights of some units, and what some units are read with, to zero.
fn prune(graph: &mut Graph, seed: u64) {
    let mut chances = numbers(seed, 64).into_iter().cycle();
    let mut clear = |units: &mut dyn Iterator<Item = &mut [f64]>| {
        units.filter(|_| chances.next().is_some_and(|c| c > 0.2)).for_each(|unit| unit.fill(0.0));
    };
    for layer in &mut graph.layers {
        match &mut layer.kind {
            LayerKind::Dense(dense) => {
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
            LayerKind::Convolution(c) => {
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
    fn pruned_graphs_compute_the_same_folded(
        channels in 1usize..4, height in 3usize..9, width in 3usize..9,
        choices in prop::collection::vec((0u8..8, any::<u64>()), 1..8), seed in any::<u64>(),
    ) {
        let mut graph = graph(Shape::new(channels, height, width), &choices);
        prune(&mut graph, seed);
        let folded = graph.folded().unwrap();
        let input = numbers(1, graph.input.elements());
        assert_close(&folded.infer(&input).unwrap(), &graph.infer(&input).unwrap(), 1e-9);
        prop_assert_eq!(folded.folded().unwrap(), folded);
    }
}

/// A dense layer with these rows, each its weights and then its bias.
fn rows(rows: &[&[f64]]) -> LayerKind {
    let columns = rows[0].len() - 1;
    let (weights, bias) = rows.iter().map(|row| (row[..columns].to_vec(), row[columns])).unzip();
    let (weights, bias): (Vec<Vec<f64>>, Vec<f64>) = (weights, bias);
    LayerKind::Dense(Dense { rows: rows.len(), columns, weights: weights.concat(), bias })
}

#[test]
fn units_that_are_constant_or_not_read_are_dropped() {
    // The second unit is always 3, squared 9; nobody reads the third; the second layer's second row is read by nobody, and with it the
    // fourth unit is not either.
    let first =
        rows(&[&[1.0, 2.0, 4.0, 0.5], &[0.0, 0.0, 0.0, 3.0], &[1.0, 1.0, 1.0, 1.0], &[5.0, 6.0, 7.0, 0.0]]);
    let second = rows(&[&[1.0, 2.0, 0.0, 0.0, 0.25], &[1.0, 1.0, 0.0, 8.0, 0.0]]);
    let layers = folded(&[first, LayerKind::Square, second, LayerKind::Square, rows(&[&[7.0, 0.0, 1.0]])]);
    let expected = [rows(&[&[1.0, 2.0, 4.0, 0.5]]), rows(&[&[1.0, 18.25]]), rows(&[&[7.0, 1.0]])];
    let [first, second, third] = expected;
    assert_eq!(layers, [first, LayerKind::Square, second, LayerKind::Square, third]);
}

#[test]
fn layers_that_become_narrow_are_merged() {
    // Nobody reads more than one row of the wide layer, and one row of it is merged into the layer before.
    let wide = rows(&[&[2.0, 1.0], &[3.0, 0.0], &[5.0, 0.0]]);
    let layers =
        folded(&[rows(&[&[1.0, 1.0, 1.0, 0.0]]), wide, LayerKind::Square, rows(&[&[7.0, 0.0, 0.0, 1.0]])]);
    assert_eq!(layers, [rows(&[&[2.0, 2.0, 2.0, 1.0]]), LayerKind::Square, rows(&[&[7.0, 1.0]])]);
}

#[test]
fn a_constant_map_stays_where_a_convolution_pads_it() {
    let maps = |weights: &[f64], bias: &[f64], inputs: usize, padding: usize| {
        LayerKind::Convolution(Convolution {
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
        let layers = folded(&[maps(&[1.0, 0.0], &[1.0, bias], 1, 0), LayerKind::Square, reader.clone()]);
        let LayerKind::Convolution(first) = &layers[0] else { panic!("{layers:?}") };
        assert_eq!(first.output_channels, kept, "a bias of {bias}");
    }
}

/// A convolution of one channel to one, with a 1xn kernel.
fn row(weights: &[f64], bias: f64, left: usize, right: usize) -> LayerKind {
    LayerKind::Convolution(Convolution {
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

fn affine(scale: f64, shift: f64) -> LayerKind {
    LayerKind::Affine(Affine { scale: vec![scale], shift: vec![shift] })
}

fn quadratics(a: f64, b: f64, c: f64) -> LayerKind {
    LayerKind::Quadratic(Quadratic { a: vec![a], b: vec![b], c: vec![c] })
}

/// The folded layers of a chain on a row of three values.
fn folded(kinds: &[LayerKind]) -> Vec<LayerKind> {
    let named = |(i, kind): (usize, &LayerKind)| Layer { name: format!("layer{i}"), kind: kind.clone() };
    let graph = Graph { input: Shape::new(1, 1, 3), layers: kinds.iter().enumerate().map(named).collect() };
    graph.folded().unwrap().layers.into_iter().map(|l| l.kind).collect()
}

#[track_caller]
fn only_convolution(kinds: &[LayerKind]) -> Convolution {
    match kinds {
        [LayerKind::Convolution(c)] => c.clone(),
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
    // (1 + x)(1 + 2x) = 1 + 3x + 2x^2 costs one output's 3 taps, where the two cost 2 + 2 for two and one outputs.
    let c = only_convolution(&folded(&[row(&[1.0, 1.0], 0.0, 0, 0), row(&[1.0, 2.0], 0.0, 0, 0)]));
    assert_eq!(c.weights, [1.0, 3.0, 2.0]);
    // The second one's padding is zero, but the first one's window there would meet the image.
    assert_eq!(folded(&[row(&[1.0, 1.0], 0.0, 0, 0), row(&[1.0, 2.0], 0.0, 1, 0)]).len(), 2);
}

#[test]
fn completing_the_square() {
    // -4 x^2 + 8 x + 1 = -(2 x - 2)^2 + 5.
    let layers = folded(&[quadratics(-4.0, 8.0, 1.0)]);
    let [LayerKind::Convolution(before), LayerKind::Square, LayerKind::Convolution(after)] =
        layers.as_slice()
    else {
        panic!("expected convolution, square, convolution, got {layers:?}");
    };
    assert_eq!((before.weights.as_slice(), &before.bias), (&[2.0][..], &Bias::PerChannel(vec![-2.0])));
    assert_eq!((after.weights.as_slice(), &after.bias), (&[-1.0][..], &Bias::PerChannel(vec![5.0])));
}

#[test]
fn pure_square_and_plain_layers_stay_as_they_are() {
    let kinds = [row(&[0.1, 0.7], 0.3, 1, 0), LayerKind::Square, row(&[0.3], 0.1, 0, 0)];
    assert_eq!(folded(&kinds), kinds);
    assert_eq!(folded(&[quadratics(1.0, 0.0, 0.0)]), [LayerKind::Square]);
}

#[test]
fn dense_bottleneck_is_not_widened() {
    let dense = |rows, columns, seed| {
        let (weights, bias) = (numbers(seed, rows * columns), numbers(seed, rows));
        LayerKind::Dense(Dense { rows, columns, weights, bias })
    };
    assert_eq!(folded(&[dense(1, 3, 1), dense(8, 1, 2)]).len(), 2);
    assert_eq!(folded(&[dense(8, 3, 1), dense(1, 8, 2)]).len(), 1);
}

#[test]
fn vanishing_quadratic_coefficient_is_refused_with_its_figures() {
    for (a, vertex) in [(0.001, 500.0), (0.0, f64::INFINITY), (-0.001, 500.0)] {
        let layer = Layer { name: "act".into(), kind: quadratics(a, 1.0, 0.0) };
        let graph = Graph { input: Shape::new(1, 1, 3), layers: vec![layer] };
        match graph.folded().unwrap_err() {
            Error::Vertex { layer, channel: 0, a: found, b: 1.0, vertex: v, .. } => {
                assert_eq!((layer.as_str(), found, v), ("act", a, vertex));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn constant_channels_need_no_vertex() {
    let layers = folded(&[quadratics(0.0, 0.0, 3.0), row(&[2.0], 1.0, 0, 0)]);
    let graph = Graph {
        input: Shape::new(1, 1, 3),
        layers: layers.into_iter().map(|kind| Layer { name: String::new(), kind }).collect(),
    };
    assert_eq!(graph.infer(&[1.0, 2.0, 3.0]).unwrap(), [7.0, 7.0, 7.0]);
}

#[test]
fn overflowing_products_are_refused() {
    let infinite = vec![affine(1e200, 0.0), affine(1e200, 0.0)];
    let not_a_number = vec![affine(1e200, 0.0), row(&[1e200, -1e200], 0.0, 0, 0), rows(&[&[1.0, 1.0, 0.0]])];
    for kinds in [infinite, not_a_number] {
        let layers = kinds.into_iter().map(|kind| Layer { name: "huge".into(), kind }).collect();
        let graph = Graph { input: Shape::new(1, 1, 3), layers };
        assert!(matches!(graph.folded(), Err(Error::NotFinite { .. })));
    }
}
