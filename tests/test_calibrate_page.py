"""docs/calibrate.md against the stored simulations that it is about."""

from __future__ import annotations

import json
from pathlib import Path

from ablate.report.data.results import read_sweep
from ablate.report.stats.calibration import calibration_of
from benchmarks import calibrated, calibrating

ROWS = json.loads(calibrating.RESULTS.read_text())


def test_the_table_is_what_was_simulated():
    page = Path("docs/calibrate.md").read_text()
    for line in calibrating.table(ROWS):
        assert line in page, line


def test_what_the_page_concludes_holds():
    useless = [row for name, row in ROWS.items() if name.startswith("useless")]
    others = [row for name, row in ROWS.items() if not name.startswith("useless")]
    assert max(row["advised"] for row in useless) <= 0.01
    assert all(0.155 <= row["by_regret"] < 0.165 for row in useless)
    assert max(row["same_cells"] for row in others) < 0.115
    assert min(row["advised"] for name, row in ROWS.items() if name.startswith("ranks")) > 1 / 3
    differing = [row["other_ops"] for name, row in ROWS.items() if name.startswith("differs")]
    assert min(differing) >= 0.185 and max(differing) < 0.285


def test_the_calibration_on_cifar_10_is_what_is_on_record():
    page = Path("docs/calibrate.md").read_text()
    written = page.partition(calibrated.BEGIN)[2].partition("<!-- end of results -->")[0]
    assert written.splitlines() == calibrated.lines(calibration_of(read_sweep(calibrated.DIRECTORY)))
