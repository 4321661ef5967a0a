"""Pruning: all cells train to a rung, the best go on (successive halving); a rung is a barrier.

Who goes on is decided by the validation kNN of all seeds at the rung (top-1, or balanced accuracy where that chooses),
from all cells of the plan; in a search those are the batch and all before it: the best by mean, and whatever the seeds
cannot tell from the best. So it depends on the results alone: not on the number of workers, nor on who was fast.
While no cell is better than the untrained encoder, ranks are noise, and nothing is pruned before the next rung. The
contrastive loss has no say: it tells how hard the views are to match, not how good the representation is.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ablate.config.measure import KNN, Measure, measured_by
from ablate.config.sweep import Rung, SweepPlan, Trial
from ablate.console import counted
from ablate.errors import UsageError
from ablate.inference.adjusted import adjusted, largest, paired_mean
from ablate.inference.model import estimate
from ablate.sweep.lease import running_directory
from ablate.sweep.plan import SWEEP_FILE, load_plan, plan
from ablate.sweep.record import BadRecord, TrialResult, read_parked, read_record, record_path, write_record

Train = Callable[[list[Trial], int | None], int]
"""Trains trials to the end of an epoch, or (None) to their records; returns an exit code, 0 to go on."""
RUNGS = (Rung(eighth=1, keep=0.4), Rung(eighth=4, keep=0.1))
"""After an eighth of the epochs four in ten cells go on, after half of them one in ten, or more where noise hides who
is best: at least 38 % of the training.

Tuned on one grid and tried on another, see docs/pruning.md."""


def cost(experiment: SweepPlan) -> float:
    """The least share of the cells' training that is left: where seeds tell all that go on from those that do not."""
    cells = _count(experiment)
    epochs, alive, last, spent = experiment.shared.epochs, cells, 0, 0.0
    for rung in experiment.prune:
        epoch = rung.epoch(epochs)
        spent += alive * (epoch - last)
        alive, last = kept(rung, cells), epoch
    return (spent + alive * (epochs - last)) / (cells * epochs)


def told(experiment: SweepPlan) -> str:
    """``2 to 7 cells, and after epoch 6 to 2``: what goes on from where."""
    cells, epochs = _count(experiment), experiment.shared.epochs
    return ", and after epoch ".join(
        f"{rung.epoch(epochs)} to {counted(kept(rung, cells), 'cell')}" for rung in experiment.prune
    )


def _count(experiment: SweepPlan) -> int:
    return len({trial.label for trial in plan(experiment) if trial.reference is None})


def kept(rung: Rung, cells: int) -> int:
    """How many of ``cells`` go on from ``rung``."""
    return max(1, math.ceil(rung.keep * cells - 1e-9))


def run_rungs(
    directory: Path, experiment: SweepPlan, trials: Sequence[Trial], to_run: Sequence[Trial], train: Train
) -> int:
    """Train ``to_run`` to records, those of pruned cells among them; what was done before is not done again.

    Returns 0, or the first exit code of ``train`` that is not. Without rungs all is trained to the end, at once.
    """
    for rung in experiment.prune:
        epoch = rung.epoch(experiment.shared.epochs)
        waiting = short_of(directory, to_run, epoch)
        if waiting and (code := train(waiting, epoch)):
            return code
        prune(directory, trials, rung, epoch, experiment.measure)
    rest = short_of(directory, to_run, None)
    return train(rest, None) if rest else 0


def stage(directory: Path, experiment: SweepPlan, trials: Sequence[Trial]) -> tuple[list[Trial], int | None]:
    """Which of ``trials`` come first if all of them are to be trained, and to the end of which epoch."""
    for rung in experiment.prune:
        epoch = rung.epoch(experiment.shared.epochs)
        waiting = [trial for trial in _at_rungs(trials) if _reached(directory, trial) < epoch]
        if any(trial.reference is None for trial in waiting):
            return waiting, epoch
    return list(trials), None


def short_of(directory: Path, trials: Sequence[Trial], until: int | None) -> list[Trial]:
    """What is to be trained: trials without a record; to a rung, cells that do not wait there or beyond already.

    The untrained encoder, which a rung compares with, takes seconds and comes first.
    """
    missing = [trial for trial in trials if not _has_record(directory, trial)]
    if until is None:
        return missing
    return [trial for trial in _at_rungs(missing) if _reached(directory, trial) < until]


def check_seeds(directory: Path, experiment: SweepPlan) -> None:
    """Raise UsageError if ``experiment`` has seeds that cells were pruned without: they cannot compete any more."""
    if not experiment.prune or not (directory / SWEEP_FILE).is_file():
        return
    before = load_plan(directory)
    new = [seed for seed in experiment.seeds if seed not in before.seeds]
    gone = next((trial.label for trial in _cells(plan(before)) if _is_pruned(directory, trial)), None) if new else None
    if gone:
        raise UsageError(
            f"{gone} was pruned in {directory} without seed {new[0]}: the same seeds, another --out, or no --prune"
        )


def prune(directory: Path, trials: Sequence[Trial], rung: Rung, epoch: int, measure: Measure = "top1") -> None:
    """Write the records of all trials at ``epoch`` whose cell does not go on; the others' checkpoints stay.

    A seed that comes late, since it had failed, is pruned as its cell was. What a trial knows of later epochs, from a
    time when nothing was pruned, is left out: it does not compete there.
    """
    cells: dict[str, list[Trial]] = {}
    for trial in _cells(trials):
        cells.setdefault(trial.label, []).append(trial)
    knn = {label: _scores(directory, members, epoch, measure) for label, members in cells.items()}
    if on_plateau(knn, _untrained(directory, trials, measure)):
        return
    alive = go_on(knn, rung)
    for label, members in cells.items():
        if label in alive and not any(_is_pruned(directory, trial) for trial in members):
            continue
        for trial in members:
            parked = read_parked(directory, trial.id)
            if parked and not _has_record(directory, trial):
                history = tuple(entry for entry in parked.history if (entry["epoch"] or 0) <= epoch)
                write_record(directory, parked.replace(history=history))
                shutil.rmtree(running_directory(directory, trial.id), ignore_errors=True)


def go_on(knn: Mapping[str, Mapping[int, float]], rung: Rung) -> set[str]:
    """The cells that go on: the rung's share of all, the best by mean, and what cannot be told from the best.

    ``knn[cell][seed]`` is the validation kNN at the rung, of no seed for cells that are not there any more. Means are
    adjusted for the seeds that a cell lacks, as in reports. What cannot be told is Hsu's set
    (:attr:`ablate.inference.model.Model.contenders`), which takes two seeds; with one, the share alone goes on. A cell
    that shares no seed with the others goes on, too, since nothing is known against it.
    """
    compared = {label: knn[label] for label in largest(knn)}
    means, model = adjusted(compared), estimate(compared)
    ranked = sorted(compared, key=lambda label: -round(means[label], 9))
    apart = {label for label, values in knn.items() if values and label not in compared}
    return {*ranked[: kept(rung, len(knn))], *(model.contenders if model else ()), *apart}


def on_plateau(knn: Mapping[str, Mapping[int, float]], untrained: Mapping[int, float]) -> bool:
    """Whether no cell is above the untrained encoder's kNN, over the seeds that both have; False where none has any."""
    gains = [gain for values in knn.values() if (gain := paired_mean(values, untrained)) is not None]
    return bool(gains) and max(gains) <= 0


def knn_at(result: TrialResult | None, epoch: int, measure: Measure = "top1") -> float | None:
    """The validation kNN by ``measure`` after ``epoch``; None where there is none."""
    history = result.history if result else ()
    name = measured_by(KNN, measure)
    return next((entry.get(name) for entry in history if entry.get("epoch") == epoch), None)


def _scores(directory: Path, members: Sequence[Trial], epoch: int, measure: Measure) -> dict[int, float]:
    """Of the seeds that have got there: failed ones, and cells that were pruned before, have not."""
    results = {trial.seed: _result(directory, trial) for trial in members}
    there = {seed: result for seed, result in results.items() if result and result.status != "failed"}
    known = {seed: knn_at(result, epoch, measure) for seed, result in there.items()}
    return {seed: value for seed, value in known.items() if value is not None}


def _untrained(directory: Path, trials: Sequence[Trial], measure: Measure) -> dict[int, float]:
    """The untrained encoder's kNN accuracy by seed, on the test set: its records have no other. It chooses nothing."""
    name = measured_by("knn_top1", measure)
    results = [_result(directory, trial) for trial in trials if trial.reference == "untrained"]
    return {result.seed: value for result in results if result and (value := result.metrics.get(name)) is not None}


def _result(directory: Path, trial: Trial) -> TrialResult | None:
    try:
        return read_record(record_path(directory, trial.id))
    except (FileNotFoundError, BadRecord):
        return read_parked(directory, trial.id)


def _is_pruned(directory: Path, trial: Trial) -> bool:
    if not _has_record(directory, trial):
        return False
    result = _result(directory, trial)
    return result is not None and result.status == "pruned"


def _reached(directory: Path, trial: Trial) -> int:
    parked = read_parked(directory, trial.id)
    return int(parked.history[-1]["epoch"] or 0) if parked and parked.history else 0


def _has_record(directory: Path, trial: Trial) -> bool:
    return record_path(directory, trial.id).exists()


def _at_rungs(trials: Sequence[Trial]) -> list[Trial]:
    """What is trained up to a rung: cells, and the untrained encoder, to its record."""
    return [trial for trial in trials if trial.reference in (None, "untrained")]


def _cells(trials: Sequence[Trial]) -> list[Trial]:
    """References are never pruned."""
    return [trial for trial in trials if trial.reference is None]
