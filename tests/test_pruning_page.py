"""docs/pruning.md against the committed records that it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablate.sweep.prune import RUNGS
from benchmarks import pruning

PAGE = Path("docs/pruning.md")


@pytest.mark.parametrize("directory", [pruning.TUNED_ON, pruning.TRIED_ON], ids=lambda path: path.name)
def test_the_tables_are_what_the_replay_says(directory):
    page = PAGE.read_text()
    for line in [*pruning.rows(directory), *pruning.correlations(directory)]:
        assert line in page, line


def test_the_targets_hold_on_the_grid_that_the_rungs_were_not_tuned_on():
    histories = pruning.read(pruning.TRIED_ON)
    pruned = pruning.replay(histories, lambda seeds: pruning.pruned(histories, RUNGS, seeds))
    assert pruned.cost <= 0.40
    assert pruned.good >= 0.95
    top = pruning.equal_cost(histories, pruned.cost)
    raced = pruning.replay(histories, lambda seeds: pruning.raced(histories, top, seeds))
    assert raced.cost <= pruned.cost
    assert pruned.good > raced.good
