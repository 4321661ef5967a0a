"""The command that gives a sweep to other tools: ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ablate.cli import options
from ablate.console import counted, make_console, say

To = Annotated[
    Literal["csv", "parquet", "optuna", "tensorboard", "mlflow", "wandb", "trackio", "aim"],
    typer.Option(
        "--to",
        metavar="FORMAT",
        help="csv or parquet: a table of all trials; optuna: a study for optuna-dashboard; or an experiment tracker: "
        "tensorboard, mlflow, wandb, trackio or aim",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="File to write; for a tracker, the directory of its runs, which several sweeps can share",
        show_default="DIR/report/trials.csv, .parquet or study.db; DIR/trackers/<name>",
    ),
]


def export(directory: options.Directory, to: To, out: Out = None) -> None:
    """Export every trial, with its whole configuration and all measurements, for other tools.

    A tracker gets the trials with a record as runs, and the heatmap; the same command again adds only what is new.
    """
    from ablate.report.data.export import export as write
    from ablate.report.data.results import read_sweep
    from ablate.report.trackers.write import open_tracker, write_sweep

    console = make_console()
    if to in {"csv", "parquet", "optuna"}:
        say(console, f"wrote {write(read_sweep(directory), to, Path(out) if out else None)}")
        return
    sweep = read_sweep(directory)
    tracker = open_tracker(to, directory, out)
    written = write_sweep(sweep, tracker)
    say(console, f"{tracker.place}: {counted(written.new, 'run')} written, {written.there} there already")
    say(console, f"to see them: {tracker.look}")
