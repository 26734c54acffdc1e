"""Inputs as people have them, as the rows of an array that the engine takes.

Images are integers from 0 to 255 or floats from 0 to 1, told by the type; ``mean`` and ``std`` apply to both.
Floats that were normalised already are taken as they are. Everything else is numbers, taken as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from . import _engine
from ._engine import InputError

MOST = 2000
"""How many inputs calibration takes."""


def array(value: Any) -> np.ndarray:
    """An array of a numpy array, a tensor of PyTorch, an image of PIL, or a list. Images of PIL get the order
    channel, row, column."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if hasattr(value, "getbands"):
        pixels = np.asarray(value.convert("L" if len(value.getbands()) == 1 else "RGB"))
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    value = np.asarray(value)
    if value.dtype == object or value.dtype.kind not in "biuf":
        raise InputError(f"an input of type {value.dtype}: numbers are expected")
    return value


def is_image(shape: tuple[int, int, int]) -> bool:
    """Whether a network's input has rows and columns."""
    return shape[1] * shape[2] > 1


def batch(values: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """One input, or several in a batch, as rows."""
    elements = shape[0] * shape[1] * shape[2]
    if values.size == 0 or values.size % elements:
        expected = " x ".join(map(str, shape))
        raise InputError(f"an input of shape {values.shape}: the network takes {expected}")
    single = values.size == elements
    if not single and int(np.prod(values.shape[1:])) != elements:
        expected = " x ".join(map(str, shape))
        raise InputError(f"inputs of shape {values.shape}: the network takes {expected} each")
    return np.ascontiguousarray(values.reshape(-1, elements))


def check_pixels(values: np.ndarray) -> np.ndarray:
    """Integers as pixels."""
    if values.size and (values.min() < 0 or values.max() > 255):
        raise InputError(
            f"pixels from {values.min()} to {values.max()}: integers are pixels from 0 to 255 "
            "(give floats for anything else)"
        )
    return values.astype(np.uint8)


def by_channel(values: list[float], shape: tuple[int, int, int]) -> np.ndarray:
    """A value for each channel as one for each element."""
    return np.repeat(np.asarray(values, dtype=np.float64), shape[1] * shape[2])


def normalised(source: Any, values: np.ndarray, facts: dict[str, Any], are_normalised: bool) -> np.ndarray:
    """The network's inputs for values as they came; ``source`` normalises pixels."""
    shape = tuple(facts["shape"])
    if not np.all(np.isfinite(values)):
        place = int(np.argmin(np.isfinite(values).ravel()))
        raise InputError(f"value {place} is {values.ravel()[place]}: finite numbers are expected")
    rows = batch(values, shape)
    if values.dtype.kind in "iub" and is_image(shape):
        return source.normalised(check_pixels(rows))
    rows = rows.astype(np.float64)
    if are_normalised or not is_image(shape):
        return rows
    return (rows - by_channel(facts["mean"], shape)) / by_channel(facts["std"], shape)


class Samples:
    """Calibration or test data: inputs as rows, and their classes where these are known."""

    def __init__(self, inputs: np.ndarray, labels: list[int] | None, names: list[str] | None, as_given: bool):
        self.inputs, self.labels, self.names = inputs, labels, names
        self.floats_are_normalised = as_given


def samples(network: _engine.Network, facts: dict[str, Any], data: Any, count: int = MOST, test: bool = False) -> Samples:
    """Inputs of a folder or file, of an array or a pair of arrays, or of a loader that yields batches."""
    if isinstance(data, (str, os.PathLike)):
        inputs, classes, names = network.samples(os.fspath(data), count, test)
        return Samples(inputs, classes or None, names, False)
    values, labels = gathered(data, tuple(facts["shape"]), count)
    outside = values.dtype.kind == "f" and (values.min(initial=0) < -1e-6 or values.max(initial=0) > 1 + 1e-6)
    inputs = normalised(network, values, facts, bool(outside))
    return Samples(inputs, labels, None, bool(outside))


def gathered(data: Any, shape: tuple[int, int, int], count: int) -> tuple[np.ndarray, list[int] | None]:
    """The first inputs of data, and their classes where they come with some."""
    if hasattr(data, "shape") or hasattr(data, "detach"):
        return batch(array(data), shape)[:count], None
    is_pair = isinstance(data, tuple) and len(data) == 2 and hasattr(data[0], "shape")
    batches: Iterable[Any] = [data] if is_pair else data
    rows: list[np.ndarray] = []
    labels: list[int] = []
    seen = 0
    for each in batches:
        x, y = each if isinstance(each, (tuple, list)) and len(each) == 2 else (each, None)
        part = batch(array(x), shape)
        rows.append(part)
        if y is not None:
            labels.extend(int(label) for label in np.atleast_1d(array(y)))
        seen += len(part)
        if seen >= count:
            break
    if not rows:
        raise InputError("no data: a folder, an array, or a loader that yields batches is expected")
    if labels and len(labels) != seen:
        raise InputError(f"{len(labels)} labels for {seen} inputs")
    return np.concatenate(rows)[:count], labels[:count] or None
