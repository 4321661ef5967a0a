"""Estimate how long a trial takes on this machine, from a few steps measured within a fixed time.

:mod:`ablate.launch.measuring` takes the steps, in a process with the same environment as a worker, and prints each as a
line of JSON. :func:`estimate` ends that process when the time is over, whatever it is doing, and scales what it has
printed by then to an :class:`Estimate`.
"""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.config.sweep import KNN_POINTS, SweepPlan, Trial
from ablate.config.trial import TrialConfig
from ablate.console import counted
from ablate.files import tail
from ablate.launch.pool import worker_environment
from ablate.planning.footprint import dimensions
from ablate.sweep.plan import plan, save_plan

BOX = 6.0
"""Seconds that measuring may take after its process has started, which takes 3 s: a dry run answers within 15 s."""
START = 20.0  # seconds that the process may take to start, on a busy machine
FIRST_SHARE = 0.6  # the share of the time for the first cells of the configurations, whose batch grows
SMALLEST, GROWTH = 2, 4  # images of the first step, and by how much the next is larger
REPEATS = 2  # steps of one size: the second is timed, as the first takes memory and loads kernels
CELLS = 6  # the most cells measured if their configurations are the same: compositions differ little
VIEWS_PER_PASS = 6  # encoding an image once, without gradient, is a sixth of training on two views of it
WATCHED = 3000  # images that kNN uses at each of its points
FIT = 8e-7  # seconds of linear evaluation per image, dimension and class: 2 s on glyphs with 64 dimensions


@dataclass(frozen=True)
class Sample:
    """One measured step of cell ``cell`` with ``images`` images."""

    cell: int
    images: int
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """The time that a trial takes on this machine.

    ``seconds``: the mean over the cells; None if no step ended in time. ``how``: a description of what was measured and
    scaled. ``at_least``: a lower bound in seconds if nothing else is known, or 0. ``laptop``: seconds of a trial with
    the preset of that name, if the requested trial is long and runs on a CPU.
    """

    seconds: float | None
    how: str
    at_least: float = 0.0
    laptop: float | None = None


def estimate(experiment: SweepPlan, device: str, cache: Path) -> Estimate:
    """Estimate the time of a trial, by measuring with one process for some seconds.

    Args:
        experiment: the sweep's plan.
        device: the device to measure on.
        cache: where the decoded images are; they must be there already.
    """
    from ablate.data import read_entry

    cells, images = chosen_cells(experiment), len(read_entry(cache, experiment.shared.data.fingerprint).pretrain.labels)
    with tempfile.TemporaryDirectory() as directory:
        save_plan(Path(directory), experiment)
        command = [sys.executable, "-m", "ablate.launch.measuring", directory, device, str(cache), str(BOX)]
        log = Path(directory) / "errors"
        said = listen(command, worker_environment(experiment.shared.threads), log, START, BOX)
        return conclude(cells, said, images, _last_words(log))


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
    return [found for line in lines if (found := _parsed(line))]


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
    cells = [t for t in plan(experiment) if t.reference is None and t.seed == experiment.seeds[0]]
    random.Random(0).shuffle(cells)
    first: dict[TrialConfig, Trial] = {}
    for cell in cells:
        first.setdefault(costly(cell.config), cell)
    rest = [cell for cell in cells if cell not in first.values()]
    return [*first.values(), *rest[: max(0, CELLS - len(first))]]


def costly(config: TrialConfig) -> TrialConfig:
    """Return ``config`` without the settings that do not affect the cost of one image."""
    size = max(2, _whole(config))  # no batch has fewer images, though a micro-batch may
    same = config.replace(composition=(), epochs=100, warmup_epochs=0, temperature=1.0, loss_scale=1.0)
    return same.replace(batch_size=size, micro_batch=None)


def _whole(config: TrialConfig) -> int:
    """Return how many images the encoder processes at once."""
    return config.micro_batch or config.batch_size


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
        images = min(SMALLEST, _whole(cell.config))
        seconds = _repeat(number, images, step, tell, clock)
        while images < _whole(cell.config):
            larger = min(GROWTH * images, _whole(cell.config))
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


def conclude(cells: Sequence[Trial], said: Sequence[dict[str, Any]], images: int, reason: str = "") -> Estimate:
    """Compute the mean time of a trial over ``cells`` from the output of the measuring process.

    Args:
        cells: the cells that were to be measured.
        said: the lines that the process printed, in order.
        images: the number of training images in an epoch.
        reason: the last words of the process, used if it measured nothing.
    """
    samples = [Sample(**line) for line in said if "cell" in line]
    begun = [line for line in said if "begun" in line]
    if not samples:
        return _nothing(cells, begun, images, reason)
    known: dict[int, list[Sample]] = {}
    for sample in samples:
        known.setdefault(sample.cell, []).append(sample)
    by_kind: dict[TrialConfig, list[int]] = {}
    for number in known:
        by_kind.setdefault(costly(cells[number].config), []).append(number)
    anything = sorted(known)
    each = [
        statistics.fmean(
            trial_seconds(cell.config, _at(known[number], _whole(cell.config)), images)
            for number in by_kind.get(costly(cell.config), anything)
        )
        for cell in cells
    ]
    laptop = next((line["laptop"] for line in said if "laptop" in line), None)
    return Estimate(statistics.fmean(each), _how(cells, known), laptop=laptop)


def _at(samples: Sequence[Sample], images: int) -> float:
    """Estimate the seconds of a step with ``images`` images, by a line through the two largest measured steps.

    The line is at most as steep as the one through the origin, and at least half as steep.
    """
    *_, last = samples
    per_image = last.seconds / last.images
    if len(samples) > 1:
        before = samples[-2]
        slope = (last.seconds - before.seconds) / (last.images - before.images)
        per_image = min(per_image, max(per_image / 2, slope))
    return last.seconds + per_image * (images - last.images)


def trial_seconds(config: TrialConfig, step: float, images: int) -> float:
    """Estimate the seconds of a trial from the seconds of one step.

    If a trial has several processes, they are assumed to share the work evenly. A micro-batch is encoded twice.

    Args:
        config: the trial's settings.
        step: seconds that the encoder takes to train on one batch or micro-batch.
        images: the number of training images in an epoch.
    """
    whole = _whole(config)
    parts = config.batch_size // whole
    steps = images // config.batch_size * config.epochs
    training = steps * step * parts * (4 / 3 if parts > 1 else 1)
    seen = min(KNN_POINTS, config.epochs) * min(WATCHED, images) + 1.25 * images  # the test set: a fifth as many images
    encoding = seen * step / whole / VIEWS_PER_PASS
    fitting = FIT * images * dimensions(config.encoder) * max(1, config.data.classes)
    return training / config.world_size + encoding + fitting


def _nothing(cells: Sequence[Trial], begun: Sequence[dict[str, Any]], images: int, reason: str) -> Estimate:
    why = f" ({reason})" if reason else ""
    if not begun:
        return Estimate(None, f"measuring did not begin within {START:.0f} s{why}")
    how = f"a step of {counted(begun[0]['begun'], 'image')} did not end within {BOX:.0f} s{why}"
    if reason:  # the process ended by itself: how long a trial takes is unknown
        return Estimate(None, how)
    steps = images // cells[0].config.batch_size * cells[0].config.epochs
    return Estimate(None, how, at_least=steps * max(0.0, BOX - begun[0]["after"]) / REPEATS)


def _how(cells: Sequence[Trial], known: dict[int, list[Sample]]) -> str:
    first = known[min(known)]
    largest, whole = first[-1].images, _whole(cells[min(known)].config)
    scaled = f", scaled to {whole}" if largest < whole else ""
    total = len(cells)
    seen = f"{len(known)} of {total} cells" if len(known) < total else counted(total, "cell")
    return f"measured here: steps of {counted(largest, 'image')}{scaled}; {seen}"
