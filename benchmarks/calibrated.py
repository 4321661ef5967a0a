"""Write what the calibration on CIFAR-10 found, and what became of the predictions about it, into docs/calibrate.md."""

from __future__ import annotations

from pathlib import Path

from ablate.report.data.results import read_sweep
from ablate.report.stats.calibration import Calibration, calibration_of
from ablate.report.stats.order import order
from ablate.report.text.calibration import HEADINGS, conclusion, remarks, table_rows
from benchmarks.claims import Verdict, short, wrong_first
from benchmarks.marked import fill

PAGE = "calibrate.md"
BEGIN = "<!-- calibration: python -m benchmarks.calibrated -->\n"
DIRECTORY = Path("results/real-cifar10")
WITHIN = 0.01
TOGETHER = "combined"
"""The training that changes all settings at once."""


def verdicts(found: Calibration) -> dict[int, Verdict]:
    """What became of the predictions, by number."""
    rows = {row.name: row for row in found.cheaper}
    ranking = order(found.sweep.grid)
    best, second = (ranking.score(cell) or 0.0 for cell in ranking.cells[:2])
    most = max(found.cheaper, key=lambda row: row.regret)
    advice = conclusion(found, WITHIN)
    half = rows[f"epochs-{found.full.settings['epochs'] // 2}"].spearman or 0.0
    single = {row.training: row.spearman or 0.0 for row in found.cheaper if row.name != TOGETHER}
    lowest = min(single, key=single.__getitem__)
    seen = {
        1: (most.regret <= best - second + 1e-9, f"largest regret: {100 * most.regret:.1f} points, {most.training}"),
        2: (advice.startswith("For a decision"), short(advice).removesuffix(".")),
        3: (half > 0.9, f"{half:+.2f}"),
        4: (lowest == rows["size-16"].training, f"lowest: {lowest}, {single[lowest]:+.2f}"),
    }
    return {number: Verdict("confirmed" if holds else "wrong", text) for number, (holds, text) in seen.items()}


def lines(found: Calibration) -> list[str]:
    """The verdicts and the table, in Markdown."""
    written = ["", "| # | verdict | measured |", "| --: | --- | --- |"]
    written += [f"| {number} | **{each.outcome}** | {each.seen} |" for number, each in wrong_first(verdicts(found))]
    written += ["", f"| {' | '.join(HEADINGS)} |", f"| --- |{' --: |' * (len(HEADINGS) - 1)}"]
    written += [f"| {' | '.join(row)} |" for row in table_rows(found)]
    return [*written, "", short(" ".join(remarks(found))), ""]


def main() -> None:
    found = calibration_of(read_sweep(DIRECTORY))
    assert found
    fill(PAGE, BEGIN, lines(found))


if __name__ == "__main__":
    main()
