"""Write ``DIR/report``: the figures and tables of a sweep, at any time, from its records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from ablate.config.interval import Interval
from ablate.config.measure import Measure
from ablate.console import say, say_each
from ablate.errors import UsageError
from ablate.files import check_directory, names_in, write_atomically
from ablate.report.compared import Compared, compare_with
from ablate.report.data.grid import Grid
from ablate.report.data.over_images import check_held
from ablate.report.data.results import Results, read_sweep
from ablate.report.figures import axes, classes, fonts, forest, invariance, label_free, pruning, search, side_by_side
from ablate.report.figures.comparison import draw
from ablate.report.figures.heatmap import heatmap
from ablate.report.figures.multiples import multiples
from ablate.report.figures.panel import DENSE
from ablate.report.figures.paper import TITLE
from ablate.report.figures.style import save
from ablate.report.page import only_one
from ablate.report.page.page import page
from ablate.report.page.sections import effects, predictions
from ablate.report.recommendation import files
from ablate.report.recommendation.recommend import Recommendation
from ablate.report.stats import baseline, early
from ablate.report.stats.classes import effects_of, profile_of
from ablate.report.stats.invariances import invariances
from ablate.report.stats.noise import noise
from ablate.report.stats.predicted import predicted_cells
from ablate.report.stats.summary import summary
from ablate.report.text import agreement, calibration, tasks
from ablate.report.text.caption import caption
from ablate.report.text.classes import write_classes
from ablate.report.text.tables import write_csv, write_predicted, write_tex
from ablate.report.text.terminal import render
from ablate.sweep.again import completing
from ablate.sweep.asked import Asked, asked_for
from ablate.sweep.failures import failure_line
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import is_sweep

WITH_OTHERS = ("comparison-*.png", "fig5-comparison.png", "side-by-side.*", "differences.*")
"""The figures of a report that show other grids, too."""
COLUMNS = {"1col": 3.25, "2col": 6.75}  # inches: one column of a paper's page, and both


@dataclass(frozen=True)
class Report:
    """The report of a sweep, with the grids beside it.

    ``replaced`` is a sentence on the earlier recommendation that it replaces.
    """

    sweep: Results
    compared: Compared = field(default_factory=Compared)
    replaced: str = ""

    @property
    def grid(self) -> Grid:
        """The sweep's grid."""
        return self.sweep.grid

    def show(self, console: Console) -> None:
        """Print the report in the terminal.

        It has the heatmap, the summary, the failed trials and how to rerun them, and the place of the files.
        """
        directory, failed, compared = self.sweep.directory, self.sweep.failed, self.compared
        agreed = [several for several in (compared.tasks, compared.agreement) if several]
        render(self.grid, console, predicted_cells(self.sweep, self.grid.metric))
        spoken = [
            *summary(self.sweep),
            *noise(self.sweep),
            *early.early_decision(self.sweep),
            *baseline.findings(self.sweep),
            *(sentence for several in agreed for sentence in several.sentences()),
            *self.compared.said,
            *filter(None, [self.sweep.seeds_only]),
        ]
        for line in [*self.sweep.measured, *spoken]:
            say(console, line)
        for several in agreed:
            agreement.show(several, console)
        say_each(console, [failure_line(directory, result) for result in failed], "red")
        if failed:
            again_with = completing(directory, self.sweep.experiment, retry_failed=True)
            say(console, f"to run {'it' if len(failed) == 1 else 'them'} again: `{again_with}`")
        say_each(console, [f"damaged record, left out: {path}" for path in self.sweep.damaged], "yellow")
        say_each(console, fonts.told([str(self.sweep), *self.sweep.experiment.classes]), "yellow")
        if self.replaced:
            say(console, self.replaced, "yellow")
        say(console, f"report: {SweepDir(directory).page}, and {_beside(SweepDir(directory).report)} beside it")


def _beside(out: Path) -> str:
    """Return words for the files beside the page."""
    kinds = {Path(name).suffix for name in names_in(out)}
    return f"{'the figures and ' * ('.png' in kinds)}{'the tables' if '.tex' in kinds else 'table.csv'}"


def write_report(
    directory: str | Path,
    others: Sequence[str | Path] = (),
    *,
    paper: bool = False,
    refresh: float | None = None,
    metric: Measure | None = None,
    task: str = "",
    interval: Interval = "both",
) -> Report:
    """Write index.html, heatmap.png/svg/pdf, table.csv and table.tex; comparison-<n>.png per sweep in ``others``.

    If at least two of the others have the same ops, also write side-by-side.png/pdf. With others, or with axes, also
    write differences.png/pdf.

    Also write heatmap-1col.pdf and heatmap-2col.pdf with caption.txt, and training curves. If the sweep has the data
    for them, also write accuracy along an axis, a heatmap at every point of the axes, and accuracy against label-free
    metrics.

    Args:
        directory: the sweep's directory.
        others: the directories of sweeps to compare with.
        paper: also write fig5-comparison.png.
        refresh: the seconds after which a browser reads the page again.
        metric: the accuracy by which cells are chosen and shown; default: by the rule, as the sweep was planned.
        task: the name of the task that judges the cells, of a sweep with several; default: the main one.
        interval: what the intervals of comparisons hold: ``seeds``, ``images`` or ``both``; seeds only if a trial that
            is compared has no results for every image.

    Raises:
        UsageError: a directory is not a sweep's, or given twice; two share no op or are judged by different metrics;
            intervals cannot hold images alone; for ``paper``, the sweep is not in Figure 5's setting or has none of
            its ops.
    """
    sweep = read_sweep(directory, metric, task, interval)
    check_held(sweep.grid, interval, sweep.seeds_only)
    return _write(sweep, others, paper, refresh)


def _write(sweep: Results, others: Sequence[str | Path], paper: bool, refresh: float | None = None) -> Report:
    compared = compare_with(sweep, others, paper)
    out = SweepDir(sweep.directory).report
    check_directory(out)
    _figures(sweep, compared.others, out)
    write_csv(sweep.grid, out / "table.csv")
    write_predicted(sweep, out / "predicted.csv")
    _compared_figures(sweep, compared, out)
    replaced = files.refresh(sweep)
    write_page(sweep, compared, Asked(tuple(map(str, others)), paper), refresh)
    _agree(sweep)
    return Report(sweep, compared, replaced)


def _compared_figures(sweep: Results, compared: Compared, out: Path) -> None:
    """Write the figures that show other grids, too, and remove those of an earlier report that compared others."""
    written = []
    for number, (comparison, title) in enumerate(compared.titled, start=1):
        name = "fig5-comparison" if title == TITLE else f"comparison-{number}"
        if len(comparison.ours.ops) > 1:  # two single cells need no picture; the sentence says everything
            written += [out / f"{name}.png"]
            save(draw(comparison, (str(sweep), title)), written[-1:])
    if compared.same:
        written += [out / "side-by-side.png", out / "side-by-side.pdf"]
        save(side_by_side.draw(compared.same), written[-2:])
    if compared.agreement and (figure := agreement.differences_of(compared.agreement)):
        written += [out / "differences.png", out / "differences.pdf"]
        save(figure, written[-2:])
    for path in {path for pattern in WITH_OTHERS for path in out.glob(pattern)}.difference(written):
        path.unlink(missing_ok=True)


def write_again(sweep: Results) -> None:
    """Write the page of ``sweep`` again with the options of the last time, if there is a page.

    If the metric, the task or what intervals hold is another, all files are written again.
    """
    asked = asked_for(sweep.directory)
    if asked is None:
        return
    try:
        compared = compare_with(sweep, asked.others, asked.paper)
    except UsageError:  # for example, another sweep has moved
        asked, compared = replace(asked, others=(), paper=False), compare_with(sweep)
    if asked.judges == sweep.judges:
        write_page(sweep, compared, asked)
    else:
        _write(sweep, asked.others, asked.paper)  # as it is: read anew, it would not keep the protected classes


def publish(recommendation: Recommendation) -> str:
    """Write the recommendation and the pages that show it, so that they agree.

    Returns:
        A sentence on the recommendation that it replaces, or nothing.

    Raises:
        DiskError: the directory may not be written to.
    """
    sentence = files.replaced(recommendation)
    files.write(recommendation)
    write_again(recommendation.choice.sweep)
    _agree(recommendation.choice.sweep)
    return sentence


def _agree(sweep: Results) -> None:
    """Let the page of the sweep's confirmation, if there is one, choose by the same metric, task and intervals."""
    directory = SweepDir(sweep.directory).confirmation
    asked = asked_for(directory) if is_sweep(directory) else None
    if asked and asked.judges != sweep.judges:
        confirmation = read_sweep(directory, sweep.grid.measure, sweep.task_name, sweep.interval)
        if asked.judges != confirmation.judges:
            write_again(confirmation)


def write_page(
    sweep: Results, compared: Compared | None = None, asked: Asked | None = None, refresh: float | None = None
) -> None:
    """Write index.html alone, without the figures and tables that stand beside it.

    Args:
        sweep: the sweep.
        compared: the grids beside it; default: none.
        asked: the options of the report, which the page notes; default: none.
        refresh: the seconds after which a browser reads the page again.
    """
    compared = compared or Compared()
    sections = [
        *tasks.section(compared.tasks),
        *agreement.section(compared.agreement),
        *side_by_side.section(compared.same),
        *forest.section(sweep),
        *invariance.section(sweep),
        *axes.section(sweep),
        *predictions(sweep),
        *classes.section(sweep),
        *effects(sweep.grid),
        *search.section(sweep),
    ]
    sections += [*pruning.section(sweep), *early.section(sweep), *calibration.section(sweep)]
    sections += [*label_free.section(sweep.grid), *only_one.section(sweep)]
    others = compared.tasks.sides[1:] if compared.tasks else ()
    html = page(sweep, compared.comparisons, compared.said, sections, refresh, asked, others)
    write_atomically(SweepDir(sweep.directory).page, html)


def _figures(sweep: Results, beside: Sequence[Results], out: Path) -> None:
    """Write the figures and tables that need only the sweep's own results."""
    grid = sweep.grid
    if grid.ops:
        predicted = predicted_cells(sweep, grid.metric)
        save(
            heatmap(grid, title=str(sweep), predicted=predicted),
            [out / f"heatmap.{kind}" for kind in ("png", "svg", "pdf")],
        )
        for name, width in COLUMNS.items() if len(grid.ops) <= DENSE else ():
            save(heatmap(grid, width=width, predicted=predicted), [out / f"heatmap-{name}.pdf"])
        write_tex(grid, out / "table.tex")
        write_atomically(out / "caption.txt", caption(sweep))
    if against := baseline.effects_of(sweep):
        save(forest.draw(sweep, against), [out / f"forest.{kind}" for kind in ("png", "svg", "pdf")])
    if recalls := profile_of(sweep):
        save(classes.draw(grid, recalls, effects_of(sweep)), [out / "classes.png", out / "classes.pdf"])
        write_classes(recalls, out / "classes.csv")
    if curves := multiples(sweep):
        save(curves, [out / "curves.png", out / "curves.pdf"])
    for number, (name, at_point) in enumerate(sweep.by_variant.items(), start=1):
        save(heatmap(at_point, title=f"{sweep}; {name}"), [out / f"heatmap-{number}.{kind}" for kind in ("png", "pdf")])
    if sweep.experiment.search and search.proposed(sweep):
        save(search.history(sweep), [out / "search-history.png", out / "search-history.pdf"])
        save(search.slices(sweep), [out / "search-slices.png", out / "search-slices.pdf"])
    if taught := invariances(sweep):
        save(invariance.draw(sweep, taught), [out / "invariance.png", out / "invariance.pdf"])
        invariance.write_csv(taught, out / "invariance.csv")
    if along := axes.axis(sweep):
        lines = [(other, theirs) for other in beside if (theirs := axes.axis(other)) and theirs.name == along.name]
        save(axes.draw([(sweep, along), *lines]), [out / "axis.png", out / "axis.pdf"])
    if agreements := label_free.agreements(grid):
        save(label_free.scatter(grid, agreements), [out / "label-free.png", out / "label-free.pdf"])
