"""The command that completes a directory, wherever it lies by now: of one that was merged, copied or renamed too."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from ablate.config.sweep import SweepPlan
from ablate.sweep.confirm import CONFIRMATION
from ablate.sweep.plan import EXPERIMENT_FILE

RETRY = "--retry-failed"


def completing(directory: Path, experiment: SweepPlan, *, retry_failed: bool = False) -> str:
    """The command that goes on with ``directory``, to be pasted into a shell; ``retry_failed``: with what failed.

    It is the last one that was given there. Where that names another directory, it names this one instead, and the
    experiment file that lies in it; where it names none, as by default, ``directory`` is added. What the directory
    holds beyond that command is completed too, since every command extends what it finds.
    """
    try:
        words = [word for word in shlex.split(experiment.command) if word != RETRY]
    except ValueError:  # edited by hand
        words = []
    if len(words) < 2:  # as from Python, or edited by hand
        words = ["ablate", "run", ""]
    words = _confirming(words, directory) if words[1] == "recommend" else _going_to(words, directory)
    return shlex.join([*words, RETRY] if retry_failed else words)


def _confirming(words: Sequence[str], directory: Path) -> list[str]:
    """``ablate recommend DIR --confirm``, of the sweep that ``directory`` is the confirmation of."""
    sweep = directory.parent if directory.name == CONFIRMATION else directory
    if any(_same(word, sweep) for word in words[2:]):
        return list(words)
    given_first = len(words) > 2 and not words[2].startswith("-")
    return [*words[:2], str(sweep), *words[3:]] if given_first else ["ablate", "recommend", str(sweep), "--confirm"]


def _going_to(words: Sequence[str], directory: Path) -> list[str]:
    """``words`` with ``--out DIRECTORY``."""
    if any(_same(place, directory) for place in _outs(words)):
        return list(words)
    kept = list(_without_out(words))
    file = directory / EXPERIMENT_FILE
    if kept[1] == "run" and (not kept[2:] or kept[2] == "" or file.is_file()):
        kept[2:3] = [str(file)]
    return [*kept, "--out", str(directory)]


def _outs(words: Sequence[str]) -> list[str]:
    """What ``words`` name with ``--out``."""
    named = [after for word, after in itertools.pairwise(words) if word == "--out"]
    return named + [word.removeprefix("--out=") for word in words if word.startswith("--out=")]


def _without_out(words: Sequence[str]) -> Iterator[str]:
    for before, word in zip(["", *words], words, strict=False):
        if "--out" not in (before, word) and not word.startswith("--out="):
            yield word


def _same(word: str, directory: Path) -> bool:
    return os.path.realpath(word) == os.path.realpath(directory)
