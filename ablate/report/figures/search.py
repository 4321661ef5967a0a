"""The course of a search: how the best composition was found, which parameters matter, accuracy along each of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ablate.config.space import coordinates
from ablate.config.sweep import NamedComposition
from ablate.report.data.results import Results
from ablate.report.data.study import study_of
from ablate.report.figures.labels import NAMES, short_names
from ablate.report.figures.style import STYLE
from ablate.report.section import Section
from ablate.report.stats.order import order
from ablate.report.stats.words import judge

FEWEST = 8  # compositions needed for importances to be meaningful
TREES_SEED = 0  # the seed of fANOVA's forest, so that the same records give the same numbers
ACROSS = 4  # panels per row


def proposed(sweep: Results) -> list[tuple[NamedComposition, float]]:
    """Return the compositions that can be compared, with their validation accuracies, in the order of proposal."""
    scores = order(sweep.grid).scores
    return [(item, scores[item.label]) for item in sweep.experiment.compositions if item.label in scores]


def importances(sweep: Results) -> dict[str, float]:
    """Return the share of the variance of validation accuracy that each parameter explains (fANOVA), the largest first.

    Only parameters that every composition has are included, and the seed only if there are several. The result is empty
    with fewer than eight results, or if all are equal. It is deterministic.
    """
    import optuna

    evaluated = proposed(sweep)
    if len(evaluated) < FEWEST or len({score for _, score in evaluated}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=TREES_SEED)
    found = optuna.importance.get_param_importances(study_of(sweep), evaluator=evaluator).items()
    several = len(sweep.experiment.seeds) > 1
    return {name: float(share) for name, share in found if several or name != "seed"}


def section(sweep: Results) -> list[Section]:
    """Return the importances as a section of the page; nothing for a sweep that is not a search."""
    if not sweep.experiment.search:
        return []
    shares = importances(sweep)
    if not shares:
        text = f"The importance of parameters is shown once there are {FEWEST} different results."
        return [Section("What matters", (text,))]
    text = (
        f"The share of the variance of {judge(sweep.grid)} that a parameter explains (fANOVA), over the compositions "
        "tried; only for parameters that all of them have. A search tries good regions more often, so these are not "
        "the effects of a balanced design."
    )
    rows = tuple((name, f"{100 * share:.0f} %") for name, share in shares.items())
    return [Section("What matters", (text,), ("parameter", "importance"), rows)]


def history(sweep: Results) -> Figure:
    """Draw validation accuracy in the order of the proposals, and the best so far; pruned ones are marks below."""
    turn = {item.label: number for number, item in enumerate(sweep.experiment.compositions, start=1)}
    points = [(turn[item.label], 100 * score) for item, score in proposed(sweep)]
    numbers, values = [number for number, _ in points], [value for _, value in points]
    best = list(itertools.accumulate(values, max))
    pruned = [number for label, number in turn.items() if sweep.grid.further[label].status == "pruned"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.8, 2.5), layout="constrained")
        axes = figure.subplots()
        axes.scatter(numbers, values, s=9, color="#31688e", linewidths=0, label="a composition")
        axes.step([*numbers, len(turn)], [*best, *best[-1:]], where="post", color="#b2182b", lw=1, label="best so far")
        if pruned:
            low, at = [0.02] * len(pruned), axes.get_xaxis_transform()
            axes.scatter(pruned, low, s=9, c="#888888", marker="|", transform=at, label="pruned")
        axes.set_xlabel("composition, as proposed", fontsize=7.5)
        axes.set_ylabel(NAMES[sweep.grid.validation_metric].replace(" evaluation", ""), fontsize=7.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelsize=6.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=6.5, frameon=False, loc="lower right")
    return figure


def slices(sweep: Results) -> Figure:
    """Draw validation accuracy against every parameter, one panel each; later ones are darker, as a legend explains."""
    search = sweep.experiment.search
    assert search is not None
    scored = [(coordinates(search, item)[0], 100 * score) for item, score in proposed(sweep)]
    names = sorted({name for params, _ in scored for name in params}, key=_in_order)
    labels = [op.label for op in search.ops]
    rows = -(-len(names) // ACROSS)
    with mpl.rc_context(STYLE):
        across = min(ACROSS, len(names))
        figure = Figure(figsize=(1.75 * across + 0.5, 1.7 * rows + 0.3), layout="constrained")
        panels = figure.subplots(rows, across, sharey=True, squeeze=False).flat
        for name, axes in itertools.zip_longest(names, panels):
            if name is None:
                axes.set_visible(False)
                continue
            points = [(params[name], value, i) for i, (params, value) in enumerate(scored) if name in params]
            x = [labels.index(value) if isinstance(value, str) else value for value, _, _ in points]
            y, turns = [value for _, value, _ in points], [i for _, _, i in points]
            axes.scatter(x, y, s=9, color=[_shade(turn, len(scored)) for turn in turns], linewidths=0)
            axes.set_title(name, fontsize=7, parse_math=False)
            axes.tick_params(labelsize=6)
            axes.spines[["top", "right"]].set_visible(False)
            _ticks(axes, name, labels, search.max_length)
        turns = sorted({1, (1 + len(scored)) // 2, len(scored)} - {0})
        handles = [Line2D([], [], ls="", marker="o", ms=3, color=_shade(turn - 1, len(scored))) for turn in turns]
        named = {len(scored): "last", 1: "proposed first"}
        said = [named.get(turn, f"as number {turn}") for turn in turns]
        figure.legend(handles, said, loc="outside lower center", ncols=3, fontsize=6.5, frameon=False)
        figure.supylabel(NAMES[sweep.grid.validation_metric].replace(" evaluation", ""), fontsize=7.5)
    return figure


def _shade(turn: int, count: int) -> str:
    """Return the colour of composition ``turn``, from 0, of ``count``.

    Later ones are darker, and the first is light but visible.
    """
    return to_hex(mpl.colormaps["Blues"](0.4 + 0.6 * turn / max(1, count - 1)))


def _in_order(name: str) -> tuple[bool, bool, str]:
    """Return a key that sorts ``length`` first, then the places, then the parameters of ops."""
    return name != "length", "." in name, name


def _ticks(axes: mpl.axes.Axes, name: str, labels: Sequence[str], longest: int) -> None:
    if name == "length":
        axes.set_xticks(range(1, longest + 1))
    elif "." not in name:
        axes.set_xticks(range(len(labels)), short_names(labels), rotation=90, parse_math=False)
        axes.set_xlim(-0.5, len(labels) - 0.5)
