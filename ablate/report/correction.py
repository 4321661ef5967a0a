"""Take back a recommendation that trials about to run could change: withdraw it, correct the page, and say so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ablate.config.sweep import Trial
from ablate.console import command, counted, say
from ablate.sweep.asked import asked_for
from ablate.sweep.layout import SweepDir
from ablate.sweep.withdrawal import concerned, withdraw


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
    for sweep in concerned(directory):
        page = asked_for(sweep)
        if page and page.recommends:
            from ablate.report.data.results import read_sweep
            from ablate.report.write import write_again  # imports Matplotlib: only when it is needed

            write_again(read_sweep(sweep, page.measure, page.task, "both"))
