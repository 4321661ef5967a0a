"""Exports to trackers, and what the commands say of them."""

from __future__ import annotations

from tests.support.cli import ablate


def exported(directory, name, *further):
    """How many runs an export has written, and how many were there."""
    done = ablate("export", directory, "--to", name, *further)
    assert done.returncode == 0, done.stderr
    counts = done.stdout.splitlines()[0].rpartition(": ")[2].split()
    return int(counts[0]), int(counts[3])
