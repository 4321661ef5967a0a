"""The command at hand, and the words by which it takes a setting: a flag of its own, or ``--set``. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pydantic.fields import FieldInfo

from ablate.config.experiment import Experiment
from ablate.config.option import DROP, GRID, PREVIEW, SEARCH, TRAIN, flag, option_of
from ablate.config.settable import SETTABLE

RUN = "run"
"""The command whose ``--set`` replaces every value of an experiment file."""
_COMMAND: ContextVar[str] = ContextVar("command", default=GRID)  # from Python it is grid too: ablate.grid


@contextmanager
def at_hand(command: str) -> Iterator[None]:
    """Let ``command`` be the command at hand while the block lasts."""
    before = _COMMAND.set(command)
    try:
        yield
    finally:
        _COMMAND.reset(before)


def takes(name: str) -> bool:
    """Return True if the command at hand takes that setting; a confirmation, for example, takes none."""
    command = _COMMAND.get()
    return command == RUN or _has_flag(name) or (name in SETTABLE and command in {GRID, DROP, SEARCH, TRAIN, PREVIEW})


def as_option(name: str, value: object) -> str:
    """Return a setting as the command at hand takes it: ``--batch-size 64``, or ``--set batch_size=64``.

    Args:
        name: a setting of a trial, or a field of an experiment.
        value: its value; True for a switch.
    """
    if _has_flag(name):
        own = flag(name, _field(name))
        return own if value is True else f"{own} {value}"
    return f"--set {name}={'true' if value is True else value}"


def flags(names: Iterable[str]) -> dict[str, str]:
    """Return the flags of those settings, by name, that have one of the command at hand: ``{"epochs": "--epochs"}``."""
    return {name: flag(name, _field(name)) for name in names if _has_flag(name)}


def _has_flag(name: str) -> bool:
    option = option_of(_field(name))
    return option is not None and _COMMAND.get() in option.commands


def _field(name: str) -> FieldInfo:
    return SETTABLE[name] if name in SETTABLE else Experiment.model_fields[name]
