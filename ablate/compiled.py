"""``torch.compile`` for the stages of a training step, once per process whatever cells it trains.

A stage is a function of a module: op, encoder and drawn parameters are its arguments. A cell with ops and an encoder
like those of an earlier one finds the code of that one, whatever its seed, its weights and the order of its ops.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable
from typing import Any

from ablate.errors import UsageError

SPECIALISATIONS = 64  # of one function: every op, with and without p, at the sizes of one sweep


@functools.cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` for the shapes and op parameters that it meets; results differ from its own in the last bits."""
    import torch
    import torch._dynamo

    torch._dynamo.config.recompile_limit = max(SPECIALISATIONS, torch._dynamo.config.recompile_limit)
    made: Callable[..., Any] = torch.compile(function, dynamic=False)
    return made


def has_compiler() -> bool:
    """Whether this machine has a C++ compiler, which torch.compile calls."""
    return any(map(shutil.which, _compilers()))


def check_compiler() -> None:
    """Raise UsageError unless :func:`has_compiler`."""
    if not has_compiler():
        needed = " or ".join(_compilers())
        raise UsageError(f"--compile on needs a C++ compiler, {needed}, and there is none here; allowed: auto, off")


def _compilers() -> list[str]:
    return [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
