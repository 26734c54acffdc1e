"""The files that ``Compiled.save`` writes: ZIP archives of a few entries, the first of which says what they are."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from typing import Any

from ._engine import DamagedError

MANIFEST = "blindsight.json"
LARGEST = 1 << 30
"""Bytes of an entry, at most: more is not unpacked."""


def write(path: str | os.PathLike[str], kind: str, facts: dict[str, Any], entries: dict[str, bytes]) -> None:
    """Writes an archive, under another name until it is whole."""
    path = os.fspath(path)
    with zipfile.ZipFile(path + ".part", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, json.dumps({"format": f"blindsight {kind} 1", **facts}))
        for name, content in entries.items():
            archive.writestr(name, content)
    os.replace(path + ".part", path)


def read(path: str | os.PathLike[str], kind: str, names: list[str]) -> tuple[dict[str, Any], list[bytes]]:
    """What an archive of this kind says, and its entries of these names."""
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(entry(archive, path, MANIFEST))
            found = facts.get("format") if isinstance(facts, dict) else None
            if found != f"blindsight {kind} 1":
                raise DamagedError(f"{path}: expected 'blindsight {kind} 1', found {found!r}: save it anew")
            return facts, [entry(archive, path, name) for name in names]
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, OSError) as error:
        raise DamagedError(f"{path} is no file that Compiled.save wrote, or damaged: {error}") from error


def entry(archive: zipfile.ZipFile, path: Any, name: str) -> bytes:
    """The content of an entry."""
    if name not in archive.namelist():
        raise DamagedError(f"{path} has no {name}: save it anew")
    if archive.getinfo(name).file_size > LARGEST:
        raise DamagedError(f"{path}: {name} is larger than {LARGEST} bytes")
    with archive.open(name) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise DamagedError(f"{path}: {name} is larger than {LARGEST} bytes")
    return content
