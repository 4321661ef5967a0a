"""Exports to trackers, and what the commands say of them."""

from __future__ import annotations

from typing import ClassVar

import pytest

from ablate.report.trackers.run import Run
from ablate.report.trackers.write import WRITERS
from tests.support.cli import ablate


def exported(directory, name, *further):
    """How many runs an export has written, and how many were there."""
    done = ablate("export", directory, "--to", name, *further)
    assert done.returncode == 0, done.stderr
    counts = done.stdout.splitlines()[0].rpartition(": ")[2].split()
    return int(counts[0]), int(counts[3])


class Memory:
    """A tracker that holds runs by the name of their sweep, for as long as the test lasts."""

    look = "`look`"
    runs: ClassVar[dict[str, dict[str, Run]]] = {}

    def __init__(self, place: str) -> None:
        self.place = place

    def known(self, sweep):
        return {name: run.digest for name, run in self.runs.get(sweep, {}).items()}

    def write(self, run):
        self.runs.setdefault(run.sweep, {})[run.id] = run


@pytest.fixture
def memory(monkeypatch):
    """The runs of the tracker ``memory`` of a sweep called ``leaves.v2``, which every command then knows."""
    monkeypatch.setattr(Memory, "runs", {"leaves.v2": {}})
    monkeypatch.setitem(WRITERS, "memory", type(WRITERS["mlflow"])(__name__, "Memory", "pytest"))
    return Memory.runs["leaves.v2"]
