//! Arrays of numbers, and how they become a network's input.

use std::borrow::Cow;

use blindsight_network::Shape;

use crate::{Error, InputSpec};

/// The numbers of an array in C order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// Unsigned bytes: pixels.
    Bytes(Vec<u8>),
    /// Anything else.
    Numbers(Vec<f64>),
}

/// An array of any rank.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array {
    pub shape: Vec<usize>,
    pub values: Values,
}

/// In which order an array has the elements of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Channel, row, column.
    ChannelsFirst,
    /// Row, column, channel.
    ChannelsLast,
}

impl Order {
    /// How an array of shape `found` is an input of `expected`, if at all. Axes of one element do not count,
    /// a vector takes any array of as many elements, and channels may come last.
    pub fn of(found: &[usize], expected: Shape) -> Option<Self> {
        let without_ones = |axes: &[usize]| axes.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
        let Shape { channels, height, width } = expected;
        let axes = without_ones(found);
        let elements = found.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        let flat = expected.is_vector() && elements == Some(expected.elements());
        if flat || axes == without_ones(&[channels, height, width]) {
            Some(Self::ChannelsFirst)
        } else {
            (axes == without_ones(&[height, width, channels])).then_some(Self::ChannelsLast)
        }
    }

    /// As [`of`](Self::of), or the refusal.
    pub fn check(found: &[usize], spec: &InputSpec, place: &str) -> Result<Self, Error> {
        Self::of(found, spec.shape())
            .ok_or_else(|| Error::unfit(place, format!("an array of {}", wanted(spec)), axes(found)))
    }

    /// The elements in the network's order.
    pub fn arrange<T: Copy>(self, values: &[T], shape: Shape) -> Vec<T> {
        match self {
            Self::ChannelsFirst => values.to_vec(),
            Self::ChannelsLast => {
                let channel = |c| values.iter().skip(c).step_by(shape.channels).copied();
                (0..shape.channels).flat_map(channel).collect()
            }
        }
    }
}

/// The shape that a network takes, as an array's.
pub(crate) fn wanted(spec: &InputSpec) -> String {
    let Shape { channels, height, width } = spec.shape();
    if spec.shape().is_vector() { axes(&[channels]) } else { axes(&[channels, height, width]) }
}

/// A shape as numpy writes it.
pub(crate) fn axes(shape: &[usize]) -> String {
    format!("{shape:?}")
}

impl Values {
    /// The input number `n` of as many as there are, normalised.
    pub fn input(&self, n: usize, order: Order, spec: &InputSpec) -> Result<Vec<f64>, Error> {
        let (shape, each) = (spec.shape(), spec.shape().elements());
        match self {
            Self::Bytes(bytes) => spec.pixels(order.arrange(&bytes[n * each..][..each], shape)),
            Self::Numbers(numbers) => spec.numbers(order.arrange(&numbers[n * each..][..each], shape)),
        }
    }

    /// Refuses the first number that is none.
    pub fn check_finite(&self, shape: &[usize], place: &str) -> Result<(), Error> {
        let Self::Numbers(numbers) = self else { return Ok(()) };
        let Some(at) = numbers.iter().position(|number| !number.is_finite()) else { return Ok(()) };
        let place = format!("{place}, element {:?}", index(at, shape));
        Err(Error::unfit(place, "a finite number", numbers[at].to_string()))
    }

    /// All as floating-point numbers.
    pub fn numbers(&self) -> Cow<'_, [f64]> {
        match self {
            Self::Bytes(bytes) => bytes.iter().map(|&byte| byte.into()).collect(),
            Self::Numbers(numbers) => numbers.into(),
        }
    }
}

/// The index of element `at` in C order.
fn index(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&n| {
            let own = at % n.max(1);
            at /= n.max(1);
            own
        })
        .collect();
    index.reverse();
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_that_fit_and_that_do_not() {
        let rgb = Shape::new(3, 4, 5);
        let cases: [(&[usize], Shape, Option<Order>); 11] = [
            (&[3, 4, 5], rgb, Some(Order::ChannelsFirst)),
            (&[1, 3, 4, 5], rgb, Some(Order::ChannelsFirst)),
            (&[4, 5, 3], rgb, Some(Order::ChannelsLast)),
            (&[4, 3, 5], rgb, None),
            (&[60], rgb, None),
            (&[28, 28], Shape::new(1, 28, 28), Some(Order::ChannelsFirst)),
            (&[28, 28, 1], Shape::new(1, 28, 28), Some(Order::ChannelsFirst)),
            (&[28, 28], Shape::vector(784), Some(Order::ChannelsFirst)),
            (&[30], Shape::vector(30), Some(Order::ChannelsFirst)),
            (&[29], Shape::vector(30), None),
            (&[usize::MAX, 2], Shape::vector(30), None),
        ];
        for (found, expected, order) in cases {
            assert_eq!(Order::of(found, expected), order, "{found:?} {expected}");
        }
    }

    #[test]
    fn channels_that_come_last_are_put_first() {
        let values: Vec<usize> = (0..12).collect();
        let arranged = Order::ChannelsLast.arrange(&values, Shape::new(3, 2, 2));
        assert_eq!(arranged, [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
    }

    #[test]
    fn the_place_of_what_is_no_number_is_told() {
        let values = Values::Numbers((0..6).map(|i| if i == 5 { f64::NAN } else { 0.0 }).collect());
        let said = values.check_finite(&[2, 3], "x.npy").expect_err("NaN").to_string();
        assert!(said.contains("x.npy, element [1, 2]") && said.contains("NaN"), "{said}");
    }
}
