"""docs/pruning.md against the committed records that it is about."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ablate.report.sweep import read_sweep
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


def test_what_the_page_says_of_the_real_run():
    real, whole = read_sweep("results/pruned-glyphs"), read_sweep(pruning.TRIED_ON)
    cells = [trial for trial in real.trials if trial.reference is None]
    lengths = [len(real.records[trial.id].history) for trial in cells]
    assert Counter(lengths) == {2: 29, 6: 15, 12: 5}
    assert f"{sum(lengths) / (49 * 12):.1%}".replace("%", " %") in PAGE.read_text()
    first = {label: cell.seeds("linear_val_top1")[0] for label, cell in whole.grid.cells.items()}
    left = {place: cell for place, cell in real.grid.cells.items() if cell.n}
    assert all(cell.seeds("linear_val_top1")[0] == first[place] for place, cell in left.items())
    assert max(first, key=first.get) == max(left, key=lambda place: left[place].validation) == ("color", "crop")
