"""The command that compares cheaper trainings with a finished sweep: ``calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli import options
from ablate.cli.command import command_line
from ablate.console import make_console, say
from ablate.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ablate.config.slurm import Slurm
    from ablate.report.data.results import Results
    from ablate.report.stats.sample import Sample

Finished = Annotated[Path, typer.Argument(help="Directory of a sweep of grid, run or drop", metavar="DIR")]
Cells = Annotated[
    int, typer.Option(help="Largest number of cells: contenders for the best, and others down to the worst", min=4)
]
Within = Annotated[
    float,
    typer.Option(
        help="Points of accuracy that a decision by cheaper training may lose",
        metavar="POINTS",
        show_default="1",
        min=0,
        max=100,
    ),
]


@options.running(without=("out", "track"))
def calibrate(directory: Finished, how: options.Running, cells: Cells = 12, within: Within = 1.0) -> int:
    """Find out how cheap a training may be to choose the same compositions as a finished sweep.

    Some of its cells train again with fewer epochs, fewer images, smaller images or a narrower encoder, each a sweep
    in DIR/calibration. The table says what each costs, how alike it ranks the cells, and what deciding by it loses. Run
    the same command again to resume.
    """
    from ablate.data import cache_dir
    from ablate.launch.calibration import run_calibration, show_calibration
    from ablate.planning.calibrate import Asked, calibration
    from ablate.report.data.results import read_sweep
    from ablate.report.stats.calibration import calibration_of
    from ablate.report.stats.sample import check
    from ablate.report.text.calibration import show, write
    from ablate.report.write import write_again

    console, cache = make_console(), cache_dir(how.cache)
    sweep = read_sweep(directory)
    check(sweep)
    chosen = _sample(sweep, cells)
    slurm = _slurm(sweep, how)
    asked = Asked(chosen.cells, chosen.seeds, command_line(), slurm)
    full, planned = calibration(sweep.experiment, asked, cache, lambda sentence: say(console, sentence, "yellow"))
    for sentence in (*sweep.measured, f"calibration: {chosen}"):
        say(console, sentence)
    if how.dry_run:
        show_calibration(sweep, full, planned, cache, how.retry_failed, console)
        return ExitCode.DONE
    code = run_calibration(directory, planned, cache, how.workers, how.retry_failed, console)
    found = calibration_of(sweep)
    if found and found.cheaper:
        write(found, within / 100)
        write_again(sweep)
        say(console, "")
        show(found, within / 100, console)
    return code


def _sample(sweep: Results, most: int) -> Sample:
    """Choose the cells of the calibration; those with which it has begun stay in it."""
    from ablate.report.stats.sample import sample
    from ablate.sweep.calibrations import calibrated
    from ablate.sweep.plan import load_plan

    before = {item.label for path in calibrated(sweep.directory) for item in load_plan(path).compositions}
    return sample(sweep, most, before)


def _slurm(sweep: Results, how: options.Running) -> Slurm | None:
    """Return the resources of the jobs, by default those of the sweep; None if the calibration runs on this machine.

    Raises:
        UsageError: a value is out of range, or the machine lacks a cluster or the GPUs on which the sweep was trained.
    """
    from ablate.launch.slurm import cluster
    from ablate.launch.slurm.resources import gather, refuse_without_slurm, resources
    from ablate.planning.settings import resolve_device

    shared = sweep.experiment.shared
    if how.far:
        if not how.dry_run:
            cluster.check_here()
        return resources(gather({**how.jobs, "workers": how.workers}, sweep.directory), shared)
    refuse_without_slurm(how.jobs)
    if shared.device == "cuda" and resolve_device("auto") == "cpu":
        raise UsageError(
            f"{sweep.directory} was trained on GPUs, of which this machine has none: use one that has, or --launcher "
            "slurm"
        )
    return None
