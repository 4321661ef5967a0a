"""Pruning: all cells train to a rung, the best go on (successive halving); a rung is a barrier.

Who goes on is decided by the mean validation kNN over all seeds at the rung, from all cells of the plan; in a search
those are the batch and all before it. So it depends on the results alone: not on the number of workers, nor on who was
fast. The contrastive loss has no say: it tells how
hard the views are to match, not how good the representation is.
"""

from __future__ import annotations

import math
import shutil
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from ablate.config import Experiment, Rung, Trial
from ablate.console import counted
from ablate.errors import UsageError
from ablate.lease import running_directory
from ablate.results import BadRecord, TrialResult, parked_path, read_record, record_path, write_record
from ablate.sweep.plan import plan

Train = Callable[[list[Trial], int | None], int]
"""Trains trials to the end of an epoch, or (None) to their records; returns an exit code, 0 to go on."""
RUNGS = (Rung(eighth=1, keep=0.4), Rung(eighth=4, keep=0.1))
"""After an eighth of the epochs four in ten cells go on, after half of them one in ten: 38 % of the training.

Tuned on one grid and tried on another, see docs/pruning.md."""


def cost(experiment: Experiment) -> float:
    """The share of the cells' training that is left: the epochs that are trained by those that there would be."""
    cells = _count(experiment)
    epochs, alive, last, spent = experiment.shared.epochs, cells, 0, 0.0
    for rung in experiment.prune:
        epoch = rung.epoch(epochs)
        spent += alive * (epoch - last)
        alive, last = kept(rung, cells), epoch
    return (spent + alive * (epochs - last)) / (cells * epochs)


def told(experiment: Experiment) -> str:
    """``2 to 7 cells, and after epoch 6 to 2``: what goes on from where."""
    cells, epochs = _count(experiment), experiment.shared.epochs
    return ", and after epoch ".join(
        f"{rung.epoch(epochs)} to {counted(kept(rung, cells), 'cell')}" for rung in experiment.prune
    )


def _count(experiment: Experiment) -> int:
    return len({trial.label for trial in plan(experiment) if trial.reference is None})


def kept(rung: Rung, cells: int) -> int:
    """How many of ``cells`` go on from ``rung``."""
    return max(1, math.ceil(rung.keep * cells - 1e-9))


def run_rungs(
    directory: Path, experiment: Experiment, trials: Sequence[Trial], to_run: Sequence[Trial], train: Train
) -> int:
    """Train ``to_run`` to records, those of pruned cells among them; what was done before is not done again.

    Returns 0, or the first exit code of ``train`` that is not. Without rungs all is trained to the end, at once.
    """
    for rung in experiment.prune:
        epoch = rung.epoch(experiment.shared.epochs)
        waiting = short_of(directory, to_run, epoch)
        if waiting and (code := train(waiting, epoch)):
            return code
        prune(directory, trials, rung, epoch)
    rest = short_of(directory, to_run, None)
    return train(rest, None) if rest else 0


def stage(directory: Path, experiment: Experiment, trials: Sequence[Trial]) -> tuple[list[Trial], int | None]:
    """What of ``trials`` is to be trained next, and to the end of which epoch; see :data:`Train`."""
    for rung in experiment.prune:
        epoch = rung.epoch(experiment.shared.epochs)
        if waiting := short_of(directory, trials, epoch):
            return waiting, epoch
    return short_of(directory, trials, None), None


def short_of(directory: Path, trials: Sequence[Trial], until: int | None) -> list[Trial]:
    """What is to be trained: trials without a record; to a rung, cells that do not wait there or beyond already."""
    if until is None:
        return [trial for trial in trials if not _has_record(directory, trial)]
    return [trial for trial in short_of(directory, _cells(trials), None) if _reached(directory, trial) < until]


def check_seeds(directory: Path, trials: Sequence[Trial]) -> None:
    """Raise UsageError for seeds that are new to cells which were pruned without them: they cannot compete any more."""
    members: dict[str, list[Trial]] = {}
    for trial in _cells(trials):
        members.setdefault(trial.label, []).append(trial)
    for label, cell in members.items():
        gone = [trial for trial in cell if _has_record(directory, trial) and _is_pruned(directory, trial)]
        new = [trial.seed for trial in cell if _result(directory, trial) is None]
        if gone and new:
            raise UsageError(
                f"{label} was pruned in {directory} without seed {new[0]}: the same seeds, another --out, or no --prune"
            )


def prune(directory: Path, trials: Sequence[Trial], rung: Rung, epoch: int) -> None:
    """Write the records of all trials at ``epoch`` whose cell does not go on; the others' checkpoints stay."""
    cells: dict[str, list[Trial]] = {}
    for trial in _cells(trials):
        cells.setdefault(trial.label, []).append(trial)
    scores = {label: _score(directory, members, epoch) for label, members in cells.items()}
    ranked = sorted((label for label in cells if scores[label] is not None), key=lambda label: -(scores[label] or 0.0))
    for label in ranked[kept(rung, len(cells)) :]:
        for trial in cells[label]:
            parked = read_parked(directory, trial)
            if parked and not _has_record(directory, trial):
                write_record(directory, parked)
                shutil.rmtree(running_directory(directory, trial.id), ignore_errors=True)


def read_parked(directory: Path, trial: Trial) -> TrialResult | None:
    """The record that a trial at a rung would have if it went no further; None if it is at none."""
    try:
        return TrialResult.model_validate_json(parked_path(directory, trial.id).read_bytes())
    except (OSError, ValueError):
        return None


def knn_at(result: TrialResult | None, epoch: int) -> float | None:
    """The validation kNN after ``epoch``; None where there is none."""
    history = result.history if result else ()
    return next((entry.get("knn_val_top1") for entry in history if entry.get("epoch") == epoch), None)


def _score(directory: Path, members: Sequence[Trial], epoch: int) -> float | None:
    """The mean over the seeds that have got there: failed ones, and cells that were pruned before, have not."""
    known = [knn_at(_result(directory, trial), epoch) for trial in members]
    values = [value for value in known if value is not None]
    return statistics.fmean(values) if values else None


def _result(directory: Path, trial: Trial) -> TrialResult | None:
    try:
        return read_record(record_path(directory, trial.id))
    except (FileNotFoundError, BadRecord):
        return read_parked(directory, trial)


def _is_pruned(directory: Path, trial: Trial) -> bool:
    result = _result(directory, trial)
    return result is not None and result.status == "pruned"


def _reached(directory: Path, trial: Trial) -> int:
    parked = read_parked(directory, trial)
    return int(parked.history[-1]["epoch"] or 0) if parked and parked.history else 0


def _has_record(directory: Path, trial: Trial) -> bool:
    return record_path(directory, trial.id).exists()


def _cells(trials: Sequence[Trial]) -> list[Trial]:
    """References are never pruned."""
    return [trial for trial in trials if trial.reference is None]
