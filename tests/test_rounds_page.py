"""docs/rounds.md against the stored simulations and the replay that it is about."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import rounds

PAGE = Path("docs/rounds.md")


def test_the_table_is_what_was_simulated():
    rows = json.loads(rounds.RESULTS.read_text())
    assert {name.rsplit("@", 1)[0] for name in rows} == set(rounds.TRUTHS)
    page = PAGE.read_text()
    for line in rounds.table(rows):
        assert line in page, line


def test_the_best_is_right_in_95_percent_as_far_as_the_sweeps_can_tell():
    rows = json.loads(rounds.RESULTS.read_text()).values()
    assert min(row["right"] for row in rows) >= 0.93
    assert sum(row["right"] for row in rows) / len(rows) >= 0.95


def test_the_table_of_the_replay_is_what_the_replay_says():
    page = PAGE.read_text()
    for line in rounds.replayed():
        assert line in page, line


def test_the_table_of_the_rounds_on_cifar10_is_what_their_records_say():
    page = PAGE.read_text()
    for line in rounds.really_run():
        assert line in page, line
