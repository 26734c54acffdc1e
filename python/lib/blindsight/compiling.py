"""From a network to a plan: what a client and a server need."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _engine, archives, chart, inputs, networks, progress
from ._engine import ModelError


@dataclass(frozen=True)
class Simulation:
    """What encryption would do to a network's answers."""

    count: int
    """How many inputs were looked at."""
    accuracy_plain: float | None
    """The share that is classified rightly in the clear; None without labels."""
    accuracy: float | None
    """The same with the encrypted run's errors."""
    agree: float
    """The share whose class the errors leave as it is."""
    error: float
    """The error of a score, root mean square."""
    errors: np.ndarray
    """The errors that were drawn: a row for each, a column for each score."""

    def __str__(self) -> str:
        lines = [f"{self.count} inputs, error of a score {self.error:.2e} rms", f"same class: {self.agree:.2%}"]
        if self.accuracy is not None and self.accuracy_plain is not None:
            lines.append(f"right: {self.accuracy:.2%} with errors, {self.accuracy_plain:.2%} in the clear")
        return "\n".join(lines)


class Explanation:
    """What a plan does and costs, layer by layer; ``document`` is what ``blindsight explain --json`` prints."""

    def __init__(self, document: dict[str, Any], notices: list[str]):
        self.document, self.notices = document, notices

    def __getitem__(self, key: str) -> Any:
        return self.document[key]

    def __str__(self) -> str:
        d = self.document
        lines = [
            f"{d['model']}: {d['predicted_ms']:.1f} ms on one core, {d['security_bits']} bits of security",
            f"ring degree {d['ring_degree']}, {d['levels']} levels, predicted error {d['predicted_error']:.1e}",
            f"evaluation keys {d['evaluation_key_bytes'] / 2**20:.1f} MiB once, request "
            f"{d['upload_bytes'] / 2**20:.2f} MiB, reply {d['download_bytes'] / 2**10:.1f} KiB, "
            f"server {d['server_bytes'] / 2**20:.0f} MiB",
            "",
            f"{'layer':<24} {'kind':<18} {'rotations':>9} {'products':>9} {'ms':>9}",
        ]
        for layer in d["layers"]:
            products = layer["plaintext_multiplications"] + layer["ciphertext_multiplications"]
            lines.append(
                f"{layer['name'][:24]:<24} {layer['kind'][:18]:<18} {layer['rotations']:>9} {products:>9} "
                f"{layer['predicted_ms']:>9.2f}"
            )
        return "\n".join(lines + [f"note: {notice}" for notice in self.notices])


class Compiled:
    """A network with its plan: made by :func:`compile`."""

    def __init__(
        self,
        network: _engine.Network,
        plan: _engine.Plan,
        report: dict[str, Any] | None,
        floats_are_normalised: bool,
    ):
        self._network, self._plan = network, plan
        self._floats_are_normalised = floats_are_normalised
        self.report = report
        """What :func:`compile` measured, as ``blindsight fit --json`` prints it; None without calibration."""

    @property
    def labels(self) -> list[str]:
        """The classes."""
        return self._network.labels

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        return self._network.shape

    def network(self) -> _engine.Network:
        """The network that runs."""
        return self._network

    def onnx(self) -> bytes:
        """The bytes of its ONNX file, which the command line takes."""
        return self._network.onnx()

    def explain(self) -> Explanation:
        """What the plan does and costs, layer by layer: print it."""
        document = json.loads(self._plan.explain(self._network))
        return Explanation(document, self._plan.notices(self._network))

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws where the time goes, layer by layer, as an SVG file."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(chart.svg(self.explain().document))

    def scores(self, x: Any, normalised: bool | None = None) -> np.ndarray:
        """The scores of an input or a batch, in the clear: a row each."""
        are_normalised = self._floats_are_normalised if normalised is None else normalised
        facts = networks.facts(self._network)
        return self._network.scores(inputs.normalised(self._network, inputs.array(x), facts, are_normalised))

    def simulate(self, data: Any, count: int = 10_000, draws: int = 16, seed: int = 1) -> Simulation:
        """What the encrypted run's errors do to the answers, without encrypting.

        ``data`` is a loader, an array, a pair of arrays or a folder. The errors of an encrypted run are drawn
        on ``draws`` inputs, several times each, and put on the scores of all.
        """
        samples = inputs.samples(self._network, networks.facts(self._network), data, count, test=True)
        spread = np.linspace(0, len(samples.inputs) - 1, min(draws, len(samples.inputs))).astype(int)
        errors = self._plan.simulated_errors(self._network, samples.inputs[np.unique(spread)])
        plain = self._network.scores(samples.inputs)
        wrong = plain + errors[np.random.default_rng(seed).integers(len(errors), size=len(plain))]
        classes = [np.array(self._network.classes(scores)) for scores in (plain, wrong)]
        right: list[float | None] = [None, None]
        if samples.labels is not None:
            right = [float(np.mean(found == np.array(samples.labels))) for found in classes]
        return Simulation(
            count=len(plain),
            accuracy_plain=right[0],
            accuracy=right[1],
            agree=float(np.mean(classes[0] == classes[1])),
            error=float(np.sqrt(np.mean(errors**2))),
            errors=errors,
        )

    def save(self, client: str | os.PathLike[str], server: str | os.PathLike[str]) -> None:
        """Writes what a client needs and what a server needs. Neither holds a secret; the server's file holds
        the weights, the client's does not."""
        floats = "normalised" if self._floats_are_normalised else "unit"
        facts = {"model": self._network.name, "floats": floats}
        archives.write(client, "client", facts, {"network.public": self._plan.public()})
        entries = {"network.onnx": self._network.onnx(), "network.plan": self._plan.write()}
        archives.write(server, "server", facts, entries)


def compile(
    model: Any,
    calibration: Any = None,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
    example: Any = None,
    objective: str | None = None,
    max_key_bytes: int | None = None,
    memory: int | None = None,
    max_drop: float = 1.0,
    count: int = inputs.MOST,
    seed: int = 1,
    progress_of: progress.Progress | None = None,
) -> Compiled:
    """Measures a network on calibration data and plans how it runs encrypted.

    ``model``: what :func:`convert` gave, a module of PyTorch, the path of an ONNX file, or its bytes.
    ``calibration``: a loader that yields batches (with or without labels), an array, a pair of arrays, or a
    folder; without it the planner works with estimates and says so. ``mean`` and ``std`` say how inputs are
    normalised, for each channel. ``labels`` names the classes. ``objective``: latency (default), operations,
    key-switches, upload. Activations that are left become polynomials, as :func:`convert` does it. Raises
    :class:`ModelError`, :class:`FitError`, :class:`PlanError`, :class:`InputError`.
    """
    if example is None and calibration is not None and networks.is_module(model):
        example = first_example(calibration)
    network = described(networks.read(model, example), mean, std, labels)
    report, are_normalised = None, getattr(model, "floats_are_normalised", False)
    if calibration is not None:
        samples = inputs.samples(network, networks.facts(network), calibration, count)
        if labels is None and samples.names is not None and len(samples.names) == len(network.labels):
            network = network.described(None, None, samples.names)
        are_normalised = samples.floats_are_normalised or (are_normalised and mean is None and std is None)
        network, text = _engine.fit(
            network, samples.inputs, samples.labels, None, max_drop, False, seed, progress.chosen(progress_of)
        )
        report = json.loads(text)
    # A plan belongs to a file: to the one that is saved, not to the one that was read.
    network = network.written()
    plan = _engine.Plan.make(network, objective, max_key_bytes, memory)
    return Compiled(network, plan, report, are_normalised)


def described(
    network: _engine.Network,
    mean: float | Sequence[float] | None,
    std: float | Sequence[float] | None,
    labels: Sequence[str] | None,
) -> _engine.Network:
    """The network with what is said of it."""
    channels = network.shape[0]

    def each(values: float | Sequence[float] | None) -> list[float] | None:
        return None if values is None else [float(v) for v in np.broadcast_to(values, (channels,))]

    names = None if labels is None else [str(label) for label in labels]
    try:
        return network.described(each(mean), each(std), names)
    except ValueError as error:
        raise ModelError(f"mean and std: one number, or {channels}, one for each channel: {error}") from error


def first_example(data: Any) -> Any:
    """A first input or batch of data, to export a module with."""
    if isinstance(data, (str, os.PathLike)):
        raise ModelError("a module is exported with an example: give example=, one input or a batch of them")
    if hasattr(data, "shape"):
        return data[:1]
    if isinstance(data, tuple) and len(data) == 2 and hasattr(data[0], "shape"):
        return data[0][:1]
    first = next(iter(data))
    return (first[0] if isinstance(first, (tuple, list)) else first)[:1]
