"""``report/index.html``: the sweep as one self-contained page, opened from the disk. Needs no torch and no network."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from ablate.console import GLUE, clock, counted, tight
from ablate.files import names_in
from ablate.report.data.flags import explained
from ablate.report.data.grid import Grid, composition
from ablate.report.data.results import Results
from ablate.report.figures.labels import NAMES, short_names
from ablate.report.page.answer import Answer, answer
from ablate.report.page.entries import MOST_PICTURED, EntryContext, entries, ranked
from ablate.report.page.layers import ACCURACY, Layer, Position, layers, of_task
from ablate.report.page.marks import Marks, marks_of
from ablate.report.page.neighbours import neighbourhoods
from ablate.report.section import Section
from ablate.report.stats.adapting import start
from ablate.report.stats.comparison import Comparison
from ablate.report.stats.noise import noise
from ablate.report.stats.order import ordered
from ablate.report.stats.predicted import APPROXIMATELY, NOT_RUN, predicted_cells
from ablate.report.stats.summary import summary
from ablate.report.stats.winners import Side
from ablate.sweep.asked import Asked
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import TrialResult

INTERVAL = (
    "With many more seeds, the mean would settle within it, in 95 of 100 such sweeps. It holds for these images and "
    "this split."
)
"""What the 95 % interval of a cell's mean says."""

WORDS = {"missing": "no result yet", "not judged": "n/a", "pruned": "pruned", "partial": "some seeds are missing"}


def page(
    sweep: Results,
    comparisons: Sequence[Comparison] = (),
    said: Sequence[str] = (),
    sections: Sequence[Section] = (),
    refresh: float | None = None,
    asked: Asked | None = None,
    tasks: Sequence[Side] = (),
) -> str:
    """Return the page's HTML, in which all user input is escaped.

    Args:
        sweep: the sweep to show.
        comparisons: other grids; each of them is a way to colour this one.
        said: the sentences on them that stand among the statistics.
        sections: further tables and figures, below the cells.
        refresh: seconds after which the browser reads the page again, while the sweep runs.
        asked: the other options of the report, which the page notes.
        tasks: the grid of every other task of the sweep; each of them is a way to colour this one.
    """
    grid, model, top = sweep.grid, ordered(sweep.grid.with_results, sweep.grid.metric).model, answer(sweep)
    main = sweep.task_name or (sweep.experiment.tasks[0].name if tasks else "")
    by_task = [of_task(t.name, t.grid, number, main) for number, t in enumerate(tasks, start=1)]
    shown = [*layers(grid, comparisons), *by_task]
    marks = {ACCURACY: marks_of(grid), **{layer.key: marks_of(t.grid) for layer, t in zip(by_task, tasks, strict=True)}}
    ranking = marks[ACCURACY].ranking
    compositions = {composition(trial) for trial in sweep.trials if trial.reference is None}
    logs = names_in(SweepDir(sweep.directory).logs)
    listed = entries(EntryContext(sweep, model, ranking, marks[ACCURACY], logs, len(compositions) == 1))
    intervals = {entry.interval for entry in listed if entry.interval}
    chances = any(entry.chance for entry in listed)
    places = {entry.cell.label: entry for entry in listed if entry.kind != "reference"}
    return _template().render(
        sweep=sweep,
        grid=grid,
        short=dict(zip(grid.ops, short_names(grid.ops), strict=True)),
        layers=shown,
        metric=_metric(grid),
        colour_data=_colour_data(grid, shown, marks),
        every_mark=_every_mark(grid, marks),
        legends={key: each.legend for key, each in marks.items()},
        answer=top,
        asked=_asked(asked or Asked(), sweep, top),
        entries=ranked(listed, ranking),
        intervals=len(intervals) > 1,
        chances=chances,
        pooled=f"Every test mean is uncertain by ± {min(intervals)} points (95 %)." if len(intervals) == 1 else "",
        interval_means=INTERVAL,
        columns=_columns(sweep.unit, intervals=len(intervals) > 1, chances=chances),
        spread=any(entry.spread for entry in listed),
        troubled=any(entry.cell.status != "done" for entry in listed),
        at=lambda row, column: places.get(grid.cells[row, column].label),
        lead=next((entry.name for entry in listed if entry.cell is ranking.best), ""),
        guesses=_guesses(sweep),
        not_run=NOT_RUN,
        words=WORDS,
        explained=explained,
        lines=[
            *_not_above(sweep.measured, top),
            *summary(sweep),
            *noise(sweep),
            *said,
            *filter(None, [sweep.seeds_only]),
        ],
        facts=_facts(sweep),
        sections=sections,
        neighbours=neighbourhoods(sweep, ranking),
        pictured=len(listed) <= MOST_PICTURED,
        refresh=refresh,
        css=_text("page.css"),
        js=_text("page.js"),
    )


def _metric(grid: Grid) -> str:
    return NAMES[grid.metric].removesuffix(" (%)")


def _not_above(sentences: Iterable[str], top: Answer) -> list[str]:
    """Return the sentences that the answer does not have."""
    above = {sentence for _, several in top.details for sentence in several}
    return [sentence for sentence in sentences if sentence not in above]


def _asked(asked: Asked, sweep: Results, top: Answer) -> Asked:
    """Return what the page notes: the request, with what judges its cells and whether it recommends one."""
    metric, task, interval = sweep.judges
    return replace(asked, metric=metric, task=task, interval=interval, recommends=top.recommends)


def _guesses(sweep: Results) -> dict[str, tuple[str, str]]:
    """Return the predicted value and interval of each cell that was not run, as texts by its label."""
    return {
        label: (f"{APPROXIMATELY}{100 * cell.mean:.0f}", f"{100 * cell.low:.0f} to {100 * cell.high:.0f}")
        for label, cell in predicted_cells(sweep, sweep.grid.metric).items()
    }


def _columns(unit: str, *, intervals: bool, chances: bool) -> list[tuple[str, str]]:
    """Return the key and heading of each column of the table."""
    return [
        ("name", "composition"),
        ("validation", "validation %"),
        ("mean", "test %"),
        *([("interval", "test ± 95 %")] if intervals else []),
        *([("chance", "P(best) %")] if chances else []),
        ("knn", "kNN %"),
        ("n", "n"),
        ("time", f"{unit} of a trial"),
    ]


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("ablate.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        extensions=["jinja2.ext.loopcontrols"],
    )
    environment.filters |= {"tight": tight, "commands": commands, "as_picture": as_picture, "breakable": breakable}
    return environment.get_template("page.html.j2")


def _text(name: str) -> str:
    return files("ablate.report.page").joinpath("templates", name).read_text(encoding="utf-8")


def commands(text: str) -> Markup:
    """Return ``text``, escaped, with its parts in backticks as code."""
    parts = re.split(r"`([^`]*)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def breakable(text: str) -> Markup:
    """Return ``text``, escaped, such that lines break after the + of a composition, and before ± but not behind it."""
    return Markup(str(escape(text)).replace("+", "+<wbr>").replace("± ", f"±{GLUE}"))


def as_picture(svg: str) -> str:
    """Return a figure of our own as the address of an image, so that its content is not part of the page."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _colour_data(grid: Grid, shown: Sequence[Layer], marks: Mapping[str, Marks]) -> list[dict[str, Any]]:
    """Return the data of the layer switch, in the order of the table's cells: text, small text, background, ink, marks.

    A layer without ``marks`` of its own has those of accuracy.
    """

    def face(layer: Layer, position: Position) -> list[str]:
        value = layer.values[position]
        said = marks.get(layer.key, marks[ACCURACY])
        colours = layer.colours(value)
        return [layer.text(value), layer.small.get(position, ""), *colours, said.of(said.grid.cells[position])]

    def average(layer: Layer, op: str) -> list[str]:
        value, share = layer.averages.get(op), grid.acts_on(op)
        return [layer.text(value), f"acts on {share}" if share else "", *layer.colours(value)]

    return [
        {
            "key": layer.key,
            "about": layer.about,
            "name": _metric(grid) if layer.key == ACCURACY else layer.title,
            "low": layer.text(layer.limits[0]),
            "high": layer.text(layer.limits[1]),
            "gradient": layer.gradient,
            "mark": _mark(layer, marks),
            "cells": [face(layer, (row, column)) for row in grid.ops for column in grid.ops],
            "averages": [average(layer, op) for op in grid.ops],
        }
        for layer in shown
    ]


def _every_mark(grid: Grid, marks: Mapping[str, Marks]) -> dict[Position, str]:
    """Return every mark that a cell has in some layer, by its position."""
    return {
        position: "".join(dict.fromkeys("".join(each.of(each.grid.cells[position]) for each in marks.values())))
        for position in grid.cells
    }


def _mark(layer: Layer, marks: Mapping[str, Marks]) -> dict[str, Any]:
    """Return the place of the untrained encoder on a scale of means, and a text that explains it.

    The place is in percent from the low end of the scale.
    """
    said = marks.get(layer.key)
    untrained = said.colours.untrained if said else None
    if said is None or untrained is None:
        return {"at": 0, "text": ""}
    colours = said.colours
    beyond = f" ({colours.beyond} the scale)" if colours.beyond else ""
    text = f"line: {said.grid.start}, {100 * untrained:.1f}{GLUE}%{beyond}"
    return {"at": round(100 * colours.share(untrained), 1), "text": text}


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
        *([("start", said)] if (said := start(sweep)) else []),
        *([("input", f"normalised by {shared.encoder.normalize}")] if shared.encoder.normalize else []),
        ("trials", f"{len(records)} of {len(sweep.trials)} recorded, {clock(spent)} of {sweep.unit}"),
        *([("run", f"{when[0]} to {when[-1]}")] if when else []),
        *([("on", "; ".join(hosts))] if hosts else []),
        *([("versions", "; ".join(filter(None, versions)))] if any(versions) else []),
    ]


def _host(record: TrialResult) -> str:
    return ", ".join(value for key, value in record.host.items() if key not in ("name", "hostname") and value)
