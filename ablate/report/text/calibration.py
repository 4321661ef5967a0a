"""The calibration of a sweep as text: the conclusion, the table, ``calibration.json`` and ``calibration.csv``."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from typing import Any

from rich.console import Console
from rich.table import Table

from ablate.config.measure import in_short
from ablate.console import counted, say, say_each
from ablate.files import write_atomically
from ablate.report.data.results import Results
from ablate.report.section import Section
from ablate.report.stats.calibration import Calibration, Row, calibration_of
from ablate.report.stats.early import WITHIN
from ablate.report.stats.words import judge
from ablate.sweep.calibrations import within_of
from ablate.sweep.fidelity import NAMES
from ablate.sweep.layout import SweepDir

HEADINGS = ("training", "price", "Spearman", "regret in points")
ROUNDING = 1e-9


def conclusion(found: Calibration, within: float) -> str:
    """Return a sentence on the cheapest training that decides within some points.

    Args:
        found: the calibration.
        within: the largest regret, as a fraction; the upper end of a training's interval counts.
    """
    points = f"{100 * within:g} point{'' if math.isclose(within, 0.01) else 's'}"
    known = [row for row in found.cheaper if row.price is not None and row.price < 1]
    if not known:
        return "No cheaper training has results yet."
    if found.by_chance <= within:
        chance = f"a cell chosen at random costs {100 * found.by_chance:.1f} points on average"
        return f"These cells differ too little to judge a cheaper training within {points}: {chance}."
    enough = [row for row in known if row.worst <= within + ROUNDING]
    row = min(enough, key=_price) if enough else min(known, key=lambda row: (row.worst, row.regret, row.price))
    lead = (
        f"For a decision within {points}"
        if enough
        else f"No cheaper training is known to decide within {points}; the closest"
    )
    agreement = f", Spearman {_correlation(row)}" if row.spearman is not None else ""
    noise = "" if len(found.seeds) > 1 else "; with one seed the noise is not known"
    return (
        f"{lead}: {row.training}, {_percent(row.price)} of the price (regret {_regret(row)} points{agreement}{noise})."
    )


def remarks(found: Calibration) -> list[str]:
    """Return sentences on what the table covers and what its columns say."""
    grid = found.sweep.grid
    many = f"{counted(len(found.cells), 'cell')} x {counted(len(found.seeds), 'seed')}"
    sentences = [
        f"{many}. Price: {found.sweep.unit} as a share of the full training's. Spearman: rank correlation with the "
        f"full {judge(grid)}. Regret: the full {in_short(grid.measure)} of the best cell minus that of the cell that "
        f"this training prefers. A cell chosen at random costs {100 * found.by_chance:.1f} points on average."
    ]
    sampled = {"ops": any(row.spearman_interval for row in found.cheaper), "seeds": len(found.seeds) > 1}
    by = " and ".join(name for name, holds in sampled.items() if holds)
    if by:
        ranks = ", that of Spearman by resampling ops" if by == "ops and seeds" else ""
        sentences.append(f"The 95 % intervals of the regret are by resampling {by}{ranks}.")
    if len(found.seeds) < 2:
        sentences.append("With one seed, the noise is not known.")
    if found.elsewhere:
        sentences.append("Not all trials ran on the same kind of processor, so the prices are rough.")
    return [*sentences, *(f"Not complete: {gap}." for gap in found.gaps)]


def show(found: Calibration, within: float, console: Console) -> None:
    """Print the table, what it covers, and last of all the conclusion."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold", justify="left" if heading == HEADINGS[0] else "right")
    for row in table_rows(found):
        table.add_row(*row)
    console.print(table)
    say_each(console, remarks(found))
    say(console, conclusion(found, within), "bold")


def section(sweep: Results) -> list[Section]:
    """Return the section of the page with the calibration of ``sweep``; none without one."""
    found = calibration_of(sweep)
    if found is None:
        return []
    within = within_of(sweep.directory)
    text = (conclusion(found, WITHIN if within is None else within), *remarks(found))
    return [Section("How cheap a training may be", text, HEADINGS, tuple(table_rows(found)))]


def write(found: Calibration, within: float) -> None:
    """Write ``DIR/calibration/calibration.json``, which other sweeps' dry runs quote, and ``calibration.csv``.

    The table has one row per training: its settings, and the numbers of :class:`~ablate.report.stats.calibration.Row`.
    """
    path, plan = SweepDir(found.sweep.directory).calibration_result, found.sweep.experiment
    rows = [dataclasses.asdict(row) for row in (found.full, *found.cheaper)]
    content = {
        "schema_version": 1,
        "data": plan.data,
        "eval_data": plan.eval_data,
        "fingerprints": found.fingerprints,
        "setting": f"{plan.shared.branches}-branch {plan.shared.encoder.name}, {found.full.training}",
        "measure": found.sweep.grid.measure,
        "cells": found.cells,
        "seeds": found.seeds,
        "within": within,
        "conclusion": conclusion(found, within),
        "by_chance": found.by_chance,
        "trainings": rows,
        "gaps": found.gaps,
    }
    write_atomically(path, json.dumps(content, indent=1) + "\n")
    text = io.StringIO()
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(text, fieldnames=list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    write_atomically(path.with_suffix(".csv"), text.getvalue())


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a training as a row of the table: a column per setting, and two per interval."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name == "settings":
            flat |= {setting: value.get(setting, "") for setting in NAMES}
        elif name.endswith("interval"):
            low, high = value or ("", "")
            flat |= {f"{name}_low": low, f"{name}_high": high}
        else:
            flat[name] = "" if value is None else value
    return {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in flat.items()}


def table_rows(found: Calibration) -> list[tuple[str, ...]]:
    """Return the table's rows below :data:`HEADINGS`, the full training first."""
    return [_texts(row) for row in (found.full, *found.cheaper)]


def _texts(row: Row) -> tuple[str, ...]:
    return row.training, _percent(row.price), _correlation(row), _regret(row)


def _price(row: Row) -> float:
    return row.price or 0.0


def _percent(share: float | None) -> str:
    """Return a share such as ``9 %`` or ``0.4 %``."""
    return "unknown" if share is None else f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1f} %"


def _correlation(row: Row) -> str:
    if row.spearman is None:
        return ""
    bounds = row.spearman_interval
    return f"{row.spearman:+.2f}" + ("" if bounds is None else f" [{bounds[0]:+.2f}, {bounds[1]:+.2f}]")


def _regret(row: Row) -> str:
    bounds = row.regret_interval
    return f"{100 * row.regret:.1f}" + ("" if bounds is None else f" [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]")
