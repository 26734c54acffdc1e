//! Selections that are convolutions by 1x1 kernels: slices with steps, padding, and channels in another
//! order.

use crate::layer::{Bias, Convolution, Padding};
use crate::{Selection, Shape};

/// The most weights of a convolution that stands for a selection.
const MOST_WEIGHTS: usize = 1 << 20;

/// The 1x1 convolution whose channel `o` is the channel `of(o)`, or zero.
pub(super) fn of_channels(inputs: usize, outputs: usize, of: impl Fn(usize) -> Option<usize>) -> Convolution {
    let own = inputs == outputs && (0..outputs).all(|o| of(o).is_none_or(|i| i == o));
    let (groups, taps) = if own { (outputs, 1) } else { (1, inputs) };
    let mut weights = vec![0.0; outputs * taps];
    for o in 0..outputs {
        if let Some(i) = of(o) {
            weights[o * taps + if own { 0 } else { i }] = 1.0;
        }
    }
    Convolution {
        input_channels: inputs,
        output_channels: outputs,
        groups,
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding::default(),
        weights,
        bias: Bias::PerChannel(vec![0.0; outputs]),
    }
}

/// The convolution that a selection is, if it is one.
pub(super) fn window(selection: &Selection, from: Shape) -> Option<Convolution> {
    let to = selection.shape;
    let place = |element: usize, shape: Shape| {
        [element / shape.positions(), element / shape.width % shape.height, element % shape.width]
    };
    let chosen = || {
        let elements = selection.elements.iter().enumerate();
        elements.filter_map(|(o, e)| Some((place(o, to), place((*e)? as usize, from))))
    };
    let (first, source) = chosen().next()?;
    let mut channels = vec![None; to.channels];
    chosen().for_each(|(o, i)| channels[o[0]] = Some(i[0]));
    let own =
        from.channels == to.channels && channels.iter().enumerate().all(|(o, i)| i.is_none_or(|i| i == o));
    if !own && from.channels.saturating_mul(to.channels) > MOST_WEIGHTS {
        return None;
    }
    let axis = |axis: usize| {
        let other = chosen().find(|(o, _)| o[axis] != first[axis]);
        let stride = match other {
            Some((o, i)) => {
                let (steps, distance) =
                    (o[axis].checked_sub(first[axis])?, i[axis].checked_sub(source[axis])?);
                (distance % steps == 0).then_some(distance / steps)?
            }
            None => 1,
        };
        let before = (first[axis] * stride).checked_sub(source[axis])?;
        let [inputs, outputs] = [from, to].map(|shape| [shape.height, shape.width][axis - 1]);
        let after = ((outputs - 1) * stride + 1).saturating_sub(inputs + before);
        (stride > 0 && (inputs + before + after - 1) / stride + 1 == outputs)
            .then_some((stride, before, after))
    };
    let ((down, top, bottom), (right, left, after)) = (axis(1)?, axis(2)?);
    let inside = |at: usize, stride: usize, before: usize, extent: usize| {
        (at * stride).checked_sub(before).filter(|at| *at < extent)
    };
    let same = selection.elements.iter().enumerate().all(|(o, element)| {
        let [c, y, x] = place(o, to);
        let (y, x) = (inside(y, down, top, from.height), inside(x, right, left, from.width));
        let expected =
            channels[c].zip(y).zip(x).map(|((c, y), x)| ((c * from.height + y) * from.width + x) as u32);
        expected == *element
    });
    same.then(|| Convolution {
        stride: [down, right],
        padding: Padding { top, left, bottom, right: after },
        ..of_channels(from.channels, to.channels, |o| channels[o])
    })
}
