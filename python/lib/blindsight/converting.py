"""ReLU and its kin into polynomials, and fine-tuning what came of it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from . import _engine, inputs, networks, progress
from .compiling import described, first_example


class Converted:
    """A network whose activations are polynomials, where the original was no module of PyTorch."""

    def __init__(self, network: _engine.Network, report: dict[str, Any], floats_are_normalised: bool):
        self._network, self.report, self.floats_are_normalised = network, report, floats_are_normalised

    def network(self) -> _engine.Network:
        """The network."""
        return self._network


def convert(
    model: Any,
    calibration: Any,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
    example: Any = None,
    degree: int | None = None,
    max_drop: float = 1.0,
    replace_max_pool: bool = False,
    count: int = inputs.MOST,
    seed: int = 1,
    progress_of: progress.Progress | None = None,
) -> Any:
    """Replaces activations by polynomials that are fitted to what arrives there, and corrects the weights.

    ``model``, ``calibration``, ``mean``, ``std``, ``labels`` and ``example`` are as for :func:`compile`.
    ``degree``: one from 2 to 31 for all activations; without it the cheapest that lose no more than
    ``max_drop`` points of accuracy on a fifth of the data that is held back. ``replace_max_pool`` takes average
    pooling in place of max pooling, and the report says what that cost.

    A module of PyTorch becomes a module of PyTorch (:class:`blindsight.module.PolynomialNetwork`), which
    :func:`finetune` trains; a file or bytes become a :class:`Converted`. Both go to :func:`compile`; their
    ``report`` is what ``blindsight fit --json`` prints. Raises :class:`FitError` with figures where no choice of
    degrees fits.
    """
    if example is None and networks.is_module(model):
        example = first_example(calibration)
    network = described(networks.read(model, example), mean, std, labels)
    samples = inputs.samples(network, networks.facts(network), calibration, count)
    if labels is None and samples.names is not None and len(samples.names) == len(network.labels):
        network = network.described(None, None, samples.names)
    tell = progress.chosen(progress_of)
    network, text = _engine.fit(
        network, samples.inputs, samples.labels, degree, max_drop, replace_max_pool, seed, tell
    )
    report = json.loads(text)
    if not networks.is_module(model):
        return Converted(network, report, samples.floats_are_normalised)
    from .module import PolynomialNetwork

    return PolynomialNetwork(network, report, samples.floats_are_normalised, teacher=model)


def finetune(
    poly: Any,
    loader: Any,
    epochs: int = 2,
    *,
    lr: float = 1e-3,
    distillation: float = 0.9,
    temperature: float = 2.0,
    range_penalty: float = 1e-2,
    clip: float = 1.0,
    seed: int = 1,
    checkpoint: str | os.PathLike[str] | None = None,
    progress_of: progress.Progress | None = None,
) -> Any:
    """Trains what :func:`convert` made of a module, in place, and gives it back.

    ``loader`` yields pairs of inputs, as the original took them, and classes. The loss is cross entropy and,
    for a share of ``distillation``, the distance to the original's answers; what leaves the range that a
    polynomial was fitted on is penalised. ``checkpoint`` names a file that is written after each epoch and
    read where it exists: an interrupted run goes on. Needs PyTorch.
    """
    from .module import train

    return train(
        poly,
        loader,
        epochs,
        lr=lr,
        distillation=distillation,
        temperature=temperature,
        range_penalty=range_penalty,
        clip=clip,
        seed=seed,
        checkpoint=checkpoint,
        tell=progress.chosen(progress_of),
    )
