"""Trains small networks with ReLU, GELU and SiLU, as PyTorch users have them, for the tests of `blindsight fit`.

    python relu.py --mnist DIR --cifar10 DIR [--only NAME ...]

Nothing in them is made for encryption: activations that are no polynomials, batch norm, residual sums, and files
as `torch.onnx.export` writes them today, weights inside. A few epochs suffice; all six take some minutes on one core.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from data import DATASETS

OPSET = 18
BATCH = 64
HERE = Path(__file__).parent
FILES = HERE.parent / "crates" / "fit" / "tests" / "files"
MNIST_NORM = ((0.1307,), (0.3081,))
CIFAR_NORM = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def plain(activation):
    """Two convolutions and two dense layers."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5), activation(), nn.AvgPool2d(2),
        nn.Conv2d(16, 32, 5), activation(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(512, 64), activation(), nn.Linear(64, 10),
    )  # fmt: skip


class Block(nn.Module):
    """Two convolutions beside a skip, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs, outputs, stride, activation):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), activation(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.skip = nn.Identity() if (inputs, stride) == (outputs, 1) else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )
        self.activation = activation()

    def forward(self, x):
        return self.activation(self.branch(x) + self.skip(x))


def residual(activation):
    """A stem, a block of 12 and one of 24 channels, global average pooling."""
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, 1, 1, bias=False), nn.BatchNorm2d(12), activation(),
        Block(12, 12, 1, activation), Block(12, 24, 2, activation),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10),
    )  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    dataset: str
    build: callable
    activation: type
    epochs: int
    norm: tuple


NETWORKS = {
    f"{family}-{name}": Recipe(dataset, build, activation, epochs, norm)
    for family, dataset, build, epochs, norm in [
        ("plain", "mnist", plain, 3, MNIST_NORM),
        ("residual", "cifar10", residual, 3, CIFAR_NORM),
    ]
    for name, activation in [("relu", nn.ReLU), ("gelu", nn.GELU), ("silu", nn.SiLU)]
}


def normalised(pixels, norm):
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in norm)
    return (pixels.float() / 255 - mean) / std


def train(network, recipe, images):
    """Adam under a one-cycle schedule."""
    steps = recipe.epochs * (len(images) // BATCH)
    optimiser = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    network.train()
    for _ in range(recipe.epochs):
        order = torch.randperm(len(images))
        for part in order.split(BATCH)[: len(images) // BATCH]:
            batch = images[part]
            loss = nn.functional.cross_entropy(network(normalised(batch.pixels, recipe.norm)), batch.labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


@torch.no_grad()
def accuracy(network, recipe, images):
    """The share of `images` that are classified rightly."""
    network.eval()
    parts = torch.arange(len(images)).split(500)
    labels = [network(normalised(images[part].pixels, recipe.norm)).argmax(1) for part in parts]
    return (torch.cat(labels) == images.labels).double().mean().item()


def write(network, recipe, path):
    """The file that PyTorch's exporter writes by default, without its notes on where it ran."""
    import onnx

    example = torch.zeros(1, *DATASETS[recipe.dataset].shape)
    program = torch.onnx.export(
        network.eval(), (example,), opset_version=OPSET, dynamo=True, verbose=False,
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
    )  # fmt: skip
    program.save(path, external_data=False)
    model = onnx.load(path)
    for part in [*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph]:
        del part.metadata_props[:]
        part.doc_string = ""
    del model.metadata_props[:]
    onnx.save(model, path)


def parse_options():
    parser = argparse.ArgumentParser(description="Train small networks with usual activations, as ONNX files.")
    parser.add_argument("--mnist", type=Path, required=True, help="folder of MNIST's original files")
    parser.add_argument("--cifar10", type=Path, required=True, help="folder of CIFAR-10's binary version")
    parser.add_argument("--out", type=Path, default=FILES)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--epochs", type=int, help="other than the recipe's")
    return parser.parse_args()


def main():
    options = parse_options()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        recipe = NETWORKS[name]
        if options.epochs:
            recipe = Recipe(**{**vars(recipe), "epochs": options.epochs})
        torch.manual_seed(1)
        load = DATASETS[recipe.dataset].load
        folder = getattr(options, recipe.dataset)
        network = recipe.build(recipe.activation)
        train(network, recipe, load(folder, "train"))
        write(network, recipe, options.out / f"{name}.onnx")
        print(f"{name}: {100 * accuracy(network, recipe, load(folder, 'test')):.2f} % of the test images", flush=True)


if __name__ == "__main__":
    main()
