"""The results in docs/real-images.md, from the grids that are committed: ``python -m benchmarks.real``.

It takes seconds and trains nothing. The predictions are read from the page and never written; their verdicts, the
tables and the picture follow from the records alone, as far as they are there.
"""

from __future__ import annotations

import re
import statistics
from pathlib import Path

from ablate.console import counted
from ablate.report.data.grid import Cell, Grid
from ablate.report.data.results import Results
from ablate.report.figures import side_by_side
from ablate.report.figures.paper import beside_the_paper
from ablate.report.figures.style import save
from ablate.report.stats.model import Difference
from ablate.report.stats.winners import Cost, Side
from ablate.report.stats.words import in_points, judge
from ablate.report.text.agreement import of_sides
from benchmarks.claims import BARE, OUTCOMES, Case, Unmeasured, Verdict, minus, short, wrong_first
from benchmarks.marked import END, filled
from benchmarks.predictions import SETS, SEVEN, Records, confirmations, gain_over_crop, replays, verdicts

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "real-images.md"
PICTURE = Path("real-images") / "side-by-side.png"  # from the page's folder
FIGURE_5 = Path("../results/real-cifar10-seven/report/fig5-comparison.png")  # from there too
BESIDE = "The grid of seven ops on CIFAR-10 above Figure 5 of the paper"
BEGIN = "<!-- results: python -m benchmarks.real -->\n"
TITLE = "# Five kinds of images: "
ROW = re.compile(r"^\| (\d+) \| ([^|]*) \| ([^|]*) \| [^|]* \|$", re.MULTILINE)


def predictions(page: str) -> dict[int, tuple[str, str]]:
    """The set and the text of every prediction on the page, by its number."""
    return {int(number): (where, text) for number, where, text in ROW.findall(page.partition(END)[2])}


def written(page: str, records: Records) -> str:
    """The page with its title and its results as the records give them."""
    found = verdicts(records)
    title, _, rest = page.partition("\n")
    assert title.startswith(TITLE), title
    parts = opening(found)
    if records.found:
        parts += [*verdict_table(found, predictions(page)), *results(records)]
    return filled(f"{TITLE}{heading(found)}\n{rest}", BEGIN, parts)


def open_questions(found: dict[int, Verdict]) -> int:
    """The number of predictions that are not measured yet."""
    return sum(verdict.outcome == "not measured yet" for verdict in found.values())


def heading(found: dict[int, Verdict]) -> str:
    """The second half of the page's title."""
    if open_questions(found) == len(found):
        return "predictions"
    return "predictions and first verdicts" if open_questions(found) else "predictions and verdicts"


def opening(found: dict[int, Verdict]) -> list[str]:
    """The paragraph on what there is."""
    if open_questions(found) == len(found):
        return ["No prediction can be judged yet. Verdicts will be added here, the wrong ones first."]
    counts = [(sum(verdict.outcome == outcome for verdict in found.values()), outcome) for outcome in OUTCOMES]
    said = ", ".join(f"{count} {outcome}" for count, outcome in counts if count)
    return [f"Of {len(found)} predictions: {said}.", "[How a verdict comes about](#how-a-verdict-comes-about)."]


def verdict_table(found: dict[int, Verdict], texts: dict[int, tuple[str, str]], where: str = "set") -> list[str]:
    """The predictions with their verdicts, the wrong ones first; ``where`` is the heading of the second column."""
    heading = f"| # | {where} | prediction | verdict | measured |"
    lines = ["", "## Verdicts", "", heading, "| --: | --- | --- | --- | --- |"]
    for number, verdict in wrong_first(found):
        of, text = texts[number]
        lines.append(f"| {number} | {of} | {text} | **{verdict.outcome}** | {verdict.seen} |")
    return lines


def results(records: Records) -> list[str]:
    """The picture, the table of every set, and pruning replayed; nothing without records."""
    if not any(name in records.found for name in SETS):
        return []
    lines = ["", "## Results", ""]
    if panels(records):
        lines += [f"![The same grid on several data sets, a panel each]({PICTURE.as_posix()})", ""]
    reasons = []
    for name in SETS:
        try:
            lines += [f"### {name}", "", *table(records.case(name)), ""]
        except Unmeasured as reason:
            reasons.append(str(reason))
    lines += [f"Not measured yet: {'; '.join(reasons)}.", ""] if reasons else []
    return [*lines, *figure_5(records), *winners(records), *confirmed(records), *pruned(records)]


def table(case: Case) -> list[str]:
    """What one grid found, in two tables."""
    grid, ranking, results = case.results.grid, case.ranking, case.results
    assert ranking.best
    lines = [f"| | | {judge(grid)}, % | test, % |", "| --- | --- | --: | --: |"]
    lines += [row(case, "best cell", ranking.best, short(ranking.best.label))]
    if single := ranking.best_of(case.singles):
        lines += [row(case, "best single op", single, short(single.label))]
    lines += [row(case, name, cell) for name, cell in grid.references.items() if cell.n]
    rivals = [short(label) for label in ranking.contenders if label != ranking.best.label]
    seconds = statistics.median(results.seconds(cell.label) for cell in grid.with_results)
    spent = results.seconds_in_all([trial.label for trial in results.trials]) / 3600
    about = f"{counted(len(results.experiment.seeds), 'seed')}; a trial takes {seconds:.0f} s of {results.unit}"
    told = [f"Cells that cannot be told from the best: {', '.join(rivals)}.", ""] if rivals else []
    return [*lines, "", *told, f"{about}, and the grid took {spent:.1f} h of it.", "", *by_op(case)]


def row(case: Case, what: str, cell: Cell, name: str = "") -> str:
    """A row of the table: validation accuracy, with its 95 % interval for a cell of the grid, and test accuracy."""
    model, score, test = case.ranking.model, case.ranking.score(cell) or 0.0, cell.mean() or 0.0
    half = model.half_width(cell.label) if model and cell.label in model.position else None
    interval = f" [{100 * (score - half):.1f}, {100 * (score + half):.1f}]" if half else ""
    return f"| {what} | {name} | {100 * score:.1f}{interval} | {100 * test:.1f} |"


def by_op(case: Case) -> list[str]:
    """What each op does alone, over the bare pair, and with crop, over crop, in points with 95 % intervals."""
    lines = ["| op | alone, over the bare pair | with crop, over crop alone |", "| --- | --: | --: |"]
    for op in case.ops:
        over_bare = (
            case.difference(minus(case.alone(op), BARE)) if BARE.keys() <= case.with_bare.scores.keys() else None
        )
        over_crop = gain_over_crop(case, op) if op != "crop" else None
        lines.append(f"| {op} | {points(over_bare)} | {points(over_crop)} |")
    return lines


def points(difference: Difference | None) -> str:
    """As in ``+3.1 [+1.0, +5.2]``; nothing without a difference."""
    return "" if difference is None else str(difference).partition(" (")[0].replace(" points", "")


def figure_5(records: Records) -> list[str]:
    """The grid of the paper's seven ops beside Figure 5, in Markdown; nothing before it is whole."""
    try:
        results = records.case(SEVEN).results
    except Unmeasured:
        return []
    comparison = beside_the_paper(results.grid)
    assert comparison
    spent = results.seconds_in_all([trial.label for trial in results.trials]) / 3600
    about = f"{counted(len(results.experiment.seeds), 'seed')}, {spent:.1f} h of {results.unit}. {comparison}"
    lines = ["### CIFAR-10, the seven ops of Figure 5", "", about, "", f"![{BESIDE}]({FIGURE_5.as_posix()})", ""]
    lines += ["| op | with crop | in Figure 5 | with other ops | in Figure 5 |", "| --- | --: | --: | --: | --: |"]
    for op in comparison.ours.ops:
        if op != "crop":
            means = [
                100 * mean_of_pairs(grid, op, with_crop)
                for with_crop in (True, False)
                for grid in (comparison.ours, comparison.other)
            ]
            lines.append(f"| {op} | {' | '.join(f'{mean:.1f}' for mean in means)} |")
    return [*lines, "", "Test accuracies of pairs in both orders, means, %.", ""]


def mean_of_pairs(grid: Grid, op: str, with_crop: bool) -> float:
    """The mean test accuracy of an op's pairs with crop, or of those with all other ops, in both orders."""
    others = [other for other in grid.ops if other != op and (other == "crop") == with_crop]
    cells = [grid.cells[position] for other in others for position in ((op, other), (other, op))]
    return statistics.fmean(cell.mean() or 0.0 for cell in cells)


def winners(records: Records) -> list[str]:
    """What the best cell of each set costs on the others, in Markdown; nothing for a single set."""
    sides = [Side(name, records.found[name].grid) for name in SETS if name in records.found]
    sides = [side for side in sides if side.ranking.best]
    agreement = of_sides(sides)
    if agreement is None:
        return []
    known = {(cost.of, cost.under): cost for cost in agreement.costs}
    lines = ["### Whose winner costs how much", "", short(" ".join(agreement.sentences())), ""]
    lines += [f"| best cell of | | {' | '.join(f'on {side.name}' for side in sides)} |"]
    lines += [f"| --- | --- |{' --: |' * len(sides)}"]
    for side in sides:
        assert side.ranking.best
        row = ["" if side is on else _cost(known[side.name, on.name]) for on in sides]
        lines += [f"| {side.name} | {short(side.ranking.best.label)} | {' | '.join(row)} |"]
    about = (
        "Points of validation accuracy below the best cell of the column's set, with 95 % intervals; ● cannot be told "
        "from the best there. `ablate report` on the directories gives the same, with a picture."
    )
    return [*lines, "", about, ""]


def _cost(cost: Cost) -> str:
    held = " ●" if cost.contends else ""
    return "best" if cost.is_best else f"{in_points(cost.cost)}{held}" if cost.cost else cost.why


def confirmed(records: Records) -> list[str]:
    """The winners' confirmations, in Markdown; nothing before one has ended."""
    found = confirmations(records)
    if not found:
        return []
    lines = ["### The winners, trained again on both branches", "", "With three fresh seeds:", ""]
    lines += ["| set | best cell | validation accuracy, % | test, % | over the untrained encoder |"]
    lines += ["| --- | --- | --: | --: | --: |"]
    for name, each in found.items():
        score, test = each.ranking.score(each.winner) or 0.0, each.winner.mean() or 0.0
        cells = short(each.winner.label), f"{100 * score:.1f}", f"{100 * test:.1f}", points(each.over_untrained)
        lines += [f"| {name} | {' | '.join(cells)} |"]
    about = (
        "Accuracies are of the kind that ranks the grid of the set. Differences are points of validation accuracy, "
        "with 95 % intervals, paired by seed."
    )
    return [*lines, "", about, ""]


def pruned(records: Records) -> list[str]:
    """Pruning replayed with its frozen rungs, in Markdown; nothing before a grid has two seeds."""
    found = replays(records)
    if not found:
        return []
    lines = ["### Pruning, replayed", "", "By the rungs that were [tuned on glyphs](pruning.md), unchanged:", ""]
    lines += ["| set | training | cells left | regret | contenders left |", "| --- | --: | --: | --: | --: |"]
    for name, o in found.items():
        row = (f"{100 * o.cost:.1f} %", str(o.left), f"{100 * o.regret:.1f} points", f"{o.held} of {o.contenders}")
        lines.append(f"| {name} | {' | '.join(row)} |")
    return lines


def panels(records: Records) -> list[Results]:
    """The grids with results that stand side by side in the picture; none if they are too few."""
    grids = [records.found[name] for name in SETS if name in records.found and records.found[name].grid.with_results]
    return side_by_side.alike(grids[0], grids[1:]) if grids else []


def main() -> None:
    """Write the page and its picture, and say what became of the predictions."""
    records = Records(ROOT / "results")
    page = written(PAGE.read_text(), records)
    PAGE.write_text(page)
    if grids := panels(records):
        save(side_by_side.draw(grids), [PAGE.parent / PICTURE])
    print(f"{PAGE.relative_to(ROOT)}: {page.partition(BEGIN)[2].partition(chr(10))[0]}")
    for name in SETS:
        found = records.found.get(name)
        print(f"{name}: " + (f"{found.ended} of {counted(len(found.trials), 'trial')}" if found else "no records"))


if __name__ == "__main__":
    main()
