"""Further seeds of the untrained encoder: planned alone, and compared by Welch's interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ablate.config.experiment import Experiment
from ablate.errors import UsageError
from ablate.planning.understand import _untrained_seeds
from ablate.report.data.results import read_sweep
from ablate.report.stats.order import order
from ablate.report.stats.summary import summary
from ablate.report.stats.untrained import is_unclear, over_untrained, unpaired_difference
from ablate.sweep.extend import extend
from ablate.sweep.plan import plan, save_plan
from tests.support.cli import ablate, one_sentence
from tests.support.sweeps import make_experiment, record, write_record

DRAWN = {0: 0.59, 1: 0.41, 2: 0.55, 3: 0.47, 4: 0.60}
"""Untrained encoders differ by far more than trained ones."""


def write(directory, experiment):
    save_plan(directory, experiment)
    for trial in plan(experiment):
        value = DRAWN[trial.seed] if trial.reference else 0.8 + 0.01 * trial.seed + 0.02 * len(trial.label) / 10
        write_record(directory, record(trial, value))
    return read_sweep(directory)


def test_the_interval_is_scipys():
    a, b = [0.85, 0.84], list(DRAWN.values())
    found, expected = unpaired_difference(a, b), stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    np.testing.assert_allclose((found.low, found.high), expected)
    assert str(found).endswith("(95 %, Welch, 5 untrained encoders, n = 2)")
    assert unpaired_difference([0.5], b).low is None and unpaired_difference([], b) is None
    assert unpaired_difference([0.5, 0.5], [0.4, 0.4]).is_constant


def test_more_untrained_seeds_add_their_trials_alone_and_keep_all_others(tmp_path):
    before = make_experiment(["crop", "color"], 2)
    more = extend(before, before.replace(untrained_seeds=(0, 1, 2, 3, 4)), tmp_path)
    old, new = ([trial.id for trial in plan(each)] for each in (before, more))
    assert new[: len(old)] == old
    assert [(trial.reference, trial.seed) for trial in plan(more)[len(old) :]] == [("untrained", s) for s in (2, 3, 4)]
    assert extend(more, before, tmp_path).untrained_seeds == (0, 1, 2, 3, 4)  # a command without the option keeps them
    grown = extend(more, before.replace(seeds=(0, 1, 2)), tmp_path)
    assert len({trial.id for trial in plan(grown)}) == len(plan(grown)) == 3 * 5 + 2


def test_two_seeds_are_enough_once_there_are_more_untrained_encoders(tmp_path):
    two = make_experiment(["crop", "color"], 2)
    sweep = write(tmp_path / "two", two)
    assert is_unclear(sweep.grid, order(sweep.grid))
    text = " ".join(summary(sweep))
    assert "Untrained encoders differ by 12.7 points between seeds (standard deviation of validation accuracy)" in text
    assert "`ablate grid" in text
    assert f"--out {tmp_path / 'two'} --untrained-seeds 5` evaluates more of them" in text
    five = write(tmp_path / "five", two.replace(untrained_seeds=(0, 1, 2, 3, 4)))
    ranking = order(five.grid)
    assert not is_unclear(five.grid, ranking)
    assert over_untrained(five.grid, ranking, ranking.best).how == "Welch, 5 untrained encoders"
    assert "Untrained encoders differ" not in " ".join(summary(five))


def test_the_seeds_of_the_cells_come_first_and_others_follow():
    wish = Experiment(ops=["crop"], seeds=[3, 7], untrained_seeds=4)
    assert _untrained_seeds(wish) == (3, 7, 8, 9)
    assert _untrained_seeds(wish.model_copy(update={"untrained_seeds": 2})) == ()
    with pytest.raises(UsageError, match="untrained_seeds is for the reference untrained, which this sweep does not"):
        _untrained_seeds(wish.model_copy(update={"references": ["no-op"]}))
    assert "--untrained-seeds must be at least 1" in one_sentence(ablate("drop", "crop+flip", "--untrained-seeds", 0))
