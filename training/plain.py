"""The plain chain of layers at inference, and the rescaling that keeps its values small.

Squares are homogeneous: scaling a unit before its square by s and dividing the weights that read it by s^2
changes no score. `equalise` uses that freedom to give every unit the same largest value.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

LARGEST = 5.0
"""Largest |value| of every unit before a square over the training set; its square is at most 25."""

SCORE_RMS, SCORE_LARGEST = 5.0, 30.0
"""Root mean square of the scores over the training set, or less where the largest would exceed the second."""

CHUNK = 5_000


@dataclass(frozen=True)
class PlainConv:
    """A convolution: weight [maps, channels, kernel, kernel], bias [maps]."""

    weight: torch.Tensor
    bias: torch.Tensor
    stride: int
    padding: int
    kind = "conv"

    def __call__(self, x):
        return F.conv2d(x, self.weight.to(x.dtype), self.bias.to(x.dtype), self.stride, self.padding)


@dataclass(frozen=True)
class PlainDense:
    """A fully connected layer: weight [units, inputs], bias [units]."""

    weight: torch.Tensor
    bias: torch.Tensor
    kind = "dense"

    def __call__(self, x):
        return F.linear(x.flatten(1), self.weight.to(x.dtype), self.bias.to(x.dtype))


@dataclass(frozen=True)
class PlainSquare:
    """x^2."""

    kind = "square"

    def __call__(self, x):
        return x * x


def halved(layers):
    """The layers with weights that half precision holds, each the nearest; biases are few, and stay."""
    return [
        replace(layer, weight=layer.weight.half().to(layer.weight.dtype)) if hasattr(layer, "weight") else layer
        for layer in layers
    ]


def names(layers):
    """A name for each layer: its kind and its number among its kind."""
    return [f"{layer.kind}{sum(other.kind == layer.kind for other in layers[: i + 1])}" for i, layer in enumerate(layers)]


def run(layers, x):
    """The outputs of every layer for a batch `x`, in its precision."""
    outputs = []
    for layer in layers:
        x = layer(x)
        outputs.append(x)
    return outputs


def scores(layers, images):
    """The scores of all `images`, a chunk at a time."""
    return torch.cat([run(layers, chunk)[-1] for chunk in images.split(CHUNK)])


def exceeded(values, tail):
    """The size that at most a share of `tail` of the |values| in each row exceed."""
    return values.abs().topk(max(1, math.ceil(tail * values.shape[1])), dim=1).values[:, -1]


def _unit_sizes(layers, images, tail):
    """For each of `layers` before a square, by its place, what a share of `tail` of each unit's (map's) |values| exceed."""
    sizes = {}
    for chunk in images.split(CHUNK):
        for i, out in enumerate(run(layers, chunk)[:-1]):
            if layers[i + 1].kind == "square":
                sizes.setdefault(i, []).append(exceeded(out.transpose(0, 1).flatten(1), tail))
    combine = (lambda found: found.mean(0)) if tail else (lambda found: found.amax(0))
    return {i: combine(torch.stack(found)) for i, found in sizes.items()}


def _scale_outputs(layer, factors):
    by_unit = factors.view(-1, *[1] * (layer.weight.dim() - 1))
    return replace(layer, weight=layer.weight * by_unit, bias=layer.bias * factors)


def _scale_inputs(layer, factors):
    if isinstance(layer, PlainConv):
        return replace(layer, weight=layer.weight * factors.view(1, -1, 1, 1))
    return replace(layer, weight=layer.weight * factors.repeat_interleave(layer.weight.shape[1] // len(factors)))


def equalise(layers, images, tail=0.0):
    """The same classifier with every unit before a square at most `LARGEST` over `images`, scores of mean zero
    over the classes (a common offset decides nothing), and their size as `SCORE_RMS` and `SCORE_LARGEST` say; but for a
    share of `tail` of the values, which may be larger.

    `layers` alternate between linear layers and squares, and end in a dense layer.
    """
    layers = list(layers)
    for i, sizes in _unit_sizes(layers, images, tail).items():
        factors = LARGEST / sizes.clamp(min=1e-9)
        layers[i] = _scale_outputs(layers[i], factors)
        layers[i + 2] = _scale_inputs(layers[i + 2], factors**-2)
    last = layers[-1]
    layers[-1] = replace(last, weight=last.weight - last.weight.mean(0), bias=last.bias - last.bias.mean())
    found = scores(layers, images)
    large = exceeded(found.flatten()[None], tail)[0]
    usual = found.clamp(-large, large).square().mean().sqrt()
    factor = torch.minimum(SCORE_RMS / usual, SCORE_LARGEST / large)
    layers[-1] = _scale_outputs(layers[-1], factor.expand(len(last.bias)))
    return layers


def without_dead_units(layers):
    """The same scores from layers whose live units come first: a unit that the next layer does not read goes last, its
    weights and bias zero.

    Only a dense layer's units are looked at, before a square and a dense layer.
    """
    layers = list(layers)
    for i in range(1, len(layers), 2):
        unit, reader = layers[i - 1], layers[i + 1]
        if isinstance(unit, PlainDense):
            read = (reader.weight != 0).any(0)
            order = read.logical_not().long().argsort(stable=True)
            unit = _scale_outputs(unit, read.double())
            layers[i - 1] = replace(unit, weight=unit.weight[order], bias=unit.bias[order])
            layers[i + 1] = replace(reader, weight=reader.weight[:, order])
    return layers


def ranges(layers, images):
    """For each layer, by name, the largest |value| and the root mean square of its output over `images`."""
    largest, squares, count = [0.0] * len(layers), [0.0] * len(layers), [0] * len(layers)
    for chunk in images.split(CHUNK):
        for i, out in enumerate(run(layers, chunk)):
            largest[i] = max(largest[i], out.abs().max().item())
            squares[i] += out.double().square().sum().item()  # a few outliers' squares are beyond float32
            count[i] += out.numel()
    return {
        name: {"max": round(m, 4), "rms": round((s / n) ** 0.5, 4)}
        for name, m, s, n in zip(names(layers), largest, squares, count)
    }
