"""Reports without figures, for tests that do not look at them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest


@contextlib.contextmanager
def without_figures() -> Iterator[None]:
    """Let reports write empty files for their figures, which take most of a report's time."""

    def save(_: object, paths: Sequence[Path]) -> None:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ablate.report.write.save", save)
        yield
