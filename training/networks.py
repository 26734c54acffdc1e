"""The networks Blindsight ships, and those that they learn from, one `NetworkSpec` each.

A network that ships is a chain of linear layers and squares, because those are what a leveled homomorphic scheme
evaluates; a teacher is never encrypted, and has what it likes. To add one, write its layers and its recipe here; a new
data set also needs a loader in `data.py`.
"""

from dataclasses import dataclass, field, replace


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
class MeanPool:
    """Each map's mean. It is linear: `fold` leaves it to the dense layer after it."""


@dataclass(frozen=True)
class Relu:
    """The activation max(x, 0), of teachers alone."""


@dataclass(frozen=True)
class MaxPool:
    """The largest of each 2x2 window, of teachers alone."""


@dataclass(frozen=True)
class Residual:
    """What `layers` make of their input, added to it; of teachers alone."""

    layers: tuple


@dataclass(frozen=True)
class Distortion:
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
class CropFlip:
    """Training images shifted by up to `shift` whole pixels each way, every other one mirrored."""

    shift: int
    cutout: int = 0  # side of the square that is blanked in every image


@dataclass(frozen=True)
class Distillation:
    """Learning from the scores of a trained network beside the labels (Hinton et al. 2015, arXiv 1503.02531)."""

    teacher: str  # a network here; it is trained first where it has not been
    share: float  # of the loss that is the teacher's
    temperature: float


@dataclass(frozen=True)
class Muon:
    """Steps of kernels and matrices, all but the last layer's, made orthogonal (Jordan et al. 2024); the recipe's
    learning rate is that of the rest."""

    learning_rate: float
    weight_decay: float


@dataclass(frozen=True)
class Pruning:
    """Weights that become exactly zero while training goes on (gradual magnitude pruning, arXiv 1710.01878).

    `taps` and `units` are what a single-image plan saves by: an input ciphertext for each kernel position of the
    first convolution, and a shorter period for fewer hidden units. `density` is what a batch plan saves by: the
    share of each linear layer's weights that stays, at most.
    """

    first_epoch: int
    last_epoch: int
    taps: int  # kernel positions of the first layer that stay, in all maps
    units: int  # of the last hidden layer that stay
    density: tuple[float, ...]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The learning rate warms up over the first epoch, then falls as a cosine."""

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    augmentation: Distortion | CropFlip
    seed: int = 1
    square_start: tuple[float, float] = (1.0, 0.0)  # deviation and mean, at first, of what is squared
    range_penalty: float = 0.0  # weight, in the loss, of values far out before a square
    range_sample: float = 1.0  # share of each batch that they are looked for in: the penalty takes as long as the network
    dropout: float = 0.0  # before the last layer
    averaging: float = 0.0  # decay, by step, of the weights' moving average; 0: no averaging
    median_norm: bool = False  # batch norm's statistics are, in the end, medians over batches: a few images far out decide means
    bfloat16: bool = False  # products in bfloat16, several times faster where the processor has them
    mixup: float = 0.0  # share of each batch that is blended with other images, at random weights (arXiv 1710.09412)
    muon: Muon | None = None
    distillation: Distillation | None = None
    pruning: Pruning | None = None
    measured: int = 1  # epochs between measurements, after each of which a checkpoint is left


@dataclass(frozen=True)
class NetworkSpec:
    """A network: what it is, what it is trained on, and how."""

    name: str
    description: str
    dataset: str
    layers: tuple
    recipe: Recipe
    halves: bool = False  # whether weights are kept in half precision, as those of large files are
    tail: float = 0.0  # share of values that encrypted runs need not be scaled for; with one, a sample is measured
    mean: tuple[float, ...] = field(default=(0.0,))  # per channel; normalised = (pixel / 255 - mean) / std
    std: tuple[float, ...] = field(default=(1.0,))

    @property
    def is_teacher(self):
        """Whether it has layers that are not evaluated encrypted, so that it is trained and never exported."""
        return any(isinstance(layer, (MaxPool, Relu, Residual)) for layer in self.layers)


NEAR_RELU = (0.447, 0.56)
"""A `square_start` with which squares begin as the best quadratic fit of a ReLU of normal values, 0.2 (x + 1.25)^2."""

NEAR_LINEAR = (0.3, 0.7)
"""A `square_start` that bends less: a chain of many squares near ReLU has tails so heavy that training does not start."""

DIGIT_DISTORTION = Distortion(share=0.5, degrees=10.0, shift=1.5, zoom=0.1, shear=0.1, elastic=1.0)

CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Of each channel over the training images."""

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
        augmentation=DIGIT_DISTORTION,
    ),
)

DIGITS = Recipe(
    epochs=25,
    batch=256,
    learning_rate=4e-3,
    weight_decay=1e-2,
    label_smoothing=0.05,
    augmentation=DIGIT_DISTORTION,
    range_penalty=1e-2,
    averaging=0.998,
)
"""What most digit networks are trained by."""

LOLA_SMALL_MNIST = NetworkSpec(
    name="lola-small-mnist",
    description="LoLa-Small: 5x5 convolution to 5 maps, square, dense 10",
    dataset="mnist",
    layers=(Conv(5, 5, 2, 1), Square(), Dense(10)),
    recipe=replace(DIGITS, epochs=40, label_smoothing=0.0),
)

LENET_MNIST = NetworkSpec(
    name="lenet-mnist",
    description="LeNet: 5x5 convolutions to 32 and 64 maps, dense 512, dense 10, a square after each but the last",
    dataset="mnist",
    halves=True,
    layers=(Conv(32, 5, 2, 2), Square(), Conv(64, 5, 2, 2), Square(), Dense(512), Square(), Dense(10)),
    recipe=replace(DIGITS, learning_rate=2e-3, dropout=0.2, bfloat16=True),
)

MLP_MNIST = NetworkSpec(
    name="mlp-mnist",
    description="three fully connected layers, 784-128-128-10, with squares between them",
    dataset="mnist",
    layers=(Dense(128), Square(), Dense(128), Square(), Dense(10)),
    recipe=DIGITS,
)

CONV2X2_MNIST = NetworkSpec(
    name="conv2x2-mnist",
    description="2x2 convolution to 5 maps, square, dense 100, square, dense 10",
    dataset="mnist",
    layers=(Conv(5, 2, 2), Square(), Dense(100), Square(), Dense(10)),
    recipe=DIGITS,
)

TUTORIAL_MNIST = NetworkSpec(
    name="tutorial-mnist",
    description="7x7 convolution with stride 3 to 4 maps, square, dense 64, square, dense 10",
    dataset="mnist",
    layers=(Conv(4, 7, 3), Square(), Dense(64), Square(), Dense(10)),
    recipe=DIGITS,
)

CRYPTONETS_PRUNED_MNIST = NetworkSpec(
    name="cryptonets-pruned-mnist",
    description="cryptonets-mnist with most of its weights zero: 16 of 25 kernel positions, 63 of 100 hidden units",
    dataset="mnist",
    layers=CRYPTONETS_MNIST.layers,
    recipe=replace(
        DIGITS,
        epochs=45,
        label_smoothing=0.0,
        augmentation=Distortion(share=0.5, degrees=6.0, shift=1.0, zoom=0.06, shear=0.06, elastic=0.6),
        distillation=Distillation(teacher="lenet-mnist", share=0.7, temperature=2.0),
        pruning=Pruning(first_epoch=2, last_epoch=24, taps=16, units=63, density=(0.6, 0.15, 0.6)),
    ),
)

LOLA_CIFAR10 = NetworkSpec(
    name="lola-cifar10",
    description="LoLa-CIFAR: 8x8 convolution to 83 maps, square, 10x10 convolution to 112 maps, square, dense 10",
    dataset="cifar10",
    halves=True,
    layers=(Conv(83, 8, 2, 1), Square(), Conv(112, 10, 2, 4), Square(), Dense(10)),
    recipe=Recipe(
        epochs=40,
        batch=128,
        learning_rate=2e-3,
        weight_decay=5e-2,
        label_smoothing=0.1,
        augmentation=CropFlip(shift=4),
        square_start=NEAR_RELU,
        range_penalty=1e-2,
        dropout=0.2,
        averaging=0.998,
        bfloat16=True,
    ),
    mean=CIFAR10_MEAN,
    std=CIFAR10_STD,
)

CIFAR10_TEACHER = NetworkSpec(
    name="cifar10-teacher",
    description="a residual network with ReLU, nine layers, which is never encrypted: what the others learn from",
    dataset="cifar10",
    layers=(
        *(Conv(64, 3, 1, 1), Relu(), Conv(128, 3, 1, 1), Relu(), MaxPool()),
        Residual((Conv(128, 3, 1, 1), Relu(), Conv(128, 3, 1, 1), Relu())),
        *(Conv(256, 3, 1, 1), Relu(), MaxPool(), Conv(512, 3, 1, 1), Relu(), MaxPool()),
        Residual((Conv(512, 3, 1, 1), Relu(), Conv(512, 3, 1, 1), Relu())),
        *(MeanPool(), Dense(10)),
    ),
    recipe=Recipe(
        epochs=30,
        batch=512,
        learning_rate=2e-3,
        weight_decay=1e-2,
        label_smoothing=0.1,
        augmentation=CropFlip(shift=4, cutout=12),
        muon=Muon(learning_rate=0.02, weight_decay=0.02),
        averaging=0.998,
        bfloat16=True,
        measured=10,
    ),
    mean=CIFAR10_MEAN,
    std=CIFAR10_STD,
)

CIFAR10_FAST = NetworkSpec(
    name="cifar10-fast",
    description="six 3x3 convolutions to 32, 64, 64, 256, 256 and 512 maps, every other one of stride 2, and dense 10, squares between",
    dataset="cifar10",
    halves=True,
    layers=(
        *(Conv(32, 3, 1, 1), Square(), Conv(64, 3, 2, 1), Square()),
        *(Conv(64, 3, 1, 1), Square(), Conv(256, 3, 2, 1), Square()),
        *(Conv(256, 3, 1, 1), Square(), Conv(512, 3, 2, 1), Square()),
        *(MeanPool(), Dense(10)),
    ),
    recipe=Recipe(
        epochs=170,
        batch=512,
        learning_rate=2e-3,
        weight_decay=1e-2,
        label_smoothing=0.0,
        augmentation=CropFlip(shift=4),
        square_start=NEAR_LINEAR,
        range_penalty=3e-3,
        range_sample=0.125,
        averaging=0.999,
        median_norm=True,
        bfloat16=True,
        mixup=0.5,
        muon=Muon(learning_rate=0.02, weight_decay=0.02),
        distillation=Distillation(teacher=CIFAR10_TEACHER.name, share=0.9, temperature=2.0),
        measured=10,
    ),
    tail=1e-3,
    mean=CIFAR10_MEAN,
    std=CIFAR10_STD,
)

CIFAR10 = replace(
    CIFAR10_FAST,
    name="cifar10",
    description="eight convolutions to 64, 64, 64, 256, 256, 256, 256 and 512 maps, the first of 5x5 and stride 2, and dense 10, squares between",
    halves=True,
    layers=(
        *(Conv(64, 5, 2, 2), Square(), Conv(64, 3, 1, 1), Square(), Conv(64, 3, 1, 1), Square()),
        *(Conv(256, 3, 2, 1), Square(), Conv(256, 3, 1, 1), Square(), Conv(256, 3, 1, 1), Square()),
        *(Conv(256, 3, 1, 1), Square(), Conv(512, 3, 2, 1), Square()),
        *(MeanPool(), Dense(10)),
    ),
    recipe=replace(CIFAR10_FAST.recipe, epochs=150, range_penalty=1e-2),
)

NETWORKS = {
    spec.name: spec
    for spec in (
        CRYPTONETS_MNIST,
        LOLA_SMALL_MNIST,
        LENET_MNIST,
        MLP_MNIST,
        CONV2X2_MNIST,
        TUTORIAL_MNIST,
        CRYPTONETS_PRUNED_MNIST,
        LOLA_CIFAR10,
        CIFAR10_TEACHER,
        CIFAR10_FAST,
        CIFAR10,
    )
}
