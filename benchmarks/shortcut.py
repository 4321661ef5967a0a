"""Does the shortcut predict what ops are worth? docs/shortcut.md against the committed grids.

``python -m benchmarks.shortcut --measure`` draws views of the grids' images, which must be where the grids had them or
in the cache, and writes ``benchmarks/results/shortcut.json`` with what the grids say by then. It takes a minute.
``python -m benchmarks.shortcut`` writes the verdicts, the tables and the picture into the page, from that file alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ablate.data import cache_dir
from ablate.evaluation.shortcut import BINS, histograms, shortcut
from ablate.ops.pair import TransformPair
from ablate.planning.images import images_of
from ablate.report.data.results import read_sweep
from ablate.report.figures.style import save as save_figure
from ablate.sweep.plan import load_plan
from benchmarks import harness
from benchmarks.claims import Case
from benchmarks.marked import filled
from benchmarks.predictions import SETS, gain_over_crop
from benchmarks.real import opening, predictions, verdict_table
from benchmarks.shortcut_claims import PREDICTIONS, Measured, scatter, tables

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "shortcut.md"
PICTURE = Path("shortcut") / "scatter.png"  # from the page's folder
BEGIN = "<!-- results: python -m benchmarks.shortcut -->\n"
JSON = harness.RESULTS / "shortcut.json"
DRAWS = 8
COARSE = 8  # bins of a joint histogram, for each channel


def cumulative(views: Tensor) -> Tensor:
    """Cumulated histograms: the sum of their absolute differences is the earth mover's distance, in pixels x bins."""
    return histograms(views).unflatten(1, (-1, BINS)).cumsum(2).flatten(1)


def joint(views: Tensor) -> Tensor:
    """Joint histograms of all channels, 8 bins each: float32 ``[n, 8 ** c]``."""
    n, c = views.shape[:2]
    level = (views.flatten(2) * COARSE).int().clamp_(0, COARSE - 1)
    bin = (level * COARSE ** torch.arange(c, dtype=torch.int32)[:, None]).sum(1) + COARSE**c * torch.arange(n)[:, None]
    return bin.flatten().bincount(minlength=n * COARSE**c).view(n, -1).float()


DEFINITIONS: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "32 bins": ("two", histograms),
    "earth mover's distance": ("two", cumulative),
    "joint histogram, 8 bins a channel": ("two", joint),
    "32 bins, one-branch pairs as in the grids": ("one", histograms),
}
"""What is compared, and on which pairs. The first one is that of the predictions and of the command."""


def measured(directory: Path, name: str) -> dict[str, Any]:
    """The shortcut of one set by definition, op and draw, and what the grid says that each op is worth."""
    plan = load_plan(directory)
    images, specs = images_of(plan, cache_dir(None)).pretrain.images, {op.op.name: op.op for op in plan.ops}
    compositions = {
        "crop": (specs["crop"],),
        **{op: (specs["crop"], spec) for op, spec in specs.items() if op != "crop"},
    }
    found: dict[str, Any] = {}
    started = time.process_time()
    for definition, (branches, describe) in DEFINITIONS.items():
        base = plan.shared.base if branches == "one" else None
        config = plan.shared.replace(branches=branches, base=base)
        pairs = [TransformPair.from_config(config.replace(composition=ops)) for ops in compositions.values()]
        shares = shortcut(images, pairs, DRAWS, 0, describe)
        found[definition] = {op: row.round(6).tolist() for op, row in zip(compositions, shares, strict=True)}
    case = Case(name, read_sweep(directory))
    worth = {op: gain_over_crop(case, op) for op in specs if op != "crop"}
    return {
        "cpu_seconds": round(time.process_time() - started, 1),
        "images": len(images),
        "seeds": len(plan.seeds),
        "found": found,
        "worth": {op: [gain.mean, gain.low, gain.high] for op, gain in worth.items()},
    }


def written(page: str, rows: Mapping[str, Any]) -> str:
    """The page with its results as the measurement gives them."""
    data = Measured(rows)
    found = {number: claim(data) for number, claim in PREDICTIONS.items()}
    parts = [*opening(found), *verdict_table(found, predictions(page)), *tables(data, PICTURE.as_posix())]
    _, _, rest = page.partition("\n")
    return filled(f"# The shortcut: predictions and verdicts\n{rest}", BEGIN, parts)


def main() -> None:
    """Measure if asked to; write the page and its picture."""
    torch.set_num_threads(1)
    if "--measure" in sys.argv[1:]:
        sets = {**{name: ROOT / "results" / f"real-{folder}" for name, folder in SETS.items()}}
        sets["glyphs"] = ROOT / "results" / "fig5-glyphs"
        harness.save("shortcut", {name: measured(directory, name) for name, directory in sets.items()})
    rows = json.loads(JSON.read_text())["rows"]
    PAGE.write_text(written(PAGE.read_text(), rows))
    (PAGE.parent / PICTURE).parent.mkdir(exist_ok=True)
    save_figure(scatter(Measured(rows)), [PAGE.parent / PICTURE])


if __name__ == "__main__":
    main()
