"""Residual networks with quadratic activations and untrained weights, in CIFAR-10's shape: what planner and server
are timed with in docs/benchmarks.md.

    python residual.py --cifar10 DIR --out DIR [--only NAME ...]

An activation is `a x^2 + b x`, with coefficients for each channel. Batch norm is settled on real images, so that
values inside are as large as in a trained network; the score bound is twice the largest score of some of them.
"""

import argparse
import contextlib
import io
from pathlib import Path

import onnx
import torch
from torch import nn

from data import DATASETS

SEED = 3
OPSET = 17
MEAN, DEVIATION = 0.47, 0.25
IMAGES, BATCH, BATCHES = 512, 128, 30


class Quadratic(nn.Module):
    """`a x^2 + b x` for each channel."""

    def __init__(self, channels):
        super().__init__()
        self.a = nn.Parameter(0.15 + 0.1 * torch.rand(1, channels, 1, 1))
        self.b = nn.Parameter(0.4 + 0.2 * torch.rand(1, channels, 1, 1))

    def forward(self, x):
        return self.a * x * x + self.b * x


def convolution(inputs, outputs, kernel=3, stride=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Block(nn.Module):
    """A branch of two convolutions beside a skip; `last` acts on their sum."""

    def __init__(self, inputs, outputs, stride, last):
        super().__init__()
        self.branch = nn.Sequential(
            convolution(inputs, outputs, stride=stride), Quadratic(outputs), convolution(outputs, outputs)
        )
        same = (inputs, stride) == (outputs, 1)
        self.skip = nn.Identity() if same else convolution(inputs, outputs, 1, stride)
        self.last = last

    def forward(self, x):
        return self.last(0.5 * self.branch(x) + self.skip(x))


def resnet(blocks):
    """The original ResNet's shape: three stages of 16, 32 and 64 channels, an activation after each sum."""
    layers, channels = [convolution(3, 16), Quadratic(16)], 16
    for stage, width in enumerate((16, 32, 64)):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(Block(channels, width, stride, Quadratic(width)))
            channels = width
    return layers, channels


def one_square(widths, strides):
    """Blocks `x + conv(q(conv(x)))`: one square each, and none after the sum."""
    layers, channels = [convolution(3, widths[0])], widths[0]
    for width, stride in zip(widths, strides):
        layers.append(Block(channels, width, stride, nn.Identity()))
        channels = width
    return layers, channels


NETWORKS = {
    "resnet8": lambda: resnet(1),
    "resnet14": lambda: resnet(2),
    "resnet20": lambda: resnet(3),
    "one4": lambda: one_square((32, 64, 64, 128), (1, 2, 1, 2)),
}


def settled(layers, channels, images):
    """The network, its batch norms settled on these images."""
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))
    with torch.no_grad():
        for _ in range(BATCHES):
            network(images[torch.randperm(len(images))[:BATCH]])
    return network.eval()


def write(network, images, path):
    with torch.no_grad():
        bound = 2 * network(images[:64]).abs().max().item()
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(network, (images[:1],), str(path), dynamo=False, opset_version=OPSET)
    model = onnx.load(str(path))
    said = {"mean": ",".join([str(MEAN)] * 3), "std": ",".join([str(DEVIATION)] * 3), "score_bound": f"{bound:.3g}"}
    for key, value in said.items():
        model.metadata_props.add(key=f"blindsight.{key}", value=value)
    onnx.save(model, str(path))
    print(f"{path}: {sum(p.numel() for p in network.parameters())} parameters, scores up to {bound / 2:.3g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    pixels = DATASETS["cifar10"].load(arguments.cifar10, "train").pixels[:IMAGES]
    pixels = (pixels.float() / 255 - MEAN) / DEVIATION
    for name in arguments.only:
        torch.manual_seed(SEED)
        write(settled(*NETWORKS[name](), pixels), pixels, arguments.out / f"{name}.onnx")


if __name__ == "__main__":
    main()
