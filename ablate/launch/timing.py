"""How long trials take: from records, from the pace of running trials, or from measured steps. Needs no torch."""

from __future__ import annotations

import calendar
import heapq
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.config.sweep import KNN_POINTS, Trial
from ablate.config.trial import TrialConfig
from ablate.console import counted
from ablate.launch.status import Status
from ablate.planning.footprint import dimensions
from ablate.sweep.progress import TrialProgress
from ablate.sweep.record import TrialResult

REPRESENTATIVE = {None, "no-op"}
"""References that cost as much as a cell (None); supervised ones process half the views."""
HOUR = 3600.0  # seconds
WHEN = "%Y-%m-%dT%H:%M:%SZ"  # the form of a record's ``when``
VIEWS_PER_PASS = 6  # encoding an image once, without gradient, is a sixth of training on two views of it
WATCHED = 3000  # images that kNN uses at each of its points
FIT = 8e-7  # seconds of linear evaluation per image, dimension and class: 2 s on glyphs with 64 dimensions
BOX = 6.0
"""Seconds that measuring may take after its process has started, which takes 3 s: a dry run answers within 15 s."""
START = 20.0  # seconds that the process may take to start, on a busy machine
REPEATS = 2  # steps of one size: the second is timed, as the first takes memory and loads kernels


@dataclass(frozen=True)
class TrialTime:
    """The time that a trial takes on this machine.

    ``seconds``: the mean over the cells; None if no step ended in time. ``how``: a description of what was measured and
    scaled. ``at_least``: a lower bound in seconds if nothing else is known, or 0. ``laptop``: seconds of a trial with
    the preset of that name, if the requested trial is long and runs on a CPU.
    """

    seconds: float | None
    how: str
    at_least: float = 0.0
    laptop: float | None = None


@dataclass(frozen=True)
class Sample:
    """One measured step of cell ``cell`` with ``images`` images."""

    cell: int
    images: int
    seconds: float


def remaining_seconds(each: float, waiting: int, running: Iterable[float], workers: int) -> float:
    """Estimate the seconds until the last trial ends.

    Args:
        each: how long one trial takes.
        waiting: how many trials have not begun.
        running: for each running trial, the seconds it still needs.
        workers: how many trials run at once.
    """
    ends = sorted(running)[-workers:]
    free = [0.0] * (workers - len(ends)) + ends
    heapq.heapify(free)
    for _ in range(waiting):
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def trials_per_hour(status: Status, now: float) -> float | None:
    """Return how many trained trials ended per hour, or None if none ended lately.

    Trials count that ended within the last hour or, if they take longer, within twice the time of one trial, and since
    the command at work started. If all of them began within that time, the rate is taken over the time since the first
    of them began.

    Args:
        status: the sweep's status.
        now: the time, in unix seconds.
    """
    known = [result for result in _complete(_of_this_run(status)) if result.when]
    window = max(HOUR, 2 * statistics.fmean(result.timings["total"] for result in known)) if known else HOUR
    since = time.strftime(WHEN, time.gmtime(now - window))
    recent = [result for result in known if result.when > since]  # strings of this form sort by time
    if not recent:
        return None
    began = min(calendar.timegm(time.strptime(r.when, WHEN)) - r.timings["total"] for r in recent)
    return len(recent) / max(1.0, now - max(began, now - window)) * HOUR


def seconds_left(status: Status) -> float | None:
    """Estimate the seconds until the last trial ends, from records or, before the first, from the running trials.

    As many trials are taken to run side by side as the command at work has workers; without one, as many as run now.

    A trial is taken to need as long as those that ended since the command at work started, if any did: earlier ones may
    have had the machine to themselves, or another machine.

    Returns:
        The seconds; None if nothing runs, if no times are known yet, or if trials are pruned, since it is not known
        which of them will be.
    """
    running = [(trial, status.begun[trial.id].progress) for trial in status.at("running")]
    workers = max(status.work.workers if status.work else 0, len(running))
    each = _mean_seconds(_of_this_run(status)) or _mean_seconds(status.records.values()) or _mean_pace(running)
    if status.experiment.prune or not workers or each is None:
        return None
    needs = [each * (1 - progress.epoch / max(1, trial.config.epochs)) for trial, progress in running]
    waiting = to_train(status.at("queued", "missing", "interrupted", "lost"))
    return remaining_seconds(each, len(waiting), needs, workers)


def to_train(trials: Iterable[Trial]) -> list[Trial]:
    """Return ``trials`` without the untrained encoders, which take next to no time."""
    return [trial for trial in trials if trial.reference != "untrained"]


def from_records(records: Iterable[TrialResult], host: str = "") -> TrialTime | None:
    """Compute the mean time of a trial from the records of completed cells, if there are any.

    Args:
        records: the records of a sweep.
        host: the name of the machine whose records count; the empty string: those of all machines.
    """
    known = [record for record in records if not host or record.host.get("name") == host]
    each = _mean_seconds(known)
    if each is None:
        return None
    return TrialTime(each, f"from {counted(len(_complete(known)), 'trial')} on record")


def _of_this_run(status: Status) -> list[TrialResult]:
    """Return the records that were written since the command at work started; all of them if none is at work."""
    since = time.strftime(WHEN, time.gmtime(status.work.since)) if status.work else ""
    return [record for record in status.records.values() if record.when >= since]


def _mean_seconds(records: Iterable[TrialResult]) -> float | None:
    seconds = [record.timings["total"] for record in _complete(records)]
    return statistics.fmean(seconds) if seconds else None


def _mean_pace(running: Iterable[tuple[Trial, TrialProgress]]) -> float | None:
    """Estimate the seconds of a whole trial from the epochs that running ones have done since they began or resumed."""
    seconds = [
        (progress.updated - progress.started) / done * trial.config.epochs
        for trial, progress in running
        if trial.reference in REPRESENTATIVE and (done := progress.epoch - progress.resumed) > 0
    ]
    return statistics.fmean(seconds) if seconds else None


def _complete(records: Iterable[TrialResult]) -> list[TrialResult]:
    """Return the records of trials that were trained to the end and cost as much as a cell."""
    return [
        record
        for record in records
        if record.status == "done" and record.reference in REPRESENTATIVE and "total" in record.timings
    ]


def from_steps(
    cells: Sequence[Trial], said: Sequence[dict[str, Any]], images: int, planned: int, reason: str = ""
) -> TrialTime:
    """Compute the mean time of a trial over ``cells`` from the output of the measuring process.

    Args:
        cells: the cells that were to be measured.
        said: the lines that the process printed, in order.
        images: the number of training images in an epoch.
        planned: the number of cells of the plan, measured or not.
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
            trial_seconds(cell.config, _at(known[number], images_at_once(cell.config)), images)
            for number in by_kind.get(costly(cell.config), anything)
        )
        for cell in cells
    ]
    laptop = next((line["laptop"] for line in said if "laptop" in line), None)
    return TrialTime(statistics.fmean(each), _how(cells, known, planned), laptop=laptop)


def trial_seconds(config: TrialConfig, step: float, images: int) -> float:
    """Estimate the seconds of a trial from the seconds of one step.

    If a trial has several processes, they are assumed to share the work evenly. A micro-batch is encoded twice.

    Args:
        config: the trial's settings.
        step: seconds that the encoder takes to train on one batch or micro-batch.
        images: the number of training images in an epoch.
    """
    whole = images_at_once(config)
    parts = config.batch_size // whole
    steps = images // config.batch_size * config.epochs
    training = steps * step * parts * (4 / 3 if parts > 1 else 1)
    seen = min(KNN_POINTS, config.epochs) * min(WATCHED, images) + 1.25 * images  # the test set: a fifth as many images
    encoding = seen * step / whole / VIEWS_PER_PASS
    fitting = FIT * images * dimensions(config.encoder) * max(1, config.data.classes)
    return training / config.world_size + encoding + fitting


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


def costly(config: TrialConfig) -> TrialConfig:
    """Return ``config`` without the settings that do not affect the cost of one image."""
    size = max(2, images_at_once(config))  # no batch has fewer images, though a micro-batch may
    same = config.replace(composition=(), second=None, epochs=100, warmup_epochs=0, temperature=1.0, loss_scale=1.0)
    return same.replace(batch_size=size, micro_batch=None)


def images_at_once(config: TrialConfig) -> int:
    """Return how many images the encoder processes at once."""
    return config.micro_batch or config.batch_size


def _nothing(cells: Sequence[Trial], begun: Sequence[dict[str, Any]], images: int, reason: str) -> TrialTime:
    why = f" ({reason})" if reason else ""
    if not begun:
        return TrialTime(None, f"the measurement did not begin within {START:.0f} s{why}")
    how = f"a step of {counted(begun[0]['begun'], 'image')} did not end within {BOX:.0f} s{why}"
    if reason:  # the process ended by itself: how long a trial takes is unknown
        return TrialTime(None, how)
    steps = images // cells[0].config.batch_size * cells[0].config.epochs
    return TrialTime(None, how, at_least=steps * max(0.0, BOX - begun[0]["after"]) / REPEATS)


def _how(cells: Sequence[Trial], known: dict[int, list[Sample]], planned: int) -> str:
    first = known[min(known)]
    largest, whole = first[-1].images, images_at_once(cells[min(known)].config)
    scaled = f", scaled to {whole}" if largest < whole else ""
    seen = f"{len(known)} of {planned} cells" if len(known) < planned else counted(planned, "cell")
    return f"measured here: steps of {counted(largest, 'image')}{scaled}; {seen}; without start-up and report"
