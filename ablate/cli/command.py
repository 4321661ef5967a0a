"""The line that a command was called by."""

from __future__ import annotations

import shlex
import sys


def command_line() -> str:
    """``ablate grid --ops crop,color``, as it would be typed again."""
    return shlex.join(["ablate", *sys.argv[1:]])
