"""The command that writes what goes into a paper or onto the Hugging Face Hub: ``card``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ablate.cli import completion, options
from ablate.config.base import LARGEST_SEED
from ablate.config.interval import Interval
from ablate.config.measure import Measure
from ablate.console import command, make_console, say
from ablate.errors import UsageError


def card(
    directory: options.Directory,
    cell: Annotated[
        str | None,
        typer.Argument(
            help="A kept encoder: its cell such as crop+color, a reference, or the id of a trial",
            autocompletion=completion.cells,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the encoder", show_default="the first of the cell", min=0, max=LARGEST_SEED),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Directory for the encoder", show_default="DIR/cards/<id>"),
    ] = None,
    metric: options.Metric = None,
    task: options.Task = None,
    interval: options.Holds = "both",
) -> None:
    """Write methods and results for a paper's appendix or, with a cell, a kept encoder for the Hugging Face Hub.

    The appendix is appendix.md, appendix.tex and references.bib in DIR/report. The encoder's directory has a model
    card, the configuration and the weights.
    """
    if cell is None and (seed is not None or out is not None):
        raise UsageError("--seed and --out are for an encoder: name its cell after DIR")
    if cell is not None and (metric or task or interval != "both"):
        raise UsageError("--metric, --task and --interval are for the appendix: leave the cell out")
    if cell is None:
        _appendix(directory, metric, task or "", interval)
    else:
        _encoder(directory, cell, seed, out)


def _appendix(directory: Path, metric: Measure | None, task: str, interval: Interval) -> None:
    from ablate.report.card.appendix import write_appendix
    from ablate.report.data.over_images import check_held
    from ablate.report.data.results import read_sweep
    from ablate.sweep.layout import SweepDir
    from ablate.sweep.plan import is_sweep

    if not is_sweep(directory) and any(SweepDir(directory).encoders.glob("[!.]*.json")):
        raise UsageError(
            f"{directory} is not a sweep directory, so it has no appendix; name one of its encoders for a model "
            f"card, as in {command('ablate', 'card', directory, 'crop+color')}"
        )
    sweep = read_sweep(directory, metric, task, interval)
    check_held(sweep.grid, interval, sweep.seeds_only)
    written, paths = write_appendix(sweep)
    console = make_console()
    say(console, written.paragraph)
    say(console, f"wrote {', '.join(map(str, paths))}")


def _encoder(directory: Path, cell: str, seed: int | None, out: Path | None) -> None:
    from ablate.report.card.encoder import find, write_encoder

    kept = find(directory, cell, seed)
    place = out or kept.place
    write_encoder(kept, place)
    console = make_console()
    say(
        console,
        f"wrote {kept.name} seed {kept.description['seed']} to {place}: README.md, config.json, model.safetensors",
    )
    say(console, f"before you publish it, add a licence to {place / 'README.md'}")
