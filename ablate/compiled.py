"""``torch.compile`` for the stages of a training step, once per process for all the cells that it trains.

A stage is a function of a module: op, encoder and drawn parameters are its arguments. A cell whose ops and encoder are
like those of an earlier one reuses that one's code, whatever its seed, its weights and the order of its ops.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable
from typing import Any

from ablate.errors import UsageError

SPECIALISATIONS = 64  # limit per function: every op, with and without p, at the sizes of one sweep


@functools.cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` for the shapes and op parameters that it meets; the last bits of results change."""
    import torch
    import torch._dynamo

    torch._dynamo.config.recompile_limit = max(SPECIALISATIONS, torch._dynamo.config.recompile_limit)
    made: Callable[..., Any] = torch.compile(function, dynamic=False)
    return made


def has_compiler() -> bool:
    """Return True if this machine has a C++ compiler, which torch.compile calls."""
    return any(map(shutil.which, _compilers()))


def check_compiler() -> None:
    """Raise UsageError unless :func:`has_compiler`."""
    if not has_compiler():
        needed = " or ".join(_compilers())
        raise UsageError(f"compile on needs a C++ compiler, {needed}, and this machine has none; allowed: auto, off")


def _compilers() -> list[str]:
    return [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
