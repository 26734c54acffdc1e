"""Reads the image data sets in their original file formats, plain or gzipped."""

import gzip
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

HOLDOUT = 5_000
"""Training images set aside, the last of the file, when hyperparameters are being chosen."""


class DataError(Exception):
    """A data set that is missing or not what its format says."""


@dataclass(frozen=True)
class Images:
    """Pixels as unsigned bytes [count, channels, height, width], and their labels [count]."""

    pixels: torch.Tensor
    labels: torch.Tensor

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, which):
        return Images(self.pixels[which], self.labels[which])

    def to(self, device):
        return Images(self.pixels.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """A data set: its classes and a function that reads its "train" or "test" part from a folder."""

    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    load: callable


def _open(folder, name):
    for path in (Path(folder) / name, Path(folder) / f"{name}.gz"):
        if path.is_file():
            return (gzip.open if path.suffix == ".gz" else open)(path, "rb")
    raise DataError(f"expected {name} or {name}.gz in {folder}, found neither: give --data the data set's folder")


def _read_idx(folder, name, magic, dimensions):
    """One IDX file: a big-endian magic number, the size of each dimension, then bytes."""
    with _open(folder, name) as file:
        content = file.read()
    header = 4 * (1 + dimensions)
    if len(content) < header:
        raise DataError(f"{name}: expected a header of {header} bytes, the file has {len(content)}")
    found, *shape = struct.unpack(f">{1 + dimensions}I", content[:header])
    if found != magic:
        raise DataError(f"{name}: expected magic number {magic:#010x}, found {found:#010x}")
    expected = int(np.prod(shape, dtype=object))
    if len(content) - header != expected:
        raise DataError(f"{name}: expected {expected} bytes after the header, found {len(content) - header}")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy())


def load_mnist(folder, part):
    """MNIST, from its IDX files."""
    prefix = {"train": "train", "test": "t10k"}[part]
    pixels = _read_idx(folder, f"{prefix}-images-idx3-ubyte", 0x0803, 3)
    labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte", 0x0801, 1)
    if len(pixels) != len(labels) or pixels.shape[1:] != (28, 28):
        raise DataError(f"MNIST {part}: {len(labels)} labels for images of shape {tuple(pixels.shape)}")
    return Images(pixels.unsqueeze(1), labels.long())


def _read_records(folder, name):
    """One CIFAR-10 batch: 10,000 records of a label and the red, green and blue planes, bytes all."""
    with _open(folder, name) as file:
        content = file.read()
    record = 1 + 3 * 32 * 32
    if len(content) != 10_000 * record:
        raise DataError(f"{name}: expected 10,000 records of {record} bytes, found {len(content)} bytes")
    records = torch.from_numpy(np.frombuffer(content, np.uint8).reshape(-1, record).copy())
    if records[:, 0].max() > 9:
        raise DataError(f"{name}: expected labels from 0 to 9, found {records[:, 0].max()}")
    return Images(records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].long())


def load_cifar10(folder, part):
    """CIFAR-10, from the batches of its binary version."""
    names = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}[part]
    batches = [_read_records(folder, name) for name in names]
    return Images(torch.cat([batch.pixels for batch in batches]), torch.cat([batch.labels for batch in batches]))


CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

DATASETS = {
    "mnist": Dataset(tuple("0123456789"), (1, 28, 28), load_mnist),
    "cifar10": Dataset(CIFAR10_CLASSES, (3, 32, 32), load_cifar10),
}


@lru_cache
def _per_channel(values, device):
    return torch.tensor(values, device=device).view(1, -1, 1, 1)


def normalise(spec, pixels):
    """The network's input: (pixel / 255 - mean) / std, per channel."""
    mean, std = (_per_channel(values, pixels.device) for values in (spec.mean, spec.std))
    return (pixels.float() / 255 - mean) / std
