"""What a decrypted reply says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Answer:
    """What a network says of an input.

    Scores are rounded to the predicted error, unless exact ones were asked for.
    """

    label: str
    """The class with the largest score, as the network's file calls it."""
    name: str
    """The label, fit for a terminal."""
    index: int
    """The class as a number, from 0."""
    scores: np.ndarray
    """The scores, float64, in the order of the classes; one number for two classes."""
    margin: float | None
    """How far the largest score is above the next one; None where there is one class."""
    predicted_error: float
    """The predicted error of a score, root mean square."""
    too_close: bool
    """Whether the margin is so small beside the error that another class may be the best."""
    probabilities: np.ndarray | None
    """Best first, as :meth:`top` ranks; None where the network's file ends in scores."""
    warnings: list[str]
    """What to keep in mind: large scores, a close call."""
    ranking: list[tuple[str, float]] = field(repr=False)
    """All classes by name with their scores, the best first."""

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The ``k`` best classes, the best first: pairs of name and probability, or score where the network's
        file ends in scores."""
        if self.probabilities is None:
            return self.ranking[:k]
        return [(name, float(p)) for (name, _), p in zip(self.ranking[:k], self.probabilities, strict=False)]

    def __str__(self) -> str:
        if self.too_close and len(self.ranking) > 1:
            return f"too close to call: {self.ranking[0][0]} or {self.ranking[1][0]}"
        return self.name


def answer(document: dict[str, Any], warnings: list[str]) -> Answer:
    """Of the engine's document, and what is to be said of the input."""
    probabilities = document["probabilities"]
    return Answer(
        label=document["label"],
        name=document["name"],
        index=document["class"],
        scores=np.array(document["scores"]),
        margin=document["margin"],
        predicted_error=document["predicted_error"],
        too_close=document["too_close"],
        probabilities=None if probabilities is None else np.array(probabilities),
        warnings=document["warnings"] + warnings,
        ranking=[(each["name"], each["score"]) for each in document["ranking"]],
    )
