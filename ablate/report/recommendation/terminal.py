"""The recommendation on the terminal: the evidence, the candidates, and the conclusion."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ablate.console import clock, say, say_as_it_is
from ablate.report.recommendation.choice import Choice
from ablate.report.recommendation.conclusion import conclusion
from ablate.report.recommendation.recommend import Recommendation
from ablate.report.stats.noise import chance, chances
from ablate.report.stats.words import percent
from ablate.sweep.layout import KORNIA_CODE, TORCHVISION_CODE, SweepDir


def show(recommendation: Recommendation, console: Console, code: bool = False) -> None:
    """Print the evidence, the candidates, the place of the code, and last of all the conclusion.

    Args:
        recommendation: the recommendation.
        console: the console to print to.
        code: print all of the code too.
    """
    _show_choice(recommendation.choice, console)
    if recommendation.confirmed:
        say(console, "")
        say(console, f"Confirmation on both branches with fresh seeds ({recommendation.confirmed.sweep.directory}):")
        _show_choice(recommendation.confirmed, console, said=recommendation.choice.sweep.measured)
    say(console, "")
    for sentence in recommendation.unexported:
        say(console, sentence, "yellow")
    out = SweepDir(recommendation.choice.sweep.directory).report
    for name, content in recommendation.pipelines.items():
        what = "code that runs without ablate; it makes both views"
        if name not in (TORCHVISION_CODE, KORNIA_CODE):
            differs = recommendation.differs.get(name)
            what = f"differs: {differs}" if differs else "the same composition for another tool"
        say(console, f"{out / name}: {what}")
        if code:
            say_as_it_is(console, f"\n{content}")
    say(console, conclusion(recommendation), "bold" if recommendation.final else "yellow")


def _show_choice(choice: Choice, console: Console, said: Sequence[str] = ()) -> None:
    measured = [sentence for sentence in choice.sweep.measured if sentence not in said]
    for sentence in (*measured, *choice.sweep.protected, *choice.evidence, *filter(None, [choice.sweep.seeds_only])):
        say(console, sentence)
    model = choice.order.model
    likely = {label: chance(model, label) for label in chances(choice.sweep, choice.order)} if model else {}
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in (
        "candidate, best first",
        "validation",
        "test",
        "n",
        *["P(best)"] * bool(likely),
        choice.sweep.unit,
    ):
        table.add_column(heading, overflow="fold", justify="left" if "candidate" in heading else "right")
    for candidate in choice.candidates:
        cell = candidate.cell
        label = Text(cell.label, style="bold" if candidate is choice.best else "")
        if candidate.above is False:
            label.append(f" (validation not above {choice.sweep.grid.called('untrained')})", style="yellow")
        n = f"{cell.n}{f' of {cell.planned}' if cell.n < cell.planned else ''}"
        best = [likely[cell.label]] if likely else []
        table.add_row(label, choice.order.percent(cell), percent(cell), n, *best, clock(candidate.seconds))
    console.print(table)
    if choice.is_shortened:
        more = len(choice.order.eligible) - len(choice.candidates)
        say(console, f"and {more} more that cannot be told from these either; the report lists them")
