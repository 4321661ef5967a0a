"""``report/index.html``: the sweep as one self-contained page, opened from the disk. Needs no torch, no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ablate.config import Trial
from ablate.console import counted
from ablate.report.comparison import Comparison
from ablate.report.curves import Curve, curves
from ablate.report.flags import explained
from ablate.report.grid import Cell, Grid
from ablate.report.heatmap import NAMES, short_names
from ablate.report.layers import Layer, Place, layers
from ablate.report.model import Model, fit
from ablate.report.noise import noise
from ablate.report.order import Order, order
from ablate.report.sections import Section
from ablate.report.statistics import percent, summary
from ablate.report.sweep import Sweep
from ablate.results import TrialResult, names_in, preview_path
from ablate.sweep.eta import clock

MOST_PICTURED = 400
"""Cells: a page of more shows neither curves nor previews, or it would be too large to open."""
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
    """A composition or reference, with all that the page says of it; ``sort`` are its columns as numbers."""

    number: int
    kind: str
    cell: Cell
    mean: str
    interval: str
    validation: str
    knn: str
    contends: bool
    ops: list[str]
    seeds: list[SeedRow]
    time: str
    curves: list[Curve]
    picture: str
    sort: dict[str, float]

    @property
    def name(self) -> str:
        """The anchor of its details."""
        return f"cell-{self.number}"

    @property
    def reasons(self) -> list[str]:
        """Why trials failed, each once."""
        return list(dict.fromkeys(row.reason for row in self.seeds if row.reason))


def page(
    sweep: Sweep,
    comparisons: Sequence[Comparison] = (),
    sections: Sequence[Section] = (),
    refresh: float | None = None,
) -> str:
    """The page's HTML; everything that a user typed is escaped.

    Args:
        sweep: what it is about.
        comparisons: other grids, each a way to colour this one.
        sections: further tables and figures, below the cells.
        refresh: seconds after which the browser reads it again, while the sweep runs.
    """
    grid, model = sweep.grid, fit(sweep.grid.with_results)
    shown = layers(grid, comparisons)
    ranking = order(grid)
    found = _entries(sweep, model, ranking)
    places = {entry.cell.label: entry for entry in found if entry.kind != "reference"}
    environment = Environment(
        loader=PackageLoader("ablate.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        extensions=["jinja2.ext.loopcontrols"],
    )
    template = environment.get_template("page.html.j2")
    return template.render(
        sweep=sweep,
        grid=grid,
        short=dict(zip(grid.ops, short_names(grid.ops), strict=True)),
        layers=shown,
        metric=NAMES[grid.metric].removesuffix(" (%)"),
        colour_data=_colour_data(grid, shown),
        entries=found,
        at=lambda row, column: places.get(grid.cells[row, column].label),
        lead=next((entry.name for entry in found if entry.cell is ranking.best), ""),
        words=WORDS,
        explained=explained,
        lines=[*summary(sweep), *noise(sweep), *map(str, comparisons)],
        facts=_facts(sweep),
        sections=sections,
        pictured=len(found) <= MOST_PICTURED,
        refresh=refresh,
        css=_text("page.css"),
        js=_text("page.js"),
    )


def _text(name: str) -> str:
    return files("ablate.report").joinpath("templates", name).read_text(encoding="utf-8")


def _colour_data(grid: Grid, shown: Sequence[Layer]) -> list[dict[str, Any]]:
    """What the switch needs, in the order of the table's cells: text, small text, background and ink."""

    def face(layer: Layer, place: Place) -> list[str]:
        value = layer.values[place]
        return [layer.text(value), layer.small.get(place, ""), *layer.colours(value)]

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
            "cells": [face(layer, (row, column)) for row in grid.ops for column in grid.ops],
            "averages": [average(layer, op) for op in grid.ops],
        }
        for layer in shown
    ]


def _entries(sweep: Sweep, model: Model | None, ranking: Order) -> list[Entry]:
    """Every composition, row by row, then the references."""
    by_label: dict[tuple[bool, str], list[Trial]] = {}
    for trial in sweep.trials:
        by_label.setdefault((trial.reference is not None, trial.label), []).append(trial)
    cells = [("composition", cell) for cell in sweep.grid.compositions]
    cells += [("reference", cell) for cell in sweep.grid.references.values()]
    logs = names_in(sweep.directory / "logs")
    return [
        _entry(sweep, model, number, kind, cell, by_label[kind == "reference", cell.label], ranking, logs)
        for number, (kind, cell) in enumerate(cells)
    ]


def _entry(
    sweep: Sweep,
    model: Model | None,
    number: int,
    kind: str,
    cell: Cell,
    trials: list[Trial],
    ranking: Order,
    logs: set[str],
) -> Entry:
    small = len(sweep.grid.compositions) <= MOST_PICTURED
    mean, half = cell.mean(), None
    if model and kind == "composition" and cell.label in model.place:
        half = model.half_width(cell.label)
    records = [record for trial in trials if (record := sweep.records.get(trial.id))]
    validation, knn, seconds = ranking.score(cell), cell.mean("knn_top1"), sweep.seconds(cell.label)
    numbers = {"mean": mean, "interval": half, "validation": validation, "knn": knn, "n": cell.n, "time": seconds}
    return Entry(
        number=number,
        kind=kind,
        cell=cell,
        mean="" if mean is None else f"{100 * mean:.1f}",
        interval="" if half is None else f"{100 * half:.1f}",
        validation=ranking.percent(cell),
        knn="" if knn is None else percent(cell, "knn_top1"),
        contends=kind == "composition" and cell.label in ranking.contenders,
        ops=[str(spec) for spec in trials[0].config.composition],
        seeds=[_seed_row(sweep, trial, logs) for trial in trials],
        time=clock(seconds) if seconds else "",
        curves=curves(records) if small else [],
        picture=_picture(sweep, trials[0]) if small else "",
        sort={name: float(value) for name, value in numbers.items() if value is not None},
    )


def _seed_row(sweep: Sweep, trial: Trial, logs: set[str]) -> SeedRow:
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
        knn=value("knn_top1"),
        time=_took(sweep, record),
        attempts=_attempts(sweep, record) if record else 0,
        reason=_reason(record),
        log=f"../logs/{log}" if log in logs else "",
    )


def _attempts(sweep: Sweep, record: TrialResult) -> int:
    """How often it was begun; to go on from a rung is no new beginning."""
    last = record.history[-1]["epoch"] or 0 if record.history and record.reference is None else 0
    epochs = sweep.experiment.shared.epochs
    return max(1, record.attempts - sum(rung.epoch(epochs) < last for rung in sweep.experiment.prune))


def _took(sweep: Sweep, record: TrialResult | None) -> str:
    name = "cpu" if sweep.experiment.shared.device == "cpu" else "total"
    return clock(record.timings[name]) if record and name in record.timings else ""


def _reason(record: TrialResult | None) -> str:
    return f"{record.error.type}: {record.error.message}" if record and record.error else ""


def _picture(sweep: Sweep, trial: Trial) -> str:
    """Its example pairs as a data URI; empty where the worker wrote none."""
    try:
        content = preview_path(sweep.directory, trial.config.key).read_bytes()
    except OSError:
        return ""
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}"


def _facts(sweep: Sweep) -> list[tuple[str, str]]:
    """How the numbers came about."""
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
