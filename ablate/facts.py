"""Facts for programs: the numbers beside the sentences that a command prints, kept for ``--json``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

_FACTS: ContextVar[dict[str, Any] | None] = ContextVar("facts", default=None)


def note(**facts: Any) -> None:
    """Keep facts by name, where a command was asked for them; a later one replaces an earlier one of its name."""
    known = _FACTS.get()
    if known is not None:
        known.update(facts)


@contextlib.contextmanager
def noted() -> Iterator[dict[str, Any]]:
    """Yield a dictionary, into which :func:`note` puts facts while the block lasts."""
    facts: dict[str, Any] = {}
    token = _FACTS.set(facts)
    try:
        yield facts
    finally:
        _FACTS.reset(token)
