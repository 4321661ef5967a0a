"""Measure a few training steps on this machine within a fixed time.

:mod:`ablate.launch.measuring` takes the steps, in a process with the same environment as a worker, and prints each as a
line of JSON. :func:`measure_trial` ends that process when the time is over, whatever it is doing;
:func:`ablate.launch.timing.from_steps` computes the time of a trial from the lines that were printed by then.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ablate.config.sweep import SweepPlan, Trial
from ablate.config.trial import TrialConfig
from ablate.files import tail
from ablate.launch.pool import worker_environment
from ablate.launch.timing import BOX, REPEATS, START, TrialTime, costly, from_steps, images_at_once
from ablate.sweep.plan import plan, save_plan

FIRST_SHARE = 0.6  # the share of the time for the first cells of the configurations, whose batch grows
SMALLEST, GROWTH = 2, 4  # images of the first step, and by how much the next is larger
CELLS = 6  # the most cells measured if their configurations are the same: compositions differ little


def measure_trial(experiment: SweepPlan, device: str, cache: Path) -> TrialTime:
    """Measure steps with one process for some seconds, and return the time of a trial on this machine.

    Args:
        experiment: the sweep's plan.
        device: the device to measure on.
        cache: where the decoded images are; they must be there already.
    """
    from ablate.data import read_entry

    cells, planned = chosen_cells(experiment), len(_cells(experiment))
    images = len(read_entry(cache, experiment.shared.data.fingerprint).pretrain.labels)
    with tempfile.TemporaryDirectory() as directory:
        save_plan(Path(directory), experiment)
        command = [sys.executable, "-m", "ablate.launch.measuring", directory, device, str(cache), str(BOX)]
        log = Path(directory) / "errors"
        said = listen(command, worker_environment(experiment.shared.threads), log, START, BOX)
        return from_steps(cells, said, images, planned, _last_words(log))


def listen(
    command: Sequence[str], environment: dict[str, str], log: Path, start: float, box: float
) -> list[dict[str, Any]]:
    """Return the lines of JSON that ``command`` prints until it ends or is killed.

    Args:
        command: the program and its arguments.
        environment: the environment to run it in.
        log: the file for its standard error.
        start: seconds after which it is killed if it has printed no line.
        box: seconds after its first line after which it is killed.
    """
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    ends = _in(start, process.kill)
    lines: list[str] = []
    try:
        for line in process.stdout:
            if not lines:
                ends.cancel()
                ends = _in(box, process.kill)
            lines.append(line)
    finally:
        ends.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    return [message for line in lines if (message := _parsed(line))]


def _in(seconds: float, call: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    return timer


def _parsed(line: str) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        return dict(json.loads(line))
    return None  # the line was cut short when its process was killed


def _last_words(log: Path) -> str:
    return (tail(log).strip().splitlines() or [""])[-1]


def chosen_cells(experiment: SweepPlan) -> list[Trial]:
    """Return the cells to measure: first one of each configuration, then others, drawn with a fixed seed."""
    cells = _cells(experiment)
    random.Random(0).shuffle(cells)
    first: dict[TrialConfig, Trial] = {}
    for cell in cells:
        first.setdefault(costly(cell.config), cell)
    rest = [cell for cell in cells if cell not in first.values()]
    return [*first.values(), *rest[: max(0, CELLS - len(first))]]


def _cells(experiment: SweepPlan) -> list[Trial]:
    """Return the trials of every cell with the first seed."""
    return [trial for trial in plan(experiment) if trial.reference is None and trial.seed == experiment.seeds[0]]


def measure(
    cells: Sequence[Trial],
    build: Callable[[int], None],
    step: Callable[[int, int], float],
    tell: Callable[[dict[str, Any]], None],
    clock: Callable[[], float],
    deadline: float,
) -> None:
    """Take steps, small ones first, until ``deadline``, and report each before and after it.

    The batch of the first cell of every configuration grows as long as the next size fits into its share of the time;
    further cells take steps of the size that was reached.

    Args:
        cells: the cells, as :func:`chosen_cells` returns them.
        build: ``build(cell)`` makes what the steps of a cell and of all others with its configuration need.
        step: ``step(cell, images)`` takes one step with that many images, and returns its seconds.
        tell: called with ``{"begun": images, "after": seconds}`` before a step, and with
            ``{"cell": ..., "images": ..., "seconds": ...}`` after it.
        clock: returns the seconds since measuring began.
        deadline: seconds by ``clock`` after which no step is begun.
    """
    reached: dict[TrialConfig, tuple[int, float]] = {}
    kinds = len({costly(cell.config) for cell in cells})
    started = clock()
    for number, cell in enumerate(cells):
        kind = costly(cell.config)
        if kind in reached:
            images, seconds = reached[kind]
            if clock() + REPEATS * seconds < deadline:
                _repeat(number, images, step, tell, clock)
            continue
        until = started + (deadline - started) * FIRST_SHARE * (len(reached) + 1) / kinds
        build(number)
        images = min(SMALLEST, images_at_once(cell.config))
        seconds = _repeat(number, images, step, tell, clock)
        while images < images_at_once(cell.config):
            larger = min(GROWTH * images, images_at_once(cell.config))
            if clock() + REPEATS * seconds * larger / images > until:
                break
            images, seconds = larger, _repeat(number, larger, step, tell, clock)
        reached[kind] = images, seconds
        if clock() > deadline:
            return


def _repeat(
    cell: int,
    images: int,
    step: Callable[[int, int], float],
    tell: Callable[[dict[str, Any]], None],
    clock: Callable[[], float],
) -> float:
    tell({"begun": images, "after": clock()})
    for _ in range(REPEATS):
        seconds = step(cell, images)
    tell({"cell": cell, "images": images, "seconds": seconds})
    return seconds
