"""The sample of a sweep's cells that a calibration trains: contenders for the best, and others down to the worst."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ablate.config.sweep import NamedComposition
from ablate.console import counted
from ablate.errors import UsageError
from ablate.report.data.results import Results
from ablate.report.stats.failures import without_results
from ablate.report.stats.order import order
from ablate.report.stats.ranks import FEWEST
from ablate.sweep.again import completing
from ablate.sweep.batches import not_asked_for
from ablate.sweep.calibrations import calibrated


@dataclass(frozen=True)
class Sample:
    """The cells, the best first, and the seeds that all of them have; ``of`` is the number of cells to choose from."""

    cells: tuple[NamedComposition, ...]
    seeds: tuple[int, ...]
    of: int

    def __str__(self) -> str:
        """Return a sentence that says which cells these are."""
        some = len(self.cells) < self.of
        how = " (contenders for the best, and others evenly down to the worst)" if some else ""
        return f"{len(self.cells)} of {counted(self.of, 'cell')}{how} x {counted(len(self.seeds), 'seed')}"


def check(sweep: Results) -> None:
    """Raise UsageError unless the full results of a sweep can be compared with those of cheaper trainings."""
    plan, directory = sweep.experiment, sweep.directory
    above = directory.absolute().parent.parent
    if directory.absolute() in calibrated(above):
        raise UsageError(f"{directory} is a training of the calibration of {above}: calibrate that")
    if plan.search:
        raise UsageError(f"{directory} is a search, which chose its cells: calibrate a sweep of grid, run or drop")
    if plan.variants:
        raise UsageError(f"{directory} has axes ({', '.join(plan.axes)}): calibrate a sweep without axes")
    if plan.prune:
        raise UsageError(
            f"{directory} was pruned, so only the best cells have full results: {_train_others(sweep, ('prune',))}"
        )
    if not_asked_for(plan):
        raise UsageError(
            f"{directory} was trained within a budget, for which a model chose its cells: "
            f"{_train_others(sweep, ('budget', 'batch', 'within', 'prior'))}"
        )


def _train_others(sweep: Results, settings: Sequence[str]) -> str:
    """Return words for how to train all cells of a sweep, without the settings that kept some of them out."""
    command = completing(sweep.directory, sweep.experiment, without=[f"--{name}" for name in settings])
    _, name, *arguments = shlex.split(command)
    if name == "run":
        return f"take {settings[0]} out of {arguments[0]} and train the others first, by `{command}`"
    return f"train the others first, by `{command}`"


def sample(sweep: Results, most: int, before: Collection[str] = ()) -> Sample:
    """Choose the cells of a calibration.

    Half of them at most are contenders for the best. The others are spread evenly over the rest of the ranking, to the
    worst.

    Args:
        sweep: the sweep; its cells with results are ranked.
        most: the largest number of cells.
        before: the labels of cells that the calibration has begun with; they stay in it.

    Raises:
        UsageError: fewer than four cells have results to compare, or they share no seed.
    """
    ranking = order(sweep.grid)
    labels = [cell.label for cell in ranking.cells]
    if len(labels) < FEWEST:
        why = without_results(sweep) if sweep.failed or sweep.pending else ""
        raise UsageError(
            f"a calibration compares at least {FEWEST} cells; {sweep.directory} has {len(labels)} with results{why}"
        )
    there = [label for label in labels if label in before]
    near = [label for label in ranking.contenders or labels[:1] if label not in there]
    chosen = {*there, *near[: max(0, most // 2 - len(there))]}
    rest = [label for label in labels if label not in chosen]
    chosen |= set(spread(rest, most - len(chosen)))
    seeds = [set(cell.seeds(ranking.metric)) for cell in ranking.cells if cell.label in chosen]
    shared = set.intersection(*seeds)
    if not shared:
        raise UsageError(f"the cells of {sweep.directory} share no seed: complete it first")
    compositions = {
        trial.label: NamedComposition(label=trial.label, ops=trial.config.composition, second=trial.config.second)
        for trial in sweep.trials
        if trial.reference is None
    }
    cells = tuple(compositions[label] for label in labels if label in chosen)
    return Sample(cells, tuple(seed for seed in sweep.experiment.seeds if seed in shared), len(labels))


def spread(labels: Sequence[str], number: int) -> list[str]:
    """Return ``number`` of ``labels`` at even distances, the last one among them; all if there are not more."""
    if number <= 0:
        return []
    if number >= len(labels):
        return list(labels)
    return [labels[(i + 1) * len(labels) // number - 1] for i in range(number)]
