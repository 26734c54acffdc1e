"""The networks Blindsight ships, one `NetworkSpec` each.

A network is a chain of linear layers and squares, because those are what a leveled homomorphic scheme
evaluates. To add one, write its layers and its recipe here; a new data set also needs a loader in `data.py`.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Conv:
    """A convolution with a square kernel and zero padding."""

    maps: int
    kernel: int
    stride: int = 1
    padding: int = 0


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; whatever comes before it is flattened."""

    units: int


@dataclass(frozen=True)
class Square:
    """The activation x^2."""


@dataclass(frozen=True)
class Augmentation:
    """Random distortions of training images: each is drawn uniformly from -value to +value.

    Resampling blurs, and a square network is unpredictable on sharp images if it has only seen blurred ones, so
    some images of every batch are left as they are.
    """

    share: float  # of the images that are distorted
    degrees: float
    shift: float  # pixels
    zoom: float  # relative
    shear: float  # relative
    elastic: float  # pixels, at the knots of a coarse grid


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The learning rate warms up over the first epoch, then falls as a cosine."""

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    augmentation: Augmentation
    seed: int = 1


@dataclass(frozen=True)
class NetworkSpec:
    """A network: what it is, what it is trained on, and how."""

    name: str
    description: str
    dataset: str
    layers: tuple[Conv | Dense | Square, ...]
    recipe: Recipe
    mean: tuple[float, ...] = field(default=(0.0,))  # per channel; normalised = (pixel / 255 - mean) / std
    std: tuple[float, ...] = field(default=(1.0,))


CRYPTONETS_MNIST = NetworkSpec(
    name="cryptonets-mnist",
    description="CryptoNets (LoLa-MNIST form): 5x5 convolution to 5 maps, square, dense 100, square, dense 10",
    dataset="mnist",
    layers=(Conv(maps=5, kernel=5, stride=2, padding=1), Square(), Dense(100), Square(), Dense(10)),
    recipe=Recipe(
        epochs=40,
        batch=256,
        learning_rate=4e-3,
        weight_decay=1e-2,
        label_smoothing=0.05,
        augmentation=Augmentation(share=0.5, degrees=10.0, shift=1.5, zoom=0.1, shear=0.1, elastic=1.0),
    ),
)

NETWORKS = {spec.name: spec for spec in (CRYPTONETS_MNIST,)}
