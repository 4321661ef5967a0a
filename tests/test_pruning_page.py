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
    assert Counter(lengths) == {2: 3 * 29, 6: 3 * 15, 12: 3 * 5}
    assert f"{sum(lengths) / (3 * 49 * 12):.1%}".replace("%", " %") in PAGE.read_text()
    left = {cell.label: cell.validation for cell in real.grid.with_results}
    assert len(left) == 5
    assert all(label in PAGE.read_text() for label in left)
    best = max(whole.grid.with_results, key=lambda cell: cell.validation)
    assert max(left, key=left.get) == best.label == "crop+color"


def test_trials_on_the_same_kind_of_cpu_have_the_bits_of_the_grid_that_was_not_pruned():
    real, whole = read_sweep("results/pruned-glyphs"), read_sweep(pruning.TRIED_ON)
    pairs = [(real.records[t.id], whole.records[t.id]) for t in real.trials if t.reference is None]
    alike = [(a, b) for a, b in pairs if a.host["cpu_capability"] == b.host["cpu_capability"]]
    assert len(alike) == 66
    for a, b in alike:
        losses = [[entry["loss"] for entry in record.history] for record in (a, b)]
        assert losses[0] == losses[1][: len(losses[0])]
        assert a.metrics == (b.metrics if a.status == "done" else {})
