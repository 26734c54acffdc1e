"""The trainable network: batch norm after every linear layer but the last, so that squares stay tame.

`fold` takes batch norm away again, exactly, and leaves the plain chain that is exported. Batch norm's own gain and
offset before a square make it any quadratic with one root, so no other coefficients are learned.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from networks import Conv, Dense, MaxPool, MeanPool, Relu, Residual, Square
from plain import PlainConv, PlainDense, PlainSquare

FAR_OUT = 4.0
"""Values before a square of more than so many times the layer's root mean square are penalised."""


class SquareActivation(nn.Module):
    """x^2.

    `penalise` is the share of a batch of which a training step leaves the mean square of what lies far out, for the loss to take.
    """

    def __init__(self):
        super().__init__()
        self.penalise, self._excess = 0.0, None

    def forward(self, x):
        if self.penalise and self.training:
            sample = x[: math.ceil(self.penalise * len(x))]
            spread = sample.detach().square().mean(dtype=torch.float32).sqrt()
            beyond = F.relu(sample.abs() - FAR_OUT * spread)
            self._excess = beyond.square().mean(dtype=torch.float32) / spread.square()
        return x * x

    def take_excess(self):
        """What the last step left, once."""
        excess, self._excess = self._excess, None
        return excess


class ResidualModule(nn.Module):
    """What `branch` makes of the input, added to it."""

    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        return x + self.branch(x)


class MeanPoolModule(nn.Module):
    """Each map's mean over its `places`."""

    def __init__(self, places):
        super().__init__()
        self.places = places

    def forward(self, x):
        return x.mean((2, 3), keepdim=True)


def build(spec, shape, classes):
    """The trainable network of `spec` for inputs of `shape` (channels, height, width)."""
    if not isinstance(spec.layers[-1], Dense) or spec.layers[-1].units != classes:
        raise ValueError(f"{spec.name}: the last layer must be Dense({classes}), it is {spec.layers[-1]}")
    modules, shape = _modules(spec.layers[:-1], shape, spec.recipe.square_start)
    if spec.recipe.dropout:
        modules.append(nn.Dropout(spec.recipe.dropout))
    modules += [nn.Flatten()] if len(shape) == 3 else []
    modules.append(nn.Linear(torch.Size(shape).numel(), classes))
    return nn.Sequential(*modules)


def _modules(layers, shape, square_start):
    """The modules of hidden `layers`, and the shape that comes out of them."""
    modules = []
    for layer, after in zip(layers, [*layers[1:], None]):
        match layer:
            case Conv(maps, kernel, stride, padding):
                modules.append(nn.Conv2d(shape[0], maps, kernel, stride, padding, bias=False))
                shape = (maps, *((side + 2 * padding - kernel) // stride + 1 for side in shape[1:]))
                modules.append(_norm(nn.BatchNorm2d(maps), after, square_start))
            case Dense(units):
                modules += [nn.Flatten()] if len(shape) == 3 else []
                modules.append(nn.Linear(torch.Size(shape).numel(), units, bias=False))
                shape = (units,)
                modules.append(_norm(nn.BatchNorm1d(units), after, square_start))
            case Square():
                modules.append(SquareActivation())
            case MeanPool():
                modules.append(MeanPoolModule(shape[1] * shape[2]))
                shape = (shape[0], 1, 1)
            case Relu():
                modules.append(nn.ReLU(inplace=True))
            case MaxPool():
                modules.append(nn.MaxPool2d(2))
                shape = (shape[0], shape[1] // 2, shape[2] // 2)
            case Residual(inside):
                modules.append(ResidualModule(nn.Sequential(*_modules(inside, shape, square_start)[0])))
    return modules, shape


def _norm(norm, after, square_start):
    """`norm` with the gain and offset that it starts from."""
    if isinstance(after, Square):
        nn.init.constant_(norm.weight, square_start[0])
        nn.init.constant_(norm.bias, square_start[1])
    return norm


def squares(model):
    """The square activations of `model`."""
    return [module for module in model.modules() if isinstance(module, SquareActivation)]


@torch.no_grad()
def settle(model, batches):
    """Sets batch norm's statistics to the medians, over `batches`, of each batch's; leaves the model in evaluation mode."""
    norms = [module for module in model.eval().modules() if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0  # what runs is what the last batch had
    found = []
    for batch in batches:
        model(batch)
        found.append([(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms])
    for norm, of_norm in zip(norms, zip(*found)):
        norm.running_mean, norm.running_var = (torch.stack(values).median(0).values for values in zip(*of_norm))
    model.eval()


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
    layers, places = [], 1
    for module, after in zip(modules, [*modules[1:], None]):
        norm = after if isinstance(after, (nn.BatchNorm1d, nn.BatchNorm2d)) else None
        match module:
            case nn.Conv2d():
                layers.append(PlainConv(*_folded(module, norm), module.stride[0], module.padding[0]))
            case nn.Linear():
                weight, bias = _folded(module, norm)
                layers.append(PlainDense(weight.repeat_interleave(places, 1) / places, bias))
                places = 1
            case MeanPoolModule():
                places = module.places
            case SquareActivation():
                layers.append(PlainSquare())
            case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.Flatten() | nn.Dropout():
                pass  # folded, implied by a dense layer, or of training alone
            case _:
                raise ValueError(f"{module} has no counterpart among encrypted operations")
    return layers
