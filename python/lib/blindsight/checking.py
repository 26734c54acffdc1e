"""What is in the way of a network, all of it at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from . import _engine, networks


@dataclass(frozen=True)
class Problem:
    """One thing that is in the way."""

    node: str
    """The node of the file; empty where it is none's."""
    operator: str
    """Its operator."""
    reason: str
    """What is wrong."""
    remedy: str
    """What to do."""

    def __str__(self) -> str:
        where = f"{self.node} ({self.operator})" if self.operator else self.node or "the network"
        return f"{where}: {self.reason}\n    {self.remedy}"


@dataclass(frozen=True)
class Check:
    """What keeps a network from running encrypted, or what it takes."""

    ok: bool
    """Whether it runs encrypted as it is."""
    problems: list[Problem]
    """What is in the way."""
    document: dict[str, Any]
    """All of it, as ``blindsight check --json`` prints it."""

    def __str__(self) -> str:
        name = self.document["model"]
        lines = [f"{name} {'runs encrypted' if self.ok else 'does not run encrypted'}"]
        lines += [str(problem) for problem in self.problems]
        if self.ok:
            lines.append(
                f"{self.document['levels']} levels, ring degree {self.document['ring_degree']}, "
                f"predicted {self.document['predicted_ms']:.1f} ms on one core"
            )
        return "\n".join(lines + [f"note: {said}" for said in self.document["assumptions"]])


def check(model: Any, example: Any = None) -> Check:
    """Says all that keeps a network from running encrypted, each with its remedy.

    ``model`` is a module of PyTorch (with ``example``, an input to export it with), the path of an ONNX file,
    or its bytes. Raises :class:`ModelError` where there is nothing to look at.
    """
    source, name = networks.file(model, example)
    document = json.loads(_engine.check(source, name))
    problems = [Problem(**problem) for problem in document["problems"]]
    return Check(ok=document["ok"], problems=problems, document=document)
