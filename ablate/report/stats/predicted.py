"""Predictions of the cells that a budget does not run, by a model of the trained ones. A prediction is no result.

Predictions have a type of their own and stand in no grid, table of results or record, so that nothing that reads
results can take one for a result. The model is the Gaussian process of :mod:`ablate.inference.gp`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ablate.config.base import OpSpec
from ablate.console import counted
from ablate.inference.gp import Beliefs, believe
from ablate.inference.improvement import STARTUP, Mask, chance_of_better, chances_of_better, next_batch
from ablate.inference.kernel import Compositions
from ablate.report.data.grid import Cell
from ablate.report.data.results import Results
from ablate.report.stats.order import order
from ablate.report.stats.words import named
from ablate.sweep.batches import every_cell, not_asked_for
from ablate.sweep.budget import UNLIKELY
from ablate.sweep.rounds import counted_points

INTERVAL = 1.645  # standard deviations on either side of a normal mean that hold 90 %
APPROXIMATELY = "≈"  # stands before every number that is predicted
NOT_RUN = (
    f"Hatched: not run; predicted from the trained cells ({APPROXIMATELY}), with the 90 % interval. Predictions "
    "are no results: no average, comparison or choice uses them."
)
"""The sentences that explain a predicted cell."""
LIKELIEST = 3  # cells that a sentence names


@dataclass(frozen=True)
class Prediction:
    """The value that the model expects of a cell that was not run; all numbers are fractions.

    Attributes:
        label: the label of the cell.
        mean: the mean over seeds that is expected.
        low: the lower end of its 90 % interval, for a mean over as many seeds as were used.
        high: the upper end.
        better: the probability that its true value is above that of the best trained cell by more than ``within``.
    """

    label: str
    mean: float
    low: float
    high: float
    better: float


@dataclass(frozen=True)
class Outlook:
    """The predictions of all cells that were not run, by label, in plan order.

    Attributes:
        metric: the metric that is predicted.
        cells: the predictions.
        best: the label of the trained cell that the model takes for the best.
        better: the probability that any cell that was not run is better than it by more than ``within``.
    """

    metric: str
    cells: Mapping[str, Prediction]
    best: str
    better: float


def outlook(sweep: Results, metric: str | None = None) -> Outlook | None:
    """Return the predictions of the cells that were not asked for.

    Args:
        sweep: the sweep.
        metric: the metric to predict; default: validation accuracy, by which cells are chosen.

    Returns:
        The predictions; None without a budget, if all cells were run, or with too few results for a model.
    """
    metric = metric or sweep.grid.validation_metric
    free = not_asked_for(sweep.experiment)
    found = _model(sweep, metric) if free else None
    if found is None or sweep.experiment.budgeted is None:
        return None
    labels, beliefs, finished = found
    within = sweep.experiment.budgeted.within / 100
    among = np.isin(labels, free)
    chances = chances_of_better(beliefs, finished, within)
    low, high = (np.clip(beliefs.mean + side * INTERVAL * beliefs.spread, 0.0, 1.0) for side in (-1, 1))
    mean = np.clip(beliefs.mean, 0.0, 1.0)
    cells = {
        label: Prediction(label, float(mean[i]), float(low[i]), float(high[i]), float(chances[i]))
        for i, label in enumerate(labels)
        if among[i]
    }
    best = labels[int(np.where(finished, beliefs.mean, -np.inf).argmax())]
    return Outlook(metric, cells, best, chance_of_better(beliefs, finished, among, within))


def predicted_cells(sweep: Results, metric: str | None = None) -> Mapping[str, Prediction]:
    """Return the predictions of :func:`outlook` by label; none where there is no model."""
    ahead = outlook(sweep, metric)
    return ahead.cells if ahead else {}


def next_cells(sweep: Results) -> list[str]:
    """Return the labels of the next batch: those with the largest expected improvement together."""
    found = _model(sweep, sweep.grid.validation_metric)
    assert found is not None and sweep.experiment.budgeted is not None
    labels, beliefs, finished = found
    free = np.isin(labels, not_asked_for(sweep.experiment))
    return [labels[number] for number in next_batch(beliefs, finished, free, sweep.experiment.budgeted.batch)]


def known_beforehand(sweep: Results) -> list[str]:
    """Return a sentence on the other sweeps from which the model learnt; none without any."""
    part = sweep.experiment.search or sweep.experiment.budgeted
    if not part or not part.prior:
        return []
    known = [f"{prior.name} ({counted(len(prior.means), 'composition')})" for prior in part.prior]
    return [
        f"The model that chose the compositions to train knew the means of other sweeps beforehand: {named(known)}. "
        "Its weight for them follows from the results here; no result of theirs is used otherwise."
    ]


def predicted(sweep: Results) -> list[str]:
    """Return sentences on the part of the grid that was run, and on how likely a better cell is among the others."""
    asked = sweep.experiment.budgeted
    if asked is None or not (free := not_asked_for(sweep.experiment)):
        return []
    trained = f"{len(asked.cells)} of {counted(len(asked.cells) + len(free), 'composition')}"
    part = (
        f"Within the budget, {trained} were asked for; the others were not run. Those that were trained are no random "
        "sample, so correlations over them do not hold for the whole grid."
    )
    ahead = outlook(sweep)
    if ahead is None:
        return [f"{part} There are too few results to predict them."]
    likely = sorted(ahead.cells.values(), key=lambda cell: -cell.better)[:LIKELIEST]
    first = named([f"{cell.label} ({chance_in_words(cell.better)})" for cell in likely if cell.better >= 0.01])
    return [
        part,
        f"The probability that a composition that was not run is better than {_best(sweep, ahead)} by more "
        f"than {counted_points(asked.within)} is {chance_in_words(ahead.better)}, by a model of the trained ones"
        f"{f'; most likely: {first}' * bool(first)}. {_next(ahead)}",
    ]


def _best(sweep: Results, ahead: Outlook) -> str:
    """Return the label of the best trained cell; the model, which knows its neighbours, may take another for it."""
    best = order(sweep.grid).best
    is_same = best is not None and best.label == ahead.best
    return ahead.best if is_same else f"{ahead.best}, which the model takes for the best trained one,"


def _next(ahead: Outlook) -> str:
    if ahead.better < UNLIKELY:
        return f"It is below {100 * UNLIKELY:.0f} %, so no more are asked for."
    return "A larger budget trains more of them; without one, all are trained."


def in_percent(prediction: Prediction) -> str:
    """Return ``≈ 63.1 [55.0, 71.2]``: the mean and the 90 % interval in percent."""
    low, high = 100 * prediction.low, 100 * prediction.high
    return f"{APPROXIMATELY} {100 * prediction.mean:.1f} [{low:.1f}, {high:.1f}]"


def chance_in_words(probability: float) -> str:
    """Return a probability as in ``12 %``, and one close to 0 or 1 as ``< 1 %`` or ``> 99 %``."""
    return "< 1 %" if probability < 0.01 else "> 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


def _model(sweep: Results, metric: str) -> tuple[list[str], Beliefs, Mask] | None:
    """Return the labels of all cells, the beliefs about them, and which of them have results; None if few have."""
    by_label: dict[str, Cell] = {cell.label: cell for cell in sweep.grid.compositions}
    values = {
        label: by_label[label].seeds(metric) if label in by_label else {} for label in every_cell(sweep.experiment)
    }
    finished = np.array([bool(seeds) for seeds in values.values()])
    if finished.sum() < STARTUP:
        return None
    ops = tuple(json.dumps([op.model_dump() for op in ops]) for ops in every_cell(sweep.experiment).values())
    asked = sweep.experiment.budgeted
    others = tuple(tuple(prior.means.items()) for prior in asked.prior) if asked else ()
    return list(values), _beliefs(ops, tuple(tuple(seeds.items()) for seeds in values.values()), others), finished


@lru_cache(maxsize=4)
def _beliefs(
    compositions: tuple[str, ...],
    values: tuple[tuple[tuple[int, float], ...], ...],
    others: tuple[tuple[tuple[str, float], ...], ...],
) -> Beliefs:
    """Remember the last beliefs, since the parts of a report ask for the same ones several times."""
    ops = [[OpSpec.model_validate(op) for op in json.loads(text)] for text in compositions]
    return believe(Compositions(ops, [dict(means) for means in others]), [[dict(seeds) for seeds in values]])
