"""The A/A run: what docs/report.md says of it, from the committed records."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import aa


def test_the_set_holds_each_of_equal_cells_as_often_as_the_page_says():
    said = re.search(r"holds each fake cell in (\d\.\d+) of them", Path("docs/report.md").read_text())
    share = aa.held(aa.accuracies(), cuts=400)
    assert share >= 0.93
    assert abs(share - float(said[1])) < 0.02
