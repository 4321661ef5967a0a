"""docs/pruning.md against the committed records that it is about."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ablate.report.data.results import read_sweep
from benchmarks import pruning

PAGE = Path("docs/pruning.md")


@pytest.mark.parametrize("directory", [pruning.TUNED_ON, pruning.TRIED_ON], ids=lambda path: path.name)
def test_the_tables_are_what_the_replay_says(directory):
    page = PAGE.read_text()
    for line in [*pruning.rows(directory), *pruning.correlations(directory)]:
        assert line in page, line


def test_the_winner_and_all_contenders_are_left_in_both_grids():
    for directory in (pruning.TUNED_ON, pruning.TRIED_ON):
        found = pruning.outcomes(directory)
        pruned, before = found["pruned"], found["by the shares alone, as before"]
        assert pruned.cost <= 0.41
        assert pruned.regret == before.regret == 0
        assert pruned.held == pruned.contenders > before.held


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
