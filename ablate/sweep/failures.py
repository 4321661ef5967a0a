"""Say in one line why a trial failed, and where its log is."""

from __future__ import annotations

from pathlib import Path

from ablate.console import command
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import TrialResult


def reason(result: TrialResult) -> str:
    """Return the reason why a trial failed: the first line of its error's message."""
    return (result.error.message.strip() or result.error.type).splitlines()[0] if result.error else "no reason recorded"


def failure_line(directory: Path, result: TrialResult) -> str:
    """Describe a failed trial in one line: its name, the reason, and the path of its log."""
    log = SweepDir(directory).log(result.id)
    where = (
        f"log: {log}" if log.is_file() else f"see: {command('ablate', 'logs', directory, result.id)}"
    )  # the trial may not have begun
    return f"failed: {result.called} seed {result.seed}: {reason(result)} ({where})"
