"""The command line: every command, in the order in which help lists them. ``--help`` imports no torch."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ablate._version import __version__
from ablate.cli import completion
from ablate.cli.calibrate import calibrate
from ablate.cli.card import card
from ablate.cli.drop import drop
from ablate.cli.exits import refused_writes, with_exit_code
from ablate.cli.export import export
from ablate.cli.help import WIDTH, Command, Commands
from ablate.cli.preview import preview
from ablate.cli.search import search
from ablate.cli.sweep import grid, run, schema
from ablate.cli.train import evaluate, train
from ablate.cli.view import cancel, logs, merge, ops, recommend, report, show_help, status
from ablate.cli.work import work
from ablate.console import replace_unknown_characters
from ablate.processes.signals import interruptible

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
    help="Which data augmentations, alone and composed, make contrastive learning work on your images?",
)

COMMANDS = (
    *(grid, drop, run, search, schema, train, work, status, cancel, logs),
    *(report, recommend, calibrate, card, export, merge, evaluate, preview, ops),
)
TRAIN = {grid, drop, run, search, train, work, recommend, calibrate}
"""The commands that train: SIGTERM ends them in order, and so does SIGINT, also in the background of a script."""
for function in COMMANDS:
    heard = interruptible()(function) if function in TRAIN else function
    app.command(cls=Command)(with_exit_code(heard))
app.command(name="help", cls=Command)(show_help)


def main() -> None:
    """Run the command line, as the console script does."""
    replace_unknown_characters()
    completion.with_whole_words(os.environ)
    with refused_writes():
        app(prog_name="ablate")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Read the options that come before a command."""
