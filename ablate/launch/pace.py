"""Estimate a sweep's speed and remaining time from its records and its running trials. Needs no torch."""

from __future__ import annotations

import calendar
import statistics
import time

from ablate.launch.status import Status
from ablate.sweep.record import TrialResult
from ablate.sweep.timing import REPRESENTATIVE, remaining_seconds

HOUR = 3600.0  # seconds
WHEN = "%Y-%m-%dT%H:%M:%SZ"  # the form of a record's ``when``


def trials_per_hour(status: Status, now: float) -> float | None:
    """Return how many trained trials ended per hour, or None if none ended lately.

    Trials count that ended within the last hour or, if they take longer, within twice the time of one trial. If all of
    them began within that time, the rate is taken over the time since the first of them began.

    Args:
        status: the sweep's status.
        now: the time, in unix seconds.
    """
    known = _measured(status)
    window = max(HOUR, 2 * statistics.fmean(result.timings["total"] for result in known)) if known else HOUR
    since = time.strftime(WHEN, time.gmtime(now - window))
    recent = [result for result in known if result.when > since]  # strings of this form sort by time
    if not recent:
        return None
    began = min(calendar.timegm(time.strptime(r.when, WHEN)) - r.timings["total"] for r in recent)
    return len(recent) / max(1.0, now - max(began, now - window)) * HOUR


def seconds_left(status: Status) -> float | None:
    """Estimate the seconds until the last trial ends, if as many trials run side by side as do now.

    The estimate is made from the times of measured trials or, before the first, from the pace of running ones.

    Returns:
        The seconds; None if nothing runs, if no times are known yet, or if trials are pruned, since it is not known
        which of them will be.
    """
    if status.experiment.prune:
        return None
    running = [(trial, status.begun[trial.id]) for trial in status.at("running")]
    paces = [
        (begun.progress.updated - begun.progress.started) / begun.progress.epoch * trial.config.epochs
        for trial, begun in running
        if trial.reference in REPRESENTATIVE and begun.progress.epoch and begun.attempt.number == 1
    ]
    known = [result.timings["total"] for result in _measured(status)] or paces
    if not running or not known:
        return None
    each = statistics.fmean(known)
    needs = [each * (1 - begun.progress.epoch / max(1, trial.config.epochs)) for trial, begun in running]
    waiting = status.at("queued", "missing", "interrupted", "lost")
    return remaining_seconds(each, sum(t.reference != "untrained" for t in waiting), needs, len(running))


def _measured(status: Status) -> list[TrialResult]:
    return [
        result
        for result in status.records.values()
        if result.status == "done" and result.reference in REPRESENTATIVE and "total" in result.timings and result.when
    ]
