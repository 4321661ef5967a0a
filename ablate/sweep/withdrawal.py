"""Withdraw a recommendation that trials about to run could change: remove its files, correct the page, and say so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ablate.config.sweep import Trial
from ablate.console import command, counted, say
from ablate.sweep.layout import CONFIRMATION, SweepDir
from ablate.sweep.plan import is_sweep
from ablate.sweep.progress import withdraw


def concerned(directory: Path) -> list[Path]:
    """Return the sweeps whose recommendation depends on the records in ``directory``.

    These are the sweep in ``directory`` and, if that is a confirmation, the sweep that it confirms.
    """
    confirms = directory.name == CONFIRMATION and is_sweep(directory.parent)
    return [directory, directory.parent] if confirms else [directory]


def take_back(directory: Path, to_run: Sequence[Trial], console: Console) -> None:
    """Withdraw the recommendations that ``to_run`` could change, say so, and correct the pages.

    ``sweep.toml`` must hold the new plan already, and trials that are to run again must have no record.

    Args:
        directory: the sweep's directory.
        to_run: the trials that will run.
        console: where to say it.

    Raises:
        DiskError: the directory may not be written to.
    """
    for sweep in concerned(directory):
        if withdraw(sweep, to_run):
            again = command("ablate", "recommend", sweep)
            say(
                console,
                f"withdrawn: the recommendation in {SweepDir(sweep).report} and its pipeline files, since "
                f"{counted(len(to_run), 'trial')} will run that could change it; run {again} after that",
                "yellow",
            )
    if to_run:
        correct_pages(directory)


def correct_pages(directory: Path) -> None:
    """Write the pages again that recommend something which the records in ``directory`` could change."""
    from ablate.sweep.asked import asked_for

    for sweep in concerned(directory):
        page = asked_for(sweep)
        if page and page.recommends:
            from ablate.report.data.results import read_sweep
            from ablate.report.write import write_again  # imports Matplotlib: only when it is needed

            write_again(read_sweep(sweep, page.measure))
