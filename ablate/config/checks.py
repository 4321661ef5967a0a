"""Checks of single values in the description of a sweep: a device, a file, a budget, a measure. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from ablate.config.measure import measure_named
from ablate.errors import UsageError, unknown

DEVICES = ("auto", "cpu", "cuda")


def device(name: object) -> object:
    """Refuse an unknown device."""
    if name not in DEVICES:
        if str(name).casefold() == "gpu":  # whose letters are nearest to cpu
            raise UsageError(f"unknown device {name!r}; allowed: {', '.join(DEVICES)}; did you mean 'cuda'?")
        raise unknown("device", str(name), DEVICES)
    return name


def file(path: str | None) -> str | None:
    """Return the absolute path of a file."""
    if path == "":  # an unset variable of a shell; drawn weights would be a silent mistake
        raise ValueError("must be a file")
    return path and str(Path(path).expanduser().absolute())


def amount(budget: object) -> object:
    """Refuse a budget that is neither a number of trials nor a text."""
    if budget is None or isinstance(budget, str) or (type(budget) is int and budget > 0):
        return budget
    raise ValueError('must be a number of trials (40), hours ("3h") or GPU hours ("3gpuh")')


def measure(name: object) -> object:
    """Return the measure of that name or synonym; refuse an unknown one."""
    return name if name is None else measure_named(str(name))
