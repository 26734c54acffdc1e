//! Operators that move elements about: reshaping, slicing, padding, transposing, resizing.

use super::array::{Array, places, transposed_places};
use super::import::{Importer, shape_of};
use super::node::Node;
use super::polynomial::Polynomial;
use super::value::{Tensor, Value};
use crate::layer::product;
use crate::{Error, Operator, Source};

/// The most dimensions of a tensor.
const MAX_RANK: usize = 8;

impl<'a> Importer<'a> {
    /// Flatten, Reshape, Squeeze and Unsqueeze: the same elements in the same order.
    pub(super) fn reshaped(&mut self, node: &Node<'a>) -> Result<(), Error> {
        let value = self.value(node, 0)?;
        let dims = match &value {
            Value::Tensor(tensor) => [&[1], tensor.dims.as_slice()].concat(),
            Value::Constant(constant) => constant.dims(node.input(0)?)?,
        };
        let target = match node.operator().as_str() {
            "Flatten" => flattened(node, &dims)?,
            "Reshape" => self.reshape_target(node, &dims)?,
            "Squeeze" => self.squeezed(node, &dims, matches!(value, Value::Tensor(_)))?,
            _ => self.unsqueezed(node, &dims)?,
        };
        match value {
            Value::Constant(constant) => {
                let array = constant.array(node.input(0)?)?;
                self.bind_array(node, Array { dims: target, ..array })
            }
            Value::Tensor(tensor) => {
                let [1, after @ ..] = target.as_slice() else {
                    let all = product(&dims);
                    let expected = format!("a shape that begins with the batch, as [1, {all}] or [0, -1]");
                    return Err(node.form(expected, format!("{target:?}")));
                };
                let shape = shape_of(after);
                if shape == shape_of(&tensor.dims) {
                    let alias = Tensor { dims: after.to_vec(), ..(*tensor).clone() };
                    return self.bind(node, Value::Tensor(alias.into()));
                }
                let (source, polynomial) = self.before_scaling(&tensor)?;
                let source = self.push(&node.name, Operator::Reshape(shape), vec![source])?;
                self.bind_polynomial(node, source, after.to_vec(), polynomial)
            }
        }
    }

    fn reshape_target(&self, node: &Node<'a>, dims: &[usize]) -> Result<Vec<usize>, Error> {
        node.only(2, &["allowzero"])?;
        let shape = self.integers(node, 1)?.ok_or_else(|| node.form("a shape", "none"))?;
        let copies = node.int("allowzero", 0)? == 0;
        let elements = product(dims);
        let extent = |(axis, size): (usize, &i64)| match *size {
            -1 => Some(None),
            0 if copies => dims.get(axis).copied().map(Some),
            size => usize::try_from(size).ok().map(Some),
        };
        let wrong = || {
            let expected = format!(
                "a shape of {elements} elements that begins with the batch, as [1, {elements}] or [0, -1]"
            );
            node.form(expected, format!("{:?}", &shape[..shape.len().min(MAX_RANK)]))
        };
        let sizes: Option<Vec<Option<usize>>> = shape.iter().enumerate().map(extent).collect();
        let sizes = sizes.filter(|s| s.len() <= MAX_RANK).ok_or_else(wrong)?;
        let known = product(&sizes.iter().flatten().copied().collect::<Vec<_>>());
        let target: Vec<usize> = match sizes.iter().filter(|s| s.is_none()).count() {
            0 => sizes.iter().flatten().copied().collect(),
            1 if known > 0 => sizes.iter().map(|s| s.unwrap_or(elements / known)).collect(),
            _ => return Err(wrong()),
        };
        if product(&target) == elements { Ok(target) } else { Err(wrong()) }
    }

    /// The axes that a node is given, counted from 0 on for a tensor of so many dimensions.
    fn axes(&self, node: &Node<'a>, rank: usize) -> Result<Option<Vec<usize>>, Error> {
        node.only(2, &["axes"])?;
        let axes = match self.integers(node, 1)? {
            Some(axes) => Some(axes),
            None => node.integers("axes")?.map(<[i64]>::to_vec),
        };
        axes.map(|axes| axes.into_iter().map(|a| axis_of(node, a, rank)).collect()).transpose()
    }

    fn squeezed(&self, node: &Node<'a>, dims: &[usize], batch: bool) -> Result<Vec<usize>, Error> {
        let axes = self.axes(node, dims.len())?;
        let first = usize::from(batch);
        let gone = |axis: usize| match &axes {
            Some(axes) => axes.contains(&axis),
            None => axis >= first && dims[axis] == 1,
        };
        if let Some(axis) = (0..dims.len()).find(|axis| gone(*axis) && (dims[*axis] != 1 || *axis < first)) {
            return Err(
                node.form("axes of extent 1, the batch not among them", format!("axis {axis} of {dims:?}"))
            );
        }
        Ok((0..dims.len()).filter(|axis| !gone(*axis)).map(|axis| dims[axis]).collect())
    }

    fn unsqueezed(&self, node: &Node<'a>, dims: &[usize]) -> Result<Vec<usize>, Error> {
        let given = match node.optional_input(1) {
            Some(_) => self.integers(node, 1)?.map_or(0, |axes| axes.len()),
            None => node.integers("axes")?.map_or(0, <[i64]>::len),
        };
        let rank = dims.len().saturating_add(given);
        let axes = self.axes(node, rank)?.filter(|_| rank <= MAX_RANK);
        let axes = axes.ok_or_else(|| node.form("few axes", given.to_string()))?;
        let mut left = dims.iter();
        let extents = (0..rank).map(|axis| if axes.contains(&axis) { Some(1) } else { left.next().copied() });
        extents.collect::<Option<_>>().ok_or_else(|| node.form("different axes", format!("{axes:?}")))
    }

    pub(super) fn transpose(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(1, &["perm"])?;
        let value = self.value(node, 0)?;
        let dims = self.dims_of(node, 0, &value)?;
        let given = node.integers("perm")?.map(<[i64]>::to_vec);
        let order = given.unwrap_or_else(|| (0..dims.len() as i64).rev().collect());
        let order: Vec<usize> =
            order.into_iter().map(|a| axis_of(node, a, dims.len())).collect::<Result<_, _>>()?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted != (0..dims.len()).collect::<Vec<_>>() {
            return Err(node.form(format!("each of {} axes once", dims.len()), format!("{order:?}")));
        }
        let target: Vec<usize> = order.iter().map(|axis| dims[*axis]).collect();
        match value {
            Value::Constant(constant) => {
                self.reserve(product(&dims))?;
                let array = constant.array(node.input(0)?)?;
                self.bind_array(node, array.gathered(target, &transposed_places(&dims, &order)))
            }
            Value::Tensor(tensor) => {
                if order.first() != Some(&0) {
                    return Err(node.form("the batch to stay first", format!("perm {order:?}")));
                }
                // What treats all elements alike may as well come after.
                let (source, polynomial) = match tensor.polynomial.is_uniform() {
                    true => (tensor.source, tensor.polynomial.clone()),
                    false => (self.settle(&tensor)?, Polynomial::identity()),
                };
                let source = self.transposed(node, source, &dims, &order)?;
                self.bind_polynomial(node, source, target[1..].to_vec(), polynomial)
            }
        }
    }

    /// The node that a tensor is, or, where it is the input scaled and shifted the same way everywhere, the
    /// input, and what is then done to its elements: that may as well come after they are moved.
    fn before_scaling(&mut self, tensor: &Tensor) -> Result<(Source, Polynomial), Error> {
        let polynomial = &tensor.polynomial;
        if tensor.source == Source::Input && polynomial.degree() == 1 && polynomial.is_uniform() {
            return Ok((Source::Input, polynomial.clone()));
        }
        Ok((self.settle(tensor)?, Polynomial::identity()))
    }

    /// Appends the elements of `source`, of these dimensions, in the order of transposed axes.
    fn transposed(
        &mut self,
        node: &Node<'a>,
        source: Source,
        dims: &[usize],
        order: &[usize],
    ) -> Result<Source, Error> {
        let target: Vec<usize> = order.iter().map(|axis| dims[*axis]).collect();
        let moved: Vec<usize> = order.iter().copied().filter(|axis| dims[*axis] != 1).collect();
        if moved.is_sorted() {
            return self.push(&node.name, Operator::Reshape(shape_of(&target[1..])), vec![source]);
        }
        if let Some(before) = self.back_again(source, &target[1..], || transposed_places(dims, order)) {
            return Ok(before);
        }
        let places = || transposed_places(dims, order).into_iter().map(Some).collect();
        self.select(&node.name, source, &target[1..], places)
    }

    /// What a tensor was before its elements were moved, where moving them to these places brings them back.
    fn back_again(
        &self,
        source: Source,
        dims: &[usize],
        places: impl FnOnce() -> Vec<usize>,
    ) -> Option<Source> {
        let Source::Node(index) = source else { return None };
        let node = self.graph_node(index);
        let Operator::Selection(moved) = &node.operator else { return None };
        let before = node.inputs[0];
        let back =
            || places().iter().enumerate().all(|(at, place)| moved.elements[*place] == Some(at as u32));
        (self.source_shape(before) == shape_of(dims) && back()).then_some(before)
    }

    /// All dimensions of a value, the batch among them.
    fn dims_of(&self, node: &Node<'a>, index: usize, value: &Value<'a>) -> Result<Vec<usize>, Error> {
        match value {
            Value::Tensor(tensor) => Ok([&[1], tensor.dims.as_slice()].concat()),
            Value::Constant(constant) => constant.dims(node.input(index)?),
        }
    }

    /// What a value has at these indices of one axis; zero where there is none.
    fn along(
        &mut self,
        node: &Node<'a>,
        value: &Value<'a>,
        axis: usize,
        list: &[Option<usize>],
    ) -> Result<Value<'a>, Error> {
        let dims = self.dims_of(node, 0, value)?;
        let mut lists: Vec<Vec<Option<usize>>> = dims.iter().map(|d| (0..*d).map(Some).collect()).collect();
        lists[axis] = list.to_vec();
        let target: Vec<usize> = lists.iter().map(Vec::len).collect();
        match value {
            Value::Constant(constant) => {
                self.reserve(product(&dims).saturating_add(product(&target)))?;
                let array = constant.array(node.input(0)?)?;
                let places: Option<Vec<usize>> = places(&dims, &lists).into_iter().collect();
                let places = places.ok_or_else(|| node.form("indices within", "others"))?;
                Ok(Value::Constant(super::tensor::Constant::Computed(array.gathered(target, &places).into())))
            }
            Value::Tensor(tensor) => {
                let own = list.iter().enumerate().all(|(i, e)| *e == Some(i)) && list.len() == dims[axis];
                if own {
                    return Ok(value.clone());
                }
                if axis == 0 {
                    return Err(node.form("an axis other than the batch", "axis 0"));
                }
                let source = self.settle(tensor)?;
                let source =
                    self.select(&node.name, source, &target[1..], || places(&dims[1..], &lists[1..]))?;
                Ok(Value::Tensor(Tensor::of(source, target[1..].to_vec(), &node.name).into()))
            }
        }
    }

    pub(super) fn slice(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(5, &["axes", "ends", "starts"])?;
        let mut value = self.value(node, 0)?;
        let given = |importer: &Self, index: usize, name: &str| match node.optional_input(index) {
            Some(_) => importer.integers(node, index),
            None => Ok(node.integers(name)?.map(<[i64]>::to_vec)),
        };
        let missing = || node.form("starts and ends", "none");
        let starts = given(self, 1, "starts")?.ok_or_else(missing)?;
        let ends = given(self, 2, "ends")?.ok_or_else(missing)?;
        let axes = given(self, 3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = given(self, 4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || starts.len() > MAX_RANK {
            return Err(
                node.form("a start, an end and a step for each axis", format!("{} starts", starts.len()))
            );
        }
        for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
            let dims = self.dims_of(node, 0, &value)?;
            let axis = axis_of(node, axis, dims.len())?;
            let list = stepped(dims[axis], start, end, step);
            let list =
                list.filter(|l| !l.is_empty()).ok_or_else(|| node.form("a slice of something", "nothing"))?;
            value = self.along(node, &value, axis, &list)?;
        }
        self.bind(node, value)
    }

    pub(super) fn split(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(2, &["axis", "num_outputs", "split"])?;
        let value = self.value(node, 0)?;
        let dims = self.dims_of(node, 0, &value)?;
        let axis = axis_of(node, node.int("axis", 0)?, dims.len())?;
        let outputs = node.proto.output.len();
        let sizes = match node.optional_input(1) {
            Some(_) => self.integers(node, 1)?,
            None => node.integers("split")?.map(<[i64]>::to_vec),
        };
        let each = dims[axis].div_ceil(outputs.max(1));
        let sizes: Vec<usize> = match sizes {
            Some(sizes) => sizes.into_iter().map(|s| usize::try_from(s).unwrap_or(0)).collect(),
            None => (0..outputs).map(|i| each.min(dims[axis].saturating_sub(i * each))).collect(),
        };
        let whole = sizes.iter().fold(0usize, |sum, s| sum.saturating_add(*s)) == dims[axis];
        if sizes.len() != outputs || !whole || sizes.contains(&0) {
            let expected = format!("{outputs} parts of {} in all", dims[axis]);
            return Err(node.form(expected, format!("{:?}", &sizes[..sizes.len().min(MAX_RANK)])));
        }
        let mut first = 0;
        for (name, size) in node.proto.output.iter().zip(sizes) {
            let list: Vec<_> = (first..first + size).map(Some).collect();
            let part = self.along(node, &value, axis, &list)?;
            self.bind_name(name, part)?;
            first += size;
        }
        Ok(())
    }

    pub(super) fn gather(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(2, &["axis"])?;
        let value = self.value(node, 0)?;
        let dims = self.dims_of(node, 0, &value)?;
        let axis = axis_of(node, node.int("axis", 0)?, dims.len())?;
        let indices = self.constant(node, 1)?;
        let rank = indices.dims(node.input(1)?)?.len();
        let extent = dims[axis] as i64;
        let index =
            |i: i64| usize::try_from(if i < 0 { i + extent } else { i }).ok().filter(|i| *i < dims[axis]);
        let list: Option<Vec<_>> =
            indices.integers(node.input(1)?)?.into_iter().map(|i| index(i).map(Some)).collect();
        let list =
            list.filter(|_| rank < 2).ok_or_else(|| node.form("a list of indices within", "others"))?;
        if rank == 0 && axis == 0 && matches!(value, Value::Tensor(_)) {
            return Err(node.form("an axis other than the batch", "axis 0"));
        }
        let gathered = self.along(node, &value, axis, &list)?;
        if rank == 1 {
            return self.bind(node, gathered);
        }
        match gathered {
            Value::Constant(constant) => {
                let mut array = constant.array(node.input(0)?)?;
                array.dims.remove(axis);
                self.bind_array(node, array)
            }
            Value::Tensor(tensor) => {
                let mut dims = tensor.dims.clone();
                dims.remove(axis - 1);
                let source = self.settle(&tensor)?;
                self.reshape_to(node, source, dims)
            }
        }
    }

    /// Binds a node's output to a tensor under other dimensions.
    fn reshape_to(&mut self, node: &Node<'a>, source: Source, dims: Vec<usize>) -> Result<(), Error> {
        self.push_bound(node, Operator::Reshape(shape_of(&dims)), vec![source], |_| dims)
    }

    pub(super) fn concatenation(&mut self, node: &Node<'a>) -> Result<(), Error> {
        let inputs = node.proto.input.len();
        node.only(inputs, &["axis"])?;
        let values: Vec<Value<'a>> = (0..inputs).map(|i| self.value(node, i)).collect::<Result<_, _>>()?;
        let constants = values.iter().filter(|v| matches!(v, Value::Constant(_))).count();
        if constants == inputs && inputs > 0 {
            return self.constants_in_a_row(node, inputs);
        }
        if constants > 0 {
            return Err(node.form("tensors that depend on the image, or constants", "both"));
        }
        let mut read = vec![];
        for index in 0..inputs {
            read.push(self.read(node, index)?);
        }
        let first =
            read.first().map(|(_, dims)| dims.clone()).ok_or_else(|| node.form("an input", "none"))?;
        let axis = axis_of(node, node.int("axis", 0)?, first.len() + 1)?;
        if axis == 0 {
            return Err(node.form("the axis of the channels, rows or columns", "that of the batch"));
        }
        let axis = axis - 1;
        let fits = |dims: &[usize]| {
            dims.len() == first.len() && (0..dims.len()).all(|a| a == axis || dims[a] == first[a])
        };
        if let Some((_, other)) = read.iter().find(|(_, dims)| !fits(dims)) {
            let expected = format!("tensors that differ from {first:?} along axis {} only", axis + 1);
            return Err(node.form(expected, format!("{other:?}")));
        }
        let mut target = first;
        target[axis] = read.iter().fold(0usize, |sum, (_, dims)| sum.saturating_add(dims[axis]));
        if axis == 0 {
            let sources = read.into_iter().map(|(source, _)| source).collect();
            return self.push_bound(node, Operator::Concat, sources, |_| target);
        }
        self.side_by_side(node, read, axis, target)
    }

    /// Tensors one after the other along rows or columns: the sum of all, each with zeros where the others
    /// are.
    fn side_by_side(
        &mut self,
        node: &Node<'a>,
        read: Vec<(Source, Vec<usize>)>,
        axis: usize,
        target: Vec<usize>,
    ) -> Result<(), Error> {
        let (mut first, mut sources) = (0, vec![]);
        for (source, dims) in read {
            let mut lists: Vec<Vec<Option<usize>>> =
                dims.iter().map(|d| (0..*d).map(Some).collect()).collect();
            lists[axis] =
                (0..target[axis]).map(|i| i.checked_sub(first).filter(|i| *i < dims[axis])).collect();
            first += dims[axis];
            sources.push(self.select(&node.name, source, &target, || places(&dims, &lists))?);
        }
        self.push_bound(node, Operator::Sum, sources, |_| target)
    }

    /// Vectors of constants one after the other.
    fn constants_in_a_row(&mut self, node: &Node<'a>, inputs: usize) -> Result<(), Error> {
        let mut all = vec![];
        for index in 0..inputs {
            let array = self.constant(node, index)?.array(node.input(index)?)?;
            match (array.dims.len(), array.data) {
                (1, super::array::Data::Integers(values)) => all.extend(values),
                (rank, _) => {
                    let actual = format!("a constant of {rank} dimensions, or of floats");
                    return Err(node.form("vectors of integers, where all is constant", actual));
                }
            }
        }
        self.bind_array(node, Array::integers(all))
    }

    pub(super) fn pad(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(4, &["mode", "pads", "value"])?;
        let mode = node.string("mode", "constant")?;
        let value = match node.optional_input(2) {
            Some(name) => self.constant(node, 2)?.array(name)?.to_floats().first().copied().unwrap_or(0.0),
            None => node.float("value", 0.0)?,
        };
        if mode != "constant" || value != 0.0 {
            return Err(node.form("padding with zeros", format!("mode {mode:?}, value {value}")));
        }
        let mut tensor = self.value(node, 0)?;
        let rank = self.dims_of(node, 0, &tensor)?.len();
        let pads = match node.optional_input(1) {
            Some(_) => self.integers(node, 1)?,
            None => node.integers("pads")?.map(<[i64]>::to_vec),
        };
        let axes = self.integers(node, 3)?.unwrap_or_else(|| (0..rank as i64).collect());
        let pads = pads.filter(|pads| pads.len() == 2 * axes.len());
        let pads =
            pads.ok_or_else(|| node.form(format!("two pads for each of {} axes", axes.len()), "others"))?;
        let (before, after) = pads.split_at(axes.len());
        for ((axis, before), after) in axes.iter().zip(before).zip(after) {
            let axis = axis_of(node, *axis, rank)?;
            let extent = self.dims_of(node, 0, &tensor)?[axis] as i64;
            let most = crate::limits::DIMENSION as i64;
            let left = extent.saturating_add(*before).saturating_add(*after);
            if before.abs() > most || after.abs() > most || !(1..=2 * most.max(extent)).contains(&left) {
                return Err(
                    node.form("padding that leaves something", format!("{before} and {after} of {extent}"))
                );
            }
            let list: Vec<_> = (0..left)
                .map(|i| usize::try_from(i - before).ok().filter(|i| (*i as i64) < extent))
                .collect();
            tensor = self.along(node, &tensor, axis, &list)?;
        }
        self.bind(node, tensor)
    }

    pub(super) fn resize(&mut self, node: &Node<'a>) -> Result<(), Error> {
        let attributes = [
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "mode",
            "nearest_mode",
            "exclude_outside",
            "scales",
        ];
        node.only(4, &attributes)?;
        let old = node.operator() == "Upsample";
        let mode = node.string("mode", "nearest")?;
        if mode != "nearest" {
            return Err(node.form("mode nearest", mode));
        }
        let mut value = self.value(node, 0)?;
        let dims = self.dims_of(node, 0, &value)?;
        // Before operator set 11 a Resize was what an Upsample is.
        let old = old || node.proto.input.len() == 2;
        let targets = self.resize_targets(node, &dims, if old { 1 } else { 2 })?;
        let coordinates = node.string("coordinate_transformation_mode", "half_pixel")?;
        let rounding = node.string("nearest_mode", "round_prefer_floor")?;
        let (coordinates, rounding) =
            if old { ("asymmetric", "floor") } else { (coordinates.as_str(), rounding.as_str()) };
        for (axis, target) in targets.into_iter().enumerate().filter(|(axis, target)| *target != dims[*axis])
        {
            if target % dims[axis] != 0 {
                let expected = "whole factors";
                return Err(node.form(expected, format!("{} to {target} along axis {axis}", dims[axis])));
            }
            let nearest = |at| nearest(at, target / dims[axis], dims[axis], coordinates, rounding);
            let list: Option<Vec<_>> = (0..target).map(|at| nearest(at).map(Some)).collect();
            let list = list.ok_or_else(|| {
                node.form(
                    "half_pixel, pytorch_half_pixel or asymmetric, and rounding",
                    format!("{coordinates}, {rounding}"),
                )
            })?;
            value = self.along(node, &value, axis, &list)?;
        }
        self.bind(node, value)
    }

    /// The extents that a tensor is to have, by factors at input `scales`, or by sizes after it.
    fn resize_targets(&self, node: &Node<'a>, dims: &[usize], scales: usize) -> Result<Vec<usize>, Error> {
        let most = crate::limits::DIMENSION as f64;
        let factors = match node.optional_input(scales) {
            Some(name) => self.constant(node, scales)?.array(name)?.to_floats(),
            None => vec![],
        };
        let sizes = self.integers(node, scales + 1)?.unwrap_or_default();
        let by_factor = factors.iter().zip(dims).map(|(factor, d)| (factor * *d as f64).floor());
        let targets: Vec<f64> = match factors.is_empty() {
            false => by_factor.collect(),
            true => sizes.iter().map(|s| *s as f64).collect(),
        };
        let sound = |t: &f64| (1.0..=most).contains(t);
        if targets.len() != dims.len() || !targets.iter().all(sound) {
            return Err(
                node.form(format!("a factor for each of {} axes", dims.len()), format!("{targets:?}"))
            );
        }
        Ok(targets.into_iter().map(|t| t as usize).collect())
    }
}

/// The element that is nearest to one of the larger tensor; `None` for a rule that is not known.
fn nearest(at: usize, factor: usize, extent: usize, coordinates: &str, rounding: &str) -> Option<usize> {
    let (at, factor) = (at as f64, factor as f64);
    let place = match coordinates {
        "half_pixel" | "pytorch_half_pixel" => (at + 0.5) / factor - 0.5,
        "asymmetric" => at / factor,
        _ => return None,
    };
    let rounded = match rounding {
        "round_prefer_floor" => (place - 0.5).ceil(),
        "round_prefer_ceil" => (place + 0.5).floor(),
        "floor" => place.floor(),
        "ceil" => place.ceil(),
        _ => return None,
    };
    Some(rounded.clamp(0.0, extent as f64 - 1.0) as usize)
}

/// The indices of a slice; `None` for a step of zero.
fn stepped(extent: usize, start: i64, end: i64, step: i64) -> Option<Vec<Option<usize>>> {
    let extent = extent as i64;
    let place = |value: i64| if value < 0 { value.saturating_add(extent) } else { value };
    let (start, end) = match step {
        0 => return None,
        1.. => (place(start).clamp(0, extent), place(end).clamp(0, extent)),
        _ => (place(start).clamp(0, extent - 1), place(end).clamp(-1, extent - 1)),
    };
    let mut list = vec![];
    let mut at = start;
    while (step > 0 && at < end) || (step < 0 && at > end) {
        list.push(usize::try_from(at).ok());
        at = at.saturating_add(step);
    }
    Some(list)
}

/// An axis, counted from the end where it is negative.
fn axis_of(node: &Node<'_>, axis: i64, rank: usize) -> Result<usize, Error> {
    let place = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    let place = usize::try_from(place).ok().filter(|place| *place < rank);
    place.ok_or_else(|| node.form(format!("an axis of {rank} dimensions"), axis.to_string()))
}

fn flattened(node: &Node<'_>, dims: &[usize]) -> Result<Vec<usize>, Error> {
    node.only(1, &["axis"])?;
    let axis = node.int("axis", 1)?;
    if axis != 1 && axis != 1 - dims.len() as i64 {
        return Err(node.form("axis 1", axis.to_string()));
    }
    Ok(vec![dims.first().copied().unwrap_or(1), product(dims.get(1..).unwrap_or(&[]))])
}
