"""``appendix.md``, ``appendix.tex`` and ``references.bib``: methods and results for the appendix of a paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.files import check_directory, write_atomically
from ablate.report.card.markup import in_markdown, in_tex
from ablate.report.card.methods import methods
from ablate.report.card.references import bibtex
from ablate.report.data.grid import Grid
from ablate.report.data.results import Results
from ablate.report.stats.order import best_first
from ablate.report.stats.words import percent, so_far
from ablate.report.text.caption import SHOWN
from ablate.report.text.tables import tex
from ablate.sweep.layout import SweepDir

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Appendix:
    """The appendix of a sweep: the sentences on methods, the caption of its table, and the table as plain text.

    ``matrix`` is the same table in LaTeX, if it is a grid.
    """

    sentences: tuple[str, ...]
    caption: str
    rows: Rows
    matrix: str = ""

    @property
    def paragraph(self) -> str:
        """The sentences in one line."""
        return " ".join(self.sentences)

    def markdown(self) -> str:
        """Return the appendix in Markdown with Pandoc's citations."""
        head, *body = ([in_markdown(text) for text in row] for row in self.rows)
        lines = [head, ["---", *["--:"] * (len(head) - 1)], *body]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{in_markdown(self.paragraph)}\n\n{table}\n\n{in_markdown(self.caption)}\n"

    def latex(self) -> str:
        """Return the appendix in LaTeX; it needs ``booktabs``, and ``references.bib`` for its citations."""
        table = self.matrix or _tabular(self.rows)
        return (
            f"{in_tex(self.paragraph)}\n\n\\begin{{table}}\n\\centering\n{table}"
            f"\\caption{{{in_tex(self.caption)}}}\n\\end{{table}}\n"
        )


def appendix(sweep: Results) -> Appendix:
    """Return the appendix of a sweep, as it is so far."""
    grid = sweep.grid
    return Appendix(tuple(methods(sweep)), _caption(sweep), _rows(grid), tex(grid) if grid.ops else "")


def write_appendix(sweep: Results) -> tuple[Appendix, list[Path]]:
    """Write the three files of the appendix into the report's directory, and return it with their paths.

    Raises:
        UsageError: a file is in place of the directory.
        DiskError: the disk refused a write.
    """
    out, made = SweepDir(sweep.directory).report, appendix(sweep)
    check_directory(out)
    files = {"appendix.md": made.markdown(), "appendix.tex": made.latex(), "references.bib": bibtex(made.sentences)}
    for name, content in files.items():
        write_atomically(out / name, content)
    return made, [out / name for name in files]


def _caption(sweep: Results) -> str:
    grid = sweep.grid
    judged = "linear evaluation" if grid.is_linear else "rotation prediction"
    form = "Rows: first op; columns: second op." if grid.ops else "The best by validation comes first."
    beside = ", ".join(f"{grid.called(name)} {percent(cell)}" for name, cell in grid.references.items() if cell.n)
    references = f" References: {beside}." if beside else ""
    counts = sorted({cell.n for cell in grid.with_results})
    seeds = "one seed"
    if counts and counts[-1] > 1:
        n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
        seeds = f"mean ± standard deviation over seeds ({n})"
    return f"{SHOWN[grid.measure]} of {judged} on the test images (%), {seeds}{so_far(sweep)}. {form}{references}"


def _rows(grid: Grid) -> Rows:
    """Return the grid as a matrix or, of other sweeps, a row for each composition; values in percent."""
    if grid.ops:
        averages = [grid.average(op) for op in grid.ops]
        shown = ["" if value is None else f"{100 * value:.1f}" for value in averages]
        return [
            ["", *grid.ops, "average"],
            *([a, *(_value(grid, a, b) for b in grid.ops), last] for a, last in zip(grid.ops, shown, strict=True)),
        ]
    head = ["composition", "n", "validation", "test"]
    cells = best_first(grid, grid.compositions)
    plain = [[percent(cell, metric).removesuffix(" %") for metric in (grid.validation_metric, None)] for cell in cells]
    return [head, *([cell.label, str(cell.n), *values] for cell, values in zip(cells, plain, strict=True))]


def _value(grid: Grid, row: str, column: str) -> str:
    cell = grid.cells[row, column]
    return "" if cell.status == "left out" else percent(cell).removesuffix(" %")


def _tabular(rows: Rows) -> str:
    head, *body = (" & ".join(map(in_tex, row)) + r" \\" for row in rows)
    top = [f"\\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}", r"\toprule", head, r"\midrule"]
    return "\n".join([*top, *body, r"\bottomrule", r"\end{tabular}", ""])
