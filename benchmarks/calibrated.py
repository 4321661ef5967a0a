"""Write what the calibration on CIFAR-10 found, and what became of the predictions about it, into docs/calibrate.md."""

from __future__ import annotations

from pathlib import Path

from ablate.report.data.results import read_sweep
from ablate.report.stats.calibration import Calibration, calibration_of
from ablate.report.stats.order import order
from ablate.report.text.calibration import HEADINGS, conclusion, remarks, table_rows
from ablate.sweep.fidelity import fidelities
from benchmarks.claims import Verdict, short, wrong_first
from benchmarks.marked import fill

PAGE = "calibrate.md"
BEGIN = "<!-- calibration: python -m benchmarks.calibrated -->\n"
DIRECTORY = Path("results/real-cifar10")
WITHIN = 0.01
HALF, SMALLEST, TOGETHER = "epochs-20", "size-16", "combined"
"""The trainings that predictions are about, and the one that changes all settings at once."""


def verdicts(found: Calibration) -> dict[int, Verdict]:
    """What became of the predictions, by number."""
    ranking = order(found.sweep.grid)
    best, second = (ranking.score(cell) or 0.0 for cell in ranking.cells[:2])
    most = max(found.cheaper, key=lambda row: row.regret)
    advice = conclusion(found, WITHIN)
    single = {row.name: row.spearman or 0.0 for row in found.cheaper if row.name != TOGETHER}
    lowest = min(single, key=single.__getitem__)
    known = {
        1: (most.regret <= best - second + 1e-9, f"largest regret: {100 * most.regret:.1f} points, {most.training}"),
        2: (advice.startswith("For a decision"), short(advice).removesuffix(".")),
        3: (single[HALF] > 0.9, f"{single[HALF]:+.2f}"),
        4: (lowest == SMALLEST, f"lowest: {lowest}, {single[lowest]:+.2f}"),
    }
    judged = {number: Verdict("confirmed" if holds else "wrong", text) for number, (holds, text) in known.items()}
    return judged if SMALLEST in single else {**judged, 4: Verdict("not measured yet", "16 px has not run")}


def lacking(found: Calibration) -> str:
    """The trainings that have not run to their end, in words; nothing if all have."""
    planned = fidelities(found.sweep.experiment.shared, found.full.settings["limit"])
    names = [str(each) for each in planned if each.name not in {row.name for row in found.cheaper}]
    return f" Not run yet: {'; '.join(names)}. The same command trains them." if names else ""


def lines(found: Calibration) -> list[str]:
    """The verdicts and the table, in Markdown."""
    written = ["", "| # | verdict | measured |", "| --: | --- | --- |"]
    written += [f"| {number} | **{each.outcome}** | {each.seen} |" for number, each in wrong_first(verdicts(found))]
    written += ["", f"| {' | '.join(HEADINGS)} |", f"| --- |{' --: |' * (len(HEADINGS) - 1)}"]
    written += [f"| {' | '.join(row)} |" for row in table_rows(found)]
    return [*written, "", short(" ".join(remarks(found))) + lacking(found), ""]


def main() -> None:
    found = calibration_of(read_sweep(DIRECTORY))
    assert found
    fill(PAGE, BEGIN, lines(found))


if __name__ == "__main__":
    main()
