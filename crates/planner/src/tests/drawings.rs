//! The drawings of `docs/representations.md`: which element lies in which slot, as the code has it.
//!
//! `BLINDSIGHT_DRAW=1 cargo test --release -p blindsight-planner drawings` draws them anew.

use super::layer;
use blindsight_layers::{LayerGraph, candidates, im2col};
use blindsight_layout::{Axis, BatchLayout, Blocks, Digit, InputLayout, Layout, Placement};
use blindsight_network::{Bias, Convolution, Dense, Graph, Metadata, Operator, Padding, Shape};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What lies in a slot: words, and a number that gives it its colour. Nothing: an empty slot.
type Cell = Option<(String, usize)>;
/// A ciphertext's name and slots.
type Row = (String, Vec<Cell>);

const CELL: usize = 26;
const HEIGHT: usize = 22;
const LEFT: usize = 100;
const TOP: usize = 18;
/// Colours that can be told apart, also without colour vision, under dark letters.
const COLOURS: [&str; 8] =
    ["#a6cee3", "#fdbf6f", "#b2df8a", "#cab2d6", "#ffff99", "#fb9a99", "#c7e9c0", "#d9d9d9"];

fn svg(title: &str, rows: &[Row]) -> String {
    let slots = rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    let (width, height) = (LEFT + slots * CELL + 8, TOP + rows.len() * (HEIGHT + 6) + 4);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>{title}</title>\n<style>\n\
         text {{ font: 11px system-ui, sans-serif; text-anchor: middle; fill: #1f2328 }}\n\
         text.name {{ text-anchor: end }}\n\
         text.slot {{ font-size: 9px }}\n\
         rect {{ stroke: #8c959f; fill: none }}\n\
         @media (prefers-color-scheme: dark) {{ text.name, text.slot {{ fill: #c9d1d9 }} }}\n</style>\n"
    );
    for slot in 0..slots {
        let x = LEFT + slot * CELL + CELL / 2;
        let _ = writeln!(svg, "<text class=\"slot\" x=\"{x}\" y=\"12\">{slot}</text>");
    }
    for (index, (name, cells)) in rows.iter().enumerate() {
        let y = TOP + index * (HEIGHT + 6);
        let _ = writeln!(svg, "<text class=\"name\" x=\"{}\" y=\"{}\">{name}</text>", LEFT - 8, y + 15);
        for (slot, cell) in cells.iter().enumerate() {
            let x = LEFT + slot * CELL;
            let fill = cell.as_ref().map_or(String::new(), |(_, colour)| {
                format!(" style=\"fill: {}\"", COLOURS[colour % COLOURS.len()])
            });
            let _ = writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{HEIGHT}\"{fill}/>");
            if let Some((words, _)) = cell {
                let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\">{words}</text>", x + CELL / 2, y + 15);
            }
        }
    }
    svg + "</svg>\n"
}

/// An element's name: map `a` and on, then its place in the map; the number alone of a vector's.
fn name(element: usize, shape: Shape) -> (String, usize) {
    let (map, place) = (element / shape.positions(), element % shape.positions());
    match shape.positions() {
        1 => (element.to_string(), element),
        _ => (format!("{}{place}", (b'a' + map as u8) as char), map),
    }
}

/// The slots of a layout. Partial sums have the number of their part after a dot.
fn layout(layout: &Layout) -> Vec<Row> {
    layout.validate().unwrap();
    let placement = Placement::new(layout);
    let cell = |position: usize| {
        placement.at(position).map(|(block, element)| {
            let one = element == placement.elements;
            let (words, colour) =
                if one { ("1".into(), COLOURS.len() - 1) } else { name(element, layout.shape) };
            match placement.parts {
                1 => (words, colour),
                parts => (format!("{words}.{}", block % parts), colour),
            }
        })
    };
    let row =
        |c: usize| (ciphertext(c), (0..layout.slots).map(|slot| cell(c * layout.slots + slot)).collect());
    (0..layout.ciphertexts).map(row).collect()
}

fn ciphertext(index: usize) -> String {
    format!("ciphertext {index}")
}

/// What a client writes for an image whose pixels are 2, 3 and on: zeros are empty, ones are ones.
fn written(input: &InputLayout) -> Vec<Row> {
    let pixels: Vec<f64> = (2..).map(f64::from).take(input.shape().elements()).collect();
    let cell = |value: &f64| match *value as usize {
        0 => None,
        1 => Some(("1".into(), COLOURS.len() - 1)),
        pixel => Some(((pixel - 2).to_string(), (pixel - 2) / input.shape().width)),
    };
    let slots = input.write(&pixels).unwrap();
    slots.iter().enumerate().map(|(c, slots)| (ciphertext(c), slots.iter().map(cell).collect())).collect()
}

fn batch(images: usize) -> Vec<Row> {
    let batch = BatchLayout { shape: Shape::new(1, 2, 2), slots: 8 };
    let image = |index: usize| (0..4).map(|pixel| (10 * index + pixel + 1) as f64).collect::<Vec<_>>();
    let images: Vec<Vec<f64>> = (0..images).map(image).collect();
    let slots = batch.write(&images.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let cell = |value: &f64| {
        let value = (*value as usize).checked_sub(1)?;
        Some((format!("{}{}", (b'A' + (value / 10) as u8) as char, value % 10), value / 10))
    };
    slots.iter().enumerate().map(|(c, slots)| (ciphertext(c), slots.iter().map(cell).collect())).collect()
}

fn channel(count: usize, stride: usize) -> Digit {
    Digit { axis: Axis::Channel, count, stride }
}

/// A vector in one ciphertext or more.
fn vector(count: usize, digits: Vec<Digit>, slots: usize, ciphertexts: usize, blocks: Blocks) -> Layout {
    Layout { shape: Shape::vector(count), slots, ciphertexts, digits, bias_slot: None, blocks }
}

/// A chain of convolutions (maps in and out, kernel, stride) on an image, then dense layers of so many rows;
/// weights are ones.
fn chain(input: Shape, convolutions: &[(usize, usize, usize)], rows: &[usize]) -> LayerGraph {
    let (mut layers, mut shape) = (vec![], input);
    for (maps, kernel, stride) in convolutions {
        let convolution = Convolution {
            input_channels: shape.channels,
            output_channels: *maps,
            groups: 1,
            kernel: [*kernel; 2],
            stride: [*stride; 2],
            dilation: [1; 2],
            padding: Padding::default(),
            weights: vec![1.0; maps * shape.channels * kernel * kernel],
            bias: Bias::PerChannel(vec![1.0; *maps]),
        };
        shape = convolution.output_shape("conv", shape).unwrap();
        layers.extend([
            layer("conv", Operator::Convolution(convolution)),
            layer("square", Operator::square(*maps)),
        ]);
    }
    let mut columns = shape.elements();
    for rows in rows {
        let dense =
            Dense { rows: *rows, columns, weights: vec![1.0; rows * columns], bias: vec![1.0; *rows] };
        layers.extend([layer("dense", Operator::Dense(dense)), layer("square", Operator::square(*rows))]);
        columns = *rows;
    }
    layers.pop();
    let metadata = Metadata::new(input, 0);
    LayerGraph::new(&Graph::chain(input, layers), &metadata).unwrap()
}

/// The first of the forms that the planner tries for which something holds.
fn form(forms: Vec<Layout>, wanted: impl Fn(&Layout) -> bool) -> Layout {
    forms.into_iter().find(wanted).expect("the planner tries such a form")
}

fn is_multiplexed(layout: &Layout) -> bool {
    layout.digits.iter().any(|d| d.axis == Axis::Channel && d.stride == 1)
}

/// Each drawing by its file's name, with a title.
fn drawings() -> Vec<(&'static str, &'static str, Vec<Row>)> {
    let small = chain(Shape::new(1, 4, 4), &[(2, 2, 2)], &[3, 2]);
    let outputs =
        |index: usize, is_im2col: bool, slots: usize| candidates::outputs(&small, index, is_im2col, slots);
    let apart =
        form(outputs(0, true, 32), |l| l.bias_slot.is_some() && l.blocks.count == 3 && l.blocks.parts == 1);
    let shared = form(outputs(0, true, 32), |l| l.bias_slot.is_some() && l.blocks.parts == 2);
    let is_im2col = |output: &Layout| InputLayout::Im2col(im2col(&small.layers[0], output).unwrap().0);
    let deep = chain(Shape::new(1, 8, 8), &[(1, 2, 2), (4, 2, 2)], &[2]);
    let multiplexed = form(candidates::outputs(&deep, 1, false, 32), is_multiplexed);
    let in_gaps =
        form(candidates::outputs(&deep, 1, false, 32), |l| l.blocks.parts == 2 && l.blocks.spacing == 1);
    let wide = chain(Shape::new(1, 4, 4), &[(1, 3, 1)], &[2]);
    let displaced = form(candidates::images(&wide, 64), |l| l.blocks.count == 2 && !l.is_cyclic());
    let rows = chain(Shape::new(1, 4, 4), &[(2, 2, 2)], &[8, 2, 2]);
    let segments =
        form(candidates::outputs(&rows, 1, false, 32), |l| l.digits.len() == 2 && l.blocks.parts > 1);
    let partial =
        form(outputs(1, false, 32), |l| l.bias_slot.is_none() && l.is_cyclic() && l.blocks.parts > 1);
    vec![
        ("dense", "Dense", layout(&Layout::packed(Shape::new(2, 2, 3), 16))),
        ("several", "Dense, over two ciphertexts", layout(&Layout::packed(Shape::new(2, 3, 3), 16))),
        ("sparse", "Sparse", layout(&vector(4, vec![channel(4, 16)], 16, 4, Blocks::cyclic(16, 16, 1)))),
        (
            "stacked",
            "Stacked",
            layout(&Layout::packed(Shape::vector(6), 32).with_blocks(Blocks::cyclic(4, 32, 1))),
        ),
        (
            "interleaved",
            "Interleaved",
            layout(&vector(10, vec![channel(4, 8), channel(3, 1)], 32, 1, Blocks::ONE)),
        ),
        ("im2col", "Im2col, a kernel position in each ciphertext", written(&is_im2col(&apart))),
        ("im2col-shared", "Im2col, two kernel positions in each ciphertext", written(&is_im2col(&shared))),
        ("replicas", "Replicas at a stride, with a bias slot", layout(&apart.sums())),
        ("multiplexed", "Multiplexed", layout(&multiplexed.clone().with_blocks(Blocks::ONE))),
        ("partial-gaps", "Partial sums in the gaps", layout(&in_gaps)),
        ("displaced", "Displaced copies", layout(&displaced)),
        ("partial", "Partial sums", layout(&partial)),
        ("periodic", "Periodic: the sums of partial sums", layout(&partial.sums())),
        ("segments", "Rows in segments", layout(&segments)),
        ("batch", "A batch", batch(3)),
    ]
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn drawings_are_what_the_code_does() {
    let text = std::fs::read_to_string(docs().join("representations.md")).unwrap_or_default();
    for (name, title, rows) in drawings() {
        let (path, drawn) = (docs().join(format!("representations/{name}.svg")), svg(title, &rows));
        if std::env::var_os("BLINDSIGHT_DRAW").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &drawn).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            kept,
            drawn,
            "{} is not what the code does: BLINDSIGHT_DRAW=1 draws it anew",
            path.display()
        );
        assert!(
            text.contains(&format!("(representations/{name}.svg)")),
            "{name} is not in representations.md"
        );
    }
}
