"""The trainable network: batch norm after every linear layer but the last, so that squares stay tame.

`fold` takes batch norm away again, exactly, and leaves the plain chain that is exported.
"""

import torch
from torch import nn

from networks import Conv, Dense, Square
from plain import PlainConv, PlainDense, PlainSquare


class SquareActivation(nn.Module):
    """x^2."""

    def forward(self, x):
        return x * x


def build(spec, shape, classes):
    """The trainable network of `spec` for inputs of `shape` (channels, height, width)."""
    if not isinstance(spec.layers[-1], Dense) or spec.layers[-1].units != classes:
        raise ValueError(f"{spec.name}: the last layer must be Dense({classes}), it is {spec.layers[-1]}")
    modules = []
    for index, layer in enumerate(spec.layers):
        last = index == len(spec.layers) - 1
        match layer:
            case Conv(maps, kernel, stride, padding):
                modules.append(nn.Conv2d(shape[0], maps, kernel, stride, padding, bias=last))
                shape = (maps, *((side + 2 * padding - kernel) // stride + 1 for side in shape[1:]))
                modules += [] if last else [nn.BatchNorm2d(maps)]
            case Dense(units):
                modules += [nn.Flatten()] if len(shape) == 3 else []
                modules.append(nn.Linear(torch.Size(shape).numel(), units, bias=last))
                shape = (units,)
                modules += [] if last else [nn.BatchNorm1d(units)]
            case Square():
                modules.append(SquareActivation())
    return nn.Sequential(*modules)


def _folded(linear, norm):
    """Weight and bias of `linear` followed by batch norm at inference (or by nothing), in float64."""
    weight = linear.weight.detach().double()
    bias = torch.zeros(len(weight), dtype=torch.float64) if linear.bias is None else linear.bias.detach().double()
    if norm is None:
        return weight, bias
    gain = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    offset = norm.bias.detach().double() - gain * norm.running_mean.double()
    return weight * gain.view(-1, *[1] * (weight.dim() - 1)), bias * gain + offset


def fold(model):
    """The plain layers that compute what `model` computes at inference, batch norm folded in."""
    modules = list(model)
    layers = []
    for module, after in zip(modules, [*modules[1:], None]):
        norm = after if isinstance(after, (nn.BatchNorm1d, nn.BatchNorm2d)) else None
        match module:
            case nn.Conv2d():
                layers.append(PlainConv(*_folded(module, norm), module.stride[0], module.padding[0]))
            case nn.Linear():
                layers.append(PlainDense(*_folded(module, norm)))
            case SquareActivation():
                layers.append(PlainSquare())
    return layers
