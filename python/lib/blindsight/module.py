"""Polynomial networks as modules of PyTorch: to look at, and to train."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import _engine
from ._engine import InputError, ModelError


class Polynomial(nn.Module):
    """``sum over k of coefficients[k][channel] x^k``, element by element."""

    def __init__(self, powers: list[Tensor], low: float, high: float):
        super().__init__()
        self.powers = nn.ParameterList([nn.Parameter(power) for power in powers])
        self.low, self.high = low, high
        self.excess: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            reach = max(abs(self.low), abs(self.high), 1e-6)
            self.excess = (F.relu(x - self.high) + F.relu(self.low - x)).div(reach).square().mean()
        total = torch.zeros_like(x)
        for power in reversed(list(self.powers)):
            total = total * x + power[None, :, None, None]
        return total


class PolynomialNetwork(nn.Module):
    """A network that runs encrypted: made by :func:`blindsight.convert`.

    Takes batches of normalised inputs of any shape with the right number of elements, gives scores.
    """

    def __init__(
        self,
        network: _engine.Network,
        report: dict[str, Any],
        floats_are_normalised: bool = True,
        teacher: nn.Module | None = None,
    ):
        super().__init__()
        self.report, self.floats_are_normalised = report, floats_are_normalised
        self._network, self._shape = network, network.shape
        # Not a module of this one's: it is not trained, and no part of what is saved.
        self._teacher = (teacher,)
        document, values = network.layers()
        described = json.loads(document)
        self._nodes, self._output = described["nodes"], described["output"]
        tensors = iter([torch.tensor(v, dtype=torch.float32) for v in values])
        ranges = {a["name"]: (a["low"], a["high"]) for a in report.get("activations", [])}
        self.layers = nn.ModuleList()
        for node in self._nodes:
            of_node = [next(tensors) for _ in range(node["values"])]
            self.layers.append(layer(node, of_node, ranges.get(node["name"])))

    @property
    def teacher(self) -> nn.Module | None:
        """The module that it was made of."""
        return self._teacher[0]

    def forward(self, x: Tensor) -> Tensor:
        outputs = [x.reshape(len(x), *self._shape)]
        for node, layer in zip(self._nodes, self.layers, strict=True):
            outputs.append(layer(*(outputs[source + 1] for source in node["inputs"])))
        return outputs[self._output + 1].flatten(1)

    def network(self) -> _engine.Network:
        """The engine's network with the weights as they are now."""
        with torch.no_grad():
            values = [
                parameter.detach().cpu().double().flatten().numpy()
                for layer in self.layers
                for parameter in layer.parameters()
            ]
        return self._network.with_values(values)


class Linear(nn.Module):
    """A convolution or a dense layer."""

    def __init__(self, node: dict[str, Any], weight: Tensor, bias: Tensor):
        super().__init__()
        self.node, self.weight, self.bias = node, nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        node = self.node
        if node["kind"] == "dense":
            weight = self.weight.view(node["rows"], node["columns"])
            return F.linear(x.flatten(1), weight, self.bias)[:, :, None, None]
        weight = self.weight.view(node["out"], node["in"] // node["groups"], *node["kernel"])
        x = F.pad(x, node["padding"])
        y = F.conv2d(x, weight, None, node["stride"], 0, node["dilation"], node["groups"])
        if node["bias_per_element"]:
            return y + self.bias.view(1, *y.shape[1:])
        return y + self.bias[None, :, None, None]


class Affine(nn.Module):
    """``scale x + shift``, channel by channel."""

    def __init__(self, scale: Tensor, shift: Tensor):
        super().__init__()
        self.scale, self.shift = nn.Parameter(scale), nn.Parameter(shift)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale[None, :, None, None] + self.shift[None, :, None, None]


class Fixed(nn.Module):
    """A layer without weights."""

    def __init__(self, compute: Callable[..., Tensor]):
        super().__init__()
        self.compute = compute

    def forward(self, *x: Tensor) -> Tensor:
        return self.compute(*x)


def layer(node: dict[str, Any], values: list[Tensor], between: tuple[float, float] | None) -> nn.Module:
    """The module of a node."""
    match node["kind"]:
        case "convolution" | "dense":
            return Linear(node, *values)
        case "affine":
            return Affine(*values)
        case "polynomial":
            return Polynomial(values, *(between or (float("-inf"), float("inf"))))
        case "sum":
            return Fixed(lambda *x: torch.stack(x).sum(0))
        case "concat":
            return Fixed(lambda *x: torch.cat(x, 1))
        case "product":
            return Fixed(lambda a, b: a * b)
        case "reshape":
            return Fixed(lambda x: x.reshape(len(x), *node["shape"]))
        case "selection":
            return Fixed(lambda x: selected(x, node))
        case "average_pool":
            return Fixed(lambda x: averaged(x, node))
    raise ModelError(f"{node['name']}: a {node['kind']} is no part of a polynomial network")


def selected(x: Tensor, node: dict[str, Any]) -> Tensor:
    """Elements in another order, and zeros."""
    elements = torch.tensor(node["elements"], device=x.device)
    flat = F.pad(x.flatten(1), (0, 1))
    return flat[:, torch.where(elements < 0, flat.shape[1] - 1, elements)].reshape(len(x), *node["shape"])


def averaged(x: Tensor, node: dict[str, Any]) -> Tensor:
    """The mean over a window."""
    sums = F.avg_pool2d(F.pad(x, node["padding"]), node["kernel"], node["stride"], divisor_override=1)
    if node["include_padding"]:
        return sums / (node["kernel"][0] * node["kernel"][1])
    ones = F.pad(torch.ones_like(x[:1, :1]), node["padding"])
    return sums / F.avg_pool2d(ones, node["kernel"], node["stride"], divisor_override=1)


def train(
    poly: PolynomialNetwork,
    loader: Any,
    epochs: int,
    *,
    lr: float,
    distillation: float,
    temperature: float,
    range_penalty: float,
    clip: float,
    seed: int,
    checkpoint: str | os.PathLike[str] | None,
    tell: Callable[[int, int, str], None] | None,
) -> PolynomialNetwork:
    """See :func:`blindsight.finetune`."""
    if not isinstance(poly, PolynomialNetwork):
        raise ModelError(f"finetune takes what convert made of a module of PyTorch, not {type(poly).__name__}")
    torch.manual_seed(seed)
    teacher = poly.teacher if distillation > 0 else None
    optimiser = torch.optim.AdamW(poly.parameters(), lr=lr, weight_decay=1e-4)
    steps = len(loader) * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=max(steps, 2))
    begun = resumed(checkpoint, poly, optimiser, schedule)
    if teacher is not None:
        teacher.eval()
    for epoch in range(begun, epochs):
        poly.train()
        for step, (x, y) in enumerate(loader):
            loss = loss_of(poly, teacher, x, y, distillation, temperature, range_penalty)
            if not torch.isfinite(loss):
                raise InputError(f"epoch {epoch}, step {step}: the loss is {loss.item()}: try a smaller lr")
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(poly.parameters(), clip)
            optimiser.step()
            schedule.step()
            if tell is not None:
                tell(epoch * len(loader) + step + 1, steps, "fine-tuning")
        keep(checkpoint, poly, optimiser, schedule, epoch + 1)
    poly.eval()
    return poly


def loss_of(
    poly: PolynomialNetwork,
    teacher: nn.Module | None,
    x: Tensor,
    y: Tensor,
    distillation: float,
    temperature: float,
    range_penalty: float,
) -> Tensor:
    """Cross entropy, the distance to the teacher's answers, and what is out of range."""
    scores = poly(x)
    loss = F.cross_entropy(scores, y)
    if teacher is not None:
        with torch.no_grad():
            wanted = F.softmax(teacher(x) / temperature, 1)
        apart = F.kl_div(F.log_softmax(scores / temperature, 1), wanted, reduction="batchmean")
        loss = (1 - distillation) * loss + distillation * temperature**2 * apart
    excess = [layer.excess for layer in poly.layers if isinstance(layer, Polynomial) and layer.excess is not None]
    return loss + range_penalty * sum(excess, torch.zeros(()))


def keep(checkpoint: Any, poly: nn.Module, optimiser: Any, schedule: Any, epoch: int) -> None:
    """Writes a checkpoint, under another name until it is whole."""
    if checkpoint is None:
        return
    path = os.fspath(checkpoint)
    state = {"poly": poly.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
    torch.save({**state, "epoch": epoch, "random": torch.get_rng_state()}, path + ".part")
    os.replace(path + ".part", path)


def resumed(checkpoint: Any, poly: nn.Module, optimiser: Any, schedule: Any) -> int:
    """The epoch to go on at."""
    if checkpoint is None or not os.path.exists(checkpoint):
        return 0
    state = torch.load(checkpoint, weights_only=True)
    poly.load_state_dict(state["poly"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["random"])
    return int(state["epoch"])
