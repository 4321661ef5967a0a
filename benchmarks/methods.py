"""The verdicts in docs/methods-compared.md, from the grids that are committed: ``python -m benchmarks.methods``.

It takes seconds and trains nothing. The predictions are read from the page and never written. They were written before
any grid was run, and so was this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ablate.console import counted
from ablate.report.data.results import Results, read_sweep
from ablate.report.stats.model import Difference, TwoWayModel
from ablate.report.stats.ranks import ends, spearman
from ablate.report.stats.winners import Side, costs, sides_of
from ablate.sweep.plan import is_sweep
from benchmarks.claims import Case, Unmeasured, Verdict, Weights, exceed, minus, short
from benchmarks.marked import END, filled
from benchmarks.real import ROW, opening, verdict_table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "methods-compared.md"
BEGIN = "<!-- results: python -m benchmarks.methods -->\n"
NOT_RUN = ("not measured yet", "not run yet")
"""What the page calls a prediction without a verdict, instead of the words of other pages."""
METHODS = {"simclr": "SimCLR", "byol": "BYOL", "barlow": "Barlow Twins", "vicreg": "VICReg"}
BRANCHES: tuple[Branches, ...] = ("one", "two")
CELLS = 9  # of each method
FEW = 4  # cells at most that cannot be told from the best, if the seeds are to say which one it is
ALIKE = 0.7  # rank correlation above which two rankings agree
LITTLE = 0.02  # validation accuracy that another method's winner costs at most
BEHIND = 0.03  # validation accuracy by which BYOL is expected to lie below SimCLR
COLLAPSED = {"collapsed", "collapsed-z"}
DRAWS = 4000
Branches = Literal["one", "two"]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grids:
    """The grids of one sweep, one for each method."""

    results: Results

    @cached_property
    def whole(self) -> Case:
        """All cells of all methods, which share their seeds, as one case."""
        return Case(f"{self.results.experiment.shared.branches}-branch", self.results)

    @cached_property
    def sides(self) -> dict[str, Side]:
        """The grid of each method, named in the words of the page."""
        by_name = {side.name.removeprefix("objective="): side.grid for side in sides_of(self.results)}
        return {method: Side(name, by_name[method]) for method, name in METHODS.items()}

    def cell(self, method: str, *names: str) -> Weights:
        """A composition of one method, by its ops' own names, as the weight of a contrast."""
        ops = {label.partition("(")[0]: label for label in self.sides[method].grid.ops}
        return {self.label(method, "+".join(ops[name] for name in names)): 1.0}

    def label(self, method: str, composition: str) -> str:
        """The label of a composition of one method in the whole sweep."""
        return f"{composition}, objective={method}"

    def with_color(self, method: str) -> Weights:
        """Crop with color: the mean of both orders."""
        both = {**self.cell(method, "crop", "color"), **self.cell(method, "color", "crop")}
        return dict.fromkeys(both, 0.5)

    def gain(self, method: str, factor: float = 1.0) -> Weights:
        """What color gains over crop alone, times a factor."""
        over_crop = minus(self.with_color(method), self.cell(method, "crop"))
        return {label: factor * weight for label, weight in over_crop.items()}

    def exceeds(self, contrasts: dict[str, Weights], above: float = 0.0) -> Verdict:
        """Whether every contrast, by its name, is above a fraction, by the model of the whole sweep."""
        return exceed(dict(zip(contrasts, self.whole.differences(*contrasts.values()), strict=True)), above)

    def models(self) -> dict[str, TwoWayModel]:
        """The model of each method's own grid; raises Unmeasured with one seed."""
        found = {method: side.ranking.model for method, side in self.sides.items()}
        known = {method: model for method, model in found.items() if model}
        if len(known) < len(found):
            raise Unmeasured("one seed, or too few cells with results")
        return known


@dataclass(frozen=True)
class Records:
    """The committed directories below ``root``, as far as they are there."""

    root: Path

    def directory(self, branches: Branches) -> Path:
        """The directory of a sweep: that of its experiment file without ``--out``."""
        return self.root / f"methods-{branches}"

    @cached_property
    def found(self) -> dict[Branches, Results]:
        """The sweeps that are there, finished or not."""
        return {name: read_sweep(self.directory(name)) for name in BRANCHES if is_sweep(self.directory(name))}

    def grids(self, branches: Branches) -> Grids:
        """The grids of a whole sweep; raises Unmeasured with the reason."""
        results = self.found.get(branches)
        if results is None:
            raise Unmeasured(f"{branches}-branch: no records")
        if missing := len(results.trials) - results.ended:
            raise Unmeasured(f"{branches}-branch: {missing} of {counted(len(results.trials), 'trial')} missing")
        return Grids(results)


def crop_with_color_is_best(records: Records) -> Verdict:
    grids = records.grids("one")
    both = grids.with_color("simclr")
    labels = [grids.label("simclr", cell.label) for cell in grids.sides["simclr"].grid.compositions]
    others = {f"crop with color minus {short(label)}": {label: 1.0} for label in labels if label not in both}
    return grids.exceeds({name.partition(",")[0]: minus(both, other) for name, other in others.items()})


def color_gains_less_under_byol(records: Records, branches: Branches, factor: float = 1.0) -> Verdict:
    grids = records.grids(branches)
    what = "gain of color under SimCLR" if factor == 1 else "two thirds of the gain of color under SimCLR"
    return grids.exceeds({f"{what} minus that under BYOL": minus(grids.gain("simclr", factor), grids.gain("byol"))})


def the_others_lie_between(records: Records) -> Verdict:
    grids = records.grids("one")
    pairs = [("simclr", "barlow"), ("simclr", "vicreg"), ("barlow", "byol"), ("vicreg", "byol")]
    return grids.exceeds(
        {
            f"gain of color under {METHODS[more]} minus that under {METHODS[less]}": minus(
                grids.gain(more), grids.gain(less)
            )
            for more, less in pairs
        }
    )


def the_best_cell_is_the_same(records: Records) -> Verdict:
    grids = records.grids("one")
    models = grids.models()
    contenders = {method: models[method].contenders for method in ("simclr", "barlow", "vicreg")}
    leaders = ", ".join(f"{short(labels[0])} under {METHODS[method]}" for method, labels in contenders.items())
    sizes = " to ".join(map(str, sorted({len(labels) for labels in contenders.values()})))
    seen = f"{leaders}; cells that cannot be told from the best: {sizes}"
    if not set.intersection(*map(set, contenders.values())):
        return Verdict("wrong", seen)
    few = all(len(labels) <= FEW for labels in contenders.values())
    return Verdict("confirmed" if few else "undecided", seen)


def the_rankings_agree(records: Records) -> Verdict:
    models = records.grids("one").models()
    labels = sorted(models["simclr"].labels)
    if len(labels) < CELLS or any(sorted(model.labels) != labels for model in models.values()):
        raise Unmeasured("one-branch: not every cell has a result")
    places = {method: [model.position[label] for label in labels] for method, model in models.items()}
    means = {method: model.means[places[method]] for method, model in models.items()}
    drawn = {method: _drawn(models[method], number)[:, places[method]] for number, method in enumerate(models)}
    pairs = list(combinations(models, 2))
    measured = {(a, b): spearman(means[a].tolist(), means[b].tolist()) for a, b in pairs}
    lowest = min(measured, key=lambda pair: measured[pair])
    low, high = ends(np.min([_spearman(drawn[a], drawn[b]) for a, b in pairs], axis=0))
    names = " and ".join(METHODS[method] for method in lowest)
    seen = f"smallest of {len(pairs)}: {measured[lowest]:+.2f} [{low:+.2f}, {high:+.2f}], of {names}"
    kept = [float(np.mean(_spearman(drawn[method], means[method][None]))) for method in lowest]
    if low > ALIKE:
        return Verdict("confirmed", seen)
    return Verdict("wrong" if high < ALIKE < kept[0] * kept[1] else "undecided", seen)


def _drawn(model: TwoWayModel, seed: int) -> Array:
    """Draws of the true means given the measured ones, [draws, cells], as for P(best) but without shrinking."""
    rng, shape = np.random.default_rng(seed), (DRAWS, len(model.labels))
    spread = np.sqrt(model.variances / np.array(model.n))
    noise = rng.standard_normal(shape) / np.sqrt(rng.chisquare(model.freedom, shape) / model.freedom)
    return np.asarray(model.means + spread * noise)


def _spearman(a: Array, b: Array) -> Array:
    """Spearman's rank correlation of every row of ``a`` and ``b``, [draws, cells], without ties."""
    ranks = [values.argsort(axis=1).argsort(axis=1) - (values.shape[1] - 1) / 2 for values in (a, b)]
    k = a.shape[1]
    return np.asarray(12 * (ranks[0] * ranks[1]).sum(axis=1) / (k * (k * k - 1)))


def the_winner_of_simclr_costs_little(records: Records) -> Verdict:
    grids = records.grids("one")
    grids.models()
    found = [cost for cost in costs(list(grids.sides.values())) if cost.of == METHODS["simclr"]]
    if lacking := next((cost for cost in found if cost.score is None), None):
        raise Unmeasured(f"{lacking.under}: {short(lacking.winner)} {lacking.why}")
    below = {
        f"{short(cost.winner)} minus the best under {cost.under}": _turned(cost.cost) for cost in found if cost.cost
    }
    if not below:
        return Verdict("confirmed", f"{short(found[0].winner)} is the best under all")
    return exceed(below, above=-LITTLE)


def _turned(difference: Difference) -> Difference:
    """The difference the other way round."""
    ends = [None if end is None else -end for end in (difference.high, difference.low)]
    return Difference(-difference.mean, ends[0], ends[1], difference.n, difference.how)


def byol_is_behind(records: Records) -> Verdict:
    grids = records.grids("two")
    best = {method: grids.sides[method].ranking.best for method in ("simclr", "byol")}
    labels = {method: grids.label(method, cell.label) for method, cell in best.items() if cell}
    if len(labels) < 2:
        raise Unmeasured("two-branch: no results")
    names = {method: f"{METHODS[method]}'s {short(label).partition(',')[0]}" for method, label in labels.items()}
    contrast = minus({labels["simclr"]: 1.0}, {labels["byol"]: 1.0})
    return grids.exceeds({f"{names['simclr']} minus {names['byol']}": contrast}, above=BEHIND)


def none_collapses(records: Records) -> Verdict:
    flagged, failed, trials = [], [], 0
    for branches, results in records.found.items():
        for trial in results.trials:
            record = results.records.get(trial.id)
            if trial.reference or record is None or "crop" not in {op.name for op in trial.config.composition}:
                continue
            trials += 1
            if record.status == "failed" or COLLAPSED & set(record.flags):
                of = f"{short(trial.label).replace(', objective=', ' under ')}, {branches}-branch, seed {trial.seed}"
                (failed if record.status == "failed" else flagged).append(of)
    if flagged:
        return Verdict("wrong", f"{len(flagged)} of {counted(trials, 'trial')} collapsed; the first: {flagged[0]}")
    for branches in BRANCHES:
        records.grids(branches)
    if failed:
        return Verdict("undecided", f"{counted(len(failed), 'trial')} failed; the first: {failed[0]}")
    return Verdict("confirmed", f"none of {counted(trials, 'trial')} with crop is flagged")


PREDICTIONS: dict[int, Callable[[Records], Verdict]] = {
    1: crop_with_color_is_best,
    2: lambda records: color_gains_less_under_byol(records, "one"),
    3: lambda records: color_gains_less_under_byol(records, "two"),
    4: lambda records: color_gains_less_under_byol(records, "two", 2 / 3),
    5: the_others_lie_between,
    6: the_best_cell_is_the_same,
    7: the_rankings_agree,
    8: the_winner_of_simclr_costs_little,
    9: byol_is_behind,
    10: none_collapses,
}


def verdicts(records: Records) -> dict[int, Verdict]:
    """The verdict on every prediction, by its number."""

    def verdict(judge: Callable[[Records], Verdict]) -> Verdict:
        try:
            return judge(records)
        except Unmeasured as reason:
            return Verdict("not measured yet", str(reason))

    return {number: verdict(judge) for number, judge in PREDICTIONS.items()}


def predictions(page: str) -> dict[int, tuple[str, str]]:
    """The branches and the text of every prediction on the page, by its number."""
    return {int(number): (branches, text) for number, branches, text in ROW.findall(page.partition(END)[2])}


def written(page: str, records: Records) -> str:
    """The page with its results as the records give them."""
    found = verdicts(records)
    parts = opening(found)
    if records.found:
        parts += verdict_table(found, predictions(page), "branches")
    for branches in records.found:
        parts += table(Grids(records.found[branches]))
    return filled(page, BEGIN, (part.replace(*NOT_RUN) for part in parts))


def table(grids: Grids) -> list[str]:
    """The validation accuracies of all cells, in percent, so far; the best of each method is bold."""
    title = f"{grids.results.experiment.shared.branches.capitalize()}-branch"
    lines = ["", f"## {title}", "", "Validation accuracy, %, means over seeds (number of seeds):", ""]
    lines += [f"| cell | {' | '.join(METHODS.values())} |", "| --- |" + " --: |" * len(METHODS)]
    for label in dict.fromkeys(cell.label for side in grids.sides.values() for cell in side.grid.compositions):
        cells = [_score(side, label) for side in grids.sides.values()]
        lines.append(f"| {short(label)} | {' | '.join(cells)} |")
    return lines


def _score(side: Side, label: str) -> str:
    cell = next((cell for cell in side.ranking.cells if cell.label == label), None)
    if cell is None:
        return ""
    text = f"{100 * side.ranking.scores[label]:.1f} ({cell.n})"
    return f"**{text}**" if cell is side.ranking.best else text


def main() -> None:
    """Write the page, and say what became of the predictions."""
    records = Records(ROOT / "results")
    page = written(PAGE.read_text(), records)
    PAGE.write_text(page)
    print(f"{PAGE.relative_to(ROOT)}: {page.partition(BEGIN)[2].partition(chr(10))[0]}")
    for branches in BRANCHES:
        found = records.found.get(branches)
        print(
            f"{branches}-branch: "
            + (f"{found.ended} of {counted(len(found.trials), 'trial')}" if found else "no records")
        )


if __name__ == "__main__":
    main()
