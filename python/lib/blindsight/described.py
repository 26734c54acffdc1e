"""What every client knows of its network, by the public plan."""

from __future__ import annotations

from typing import Any


class Described:
    """A holder of a public plan's facts."""

    _facts: dict[str, Any]

    @property
    def labels(self) -> list[str]:
        """The classes."""
        return self._facts["labels"]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input; a vector has height and width 1."""
        channels, height, width = self._facts["shape"]
        return channels, height, width
