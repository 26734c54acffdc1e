"""The networks that are compared, with random weights: what an encrypted run takes does not depend on them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Conv:
    """A convolution with a square kernel and zero padding."""

    maps: int
    kernel: int
    stride: int
    padding: int


@dataclass(frozen=True)
class Dense:
    """A fully connected layer."""

    units: int


SIDE = 28
"""Images are SIDE x SIDE, of one channel."""

# Between any two layers there is a square.
NETWORKS = {
    "cryptonets-mnist": (Conv(5, 5, 2, 1), Dense(100), Dense(10)),
    "conv2x2-mnist": (Conv(5, 2, 2, 0), Dense(100), Dense(10)),
    "mlp-mnist": (Dense(128), Dense(128), Dense(10)),
    "tutorial-mnist": (Conv(4, 7, 3, 0), Dense(64), Dense(10)),
    "lenet-mnist": (Conv(32, 5, 2, 2), Conv(64, 5, 2, 2), Dense(512), Dense(10)),
}


def weights(name, seed=1):
    """For each layer its weights, [maps, channels, kernel, kernel] or [units, inputs], and biases.

    Values stay about one from layer to layer, scores about a tenth: the scale that both libraries leave for results holds a few units.
    """
    random = np.random.default_rng(seed)
    layers, shape, spread = [], (1, SIDE, SIDE), 1.0
    for index, layer in enumerate(NETWORKS[name]):
        if isinstance(layer, Conv):
            side = (shape[1] + 2 * layer.padding - layer.kernel) // layer.stride + 1
            size, shape = (layer.maps, shape[0], layer.kernel, layer.kernel), (layer.maps, side, side)
        else:
            size, shape = (layer.units, int(np.prod(shape))), (layer.units,)
        if index + 1 == len(NETWORKS[name]):
            spread = 0.1
        fan_in = np.prod(size[1:])
        layers.append((random.normal(0, spread / fan_in**0.5, size), random.normal(0, spread / 10, size[0])))
        spread = 0.5
    return layers


def image(seed=2):
    """Pixels from 0 to 1."""
    return np.random.default_rng(seed).random((SIDE, SIDE))


def windows(pixels, layer):
    """The pixels that each position of a convolution's window covers, [positions, channels * kernel * kernel]."""
    channels, side, _ = pixels.shape
    padded = np.pad(pixels, ((0, 0), (layer.padding,) * 2, (layer.padding,) * 2))
    starts = range(0, side + 2 * layer.padding - layer.kernel + 1, layer.stride)
    cut = [padded[:, y : y + layer.kernel, x : x + layer.kernel].ravel() for y in starts for x in starts]
    return np.array(cut)


def infer(name, pixels):
    """The scores in the clear."""
    values = pixels[None]
    for index, (layer, (weight, bias)) in enumerate(zip(NETWORKS[name], weights(name))):
        if index > 0:
            values = values**2
        if isinstance(layer, Conv):
            rows = windows(values, layer) @ weight.reshape(layer.maps, -1).T + bias
            side = int(len(rows) ** 0.5)
            values = rows.T.reshape(layer.maps, side, side)
        else:
            values = weight @ values.ravel() + bias
    return values
