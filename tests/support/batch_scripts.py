"""Batch scripts as ablate writes them, with another command in place of the worker's."""

from __future__ import annotations

import shlex
from pathlib import Path

from ablate.config.slurm import Slurm
from ablate.launch.slurm.script import DEAF, batch_script
from ablate.launch.slurm.submission import Array
from ablate.sweep.layout import SweepDir

TOKEN = "token"


def script(folder: Path, command: str, slurm: Slurm | None = None, *, name: str = "trial", count: int = 1) -> str:
    """The script of a job, or of an array of ``count``, whose step runs ``command``; its output goes to ``folder``."""
    array = Array(name=name, first=0, count=count)
    text = batch_script(folder, TOKEN, array, slurm or Slurm(), at_once=2)
    before, deaf, _ = text.partition(f" sh -c {shlex.quote(DEAF)}")
    assert deaf
    return before.replace(str(SweepDir(folder).job(TOKEN)), str(folder)) + f" {shlex.join(['sh', '-c', command])}\n"
