"""The command line by which a command was called."""

from __future__ import annotations

import shlex
import sys


def command_line() -> str:
    """Return the command line as it would be typed again: ``ablate grid --ops crop,color``."""
    return shlex.join(["ablate", *sys.argv[1:]])
