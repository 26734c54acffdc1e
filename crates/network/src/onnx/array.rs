//! Arithmetic on constants, which leaves none of it to the network.

use crate::layer::product;

/// A constant whose numbers are read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub dims: Vec<usize>,
    pub data: Data,
}

/// The numbers of an [`Array`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Floats(Vec<f64>),
    Integers(Vec<i64>),
}

impl Array {
    /// A vector of integers.
    pub(super) fn integers(values: Vec<i64>) -> Self {
        Self { dims: vec![values.len()], data: Data::Integers(values) }
    }

    pub(super) fn elements(&self) -> usize {
        product(&self.dims)
    }

    /// The numbers as floats.
    pub(super) fn to_floats(&self) -> Vec<f64> {
        match &self.data {
            Data::Floats(values) => values.clone(),
            Data::Integers(values) => values.iter().map(|v| *v as f64).collect(),
        }
    }

    /// The elements at these places, as an array of other dimensions.
    pub(super) fn gathered(&self, dims: Vec<usize>, places: &[usize]) -> Self {
        let data = match &self.data {
            Data::Floats(values) => Data::Floats(places.iter().map(|p| values[*p]).collect()),
            Data::Integers(values) => Data::Integers(places.iter().map(|p| values[*p]).collect()),
        };
        Self { dims, data }
    }

    /// `operation` element by element, with broadcasting; `None` where dimensions or types do not fit, or a
    /// whole number overflows.
    pub(super) fn combined(&self, other: &Self, operation: &str) -> Option<Self> {
        let dims = broadcast(&self.dims, &other.dims)?;
        let places = |own: &[usize]| broadcast_places(own, &dims);
        let (left, right) = (places(&self.dims), places(&other.dims));
        let pairs = left.into_iter().zip(right);
        let data = match (&self.data, &other.data) {
            (Data::Integers(a), Data::Integers(b)) => {
                Data::Integers(pairs.map(|(i, j)| whole(a[i], b[j], operation)).collect::<Option<_>>()?)
            }
            (Data::Floats(a), Data::Floats(b)) => {
                Data::Floats(pairs.map(|(i, j)| real(a[i], b[j], operation)).collect::<Option<_>>()?)
            }
            _ => return None,
        };
        Some(Self { dims, data })
    }
}

fn whole(a: i64, b: i64, operation: &str) -> Option<i64> {
    match operation {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        "Div" => a.checked_div(b),
        _ => None,
    }
}

fn real(a: f64, b: f64, operation: &str) -> Option<f64> {
    let value = match operation {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        "Div" => a / b,
        "Pow" => a.powf(b),
        _ => return None,
    };
    value.is_finite().then_some(value)
}

/// The dimensions that two tensors are broadcast to.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |own| dims[own]);
    let one = |axis: usize| match (at(a, axis), at(b, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    (0..rank).map(one).collect()
}

/// The element of a tensor of dimensions `own` that each element of `dims`, which it is broadcast to, is.
pub(super) fn broadcast_places(own: &[usize], dims: &[usize]) -> Vec<usize> {
    let lists: Vec<Vec<usize>> = dims
        .iter()
        .enumerate()
        .map(|(axis, extent)| match (axis + own.len()).checked_sub(dims.len()).map(|axis| own[axis]) {
            Some(own) if own == *extent => (0..*extent).collect(),
            _ => vec![0; *extent],
        })
        .collect();
    let padded: Vec<usize> =
        std::iter::repeat_n(1, dims.len() - own.len()).chain(own.iter().copied()).collect();
    let some = lists.iter().map(|list| list.iter().map(|i| Some(*i)).collect()).collect::<Vec<Vec<_>>>();
    places(&padded, &some).into_iter().flatten().collect()
}

/// For each element of a tensor that has along each axis the listed indices of another, of dimensions `dims`,
/// the element of the other; `None` where one of the indices is none.
pub(super) fn places(dims: &[usize], lists: &[Vec<Option<usize>>]) -> Vec<Option<usize>> {
    let mut places = vec![Some(0)];
    for (extent, list) in dims.iter().zip(lists) {
        let extended = |place: &Option<usize>| {
            let place = *place;
            list.iter().map(move |index| Some(place? * extent + (*index)?))
        };
        places = places.iter().flat_map(extended).collect();
    }
    places
}

/// For each element of a tensor whose axis `i` is the axis `order[i]` of another, of dimensions `dims`, the
/// element of the other.
pub(super) fn transposed_places(dims: &[usize], order: &[usize]) -> Vec<usize> {
    let stride = |axis: usize| product(&dims[axis + 1..]);
    let mut places = vec![0];
    for axis in order {
        let (extent, stride) = (dims[*axis], stride(*axis));
        places = places.iter().flat_map(|place| (0..extent).map(move |i| place + i * stride)).collect();
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_indices() {
        assert_eq!(transposed_places(&[2, 3], &[1, 0]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(broadcast_places(&[3, 1], &[2, 3, 2]), [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
        let lists = [vec![Some(1)], vec![None, Some(0), Some(2)]];
        assert_eq!(places(&[2, 3], &lists), [None, Some(3), Some(5)]);
        assert_eq!(broadcast(&[4, 1, 5], &[3, 1]), Some(vec![4, 3, 5]));
        assert_eq!(broadcast(&[4], &[3]), None);
    }

    #[test]
    fn whole_numbers_that_overflow_are_no_result() {
        let [a, b] = [i64::MAX, 2].map(|v| Array::integers(vec![v]));
        assert_eq!(a.combined(&b, "Mul"), None);
        assert_eq!(b.combined(&b, "Mul"), Some(Array::integers(vec![4])));
    }
}
