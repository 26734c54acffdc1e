//! The operators, each into a layer.

use super::import::{Importer, constant_node};
use super::node::Node;
use super::polynomial::Polynomial;
use crate::Error;
use crate::error::check_finite;
use crate::layer::{Affine, AveragePool, Bias, Convolution, Dense, LayerKind, Padding};

impl<'a> Importer<'a> {
    /// Walks one node.
    pub(super) fn node(&mut self, node: &Node<'a>) -> Result<(), Error> {
        match node.operator().as_str() {
            "Conv" => self.convolution(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matrix_product(node),
            "Flatten" => self.flatten(node),
            "Reshape" => self.reshape(node),
            "AveragePool" => self.average_pool(node),
            "GlobalAveragePool" => self.global_average_pool(node),
            "BatchNormalization" => self.batch_normalization(node),
            "Constant" => self.bind(node, constant_node(node)?),
            "Dropout" => self.alias(node, 3, &["ratio", "seed"]),
            "Identity" => self.alias(node, 1, &[]),
            "Add" => {
                node.only(2, &[])?;
                self.add(node)
            }
            "Sub" => {
                node.only(2, &[])?;
                self.arithmetic(node, |a, b| a.add(&b.multiply(&Polynomial::constant(vec![-1.0]))))
            }
            "Mul" => {
                node.only(2, &[])?;
                self.arithmetic(node, Polynomial::multiply)
            }
            "Neg" => {
                node.only(1, &[])?;
                let x = self.polynomial(node, 0)?;
                self.combine(node, &x, &Polynomial::constant(vec![-1.0]), Polynomial::multiply)
            }
            "Div" => self.quotient(node),
            "Pow" => self.power(node),
            operator => Err(Error::Operator { operator: operator.into(), node: node.name.clone() }),
        }
    }

    /// Operators that change nothing at inference.
    fn alias(&mut self, node: &Node<'a>, inputs: usize, attributes: &[&str]) -> Result<(), Error> {
        node.only(inputs, attributes)?;
        if node.optional_input(2).is_some() {
            return Err(node.form("the form for inference", "an input that switches training on"));
        }
        let value = self.value(node, 0)?;
        self.bind(node, value)
    }

    fn quotient(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(2, &[])?;
        let [x, divisor] = [self.polynomial(node, 0)?, self.polynomial(node, 1)?];
        let inverse: Vec<f64> = match divisor.values().next() {
            Some(values) if divisor.degree() == 0 => values.iter().map(|v| 1.0 / v).collect(),
            _ => return Err(node.form("a constant divisor", "one that depends on the image")),
        };
        check_finite(&format!("inverse of the divisor of {}", node.name), &inverse)?;
        self.combine(node, &x, &Polynomial::constant(inverse), Polynomial::multiply)
    }

    fn power(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(2, &[])?;
        let x = self.polynomial(node, 0)?;
        let (constant, name) = (self.constant(node, 1)?, node.input(1)?);
        let one = constant.dims(name)?.iter().all(|&d| d == 1);
        let exponent = match (one, constant.is_integer()) {
            (true, true) => constant.integers(name)?[0] as f64,
            (true, false) => constant.floats(name)?[0],
            (false, _) => {
                return Err(node.form("one exponent", format!("dimensions {:?}", constant.dims(name)?)));
            }
        };
        let unit = Polynomial::constant(vec![1.0]);
        match exponent {
            1.0 => self.combine(node, &x, &unit, Polynomial::multiply),
            2.0 => self.combine(node, &x, &x, Polynomial::multiply),
            other => Err(node.form("the exponent 1 or 2", other.to_string())),
        }
    }

    fn need_image(&self, node: &Node<'a>) -> Result<(), Error> {
        if self.flat { Err(node.form("an image (rank 4)", "a flattened tensor (rank 2)")) } else { Ok(()) }
    }

    fn need_vector(&self, node: &Node<'a>) -> Result<(), Error> {
        let shape = self.shape;
        if self.flat {
            Ok(())
        } else {
            Err(node.form("a flattened tensor (rank 2)", format!("an image of {shape}")))
        }
    }

    fn convolution(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(3, &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"])?;
        self.read(node, 0)?;
        self.need_image(node)?;
        let dims = self.constant(node, 1)?.dims(node.input(1)?)?;
        let &[output_channels, group_inputs, height, width] = dims.as_slice() else {
            return Err(node.form("weights of rank 4", format!("dimensions {dims:?}")));
        };
        let (groups, kernel) = (self.groups(node, group_inputs)?, [height, width]);
        let declared = node.sizes("kernel_shape")?.unwrap_or(kernel);
        if declared != kernel {
            return Err(
                node.form(format!("the weights' kernel {kernel:?}"), format!("kernel_shape {declared:?}"))
            );
        }
        let stride = node.sizes("strides")?.unwrap_or([1, 1]);
        let dilation = node.sizes("dilations")?.unwrap_or([1, 1]);
        let layer = Convolution {
            input_channels: self.shape.channels,
            output_channels,
            groups,
            kernel,
            stride,
            dilation,
            padding: self.padding(node, kernel, stride, dilation)?,
            weights: self.floats(node, 1, &dims)?,
            bias: Bias::PerChannel(match node.optional_input(2) {
                Some(_) => self.floats(node, 2, &[output_channels])?,
                None => vec![0.0; output_channels],
            }),
        };
        self.push(&node.name, LayerKind::Convolution(layer))?;
        self.bind_last(node)
    }

    /// The number of groups, which must share the channels out evenly, `group_inputs` to each.
    fn groups(&self, node: &Node<'a>, group_inputs: usize) -> Result<usize, Error> {
        let (group, channels) = (node.int("group", 1)?, self.shape.channels);
        match usize::try_from(group) {
            Ok(groups) if groups >= 1 && groups.checked_mul(group_inputs) == Some(channels) => Ok(groups),
            _ => Err(node.form(
                format!("weights for {channels} input channels"),
                format!("{group} groups of {group_inputs} channels"),
            )),
        }
    }

    /// The padding, given or by one of ONNX's rules.
    fn padding(
        &self,
        node: &Node<'a>,
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
    ) -> Result<Padding, Error> {
        let given = node.sizes("pads")?.unwrap_or([0; 4]);
        let rule = node.string("auto_pad", "NOTSET")?;
        // What makes the output as large as the input divided by the stride, rounded up.
        let same = |axis: usize, extent: usize| {
            let span = kernel[axis].saturating_sub(1).saturating_mul(dilation[axis]).saturating_add(1);
            let steps = extent.div_ceil(stride[axis].max(1)) - 1;
            let total = steps.saturating_mul(stride[axis]).saturating_add(span).saturating_sub(extent);
            (total / 2, total.div_ceil(2))
        };
        let ((less_y, more_y), (less_x, more_x)) = (same(0, self.shape.height), same(1, self.shape.width));
        let [top, left, bottom, right] = match rule.as_str() {
            "NOTSET" | "" => given,
            "VALID" => [0; 4],
            "SAME_UPPER" => [less_y, less_x, more_y, more_x],
            "SAME_LOWER" => [more_y, more_x, less_y, less_x],
            other => {
                return Err(
                    node.form("auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER", format!("{other:?}"))
                );
            }
        };
        Ok(Padding { top, left, bottom, right })
    }

    fn average_pool(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(
            1,
            &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"],
        )?;
        self.read(node, 0)?;
        self.need_image(node)?;
        let kernel = node.sizes("kernel_shape")?.ok_or_else(|| node.form("a kernel_shape", "none"))?;
        let stride = node.sizes("strides")?.unwrap_or([1, 1]);
        let dilation = node.sizes("dilations")?.unwrap_or([1, 1]);
        if dilation != [1, 1] {
            return Err(node.form("no dilation", format!("{dilation:?}")));
        }
        let padding = self.padding(node, kernel, stride, dilation)?;
        let include_padding = node.int("count_include_pad", 0)? != 0;
        let layer = AveragePool { kernel, stride, padding, include_padding };
        let output = layer.output_shape(&node.name, self.shape)?;
        if node.int("ceil_mode", 0)? != 0 {
            let used = |axis: usize, steps: usize| (steps - 1) * stride[axis] + kernel[axis];
            let padded = [
                self.shape.height + padding.top + padding.bottom,
                self.shape.width + padding.left + padding.right,
            ];
            if [used(0, output.height), used(1, output.width)] != padded {
                return Err(
                    node.form("windows that divide the image evenly, with ceil_mode", format!("{padded:?}"))
                );
            }
        }
        self.push(&node.name, LayerKind::AveragePool(layer))?;
        self.bind_last(node)
    }

    fn global_average_pool(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(1, &[])?;
        self.read(node, 0)?;
        self.need_image(node)?;
        let kernel = [self.shape.height, self.shape.width];
        let layer =
            AveragePool { kernel, stride: [1, 1], padding: Padding::default(), include_padding: true };
        self.push(&node.name, LayerKind::AveragePool(layer))?;
        self.bind_last(node)
    }

    fn batch_normalization(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(5, &["epsilon", "momentum", "spatial", "training_mode"])?;
        if node.int("training_mode", 0)? != 0 || node.int("spatial", 1)? != 1 {
            return Err(
                node.form("the form for inference, per channel", "training_mode or spatial set otherwise")
            );
        }
        self.read(node, 0)?;
        let dims = [self.shape.channels];
        let mut input = |index| self.floats(node, index, &dims);
        let (gain, offset, mean, variance) = (input(1)?, input(2)?, input(3)?, input(4)?);
        let epsilon = node.float("epsilon", 1e-5)?;
        let scale: Vec<f64> = gain.iter().zip(&variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
        let shift = offset.iter().zip(&mean).zip(&scale).map(|((o, m), s)| o - m * s).collect();
        let layer = LayerKind::Affine(Affine { scale, shift });
        layer.values().into_iter().try_for_each(|v| check_finite(&node.name, v))?;
        self.push(&node.name, layer)?;
        self.bind_last(node)
    }

    fn gemm(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(3, &["alpha", "beta", "transA", "transB"])?;
        if node.int("transA", 0)? != 0 {
            return Err(node.form("transA = 0", "a transposed input"));
        }
        let transposed = node.int("transB", 0)? != 0;
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        let mut layer = self.dense(node, transposed)?;
        if node.optional_input(2).is_some() {
            layer.bias = self.summand(node, layer.rows)?;
        }
        layer.weights.iter_mut().for_each(|w| *w *= alpha);
        layer.bias.iter_mut().for_each(|b| *b *= beta);
        let layer = LayerKind::Dense(layer);
        layer.values().into_iter().try_for_each(|v| check_finite(&node.name, v))?;
        self.push(&node.name, layer)?;
        self.bind_last(node)
    }

    /// Gemm's third input, one number for each of `rows`.
    fn summand(&mut self, node: &Node<'a>, rows: usize) -> Result<Vec<f64>, Error> {
        let dims = self.constant(node, 2)?.dims(node.input(2)?)?;
        match dims.as_slice() {
            [] | [1] | [1, 1] => Ok(vec![self.floats(node, 2, &dims)?[0]; rows]),
            [n] | [1, n] if *n == rows => self.floats(node, 2, &dims),
            other => Err(node.form(format!("a bias of {rows} values"), format!("dimensions {other:?}"))),
        }
    }

    fn matrix_product(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(2, &[])?;
        let layer = self.dense(node, false)?;
        self.push(&node.name, LayerKind::Dense(layer))?;
        self.bind_last(node)
    }

    /// The dense layer, without bias, of the matrix at input 1: `[in, out]`, or `[out, in]` where `transposed`.
    fn dense(&mut self, node: &Node<'a>, transposed: bool) -> Result<Dense, Error> {
        self.read(node, 0)?;
        self.need_vector(node)?;
        let dims = self.constant(node, 1)?.dims(node.input(1)?)?;
        let &[first, second] = dims.as_slice() else {
            return Err(node.form("a matrix of rank 2", format!("dimensions {dims:?}")));
        };
        let (rows, columns) = if transposed { (first, second) } else { (second, first) };
        if columns != self.shape.channels {
            return Err(node.form(
                format!("a matrix for {} inputs", self.shape.channels),
                format!("dimensions {dims:?}"),
            ));
        }
        let stored = self.floats(node, 1, &dims)?;
        let weights = if transposed {
            stored
        } else {
            (0..rows)
                .flat_map(|r| (0..columns).map(move |c| (r, c)))
                .map(|(r, c)| stored[c * rows + r])
                .collect()
        };
        Ok(Dense { rows, columns, weights, bias: vec![0.0; rows] })
    }

    fn flatten(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(1, &["axis"])?;
        self.read(node, 0)?;
        let (axis, rank) = (node.int("axis", 1)?, if self.flat { 2 } else { 4 });
        if axis != 1 && axis != 1 - rank {
            return Err(node.form("axis 1", axis.to_string()));
        }
        self.as_vector(node)
    }

    fn reshape(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(2, &["allowzero"])?;
        self.read(node, 0)?;
        let target = self.constant(node, 1)?;
        let dims = target.dims(node.input(1)?)?;
        if dims != [2] {
            return Err(node
                .form("a shape of 2 dimensions (a flattening)", format!("a shape of dimensions {dims:?}")));
        }
        let shape = target.integers(node.input(1)?)?;
        let (elements, copies) = (self.shape.elements() as i64, node.int("allowzero", 0)? == 0);
        let flattens = match *shape.as_slice() {
            [batch, -1] => batch == 1 || (batch == 0 && copies),
            [batch, n] => n == elements && (batch == 1 || batch == -1 || (batch == 0 && copies)),
            _ => false,
        };
        if !flattens {
            let actual = format!("{:?}", &shape[..shape.len().min(8)]);
            return Err(node.form(format!("a flattening shape, [1, {elements}] or [0, -1]"), actual));
        }
        self.as_vector(node)
    }

    /// Flattens the last layer's output, if it is not flat yet.
    fn as_vector(&mut self, node: &Node<'a>) -> Result<(), Error> {
        if !self.flat {
            self.push(&node.name, LayerKind::Flatten)?;
            self.flat = true;
        }
        self.bind_last(node)
    }
}
