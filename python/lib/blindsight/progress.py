"""Progress: a callable of one's own, or a bar of tqdm where that is installed and stderr is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Is told how many of how many are done, and what is being done."""


def chosen(progress: Progress | None) -> Progress | None:
    """The caller's, or else a bar where there can be one."""
    if progress is not None or not sys.stderr.isatty():
        return progress
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    bar = tqdm(leave=False)

    def tell(done: int, total: int, what: str) -> None:
        bar.total = total or None
        bar.set_description(what, refresh=False)
        bar.n = done
        bar.refresh()
        if total and done >= total:
            bar.close()

    return tell
