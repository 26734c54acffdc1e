"""The client: the only place where a secret key lives."""

from __future__ import annotations

import json
import os
from typing import Any

from . import _engine, archives, inputs, progress
from .answers import Answer, answer
from .described import Described


class Client(Described):
    """Encrypts inputs and decrypts replies.

    ``path`` is the ``client.zip`` of :meth:`Compiled.save`, which holds no secret: a new secret key is made.
    ``secret`` names a file of one that :meth:`save_secret` wrote. Neither PyTorch nor ONNX is needed. Raises
    :class:`DamagedError` for a file that is none, of another version or of another network.
    """

    def __init__(self, path: str | os.PathLike[str], secret: str | os.PathLike[str] | None = None):
        facts, (public,) = archives.read(path, "client", ["network.public"])
        self._floats_are_normalised = facts.get("floats") == "normalised"
        self._engine = _engine.Client(public, None if secret is None else os.fspath(secret))
        self._facts = json.loads(self._engine.facts())
        self._warnings: list[str] = []

    @property
    def batch(self) -> int:
        """How many inputs a request holds, at most."""
        return self._facts["images"]

    @property
    def evaluation_key_bytes(self) -> int:
        """Bytes of the evaluation keys, which the server needs once."""
        return self._facts["evaluation_key_bytes"]

    def save_secret(self, path: str | os.PathLike[str]) -> None:
        """Stores the secret key in a new file that only its owner can read; never over another file."""
        self._engine.save_secret(os.fspath(path))

    def evaluation_keys(self, progress_of: progress.Progress | None = None) -> bytes:
        """Makes the keys that the server computes with. They are public, and belong to this secret key."""
        return self._engine.evaluation_keys(progress.chosen(progress_of))

    def encrypt(self, x: Any, normalised: bool | None = None) -> bytes:
        """Encrypts an input, or as many as a request holds: the request's bytes.

        ``x`` is an array, a tensor, an image of PIL, or a list, of :attr:`input_shape` or a batch of such.
        Integers are pixels from 0 to 255, floats are from 0 to 1, and both are normalised as the network wants
        it; ``normalised=True`` says that floats are already. (The default is what the calibration data were.)
        Values out of range are clamped, which the answer's warnings say. Raises :class:`InputError` for
        another shape and for what is not finite.
        """
        are_normalised = self._floats_are_normalised if normalised is None else normalised
        rows = inputs.normalised(self._engine, inputs.array(x), self._facts, are_normalised)
        request, self._warnings = self._engine.encrypt(rows)
        return request

    def decrypt(self, reply: bytes, exact: bool = False) -> Answer:
        """Decrypts the reply to one input.

        ``exact=True`` leaves scores as they are decrypted, not rounded to the predicted error. Each is then an
        equation of the secret key for whoever has the reply: show them to nobody. Raises :class:`DamagedError`
        for bytes that are damaged or to another key, :class:`ReplyError` for a reply that makes no sense.
        """
        return self.decrypt_all(reply, 1, exact)[0]

    def decrypt_all(self, reply: bytes, count: int, exact: bool = False) -> list[Answer]:
        """As :meth:`decrypt`, for the ``count`` inputs of a request, in their order."""
        documents = json.loads(self._engine.decrypt(reply, count, exact))
        return [answer(document, self._warnings) for document in documents]
