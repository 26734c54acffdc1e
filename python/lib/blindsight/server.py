"""The server in this process. It holds no secret key."""

from __future__ import annotations

import os

from . import _engine, archives


class Keys:
    """A client's evaluation keys, expanded: made by :meth:`Server.keys`."""

    def __init__(self, engine: _engine.Keys):
        self._engine = engine

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self._engine.nbytes


class Server:
    """A network that runs on ciphertexts.

    ``path`` is the ``server.zip`` of :meth:`Compiled.save`. Encoding the weights takes a moment, on all cores.
    Raises :class:`DamagedError` for a file that is none or of another version.
    """

    def __init__(self, path: str | os.PathLike[str]):
        facts, (onnx, plan) = archives.read(path, "server", ["network.onnx", "network.plan"])
        network = _engine.Network.read(onnx, str(facts.get("model", "network")))
        self._engine = _engine.Server(network, _engine.Plan.read(plan))

    @property
    def nbytes(self) -> int:
        """Bytes of the encoded network in memory."""
        return self._engine.nbytes

    def keys(self, frame: bytes) -> Keys:
        """Takes a client's evaluation keys (:meth:`Client.evaluation_keys`), checked and expanded.

        Raises :class:`DamagedError` for bytes that are damaged or of another network.
        """
        return Keys(self._engine.keys(frame))

    def infer(self, keys: Keys, request: bytes, threads: int = 1) -> bytes:
        """Runs the network on a request: bytes in, the reply's bytes out. Other threads of Python run meanwhile.

        ``threads``: 1, or 0 for all cores. Raises :class:`DamagedError` for a request that is damaged, or of
        another network or key.
        """
        return self._engine.infer(keys._engine, request, threads)
