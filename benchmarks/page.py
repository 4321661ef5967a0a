"""``docs/performance.md`` and its figures, from what the benchmarks left in ``benchmarks/results``.

``python -m benchmarks.page``. Nothing is measured here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator, ScalarFormatter

from benchmarks.harness import RESULTS

DOCS = Path(__file__).parents[1] / "docs"
TEMPLATE = "performance.md.j2"


def results() -> dict[str, Any]:
    """Every benchmark's content by name; ``gpu`` is None until one has run on a GPU."""
    found = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    return {"gpu": None, **found}


def render(found: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, from files of our own
    )
    environment.filters |= {"quantity": quantity, "machine": machine}
    return environment.get_template(TEMPLATE).render(found)


def quantity(value: float) -> str:
    """Three digits: 12,345 as 12,300; 0.01234 as 0.0123."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.3g}"


def machine(content: dict[str, Any]) -> str:
    """What a benchmark ran on, in words."""
    host, known = content["host"], content["versions"]
    where = host["device"] if host["device"] != "cpu" else f"{host['cores']} cores of an {host['processor']}"
    return f"{where} ({host['cpu_capability']}), Python {known['python']}, torch {known['torch']}"


def draw(rows: dict[str, Any], path: Path) -> None:
    """Seconds and memory over size, one panel per row of ``scaling``, both axes logarithmic."""
    figure = Figure(figsize=(11, 2.9), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, row) in zip(figure.subplots(1, len(rows)), rows.items(), strict=True):
        sizes = [int(size) for size in row["by size"]]
        for side, unit, color in ((axes, "seconds", "tab:blue"), (axes.twinx(), "MiB", "tab:orange")):
            side.loglog(sizes, [of[unit] for of in row["by size"].values()], "o-", color=color, markersize=4)
            side.set_ylabel(f"{unit}, ~ n^{row['exponents'][unit]:.2f}", color=color, fontsize=8, labelpad=2)
            side.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            side.yaxis.set_major_formatter(FormatStrFormatter("%g"))
            side.yaxis.set_minor_locator(NullLocator())
            side.tick_params(axis="y", colors=color, labelsize=7)
        axes.set_xlabel(name, fontsize=8)
        axes.set_xticks(sizes, labels=[str(size) for size in sizes], fontsize=7, rotation=45)
        axes.xaxis.set_minor_locator(NullLocator())
    figure.savefig(path, dpi=110)


def draw_trials(shapes: dict[str, Any], path: Path) -> None:
    """Processor seconds over the number of trials, a line per operation."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, row in shapes.items():
        counts = [int(count) for count in row["by trials"]]
        values = [of["cpu"]["median"] for of in row["by trials"].values()]
        axes.loglog(counts, values, "o-", markersize=4, label=f"{name}, ~ n^{row['exponent']:.2f}")
    axes.set_xlabel("trials")
    axes.set_ylabel("processor seconds")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    found = results()
    (DOCS / "performance").mkdir(exist_ok=True)
    draw(found["scaling"]["rows"], DOCS / "performance" / "scaling.png")
    draw_trials(found["scale"]["rows"]["more and more cells"], DOCS / "performance" / "trials.png")
    (DOCS / "performance.md").write_text(render(found))
