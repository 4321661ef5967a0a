"""``torch.compile`` for the stages of a training step, once per process for all the cells that it trains.

A stage is a function of a module: op, encoder and drawn parameters are its arguments. A cell whose ops and encoder are
like those of an earlier one reuses that one's code, whatever its seed, its weights and the order of its ops. Later
processes find the code in the cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ablate.errors import UsageError

SPECIALISATIONS = 64  # limit per function: every op, with and without p, at the sizes of one sweep

PLACE = "TORCHINDUCTOR_CACHE_DIR"
"""The environment variable by which torch knows where to keep code."""
OF_PROCESSOR = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU ")
"""The beginnings of the lines in /proc/cpuinfo that tell kinds of processors apart."""


@functools.cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` for the shapes and op parameters that it meets; the last bits of results change."""
    import torch
    import torch._dynamo

    torch._dynamo.config.recompile_limit = max(SPECIALISATIONS, torch._dynamo.config.recompile_limit)
    made: Callable[..., Any] = torch.compile(function, dynamic=False)
    return made


def keep_code(cache: Path, threads: int) -> None:
    """Let torch keep compiled code in ``cache`` for later processes, unless ``TORCHINDUCTOR_CACHE_DIR`` is set.

    Several processes may compile at once: torch takes locks. Where files cannot be written or locked, torch keeps its
    default, a place in the machine's temporary directory.

    Args:
        cache: the cache directory.
        threads: the threads of a trial.
    """
    if os.environ.get(PLACE):
        return
    # The compiler is told "march=native", which torch's own keys take literally: another processor that sees the same
    # cache would be given code that it may not understand. Code is also made for a number of threads, which the keys of
    # torch 2.11 lack.
    place = cache / "compiled" / f"{_processor()}-{threads}"
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as probe:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.environ[PLACE] = str(place)


def _processor() -> str:
    """Return eight hex digits that differ between kinds of processors."""
    lines = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
        lines += [line for line in first.splitlines() if line.startswith(OF_PROCESSOR)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]


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
