"""The command that completes a sweep's directory, even after it was merged, copied or renamed."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from ablate.config.sweep import SweepPlan
from ablate.sweep.layout import CALIBRATION, CONFIRMATION, SweepDir

RETRY = "--retry-failed"
BELOW = {"recommend": ["--confirm"], "calibrate": []}
"""The commands that train sweeps below a sweep's directory, and the option by which they do."""


def completing(
    directory: Path, experiment: SweepPlan, *, retry_failed: bool = False, without: Sequence[str] = ()
) -> str:
    """Return the command that completes ``directory``, to be pasted into a shell.

    It is the last command that was given there. If that names another directory, this one and the experiment file in it
    take its place; if it names none, as by default, ``directory`` is added. The command also completes what the
    directory holds beyond it, since every command extends what it finds.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan, with the last command.
        retry_failed: also run failed trials again.
        without: options to leave out, each with its value if it has one.
    """
    try:
        words = [word for word in shlex.split(experiment.command) if word != RETRY]
    except ValueError:  # edited by hand
        words = []
    if len(words) < 2:  # the sweep was started from Python, or the file was edited by hand
        words = ["ablate", "run", ""]
    for option in without:
        words = list(_without(words, option))
    words = _from_sweep(words, directory) if words[1] in BELOW else _going_to(words, directory)
    return shlex.join([*words, RETRY] if retry_failed else words)


def checking_screening(experiment: SweepPlan) -> str:
    """Return the command that leaves ops out of a screening's whole recipe, with the settings of the screening."""
    try:
        words = shlex.split(experiment.command)
    except ValueError:  # edited by hand
        words = []
    if words[1:2] != ["drop"]:  # started from Python or from a file
        words = ["ablate", "drop", str(experiment.baseline)]
    kept = [word for word in _without(words, "--out") if word not in ("--screen", "--dry-run", RETRY)]
    return shlex.join([*kept, "--in-order", "OPS"])


def option_for_seeds(directory: Path, experiment: SweepPlan, seeds: int) -> str:
    """Return the option that gives :func:`completing` a number of seeds: ``--seeds 3``, or ``--set seeds=3``.

    In rounds of seeds it is the largest number.
    """
    words = shlex.split(completing(directory, experiment))
    name = "max_seeds" if experiment.rounds else "seeds"
    return f"--set {name}={seeds}" if words[1] == "run" else f"--{name.replace('_', '-')} {seeds}"


def adding_untrained(directory: Path, experiment: SweepPlan, seeds: int) -> str:
    """Return the command that adds seeds of the untrained encoder alone; empty if the sweep's command takes none."""
    again = completing(directory, experiment)
    command = shlex.split(again)[1]
    if command not in ("grid", "drop", "run"):
        return ""
    return f"{again} {f'--set untrained_seeds={seeds}' if command == 'run' else f'--untrained-seeds {seeds}'}"


def _from_sweep(words: Sequence[str], directory: Path) -> list[str]:
    """Return the command with the sweep below whose directory ``directory`` lies, for a command of :data:`BELOW`."""
    above = [directory, *directory.parents][:3]
    sweep = next((place.parent for place in above if place.name in (CONFIRMATION, CALIBRATION)), directory)
    if any(_same(word, sweep) for word in words[2:]):
        return list(words)
    given_first = len(words) > 2 and not words[2].startswith("-")
    return [*words[:2], str(sweep), *words[3:]] if given_first else ["ablate", words[1], str(sweep), *BELOW[words[1]]]


def _going_to(words: Sequence[str], directory: Path) -> list[str]:
    """Return ``words`` with ``--out DIRECTORY``."""
    if any(_same(place, directory) for place in _outs(words)):
        return list(words)
    kept = list(_without(words, "--out"))
    file = SweepDir(directory).experiment
    if kept[1] == "run" and (not kept[2:] or kept[2] == "" or file.is_file()):
        kept[2:3] = [str(file)]
    return [*kept, "--out", str(directory)]


def _outs(words: Sequence[str]) -> list[str]:
    """Return the values of ``--out`` in ``words``."""
    named = [after for word, after in itertools.pairwise(words) if word == "--out"]
    return named + [word.removeprefix("--out=") for word in words if word.startswith("--out=")]


def _without(words: Sequence[str], option: str) -> Iterator[str]:
    """Yield ``words`` without an option and its value; a flag, which another option may follow, has none."""
    for before, word in zip(["", *words], words, strict=False):
        is_value = before == option and not word.startswith("--")
        if not is_value and word != option and not word.startswith(f"{option}="):
            yield word


def _same(word: str, directory: Path) -> bool:
    return os.path.realpath(word) == os.path.realpath(directory)
