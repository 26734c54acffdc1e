"""A client of ``blindsight serve``, over HTTPS."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from . import _engine, inputs, progress
from .answers import Answer, answer
from .described import Described

DEFAULT_KEY_BYTES = 2 << 30


class RemoteClient(Described):
    """A client whose keys a server has: made by :func:`connect`."""

    def __init__(self, engine: _engine.Remote):
        self._engine = engine
        self._facts = json.loads(engine.facts())

    def classify(self, x: Any, normalised: bool = False, exact: bool = False) -> Answer:
        """Encrypts an input, has it classified, decrypts the reply.

        ``x`` is as for :meth:`Client.encrypt`; ``exact`` as for :meth:`Client.decrypt`. Raises
        :class:`ServerError` where the server is gone, refuses, or knows the token no more.
        """
        rows = inputs.normalised(self._engine, inputs.array(x), self._facts, normalised)
        documents, warnings = self._engine.classify(rows, exact)
        return answer(json.loads(documents)[0], warnings)


def connect(
    url: str,
    token: str | None = None,
    model: str | None = None,
    *,
    fingerprint: str | None = None,
    ca: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    max_key_bytes: int = DEFAULT_KEY_BYTES,
    retry_for: float = 60.0,
    progress_of: progress.Progress | None = None,
) -> RemoteClient:
    """Connects to a server. The first time a secret key is made and kept, and evaluation keys are registered.

    ``token``: default the environment's BLINDSIGHT_TOKEN. ``model``: may be left out where the server has one.
    ``fingerprint``: SHA-256 of the server's certificate, as ``blindsight serve`` prints it; or ``ca``, a PEM
    file of authorities; else those of this system. ``folder``: where secret keys lie (default
    ``~/.config/blindsight/keys``, as for the command line). ``retry_for``: for how many seconds what fails for
    the moment, as a server that is not there, is tried again. Raises :class:`ServerError`.
    """
    token = token or os.environ.get("BLINDSIGHT_TOKEN")
    if not token:
        raise _engine.ServerError("no token: give token=, or set BLINDSIGHT_TOKEN")
    if folder is None:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        folder = home / "blindsight" / "keys"
    engine = _engine.Remote(
        url,
        token,
        model,
        os.fspath(folder),
        fingerprint,
        None if ca is None else os.fspath(ca),
        max_key_bytes,
        retry_for,
        progress.chosen(progress_of),
    )
    return RemoteClient(engine)
