"""The endings of an attempt at a trial: what each records, what it raises, and whether the checkpoint stays.

::

    ending   cause                                       record               checkpoint
    done     trained and evaluated                       done                 removed
    left     one of LEFT, which the trial did not cause  none; raised again   stays
    told     another process of the trial failed first   that process's own   as that process decides
    lost     another process is gone, and whoever runs   none; LostRank       stays
             it records that
    failed   any other exception                         failed               removed, or kept for --retry-failed
"""

from __future__ import annotations

import logging
import shutil
import time
from typing import Any

from ablate.distributed import GRACE, is_communication_error, lost
from ablate.errors import DamagedRecord, DiskError, Interrupted, LostLease, NoProgress, Parked
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import TrialResult, read_record, to_json, write_record
from ablate.trial.attempt import TrialAttempt
from ablate.trial.failure import describe

logger = logging.getLogger("ablate")

LEFT = (Interrupted, Parked, KeyboardInterrupt, DiskError, LostLease)
"""The exceptions that leave a trial without a record; another attempt continues from its checkpoint."""


def done(run: TrialAttempt, outcome: dict[str, Any]) -> TrialResult:
    """Record ``outcome``, the results of the evaluation."""
    return _record(run, outcome, resumable=False)


def failed(run: TrialAttempt, error: Exception) -> TrialResult:
    """Record the exception that is being handled, or leave that to another process: the endings told, lost, failed.

    Args:
        run: the attempt.
        error: the exception, which is none of :data:`LEFT`.

    Raises:
        LostLease: another process has taken the trial over; nothing was written.
        LostRank: another process is gone, and whoever runs it records that.
    """
    trial, is_loss = run.trial, is_communication_error(error)
    logger.exception("trial %s (%s, seed %d) failed", trial.id, trial.label, trial.seed)
    if (failure := _told_by_another(run, is_loss)) is not None:
        return failure
    if is_loss and not run.context.records_loss:
        raise lost(error) from error
    # The trial is not at fault: --retry-failed continues from the checkpoint, with other processes or more time.
    resumable = is_loss or isinstance(error, NoProgress)
    return _record(run, {"status": "failed", "error": describe(error, run.world)}, resumable=resumable)


def _told_by_another(run: TrialAttempt, is_loss: bool) -> TrialResult | None:
    """Return the failed record that the process at fault has written; the others know only that it is gone."""
    if run.world.size == 1:
        return None
    if is_loss:
        time.sleep(GRACE)
    try:
        return read_record(SweepDir(run.directory).record(run.trial.id))
    except (FileNotFoundError, DamagedRecord):
        return None


def _record(run: TrialAttempt, outcome: dict[str, Any], *, resumable: bool) -> TrialResult:
    """Write the record of the attempt, remove its checkpoint unless ``resumable``, and tell the other processes."""
    result = run.result(outcome)
    write_record(run.lease, result)
    if not resumable:
        shutil.rmtree(run.running, ignore_errors=True)
    if run.world.rank == 0:
        run.world.tell(to_json(result))
    return result
