"""The plan of a sweep that is trained in rounds of seeds: what is left of it, what it may cost, and its next round."""

from __future__ import annotations

import itertools

from ablate.config.sweep import SweepPlan
from ablate.console import counted
from ablate.inference.rounds import Comparison, next_round
from ablate.sweep.plan import plan


def cells_left(experiment: SweepPlan) -> list[str]:
    """Return the labels of the cells that have not been dropped, in plan order."""
    dropped = experiment.rounds.dropped if experiment.rounds else {}
    labels = dict.fromkeys(trial.label for trial in plan(experiment) if trial.reference is None)
    return [label for label in labels if label not in dropped]


def compared(experiment: SweepPlan) -> tuple[int, ...]:
    """Return the number of seeds at every comparison, the one after the present round included."""
    assert experiment.rounds is not None
    before = experiment.rounds.compared
    return before if before and before[-1] == len(experiment.seeds) else (*before, len(experiment.seeds))


def after(experiment: SweepPlan, comparison: Comparison) -> SweepPlan:
    """Return the plan after a comparison: the cells that are not left are dropped, and the next round, if any, begins.

    The new seeds are the smallest that the sweep has not used.
    """
    assert experiment.rounds is not None
    n = len(experiment.seeds)
    gone = {label: n for label in cells_left(experiment) if label not in comparison.left}
    rounds = experiment.rounds.replace(compared=compared(experiment), dropped={**experiment.rounds.dropped, **gone})
    if comparison.why:
        return experiment.replace(rounds=rounds)
    fresh = (seed for seed in itertools.count() if seed not in experiment.seeds)
    more = itertools.islice(fresh, next_round(n, rounds.largest) - n)
    return experiment.replace(rounds=rounds, seeds=(*experiment.seeds, *more))


def further_trials(experiment: SweepPlan) -> int:
    """Return how many trials follow the present round if no further cell is dropped; the untrained encoder's excluded.

    Without rounds there are none.
    """
    if experiment.rounds is None:
        return 0
    each = len(cells_left(experiment)) + sum(name != "untrained" for name in experiment.references)
    return each * max(0, experiment.rounds.largest - len(experiment.seeds))


def in_words(experiment: SweepPlan) -> str:
    """Return a sentence on the present round and the most trials: the first lines of a plan."""
    assert experiment.rounds is not None
    rounds, left, n = experiment.rounds, len(cells_left(experiment)), len(experiment.seeds)
    cells = left + len(rounds.dropped)
    return (
        f"rounds of seeds: {_left(left, cells)} {counted(n, 'seed')} in this round; they end when one is left, when "
        f"all that are left are within {counted_points(rounds.within)} of the best, or with {rounds.largest} seeds: "
        f"at most {counted(further_trials(experiment), 'trial')} after this round"
    )


def progress_in_words(experiment: SweepPlan) -> str:
    """Return ``round 2: 12 of 49 cells to 5 seeds``."""
    assert experiment.rounds is not None
    left, number = len(cells_left(experiment)), len(compared(experiment))
    return (
        f"round {number}: {_left(left, left + len(experiment.rounds.dropped))} {counted(len(experiment.seeds), 'seed')}"
    )


def counted_points(points: float) -> str:
    """Return ``1 point`` or ``0.5 points``."""
    return f"{points:g} point{'' if points == 1 else 's'}"


def _left(left: int, cells: int) -> str:
    return f"{left} of {counted(cells, 'cell')} to" if left < cells else f"{counted(cells, 'cell')} to"
