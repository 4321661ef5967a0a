"""docs/budget.md against the records that it is about: grids that are replayed, and a run of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ablate.report.data.results import read_sweep
from benchmarks import budgeted

PAGE = Path("docs/budget.md").read_text()


@pytest.mark.parametrize(
    ("name", "seeds", "budgets"),
    [
        ("fig5-glyphs", 3, (24, 36, 48, 60, 72, 144)),
        ("real-cifar10", 2, (16, 24, 32)),
        ("real-spoken-digits", 2, (16, 24, 32, 40)),
    ],
)
def test_the_page_says_what_a_budget_finds_on_a_committed_grid(name, seeds, budgets):
    source = Path("results") / name
    everything = budgeted.means(read_sweep(source), range(seeds))
    rows = [budgeted.row(sweep, everything, range(seeds)) for sweep in budgeted.stages(source, range(seeds), budgets)]
    assert rows[-1] == rows[-2]  # it has ended
    for row in rows:
        assert row in PAGE, row


def test_the_run_on_cifar_10_is_what_is_on_record():
    written = PAGE.partition(budgeted.BEGIN)[2].partition("<!-- end of results -->")[0]
    assert written.splitlines() == budgeted.really_run()
    seconds = [json.loads(path.read_text())["timings"]["cpu"] for path in budgeted.REALLY_RUN.glob("trials/*.json")]
    assert f"({sum(seconds) / 60:.0f} CPU minutes)" in PAGE
