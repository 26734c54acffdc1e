"""The command line: ``python -m blindsight`` is ``blindsight``."""

import sys

from . import _engine


def main() -> int:
    """Does what the arguments say, as the command ``blindsight`` does it."""
    return _engine.run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
