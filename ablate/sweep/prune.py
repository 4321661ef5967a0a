"""Prune a sweep by successive halving: all cells train to a rung, and only the best continue.

A rung is a barrier: all cells reach it before any continues. The cells that continue are chosen by the validation kNN
of all seeds at the rung (top-1, or balanced accuracy if the sweep chooses otherwise), among all cells of the plan. In a
search, these are the cells of the current batch and of all batches before it. The best by mean continue, and every cell
that by its seeds cannot be told from the best. The choice depends on the results alone, not on the number of workers
or on the order in which trials end. While no cell is better than the untrained encoder, ranks are noise, and nothing is
pruned before the next rung. The loss of training is ignored: it says how hard the views are to match, not how good the
representation is.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ablate.config.measure import KNN, Measure, measured_by
from ablate.config.sweep import Rung, SweepPlan, Trial
from ablate.console import counted
from ablate.errors import DamagedRecord, UsageError
from ablate.inference.adjusted import adjusted, largest, paired_mean
from ablate.inference.model import estimate
from ablate.sweep.attempts import last_attempt
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import inherit
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.record import TrialResult, read_parked, read_record, write_record

Train = Callable[[list[Trial], int | None], int]
"""Trains trials to the end of an epoch, or to their records (None); returns an exit code, 0 to continue."""
RUNGS = (Rung(eighth=1, keep=0.4), Rung(eighth=4, keep=0.1))
"""The default rungs, which leave at least 38 % of the training.

After an eighth of the epochs four in ten cells continue, after half of them one in ten; more continue where noise hides
which is best. They were tuned on one grid and tested on another, see docs/pruning.md."""


def cost(experiment: SweepPlan) -> float:
    """Return the smallest possible share of the cells' training that pruning leaves.

    It is reached when the seeds separate the cells that continue from all the others.
    """
    cells = _count(experiment)
    epochs, alive, last, spent = experiment.shared.epochs, cells, 0, 0.0
    for rung in experiment.prune:
        epoch = rung.epoch(epochs)
        spent += alive * (epoch - last)
        alive, last = kept(rung, cells), epoch
    return (spent + alive * (epochs - last)) / (cells * epochs)


def rungs_in_words(experiment: SweepPlan) -> str:
    """Say how many cells continue after which epoch: ``2 to 7 cells, and after epoch 6 to 2``."""
    cells, epochs = _count(experiment), experiment.shared.epochs
    return ", and after epoch ".join(
        f"{rung.epoch(epochs)} to {counted(kept(rung, cells), 'cell')}" for rung in experiment.prune
    )


def _count(experiment: SweepPlan) -> int:
    return len({trial.label for trial in plan(experiment) if trial.reference is None})


def kept(rung: Rung, cells: int) -> int:
    """Return how many of ``cells`` continue after ``rung``."""
    return max(1, math.ceil(rung.keep * cells - 1e-9))


def run_rungs(
    directory: Path, experiment: SweepPlan, trials: Sequence[Trial], to_run: Sequence[Trial], train: Train
) -> int:
    """Train ``to_run`` to records, pruned cells included, without repeating earlier work.

    Without rungs, all trials are trained to the end at once.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan.
        trials: all trials of the plan.
        to_run: the trials to train.
        train: called for the trials of each rung, and for those that remain.

    Returns:
        The first nonzero exit code of ``train``, or 0.
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
    """Return the trials to train first if all of ``trials`` are to be trained, and their last epoch for now.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan.
        trials: the trials to train.

    Returns:
        The trials that train first, and the epoch at whose end they stop; None: they train to their end.
    """
    for rung in experiment.prune:
        epoch = rung.epoch(experiment.shared.epochs)
        waiting = [trial for trial in _at_rungs(trials) if _reached(directory, trial) < epoch]
        if any(trial.reference is None for trial in waiting):
            return waiting, epoch
    return list(trials), None


def short_of(directory: Path, trials: Sequence[Trial], until: int | None) -> list[Trial]:
    """Return the trials that still have to be trained up to epoch ``until``.

    The untrained encoder, which a rung compares with, takes seconds and comes first.

    Args:
        directory: the sweep's directory.
        trials: the trials to look at.
        until: the epoch of a rung; None: train to the end.

    Returns:
        The trials without a record; for a rung, without the cells that already wait there or beyond.
    """
    missing = [trial for trial in trials if not _has_record(directory, trial)]
    if until is None:
        return missing
    return [trial for trial in _at_rungs(missing) if _reached(directory, trial) < until]


def before_next_choice(
    directory: Path, experiment: SweepPlan, trials: Sequence[Trial]
) -> tuple[list[Trial], int | None]:
    """Return the trials that can train although nobody compares cells, and the epoch at whose end they stop.

    At a rung the sweep's own command chooses the cells that continue. Whether it has chosen is seen by a cell that is
    pruned, or that has gone on; until then there is no trial beyond the rung.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan.
        trials: all trials of the plan.

    Returns:
        The trials without a record that can train now, and the epoch; None: they train to their end.
    """
    is_chosen = True
    for epoch in (rung.epoch(experiment.shared.epochs) for rung in experiment.prune):
        waiting = short_of(directory, trials, epoch) if is_chosen else []
        if not is_chosen or _cells(waiting):
            return waiting, epoch
        is_chosen = any(_is_pruned(directory, trial) or _goes_on(directory, trial, epoch) for trial in _cells(trials))
    return (short_of(directory, trials, None) if is_chosen else []), None


def _goes_on(directory: Path, trial: Trial, epoch: int) -> bool:
    """Return True if the cell has a record of its whole training, or an attempt after it had reached ``epoch``."""
    if _has_record(directory, trial):
        return True
    parked, last = read_parked(directory, trial.id), last_attempt(directory, trial.id)
    return _reached(directory, trial) > epoch or bool(parked and last and last.number > parked.attempts)


def check_seeds(directory: Path, experiment: SweepPlan) -> None:
    """Raise UsageError if ``experiment`` adds seeds after cells were pruned: these could no longer compete."""
    if not experiment.prune or not (SweepDir(directory).plan).is_file():
        return
    before = load_plan(directory)
    new = [seed for seed in experiment.seeds if seed not in before.seeds]
    gone = next((trial.label for trial in _cells(plan(before)) if _is_pruned(directory, trial)), None) if new else None
    if gone:
        raise UsageError(
            f"{gone} was pruned in {directory} without seed {new[0]}: use the same seeds, choose another --out, or "
            "do not prune"
        )


def prune(directory: Path, trials: Sequence[Trial], rung: Rung, epoch: int, measure: Measure = "top1") -> None:
    """Write the records of all trials at ``epoch`` whose cell does not continue.

    The checkpoints of the other trials stay. A seed that arrives late because it had failed is pruned as its cell was.
    Later epochs of a trial, from a time when nothing was pruned, are left out of its record: it does not compete there.

    Args:
        directory: the sweep's directory.
        trials: all trials of the plan.
        rung: the rung that was reached.
        epoch: the epoch of that rung.
        measure: the accuracy that chooses.
    """
    cells: dict[str, list[Trial]] = {}
    for trial in _cells(trials):
        cells.setdefault(trial.label, []).append(trial)
    knn = {label: _scores(directory, members, epoch, measure) for label, members in cells.items()}
    references = [_result(directory, trial) for trial in trials if trial.reference == "untrained"]
    if on_plateau(knn, untrained_knn(references, measure)):
        return
    alive = go_on(knn, rung)
    for label, members in cells.items():
        if label in alive and not any(_is_pruned(directory, trial) for trial in members):
            continue
        for trial in members:
            parked = read_parked(directory, trial.id)
            if parked and not _has_record(directory, trial):
                history = tuple(entry for entry in parked.history if (entry["epoch"] or 0) <= epoch)
                over = inherit(directory, trial.id, last_attempt(directory, trial.id))
                write_record(over, parked.replace(history=history))
                shutil.rmtree(SweepDir(directory).begun(trial.id), ignore_errors=True)


def go_on(knn: Mapping[str, Mapping[int, float]], rung: Rung) -> set[str]:
    """Return the cells that continue: the rung's share of the best, and all that are not clearly worse.

    ``knn[cell][seed]`` is the validation kNN at the rung; a cell that was pruned before has no seeds. The share is
    taken of all cells, by mean, and means are adjusted for the seeds that a cell lacks, as in reports. The cells that
    cannot be told from the best are Hsu's set (:attr:`ablate.inference.model.TwoWayModel.contenders`), which takes
    two seeds; with one seed, only the share continues. A cell that shares no seed with the others continues too, since
    nothing is known against it.
    """
    compared = {label: knn[label] for label in largest(knn)}
    means, model = adjusted(compared), estimate(compared)
    ranked = sorted(compared, key=lambda label: -round(means[label], 9))
    apart = {label for label, values in knn.items() if values and label not in compared}
    return {*ranked[: kept(rung, len(knn))], *(model.contenders if model else ()), *apart}


def on_plateau(knn: Mapping[str, Mapping[int, float]], untrained: Mapping[int, float]) -> bool:
    """Return True if no cell is above the untrained encoder's kNN, over the seeds that both have.

    The answer is False where no cell shares a seed with it.
    """
    gains = [gain for values in knn.values() if (gain := paired_mean(values, untrained)) is not None]
    return bool(gains) and max(gains) <= 0


def knn_at(result: TrialResult | None, epoch: int, measure: Measure = "top1") -> float | None:
    """Return the validation kNN by ``measure`` after ``epoch``, or None if there is none.

    Args:
        result: the trial's record, if there is one.
        epoch: the epoch to look up in its history.
        measure: the accuracy to return.
    """
    history = result.history if result else ()
    name = measured_by(KNN, measure)
    return next((entry.get(name) for entry in history if entry.get("epoch") == epoch), None)


def untrained_knn(results: Iterable[TrialResult | None], measure: Measure) -> dict[int, float]:
    """Return the untrained encoder's kNN accuracy by seed.

    It is measured on the test set, since its records hold no other; nothing is chosen by it.
    """
    name = measured_by("knn_top1", measure)
    return {result.seed: value for result in results if result and (value := result.metrics.get(name)) is not None}


def _scores(directory: Path, members: Sequence[Trial], epoch: int, measure: Measure) -> dict[int, float]:
    """Return the kNN of each seed that has reached ``epoch``; failed and pruned trials have not."""
    results = {trial.seed: _result(directory, trial) for trial in members}
    there = {seed: result for seed, result in results.items() if result and result.status != "failed"}
    known = {seed: knn_at(result, epoch, measure) for seed, result in there.items()}
    return {seed: value for seed, value in known.items() if value is not None}


def _result(directory: Path, trial: Trial) -> TrialResult | None:
    try:
        return read_record(SweepDir(directory).record(trial.id))
    except (FileNotFoundError, DamagedRecord):
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
    return SweepDir(directory).record(trial.id).exists()


def _at_rungs(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that train up to a rung: all cells, and the untrained encoder, which gets its record."""
    return [trial for trial in trials if trial.reference in (None, "untrained")]


def _cells(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that are cells; references are never pruned."""
    return [trial for trial in trials if trial.reference is None]
