"""The table of ``ablate preview --shortcut``: how well histograms alone match views, and the ops that hinder them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ablate.config.base import OpSpec
from ablate.config.experiment import Experiment
from ablate.console import counted, make_console, say, say_as_it_is
from ablate.data import DataSet
from ablate.errors import UsageError, unknown
from ablate.evaluation.shortcut import AMONG, SIDE, interval, shortcut
from ablate.files import check_file, write_atomically
from ablate.ops import parse_op, spec
from ablate.ops.composition import Composition
from ablate.ops.pair import TransformPair
from ablate.ops.registry import get, names
from ablate.planning.compositions import named_ops, op_defaults
from ablate.planning.settings import shared_config

COLUMNS = ("composition", "matched", "low", "high", "lowered", "lowered_low", "lowered_high")
CROP = "crop"


def check_table(path: Path | None) -> None:
    """Raise UsageError unless the table can be written to ``path``; None: it is only printed."""
    if path is None:
        return
    if path.suffix.lower() != ".csv":
        raise unknown("table format", path.suffix or path.name, [".csv"])
    check_file(path)


def show_shortcut(
    wish: Experiment,
    compositions: Mapping[str, Composition],
    data: DataSet,
    draws: int,
    seed: int,
    out: Path | None,
    before: str,
) -> None:
    """Print how well histograms find the other view, with crop alone and with more; write it to ``out`` as CSV.

    Args:
        wish: the description; each of its ops is added to crop.
        compositions: further rows, by label; without them and without ops, every op for these images is added to crop.
        data: the images.
        draws: how many times images and views are drawn.
        seed: the seed of the draws.
        out: the CSV file, if any.
        before: lines to print before the table.

    Raises:
        UsageError: there is only one image, so that none can be taken for another.
    """
    among = min(AMONG, len(data.pretrain.images))
    if among < 2:
        raise UsageError(f"{data.name} has one training image, so none can be taken for another; give at least 2")
    specs = _rows(wish, compositions, data)
    config = shared_config(wish, data.identity)
    config = config.replace(image_size=min(config.image_size, SIDE))
    pairs = [
        TransformPair.from_config(config.replace(composition=c.specs(), second=c.second_specs()))
        for c in specs.values()
    ]
    found = shortcut(data.pretrain.images, pairs, draws, seed)
    table = {
        label: (*np.clip(interval(row), 0, 1), *np.clip(interval(found[0] - row) if number else 3 * (math.nan,), -1, 1))
        for number, (label, row) in enumerate(zip(specs, found, strict=True))
    }
    first, *others = table
    ordered = [first, *sorted(others, key=lambda label: -table[label][3])]
    console = make_console()
    say(
        console,
        f"{before}{data.name}: histograms alone find the other view of an image among {among} in "
        f"{100 * table[first][0]:.1f} % of cases (chance {100 / among:.1f} %; {first}, {config.branches}-branch, views "
        f"of {config.image_size} px, {counted(draws, 'draw')})",
    )
    width = max(map(len, specs))
    say_as_it_is(console, f"{'':{width}}  {'found, %':>19}  {'lower by, points':>21}")
    for label in ordered:
        values = 100 * np.array(table[label])
        lowered = "" if label == first else _with_ends(values[3:])
        say_as_it_is(console, f"{label:{width}}  {_with_ends(values[:3]):>19}  {lowered:>21}".rstrip())
    say(console, "an op that lowers this need not help: docs/shortcut.md compares it with what training says", "dim")
    if out:
        _write(out, {label: table[label] for label in ordered})
        say(console, f"wrote {out}")


def _rows(wish: Experiment, compositions: Mapping[str, Composition], data: DataSet) -> dict[str, Composition]:
    """Return crop alone and what is compared with it, by label."""
    defaults = op_defaults(wish)
    if not wish.ops and not compositions:
        wish = wish.replace(ops=[name for name in names() if data.identity.channels in get(name).channels])
    named = {op.label: op.op for op in named_ops(wish)} if wish.ops else {}
    crops = {label: op for label, op in named.items() if op.name == CROP} or {CROP: spec(parse_op(CROP, defaults))}
    crop, first = next(iter(crops.items()))
    added: dict[str, tuple[OpSpec, ...]] = {crop: (first,)}
    added |= {f"{crop}+{label}": (first, op) for label, op in named.items() if op.name != CROP}
    rows = {label: Composition.from_specs(ops) for label, ops in added.items()}
    return rows | {label: one for label, one in compositions.items() if label not in rows}


def _with_ends(values: np.ndarray) -> str:
    mean, low, high = values
    return f"{mean:.1f}" if math.isnan(low) else f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def _write(path: Path, table: Mapping[str, tuple[float, ...]]) -> None:
    """Write the table as fractions; what is not known stays empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for label, values in table.items():
        writer.writerow([label, *("" if math.isnan(value) else f"{value:.6f}" for value in values)])
    write_atomically(path, buffer.getvalue())
