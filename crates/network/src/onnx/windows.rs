//! Operators that move a window over an image: convolutions and pools.

use super::import::{Importer, shape_of};
use super::node::Node;
use super::polynomial::Polynomial;
use crate::layer::{AveragePool, Convolution, Padding, product};
use crate::{Error, MaxPool, Operator, Shape, Source};

/// A window of a node: extents down and to the right; one-dimensional ones have a height of 1.
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: Padding,
}

/// The windows of a pool, what they read, and what the last ones reach over it where they round up.
struct Pool {
    source: Source,
    image: Vec<usize>,
    layer: AveragePool,
    overhang: [usize; 2],
}

impl<'a> Importer<'a> {
    /// The image at input 0: a node and its dimensions, two or three after the batch.
    fn image(&mut self, node: &Node<'a>) -> Result<(Source, Vec<usize>), Error> {
        let (source, dims) = self.read(node, 0)?;
        match dims.len() {
            2 | 3 => Ok((source, dims)),
            1 => Err(node.form("an image (rank 4)", "a flattened tensor (rank 2)")),
            rank => Err(node.form("an image (rank 4)", format!("a tensor of rank {}", rank + 1))),
        }
    }

    pub(super) fn convolution(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(3, &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"])?;
        let (source, image) = self.image(node)?;
        let (input, rank) = (shape_of(&image), image.len());
        let dims = self.constant(node, 1)?.dims(node.input(1)?)?;
        let [output_channels, group_inputs, kernel] = kernel_of(node, &dims, rank)?;
        let groups = groups(node, input.channels, group_inputs[0])?;
        let window = window(node, input, rank, kernel)?;
        let layer = Convolution {
            input_channels: input.channels,
            output_channels: output_channels[0],
            groups,
            kernel,
            stride: window.stride,
            dilation: window.dilation,
            padding: window.padding,
            weights: self.floats(node, 1, &dims)?,
            bias: self.channel_bias(node, output_channels[0])?,
        };
        self.push_bound(node, Operator::Convolution(layer), vec![source], |shape| dims_of(shape, rank))
    }

    /// A transposed convolution: zeros between the image's pixels and around them, then a convolution by the
    /// kernel turned around.
    pub(super) fn transposed_convolution(&mut self, node: &Node<'a>) -> Result<(), Error> {
        let attributes =
            ["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "pads", "strides"];
        node.only(3, &attributes)?;
        if !["NOTSET", "", "VALID"].contains(&node.string("auto_pad", "NOTSET")?.as_str()) {
            return Err(node.form("padding that is given", "auto_pad"));
        }
        let (source, image) = self.image(node)?;
        let (input, rank) = (shape_of(&image), image.len());
        let dims = self.constant(node, 1)?.dims(node.input(1)?)?;
        let [input_channels, group_outputs, kernel] = kernel_of(node, &dims, rank)?;
        if input_channels[0] != input.channels {
            let expected = format!("weights for {} input channels", input.channels);
            return Err(node.form(expected, format!("dimensions {dims:?}")));
        }
        let groups =
            groups(node, input.channels, input.channels / (node.int("group", 1)?.max(1) as usize).max(1))?;
        let window = window(node, input, rank, kernel)?;
        let more = two(node.sizes_of("output_padding", rank - 1)?, 0);
        let lists = [
            stuffed(node, &window, 0, input.height, more[0])?,
            stuffed(node, &window, 1, input.width, more[1])?,
        ];
        let extents = [lists[0].len(), lists[1].len()];
        let stuffed_dims = [input.channels, extents[0], extents[1]];
        let all = (0..input.channels).map(Some).collect();
        let [rows, columns] = lists;
        let own = [input.channels, input.height, input.width];
        let places = || super::array::places(&own, &[all, rows, columns]);
        let source = self.select(&node.name, source, &stuffed_dims, places)?;
        let stored = self.floats(node, 1, &dims)?;
        let outputs = groups.saturating_mul(group_outputs[0]);
        let layer = Convolution {
            input_channels: input.channels,
            output_channels: outputs,
            groups,
            kernel,
            stride: [1, 1],
            dilation: window.dilation,
            padding: Padding::default(),
            weights: turned(&stored, [groups, input.channels / groups, group_outputs[0]], product(&kernel)),
            bias: self.channel_bias(node, outputs)?,
        };
        self.push_bound(node, Operator::Convolution(layer), vec![source], |shape| dims_of(shape, rank))
    }

    pub(super) fn average_pool(&mut self, node: &Node<'a>) -> Result<(), Error> {
        let Pool { mut source, image, mut layer, overhang } = self.pool(node, "count_include_pad")?;
        layer.include_padding = node.int("count_include_pad", 0)? != 0;
        let Padding { top, left, bottom, right } = layer.padding;
        if overhang != [0, 0] && layer.include_padding && layer.padding != Padding::default() {
            // What the last window reaches over does not count, the padding does: that is made zeros.
            let input = shape_of(&image);
            let around = |extent: usize, before: usize, after: usize| -> Vec<Option<usize>> {
                let pixel = |at: usize| at.checked_sub(before).filter(|pixel| *pixel < extent);
                (0..extent + before + after).map(pixel).collect()
            };
            let lists = [
                (0..input.channels).map(Some).collect(),
                around(input.height, top, bottom),
                around(input.width, left, right),
            ];
            let dims = [input.channels, lists[1].len(), lists[2].len()];
            let own = [input.channels, input.height, input.width];
            source = self.select(&node.name, source, &dims, || super::array::places(&own, &lists))?;
            layer.padding = Padding::default();
        }
        layer.include_padding &= overhang == [0, 0];
        layer.padding.bottom += overhang[0];
        layer.padding.right += overhang[1];
        let rank = image.len();
        self.push_bound(node, Operator::AveragePool(layer), vec![source], |shape| dims_of(shape, rank))
    }

    pub(super) fn max_pool(&mut self, node: &Node<'a>) -> Result<(), Error> {
        let Pool { source, image, mut layer, overhang } = self.pool(node, "storage_order")?;
        layer.padding.bottom += overhang[0];
        layer.padding.right += overhang[1];
        let operator = Operator::MaxPool(MaxPool { windows: layer });
        self.push_bound(node, operator, vec![source], |shape| dims_of(shape, image.len()))
    }

    /// The windows of a pool, one of whose attributes has this name.
    fn pool(&mut self, node: &Node<'a>, attribute: &str) -> Result<Pool, Error> {
        let all = ["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides", attribute];
        node.only(1, &all)?;
        let (source, image) = self.image(node)?;
        let (input, rank) = (shape_of(&image), image.len());
        let kernel =
            node.sizes_of("kernel_shape", rank - 1)?.ok_or_else(|| node.form("a kernel_shape", "none"))?;
        let window = window(node, input, rank, two(Some(kernel), 1))?;
        if window.dilation != [1, 1] {
            return Err(node.form("no dilation", format!("{:?}", window.dilation)));
        }
        let Window { kernel, stride, padding, .. } = window;
        let layer = AveragePool { kernel, stride, padding, include_padding: false };
        layer.output_shape(&node.name, input)?;
        let up = node.int("ceil_mode", 0)? != 0;
        let overhang = if up { overhang(&layer, input) } else { [0, 0] };
        Ok(Pool { source, image, layer, overhang })
    }

    pub(super) fn global_max_pool(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(1, &[])?;
        let (source, image) = self.image(node)?;
        let input = shape_of(&image);
        let windows = AveragePool {
            kernel: [input.height, input.width],
            stride: [1, 1],
            padding: Padding::default(),
            include_padding: false,
        };
        let operator = Operator::MaxPool(MaxPool { windows });
        self.push_bound(node, operator, vec![source], |shape| dims_of(shape, image.len()))
    }

    pub(super) fn global_average_pool(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(1, &[])?;
        let (source, image) = self.image(node)?;
        let input = shape_of(&image);
        let kernel = [input.height, input.width];
        let layer =
            AveragePool { kernel, stride: [1, 1], padding: Padding::default(), include_padding: true };
        self.push_bound(node, Operator::AveragePool(layer), vec![source], |shape| dims_of(shape, image.len()))
    }

    /// ReduceMean, ReduceSum and ReduceMax over rows, columns or both.
    pub(super) fn reduction(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(2, &["axes", "keepdims", "noop_with_empty_axes"])?;
        let (source, image) = self.image(node)?;
        let (input, rank) = (shape_of(&image), image.len() as i64 + 1);
        let axes = match self.integers(node, 1)? {
            Some(axes) => Some(axes),
            None => node.integers("axes")?.map(<[i64]>::to_vec),
        };
        let spelled = format!("axes {axes:?}");
        let mut reduced = vec![false; image.len()];
        for axis in axes.unwrap_or_default() {
            let axis = if axis < 0 { axis + rank } else { axis };
            match usize::try_from(axis - 1).ok().and_then(|axis| reduced.get_mut(axis)) {
                Some(reduced) if axis > 1 => *reduced = true,
                _ => return Err(node.form("axes of rows and columns (2 and 3)", spelled)),
            }
        }
        if !reduced.contains(&true) {
            return Err(node.form("axes of rows and columns (2 and 3)", spelled));
        }
        let extents: Vec<usize> = (1..image.len()).map(|a| if reduced[a] { image[a] } else { 1 }).collect();
        let kernel = two(Some(extents.clone()), 1);
        let pool = AveragePool { kernel, stride: [1, 1], padding: Padding::default(), include_padding: true };
        let keep = node.int("keepdims", 1)? != 0;
        let dims: Vec<usize> = (0..image.len())
            .filter(|axis| keep || !reduced[*axis])
            .map(|axis| if reduced[axis] { 1 } else { image[axis] })
            .collect();
        let operator = match node.operator().as_str() {
            "ReduceMax" => {
                Operator::MaxPool(MaxPool { windows: AveragePool { include_padding: false, ..pool } })
            }
            _ => Operator::AveragePool(pool),
        };
        let pooled = self.push(&node.name, operator, vec![source])?;
        let shape = shape_of(&dims);
        let computed = Shape::new(input.channels, input.height + 1 - kernel[0], input.width + 1 - kernel[1]);
        let source = if shape == computed {
            pooled
        } else {
            self.push(&node.name, Operator::Reshape(shape), vec![pooled])?
        };
        let factor = if node.operator() == "ReduceSum" { product(&extents) as f64 } else { 1.0 };
        let polynomial = Polynomial::identity().multiply(&Polynomial::constant(vec![factor]));
        self.bind_polynomial(node, source, dims, polynomial)
    }
}

/// The dimensions after the batch, as many as `rank`, of an image.
fn dims_of(shape: Shape, rank: usize) -> Vec<usize> {
    if rank == 2 {
        vec![shape.channels, shape.width]
    } else {
        vec![shape.channels, shape.height, shape.width]
    }
}

/// One or two sizes as two, down and to the right.
fn two(sizes: Option<Vec<usize>>, otherwise: usize) -> [usize; 2] {
    match sizes.as_deref() {
        Some(&[height, width]) => [height, width],
        Some(&[width]) => [if otherwise == 0 { 0 } else { 1 }, width],
        _ => [otherwise; 2],
    }
}

/// The first two dimensions of weights for an image of so many dimensions, and the kernel.
fn kernel_of(node: &Node<'_>, dims: &[usize], rank: usize) -> Result<[[usize; 2]; 3], Error> {
    let (first, second, kernel) = match (dims, rank) {
        (&[first, second, height, width], 3) => (first, second, [height, width]),
        (&[first, second, width], 2) => (first, second, [1, width]),
        _ => return Err(node.form(format!("weights of rank {}", rank + 1), format!("dimensions {dims:?}"))),
    };
    let declared = node.sizes_of("kernel_shape", rank - 1)?.map_or(kernel, |sizes| two(Some(sizes), 1));
    if declared != kernel {
        return Err(
            node.form(format!("the weights' kernel {kernel:?}"), format!("kernel_shape {declared:?}"))
        );
    }
    Ok([[first; 2], [second; 2], kernel])
}

/// The number of groups, which must share the channels out evenly, `group_inputs` to each.
fn groups(node: &Node<'_>, channels: usize, group_inputs: usize) -> Result<usize, Error> {
    let group = node.int("group", 1)?;
    match usize::try_from(group) {
        Ok(groups) if groups >= 1 && groups.checked_mul(group_inputs) == Some(channels) => Ok(groups),
        _ => Err(node.form(
            format!("weights for {channels} input channels"),
            format!("{group} groups of {group_inputs} channels"),
        )),
    }
}

fn window(node: &Node<'_>, input: Shape, rank: usize, kernel: [usize; 2]) -> Result<Window, Error> {
    let stride = two(node.sizes_of("strides", rank - 1)?, 1);
    let dilation = two(node.sizes_of("dilations", rank - 1)?, 1);
    let given = match node.sizes_of("pads", 2 * (rank - 1))?.as_deref() {
        Some(&[top, left, bottom, right]) => [top, left, bottom, right],
        Some(&[left, right]) => [0, left, 0, right],
        _ => [0; 4],
    };
    let rule = node.string("auto_pad", "NOTSET")?;
    // What makes the output as large as the input divided by the stride, rounded up.
    let same = |axis: usize, extent: usize| {
        let span = kernel[axis].saturating_sub(1).saturating_mul(dilation[axis]).saturating_add(1);
        let steps = extent.div_ceil(stride[axis].max(1)) - 1;
        let total = steps.saturating_mul(stride[axis]).saturating_add(span).saturating_sub(extent);
        (total / 2, total.div_ceil(2))
    };
    let ((less_y, more_y), (less_x, more_x)) = (same(0, input.height), same(1, input.width));
    let [top, left, bottom, right] = match rule.as_str() {
        "NOTSET" | "" => given,
        "VALID" => [0; 4],
        "SAME_UPPER" => [less_y, less_x, more_y, more_x],
        "SAME_LOWER" => [more_y, more_x, less_y, less_x],
        other => {
            return Err(node.form("auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER", format!("{other:?}")));
        }
    };
    Ok(Window { kernel, stride, dilation, padding: Padding { top, left, bottom, right } })
}

/// What the last window of a pool that rounds up reaches over the padded image, down and to the right.
fn overhang(pool: &AveragePool, input: Shape) -> [usize; 2] {
    let Padding { top, left, bottom, right } = pool.padding;
    let along = |axis: usize, extent: usize, before: usize, after: usize| {
        let padded = extent + before + after;
        let (kernel, stride) = (pool.kernel[axis], pool.stride[axis]);
        let mut steps = (padded - kernel).div_ceil(stride);
        // A window may not begin beyond the image.
        if steps * stride >= extent + before {
            steps -= 1;
        }
        (steps * stride + kernel).saturating_sub(padded)
    };
    [along(0, input.height, top, bottom), along(1, input.width, left, right)]
}

/// For each row, or column, of the image with zeros between its pixels and around them, which pixel it is.
fn stuffed(
    node: &Node<'_>,
    window: &Window,
    axis: usize,
    extent: usize,
    more: usize,
) -> Result<Vec<Option<usize>>, Error> {
    let (stride, padding) = (window.stride[axis], window.padding);
    let [before, after] = [[padding.top, padding.bottom], [padding.left, padding.right]][axis];
    for (what, size) in
        [("stride", stride), ("dilation", window.dilation[axis]), ("kernel", window.kernel[axis])]
    {
        crate::shape::check_dimension(&node.name, what, size, 1)?;
    }
    crate::shape::check_dimension(&node.name, "padding", before.max(after).max(more), 0)?;
    let reach = (window.kernel[axis] - 1) * window.dilation[axis];
    let whole = (extent - 1) * stride + more + 2 * reach + 1;
    let left = whole.checked_sub(before + after).filter(|left| *left > reach);
    let left =
        left.ok_or_else(|| node.form("an output", format!("padding {before} and {after} of {whole}")))?;
    crate::shape::check_dimension(&node.name, "extent", left, 1)?;
    let pixel = |at: usize| {
        let at = (at + before).checked_sub(reach)?;
        (at % stride == 0 && at / stride < extent).then_some(at / stride)
    };
    Ok((0..left).map(pixel).collect())
}

/// The kernels turned around, `[group][in][out][tap]` as `[group][out][in][tap]`.
fn turned(weights: &[f64], [groups, inputs, outputs]: [usize; 3], taps: usize) -> Vec<f64> {
    let mut turned = Vec::with_capacity(weights.len());
    for group in 0..groups {
        for o in 0..outputs {
            for i in 0..inputs {
                let first = ((group * inputs + i) * outputs + o) * taps;
                turned.extend(weights[first..first + taps].iter().rev());
            }
        }
    }
    turned
}
