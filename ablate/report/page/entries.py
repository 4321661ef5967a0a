"""The entries of the page: every composition and reference, with its numbers as text, its seeds and its curves."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from ablate.config.sweep import Trial
from ablate.console import clock
from ablate.inference.difference import EQUAL
from ablate.report.data.grid import Cell
from ablate.report.data.results import Results
from ablate.report.figures.axes import in_words
from ablate.report.page.curves import Curve, curves
from ablate.report.page.marks import Marks
from ablate.report.stats.model import TwoWayModel
from ablate.report.stats.noise import chance, chances
from ablate.report.stats.order import Ranking
from ablate.report.stats.words import judge, mentioned, named, percent
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import TrialResult

MOST_PICTURED = 400
"""The highest number of cells with curves and previews; with more of them the page would be too large to open."""


@dataclass(frozen=True)
class SeedRow:
    """One trial of a cell, as text."""

    seed: int
    status: str
    test: str
    validation: str
    knn: str
    time: str
    attempts: int
    reason: str
    log: str


@dataclass(frozen=True)
class Entry:
    """A composition or reference, with its data on the page; ``sort`` holds its columns as numbers.

    ``name`` is its address on the page, ``title`` its name there.
    """

    number: int
    name: str
    title: str
    kind: str
    cell: Cell
    mean: str
    test: str
    interval: str
    spread: str
    validation: str
    knn: str
    chance: str
    marks: str
    standing: str
    ops: list[str]
    seeds: list[SeedRow]
    time: str
    curves: list[Curve]
    picture: str
    sort: dict[str, float]

    @property
    def reasons(self) -> list[str]:
        """The reasons why trials failed, each of them once."""
        return list(dict.fromkeys(row.reason for row in self.seeds if row.reason))


@dataclass(frozen=True)
class EntryContext:
    """The data from which every entry is made.

    ``logs`` are the names of files; ``alone`` is True for a single composition along axes.
    """

    sweep: Results
    model: TwoWayModel | None
    ranking: Ranking
    marks: Marks
    logs: set[str]
    alone: bool


def address(label: str, taken: set[str]) -> str:
    """Return the address of a cell on the page, such as ``cell-crop+color``, and add it to ``taken``.

    It is safe in a URL without quoting.
    """
    base = "cell-" + re.sub(r"[^A-Za-z0-9+=._-]+", "-", label).strip("-")
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name


def ranked(entries: list[Entry], ranking: Ranking) -> list[Entry]:
    """Sort entries by validation accuracy, the best first.

    Entries that are not compared or have no result follow, and references are last.
    """
    position = {cell.label: number for number, cell in enumerate(ranking.cells)}
    last = len(position)
    return sorted(entries, key=lambda e: (e.kind == "reference", position.get(e.cell.label, last), e.number))


def entries(known: EntryContext) -> list[Entry]:
    """Return the entries of every composition, row by row, then of the references."""
    grid, by_label = known.sweep.grid, dict[tuple[bool, str], list[Trial]]()
    for trial in known.sweep.trials:
        by_label.setdefault((trial.reference is not None, trial.label), []).append(trial)
    cells = [("composition", cell) for cell in grid.compositions]
    cells += [("reference", cell) for cell in grid.references.values()]
    taken = set[str]()
    return [
        _entry(
            known, number, address(cell.label, taken), kind, cell, by_label.get((kind == "reference", cell.label), [])
        )
        for number, (kind, cell) in enumerate(cells)
    ]


def _entry(known: EntryContext, number: int, name: str, kind: str, cell: Cell, trials: list[Trial]) -> Entry:
    sweep, ranking, is_cell = known.sweep, known.ranking, kind == "composition"
    small = len(sweep.grid.compositions) <= MOST_PICTURED
    half = (
        known.model.half_width(cell.label) if known.model and is_cell and cell.label in known.model.position else None
    )
    records = [record for trial in trials if (record := sweep.records.get(trial.id))]
    mean, validation, knn, seconds = (
        cell.mean(),
        ranking.score(cell),
        cell.mean(sweep.grid.knn),
        sweep.seconds(cell.label),
    )
    p = chances(sweep, ranking).get(cell.label) if is_cell else None
    numbers = {
        "mean": mean,
        "chance": p,
        "interval": half,
        "validation": validation,
        "knn": knn,
        "n": cell.n,
        "time": seconds,
    }
    return Entry(
        number=number,
        name=name,
        title=_title(known, cell, trials),
        kind=kind,
        cell=cell,
        mean="" if mean is None else f"{100 * mean:.1f}",
        test="" if mean is None else _bare(percent(cell)),
        interval="" if half is None or half < EQUAL else f"{100 * min(half, 1.0):.1f}",
        spread="" if (std := cell.std()) is None else f"{100 * std:.1f}",
        validation=_bare(ranking.percent(cell)),
        knn="" if knn is None else _bare(percent(cell, sweep.grid.knn)),
        chance="" if p is None or not ranking.model else _bare(chance(ranking.model, cell.label)),
        marks=known.marks.of(cell) if is_cell else "",
        standing=_standing(ranking, cell, judge(sweep.grid)) if is_cell else "",
        ops=_ops(trials[0]) if trials else [],
        seeds=[_seed_row(sweep, trial, known.logs) for trial in trials],
        time=clock(seconds) if seconds else "",
        curves=curves(records, sweep.grid.measure) if small else [],
        picture=_picture(sweep, trials[0]) if small and trials else "",
        sort={name: float(value) for name, value in numbers.items() if value is not None},
    )


def _standing(ranking: Ranking, cell: Cell, judged: str) -> str:
    """Return the rank of the cell in words: the best, tied with it, or not to be told from it; else nothing."""
    equals = [mentioned(other.label) for other in ranking.equals if other is not cell] if ranking.best else []
    if cell is not ranking.best and cell in ranking.equals:
        return f"Tied with {named(equals)} for the best by {judged}."
    if cell is not ranking.best:
        contends = cell.label in ranking.contenders
        return f"Cannot be told from the best by {judged}." if contends else ""
    tied = f", tied with {named(equals)}" if equals else ""
    seeds = "; one seed cannot tell it from the others" if not ranking.model and len(ranking.cells) > 1 else ""
    return f"The best by {judged}{tied}{seeds}."


def _ops(trial: Trial) -> list[str]:
    """Return the ops with every parameter, and before those that only the second view goes through a line that says so.

    Returns:
        One line per op.
    """
    first, second = trial.config.composition, trial.config.second
    own = [] if second is None else ["second view:", *(map(str, second) if second else ["none"])]
    return [*map(str, first), *own]


def _title(known: EntryContext, cell: Cell, trials: list[Trial]) -> str:
    """Return the title of a cell, which is its label.

    Along the axes of a single composition it is the settings that differ, in words: ``batch size = 64, epochs = 6``.
    """
    point = trials[0].point if trials else {}
    if not point or not known.alone:
        return known.sweep.grid.called(cell.label)
    return ", ".join(f"{in_words(name)} = {value}" for name, value in point.items())


def _bare(text: str) -> str:
    """Return an accuracy without its unit, which is in the table's heading."""
    return text.removesuffix(" %")


def _seed_row(sweep: Results, trial: Trial, logs: set[str]) -> SeedRow:
    record, grid = sweep.records.get(trial.id), sweep.grid
    log = f"{trial.id}.log"

    def value(name: str) -> str:
        number = record.metrics.get(name) if record else None
        return "" if number is None else f"{100 * number:.1f}"

    return SeedRow(
        seed=trial.seed,
        status=record.status if record else "missing",
        test=value(grid.metric),
        validation=value(grid.validation_metric),
        knn=value(grid.knn),
        time=_took(sweep, record),
        attempts=_attempts(sweep, record) if record else 0,
        reason=_reason(record),
        log=f"../logs/{log}" if log in logs else "",
    )


def _attempts(sweep: Results, record: TrialResult) -> int:
    """Count how often the trial was begun; continuing from a rung does not count."""
    last = record.history[-1]["epoch"] or 0 if record.history and record.reference is None else 0
    epochs = sweep.experiment.shared.epochs
    return max(1, record.attempts - sum(rung.epoch(epochs) < last for rung in sweep.experiment.prune))


def _took(sweep: Results, record: TrialResult | None) -> str:
    name = "cpu" if sweep.experiment.shared.device == "cpu" else "total"
    return clock(record.timings[name]) if record and name in record.timings else ""


def _reason(record: TrialResult | None) -> str:
    return f"{record.error.type}: {record.error.message}" if record and record.error else ""


def _picture(sweep: Results, trial: Trial) -> str:
    """Return the example pairs of a trial as a data URI, or nothing if the worker wrote none."""
    try:
        content = SweepDir(sweep.directory).preview(trial.config.key).read_bytes()
    except OSError:
        return ""
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}"
