"""What a trial takes on this machine, measured on a few steps within a fixed time, and scaled from there.

:mod:`ablate.launch.measuring` takes the steps, in a process with a worker's own environment, and prints each as a line
of JSON. :func:`estimate` ends that process when the time is over, whatever it does, and makes an :class:`Estimate` of
what it has printed by then.
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
"""Seconds that measuring may take once its process has started, which takes three: a dry run answers within 15."""
START = 20.0  # seconds that it may take to start, on a machine that is busy
FIRST_SHARE = 0.6  # of the time, for the first cell of every configuration, in which the batch grows
SMALLEST, GROWTH = 2, 4  # images of the first step, and by how much the next is larger
REPEATS = 2  # steps of one size: the second is timed, as the first takes memory and loads kernels
CELLS = 6  # that are measured at most, where configurations are the same: compositions differ little
VIEWS_PER_PASS = 6  # encoding an image once, without gradient, is a sixth of training on two views of it
WATCHED = 3000  # images that kNN looks at, at each of its points
FIT = 8e-7  # seconds of linear evaluation per image, dimension and class: 2 s on glyphs with 64 dimensions


@dataclass(frozen=True)
class Sample:
    """One measured step of cell ``cell`` with ``images`` images."""

    cell: int
    images: int
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """What a trial takes here.

    ``seconds``: the mean over the cells; None where no step ended in time. ``how``: in words, what was measured and
    scaled. ``at_least``: what it takes at least, where nothing else is known; 0 where nothing is. ``laptop``: seconds
    of a trial with the preset of that name, where the trial asked for is long and runs on a CPU.
    """

    seconds: float | None
    how: str
    at_least: float = 0.0
    laptop: float | None = None


def estimate(experiment: SweepPlan, device: str, cache: Path) -> Estimate:
    """Measure for some seconds, with one process. The images must be in ``cache``."""
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
    """The lines of JSON that ``command`` prints until it ends, or is killed.

    That is ``start`` seconds after it was started or, once it has printed a line, ``box`` seconds after that line.
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
    return None  # cut short when its process was ended


def _last_words(log: Path) -> str:
    return (tail(log).strip().splitlines() or [""])[-1]


def chosen_cells(experiment: SweepPlan) -> list[Trial]:
    """The cells that are measured, in this order: one of each configuration, then others, drawn by a fixed seed."""
    cells = [t for t in plan(experiment) if t.reference is None and t.seed == experiment.seeds[0]]
    random.Random(0).shuffle(cells)
    first: dict[TrialConfig, Trial] = {}
    for cell in cells:
        first.setdefault(costly(cell.config), cell)
    rest = [cell for cell in cells if cell not in first.values()]
    return [*first.values(), *rest[: max(0, CELLS - len(first))]]


def costly(config: TrialConfig) -> TrialConfig:
    """``config`` without what does not change what one image costs."""
    size = max(2, _whole(config))  # no batch has fewer images, though a micro-batch may
    same = config.replace(composition=(), epochs=100, warmup_epochs=0, temperature=1.0, loss_scale=1.0)
    return same.replace(batch_size=size, micro_batch=None)


def _whole(config: TrialConfig) -> int:
    """Images that the encoder sees at once."""
    return config.micro_batch or config.batch_size


def measure(
    cells: Sequence[Trial],
    build: Callable[[int], None],
    step: Callable[[int, int], float],
    tell: Callable[[dict[str, Any]], None],
    clock: Callable[[], float],
    deadline: float,
) -> None:
    """Take steps, small ones first, until ``deadline`` by ``clock``; ``tell`` of each before and after it.

    The batch of the first cell of every configuration grows as long as the next size fits into its share of the time;
    further cells take steps of the size that was reached.

    Args:
        cells: as :func:`chosen_cells` gives them.
        build: ``build(cell)`` makes what the steps of a cell and of those of its configuration need.
        step: ``step(cell, images)`` takes one step of that many images, and returns its seconds.
        tell: given ``{"begun": images, "after": seconds}`` and ``{"cell": ..., "images": ..., "seconds": ...}``.
        clock: seconds since measuring began.
        deadline: after which no step is begun.
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
    """The mean of a trial over ``cells``, from what the measuring process has ``said``; the sentence says how.

    Args:
        cells: those that were to be measured.
        said: its lines, in order.
        images: to train on, in an epoch.
        reason: its last words, for where it measured nothing.
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
    """Seconds of a step with ``images`` images, by the line through the two largest that were measured.

    The line is not steeper than that through nothing, nor less than half as steep.
    """
    *_, last = samples
    per_image = last.seconds / last.images
    if len(samples) > 1:
        before = samples[-2]
        slope = (last.seconds - before.seconds) / (last.images - before.images)
        per_image = min(per_image, max(per_image / 2, slope))
    return last.seconds + per_image * (images - last.images)


def trial_seconds(config: TrialConfig, step: float, images: int) -> float:
    """Seconds of a trial of ``config`` whose encoder takes ``step`` seconds to train on one batch or micro-batch.

    Several processes are taken to share the work of one evenly. A micro-batch is encoded twice.
    """
    whole = _whole(config)
    parts = config.batch_size // whole
    steps = images // config.batch_size * config.epochs
    training = steps * step * parts * (4 / 3 if parts > 1 else 1)
    seen = min(KNN_POINTS, config.epochs) * min(WATCHED, images) + 1.25 * images  # the test set is a fifth
    encoding = seen * step / whole / VIEWS_PER_PASS
    fitting = FIT * images * dimensions(config.encoder) * max(1, config.data.classes)
    return training / config.world_size + encoding + fitting


def _nothing(cells: Sequence[Trial], begun: Sequence[dict[str, Any]], images: int, reason: str) -> Estimate:
    why = f" ({reason})" if reason else ""
    if not begun:
        return Estimate(None, f"measuring did not begin within {START:.0f} s{why}")
    how = f"a step of {counted(begun[0]['begun'], 'image')} did not end within {BOX:.0f} s{why}"
    if reason:  # it ended by itself: how long it would have taken is unknown
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
