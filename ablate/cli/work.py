"""The command by which a machine joins a sweep: ``work``."""

from __future__ import annotations

from typing import Annotated

import typer

from ablate.cli import options
from ablate.console import make_console

Workers = Annotated[
    int | None, typer.Option(help="Worker processes on this machine", show_default="one per GPU or CPU core", min=1)
]
Cache = Annotated[
    str | None,
    typer.Option(
        help="Directory for decoded images on this machine",
        show_default="$ABLATE_CACHE, else ablate in the user's cache directory",
    ),
]


def work(directory: options.Directory, workers: Workers = None, cache: Cache = None) -> int:
    """Run trials of a sweep that another command has planned, until none is left.

    Any number of machines that see DIR can join, while the sweep's own command runs or after it has stopped. Each trial
    runs once. If this is stopped, its trials continue elsewhere from their checkpoints.
    """
    from ablate.data import cache_dir
    from ablate.launch.join import join

    return join(directory, cache_dir(cache), workers, make_console())
