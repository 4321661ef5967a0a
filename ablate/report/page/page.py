"""``report/index.html``: the sweep as one self-contained page, opened from the disk. Needs no torch and no network."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ablate.config.sweep import Trial
from ablate.console import GLUE, clock, counted, tight
from ablate.files import names_in
from ablate.inference.model import EQUAL
from ablate.report.data.flags import explained
from ablate.report.data.grid import Cell, Grid, composition
from ablate.report.data.results import Results
from ablate.report.figures.axes import in_words
from ablate.report.figures.comparison import Comparison
from ablate.report.figures.labels import NAMES, short_names
from ablate.report.figures.scale import Scale, scale
from ablate.report.page.answer import answer
from ablate.report.page.curves import Curve, curves
from ablate.report.page.layers import Layer, Position, layers
from ablate.report.section import Section
from ablate.report.stats.model import Model
from ablate.report.stats.noise import noise
from ablate.report.stats.order import Order, order, ordered
from ablate.report.stats.summary import named, percent, summary
from ablate.sweep.asked import Asked
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import TrialResult

MOST_PICTURED = 400
"""The highest number of cells with curves and previews; with more of them the page would be too large to open."""
WORDS = {"missing": "no result yet", "not judged": "n/a", "pruned": "pruned", "partial": "some seeds are missing"}


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
    contends: bool
    best: bool
    standing: str
    below: bool
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
class Known:
    """The data from which every entry is made.

    ``logs`` are the names of files; ``alone`` is True for a single composition along axes.
    """

    sweep: Results
    model: Model | None
    ranking: Order
    colours: Scale
    logs: set[str]
    alone: bool


def page(
    sweep: Results,
    comparisons: Sequence[Comparison] = (),
    sections: Sequence[Section] = (),
    refresh: float | None = None,
    asked: Asked | None = None,
) -> str:
    """Return the page's HTML, in which all user input is escaped.

    Args:
        sweep: the sweep to show.
        comparisons: other grids; each of them is a way to colour this one.
        sections: further tables and figures, below the cells.
        refresh: seconds after which the browser reads the page again, while the sweep runs.
        asked: the other options of the report, which the page notes.
    """
    grid, model, told = sweep.grid, ordered(sweep.grid.with_results, sweep.grid.metric).model, answer(sweep)
    shown = layers(grid, comparisons)
    ranking = order(grid)
    colours = scale(grid)
    compositions = {composition(trial) for trial in sweep.trials if trial.reference is None}
    logs = names_in(SweepDir(sweep.directory).logs)
    found = _entries(Known(sweep, model, ranking, colours, logs, len(compositions) == 1))
    intervals = {entry.interval for entry in found if entry.interval}
    columns = [
        ("name", "composition"),
        ("validation", "validation %"),
        ("mean", "test %"),
        ("interval", "test ± 95 %"),
    ]
    columns += [("chance", "P(best) %")] if any(entry.chance for entry in found) else []
    columns += [("knn", "kNN %"), ("n", "n"), ("time", f"{sweep.unit} of a trial")]
    places = {entry.cell.label: entry for entry in found if entry.kind != "reference"}
    environment = Environment(
        loader=PackageLoader("ablate.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        extensions=["jinja2.ext.loopcontrols"],
    )
    environment.filters |= {"tight": tight, "commands": commands, "as_picture": as_picture}
    template = environment.get_template("page.html.j2")
    return template.render(
        sweep=sweep,
        grid=grid,
        short=dict(zip(grid.ops, short_names(grid.ops), strict=True)),
        layers=shown,
        metric=NAMES[grid.metric].removesuffix(" (%)"),
        colour_data=_colour_data(grid, shown, colours),
        answer=told,
        asked=replace(asked or Asked(), metric=grid.metric, recommends=told.recommends),
        entries=_ranked(found, ranking),
        intervals=len(intervals) > 1,
        chances=any(entry.chance for entry in found),
        pooled=f"Every test mean is uncertain by ± {min(intervals)} points (95 %)." if len(intervals) == 1 else "",
        columns=[(key, heading) for key, heading in columns if key != "interval" or len(intervals) > 1],
        spread=any(entry.spread for entry in found),
        troubled=any(entry.cell.status != "done" for entry in found),
        at=lambda row, column: places.get(grid.cells[row, column].label),
        lead=next((entry.name for entry in found if entry.cell is ranking.best), ""),
        words=WORDS,
        explained=explained,
        lines=[*sweep.measured, *summary(sweep), *noise(sweep), *map(str, comparisons)],
        facts=_facts(sweep),
        sections=sections,
        pictured=len(found) <= MOST_PICTURED,
        refresh=refresh,
        css=_text("page.css"),
        js=_text("page.js"),
    )


def _text(name: str) -> str:
    return files("ablate.report.page").joinpath("templates", name).read_text(encoding="utf-8")


def commands(text: str) -> Markup:
    """Return ``text``, escaped, with its parts in backticks as code."""
    parts = re.split(r"`([^`]*)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def as_picture(svg: str) -> str:
    """Return a figure of our own as the address of an image, so that its content is not part of the page."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


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


def _ranked(entries: list[Entry], ranking: Order) -> list[Entry]:
    """Sort entries by validation accuracy, the best first.

    Entries that are not compared or have no result follow, and references are last.
    """
    position = {cell.label: number for number, cell in enumerate(ranking.cells)}
    last = len(position)
    return sorted(entries, key=lambda e: (e.kind == "reference", position.get(e.cell.label, last), e.number))


def _colour_data(grid: Grid, shown: Sequence[Layer], colours: Scale) -> list[dict[str, Any]]:
    """Return the data of the layer switch, in the order of the table's cells: text, small text, background and ink."""

    def face(layer: Layer, position: Position) -> list[str]:
        value = layer.values[position]
        return [layer.text(value), layer.small.get(position, ""), *layer.colours(value)]

    def average(layer: Layer, op: str) -> list[str]:
        value, share = layer.averages.get(op), grid.acts_on(op)
        return [layer.text(value), f"on {share}" if share else "", *layer.colours(value)]

    return [
        {
            "key": layer.key,
            "about": layer.about,
            "low": layer.text(layer.limits[0]),
            "high": layer.text(layer.limits[1]),
            "gradient": layer.gradient,
            "mark": _mark(layer, colours),
            "cells": [face(layer, (row, column)) for row in grid.ops for column in grid.ops],
            "averages": [average(layer, op) for op in grid.ops],
        }
        for layer in shown
    ]


def _mark(layer: Layer, colours: Scale) -> dict[str, Any]:
    """Return the place of the untrained encoder on the scale of accuracies, and a text that explains it.

    The place is in percent from the low end of the scale.
    """
    if layer.key != "accuracy" or colours.untrained is None:
        return {"at": 0, "text": ""}
    beyond = " (below the scale)" if colours.untrained < colours.low else ""
    beyond = " (above the scale)" if colours.untrained > colours.high else beyond
    text = f"line: the untrained encoder, {100 * colours.untrained:.1f}{GLUE}%{beyond}"
    return {"at": round(100 * colours.share(colours.untrained), 1), "text": text}


def _entries(known: Known) -> list[Entry]:
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


def _entry(known: Known, number: int, name: str, kind: str, cell: Cell, trials: list[Trial]) -> Entry:
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
    p = ranking.model.p_best.get(cell.label) if ranking.model and is_cell else None
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
        chance="" if p is None else f"{100 * p:.0f}",
        contends=is_cell and cell.label in ranking.contenders,
        best=cell is ranking.best,
        standing=_standing(ranking, cell) if is_cell else "",
        below=is_cell and known.colours.is_below_untrained(cell),
        ops=[str(spec) for trial in trials[:1] for spec in trial.config.composition],
        seeds=[_seed_row(sweep, trial, known.logs) for trial in trials],
        time=clock(seconds) if seconds else "",
        curves=curves(records, sweep.grid.measure) if small else [],
        picture=_picture(sweep, trials[0]) if small and trials else "",
        sort={name: float(value) for name, value in numbers.items() if value is not None},
    )


def _standing(ranking: Order, cell: Cell) -> str:
    """Return the rank of the cell in words: the best, tied with it, or not distinguishable from it; else nothing."""
    equals = [other.label for other in ranking.equals if other is not cell] if ranking.best else []
    if cell is not ranking.best and cell in ranking.equals:
        return f"Tied with {named(equals)} for the best by validation accuracy."
    if cell is not ranking.best:
        told = cell.label in ranking.contenders
        return "Not distinguishable from the best by validation accuracy." if told else ""
    tied = f", tied with {named(equals)}" if equals else ""
    seeds = "; one seed cannot tell it from the others" if not ranking.model and len(ranking.cells) > 1 else ""
    return f"The best by validation accuracy{tied}{seeds}."


def _title(known: Known, cell: Cell, trials: list[Trial]) -> str:
    """Return the title of a cell, which is its label.

    Along the axes of a single composition it is the settings that differ, in words: ``batch size = 64, epochs = 6``.
    """
    point = trials[0].point if trials else {}
    if not point or not known.alone:
        return cell.label
    return ", ".join(f"{in_words(name)} = {value}" for name, value in point.items())


def _bare(text: str) -> str:
    """Return an accuracy without its unit, which is in the table's heading."""
    return text.removesuffix(" %")


def _seed_row(sweep: Results, trial: Trial, logs: set[str]) -> SeedRow:
    record, grid = sweep.records.get(trial.id), sweep.grid
    log = f"{trial.id}.log"

    def value(name: str) -> str:
        found = record.metrics.get(name) if record else None
        return "" if found is None else f"{100 * found:.1f}"

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


def _facts(sweep: Results) -> list[tuple[str, str]]:
    """Return the facts about how the numbers were obtained."""
    experiment, shared, records = sweep.experiment, sweep.experiment.shared, list(sweep.records.values())
    hosts = dict.fromkeys(_host(record) for record in records if record.host)
    versions = dict.fromkeys(", ".join(f"{k} {v}" for k, v in record.versions.items()) for record in records)
    when = sorted(record.when for record in records if record.when)
    name = "cpu" if shared.device == "cpu" else "total"
    spent = sum(record.timings.get(name, 0.0) for record in records)
    size = f"{shared.image_size} px, {counted(shared.data.classes, 'class').replace('classs', 'classes')}"
    return [
        ("command", experiment.command),
        ("data", f"{shared.data.name} ({experiment.data}), {size}, fingerprint {shared.data.fingerprint}"),
        ("training", sweep.setting),
        ("trials", f"{len(records)} of {len(sweep.trials)} recorded, {clock(spent)} of {sweep.unit}"),
        *([("run", f"{when[0]} to {when[-1]}")] if when else []),
        *([("on", "; ".join(hosts))] if hosts else []),
        *([("versions", "; ".join(filter(None, versions)))] if any(versions) else []),
    ]


def _host(record: TrialResult) -> str:
    return ", ".join(value for key, value in record.host.items() if key not in ("name", "hostname") and value)
