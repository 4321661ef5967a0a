"""The recommendation: the best composition by validation accuracy, its rivals, and how sure the choice is."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ablate.config.base import OpSpec
from ablate.config.measure import Measure
from ablate.config.sweep import NamedComposition
from ablate.console import clock, command, counted, say, say_as_it_is
from ablate.errors import NotExportable, UsageError
from ablate.files import write_atomically
from ablate.pipelines.code import kornia_code, torchvision_code
from ablate.report.data.grid import Cell
from ablate.report.data.results import Results, read_sweep
from ablate.report.stats.noise import SEEDS, among, chance, more_seeds, noise
from ablate.report.stats.order import Order, order
from ablate.report.stats.summary import (
    beats_untrained,
    failures,
    is_unclear,
    is_useful,
    named,
    percent,
    pruned,
    so_far,
    summary,
    verdict,
    without_results,
)
from ablate.sweep.again import completing
from ablate.sweep.confirm import shares_no_crop
from ablate.sweep.layout import KORNIA_CODE, RECOMMENDATION, TORCHVISION_CODE, SweepDir
from ablate.sweep.progress import withdraw

MOST = 5  # compositions at most in a confirmation, and candidates at most if the noise is unknown


@dataclass(frozen=True)
class Candidate:
    """A composition that may be the best one.

    ``seconds`` is the time of one of its trials (CPU time on a CPU). ``above`` is True if its validation accuracy is
    above the untrained encoder's, and None if that is unknown. ``p_best`` is the probability that it is the best, if
    known.
    """

    cell: Cell
    specs: tuple[OpSpec, ...]
    seconds: float
    above: bool | None
    p_best: float | None


@dataclass(frozen=True, repr=False)
class Choice:
    """The result of one sweep: every candidate, the best first, with the sentences of the report."""

    sweep: Results
    order: Order
    candidates: list[Candidate]
    evidence: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Choice of {self.sweep.directory}: {', '.join(found.cell.label for found in self.candidates)}>"

    @property
    def best(self) -> Candidate:
        """The candidate with the highest validation accuracy."""
        return self.candidates[0]

    @property
    def provisional(self) -> bool:
        """True if the noise is unknown, or as large as the gain from training."""
        return self.order.model is None or is_unclear(self.sweep.grid, self.order)

    @property
    def is_shortened(self) -> bool:
        """True if more compositions may be the best than are listed."""
        return self.order.model is None and len(self.order.cells) > len(self.candidates)


@dataclass(frozen=True, repr=False)
class Recommendation:
    """A sweep's choice and, if a one-branch sweep was confirmed, the result with both branches and fresh seeds.

    ``confirming`` describes the progress of a confirmation that has not ended, or the reason why it decides nothing.
    ``final`` is the composition to use, if it is known. ``pipelines`` holds, by file name, code for this composition
    that runs without ablate; ``unexported`` gives the reasons for missing code.
    """

    choice: Choice
    confirmed: Choice | None
    confirming: str
    final: Candidate | None
    pipelines: dict[str, str]
    unexported: list[str]

    def __repr__(self) -> str:
        final = self.final.cell.label if self.final else "nothing is recommended yet"
        return f"<Recommendation: {final}; {self.choice!r}>"

    @property
    def decided(self) -> Choice:
        """The choice that decides: the confirmation's, if there is one."""
        return self.confirmed or self.choice


def recommend(directory: str | Path, metric: Measure | None = None) -> Recommendation:
    """Return the recommendation of the sweep in ``directory``, and of its confirmation if that has finished.

    Nothing is final while trials are missing that could change the choice.

    Args:
        directory: the sweep's directory.
        metric: the accuracy by which to choose, ``top1`` or ``balanced``; default: the one that the sweep was planned
            with.

    Raises:
        UsageError: it is not a sweep's directory, or has no results yet.
    """
    return advise(read_sweep(directory, metric))


def advise(sweep: Results) -> Recommendation:
    """Return the recommendation of a sweep that has been read, like :func:`recommend`."""
    if sweep.experiment.variants:
        raise UsageError(
            f"{sweep.directory} also varies {', '.join(sweep.experiment.axes)}, but a recommendation needs a sweep "
            f"that varies only compositions; {command('ablate', 'report', sweep.directory)} shows every point"
        )
    choice = choose(sweep)
    confirmed, confirming = _confirmation(choice)
    final = _final(choice, confirmed, confirming)
    pipelines, unexported = dict[str, str](), list[str]()
    if final:
        experiment = (confirmed or choice).sweep.experiment
        shared = experiment.shared
        for name, code in ((TORCHVISION_CODE, torchvision_code), (KORNIA_CODE, kornia_code)):
            try:
                pipelines[name] = code(final.specs, shared.image_size, shared.branches, shared.base, experiment.levels)
            except NotExportable as error:
                unexported.append(str(error))
    return Recommendation(choice, confirmed, confirming, final, pipelines, unexported)


def choose(sweep: Results) -> Choice:
    """Choose the best composition by validation accuracy, and those that cannot be told from it."""
    found = order(sweep.grid)
    if found.best is None:
        raise UsageError(f"{sweep.directory} has no results yet{without_results(sweep)}")
    labels = found.contenders or [cell.label for cell in found.cells[:MOST]]
    specs = {trial.label: trial.config.composition for trial in sweep.trials if trial.reference is None}
    chances = found.model.p_best if found.model else {}
    candidates = [
        Candidate(
            cell,
            specs[cell.label],
            sweep.seconds(cell.label),
            beats_untrained(sweep.grid, found, cell),
            chances.get(cell.label),
        )
        for cell in found.cells
        if cell.label in labels
    ]
    return Choice(sweep, found, candidates, (*summary(sweep), *noise(sweep)))


def to_confirm(choice: Choice) -> list[NamedComposition]:
    """Return the candidates with the highest validation accuracy, at most five.

    Raises:
        UsageError: trials are missing that could change this selection.
    """
    if choice.sweep.pending:
        raise UsageError(
            f"{_missing(choice.sweep)} and could change which compositions are confirmed; to complete it: "
            f"`{completing(choice.sweep.directory, choice.sweep.experiment)}`"
        )
    return [NamedComposition(label=item.cell.label, ops=item.specs) for item in choice.candidates[:MOST]]


def replaced(found: Recommendation) -> str:
    """Return a sentence on the earlier recommendation in ``DIR/report``, or nothing if ``found`` agrees with it."""
    try:
        before = json.loads((SweepDir(found.choice.sweep.directory).recommendation).read_bytes())
        label, metric = before["recommended"]["composition"], before["sweep"]["metric"]
    except (OSError, ValueError, TypeError, KeyError):  # there is none, or it is unreadable
        return ""
    now = found.choice.sweep.grid.metric
    if found.final and (found.final.cell.label, now) == (label, metric):
        return ""
    by = "" if metric == now else f", chosen by {'balanced' if 'balanced' in metric else 'top-1'} accuracy"
    what = "This replaces" if found.final else "This withdraws"
    return f"{what} the earlier recommendation in {SweepDir(found.choice.sweep.directory).report}: {label}{by}."


def write(found: Recommendation) -> list[Path]:
    """Write ``DIR/report/recommendation.json`` and the pipelines, and return their paths.

    The previous recommendation is removed.
    """
    withdraw(found.choice.sweep.directory)
    out = SweepDir(found.choice.sweep.directory).report
    files = {RECOMMENDATION: json.dumps(as_json(found), indent=1) + "\n", **found.pipelines}
    for name, content in files.items():
        write_atomically(out / name, content)
    return [out / name for name in files]


def refresh(sweep: Results) -> str:
    """Write the recommendation of ``sweep`` anew, if there was one.

    Returns:
        A sentence on the recommendation that it replaces, or nothing.
    """
    if not (SweepDir(sweep.directory).recommendation).exists():
        return ""
    try:
        found = advise(sweep)
    except UsageError:
        withdraw(sweep.directory)
        return ""
    told = replaced(found)
    write(found)
    return told


def as_json(found: Recommendation) -> dict[str, Any]:
    """Return the recommendation as plain data: fractions and seconds, and ops with every parameter."""
    final, sweep = found.final, found.choice.sweep
    return {
        "recommended": final
        and {
            "composition": final.cell.label,
            "ops": _ops(final.specs),
            "provisional": found.decided.provisional,
            "indistinguishable": [item.cell.label for item in found.decided.candidates if item is not final],
        },
        "conclusion": conclusion(found),
        "trials": {
            "planned": len(sweep.trials),
            "ended": sweep.ended,
            "failed": [record.id for record in sweep.failed],
        },
        "sweep": _choice_as_json(found.choice),
        "confirmation": found.confirmed and _choice_as_json(found.confirmed),
    }


def show(found: Recommendation, console: Console, code: bool = False) -> None:
    """Print the evidence, the candidates, the place of the code, and last of all the conclusion.

    Args:
        found: the recommendation.
        console: the console to print to.
        code: print all of the code too.
    """
    _show_choice(found.choice, console)
    if found.confirmed:
        say(console, "")
        say(console, f"Confirmation on both branches with fresh seeds ({found.confirmed.sweep.directory}):")
        _show_choice(found.confirmed, console)
    say(console, "")
    for sentence in found.unexported:
        say(console, sentence, "yellow")
    out = SweepDir(found.choice.sweep.directory).report
    for name, content in found.pipelines.items():
        say(console, f"{out / name}: code that runs without ablate; it makes both views")
        if code:
            say_as_it_is(console, f"\n{content}")
    say(console, conclusion(found), "bold" if found.final else "yellow")


def conclusion(found: Recommendation) -> str:
    """Return the composition to use and its certainty, or the reason why there is none, and the next step."""
    choice, decided = found.choice, found.decided
    if choice.sweep.pending:
        return (
            f"Nothing is recommended yet: {_missing(choice.sweep)} and could change the choice. To complete it: "
            f"`{completing(choice.sweep.directory, choice.sweep.experiment)}`"
        )
    if found.final:
        label, model = found.final.cell.label, decided.order.model
        sure = f" (P(best) {chance(model, label)})" if model else ""
        told = f"Recommended{', provisionally' * decided.provisional}: {label}{sure}."
        caveats = [*verdict(decided.sweep, decided.order), *failures(decided.sweep)]
        return " ".join([told, doubt(decided), *caveats])
    if found.confirming:
        return found.confirming
    if found.confirmed or choice.sweep.experiment.shared.branches == "two":
        return " ".join(["No recommendation.", *verdict(decided.sweep, decided.order)])
    caveats = verdict(choice.sweep, choice.order)
    if not is_useful(choice.sweep, choice.order):
        return " ".join(["There is nothing to confirm.", *caveats])
    return " ".join([*caveats, offer(choice)])


def next_steps(found: Recommendation) -> list[str]:
    """Return the next steps if a composition is recommended: use it, or first add seeds.

    Without a recommendation, return :func:`conclusion`.
    """
    if not found.final:
        return [conclusion(found)]
    if not found.decided.provisional:
        return ["Use the pipeline below, which makes both views."]
    return [_surer(found), "Until then the pipeline below, which makes both views, is the best guess."]


def _surer(found: Recommendation) -> str:
    """Return the command that gives a provisional recommendation more seeds."""
    sweep = found.decided.sweep
    seeds = max(SEEDS, 2 * len(sweep.experiment.seeds))
    if found.confirmed:
        again = command("ablate", "recommend", found.choice.sweep.directory, "--confirm", "--seeds", seeds)
        return f"Take more seeds: run {again}."
    if len(sweep.experiment.seeds) == 1:
        return f"Take more seeds. {more_seeds(sweep)}"
    return f"Take more seeds: run `{completing(sweep.directory, sweep.experiment)}` with --seeds {seeds}."


def doubt(choice: Choice) -> str:
    """Return a sentence on how many compositions may be as good as the best."""
    others = [candidate.cell.label for candidate in choice.candidates[1:]]
    if len(choice.order.cells) == 1:
        alone = pruned(choice.sweep.grid)
        return f"{alone}." if alone else "No other composition was compared."
    unknown = choice.order.model is None
    if unknown and len(choice.sweep.experiment.seeds) == 1:
        return f"With one seed, none of {counted(len(choice.order.cells), 'composition')} can be told from the others."
    if unknown:
        which = counted(len(choice.order.cells), "composition")
        return f"No two compositions share two seeds: none of {which} can be told from the others."
    if not others:
        return f"Every other composition{among(choice.sweep, choice.order)} is worse{so_far(choice.sweep)} (95 %)."
    return f"{counted(len(others), 'other composition')} cannot be told from it: {named(others)}."


def offer(choice: Choice, seeds: int = 3) -> str:
    """Return a sentence on how to confirm a one-branch choice, and its cost."""
    count, others = len(choice.candidates[:MOST]), _compared(choice)
    limit = (
        f", the best of {others} by validation accuracy, since a confirmation takes {MOST}," if others > count else ""
    )
    each = statistics.fmean(candidate.seconds for candidate in choice.candidates)
    confirm = command("ablate", "recommend", choice.sweep.directory, "--confirm")
    return (
        "These numbers are from one-branch training. To check the candidates as they will be used, with both views "
        f"augmented, run {confirm}: {counted(count, 'composition')}{limit} with "
        f"{counted(seeds, 'fresh seed')}, about {clock(each * count * seeds)} of {choice.sweep.unit}. It then writes a "
        f"pipeline.{shares_no_crop(to_confirm(choice))}"
    )


def _compared(choice: Choice) -> int:
    """Count the compositions that may be the best: all of them, if the noise is unknown."""
    return len(choice.order.cells) if choice.is_shortened else len(choice.candidates)


def _missing(sweep: Results) -> str:
    missing, planned = len(sweep.pending), counted(len(sweep.trials), "trial")
    return f"{missing} of {planned} of {sweep.directory} {'are' if missing > 1 else 'is'} missing"


def _confirmation(choice: Choice) -> tuple[Choice | None, str]:
    """Return the choice of the confirmation, if all its trials have ended, and a sentence if it cannot decide yet."""
    directory = SweepDir(choice.sweep.directory).confirmation
    if not (SweepDir(directory).plan).is_file():
        return None, ""
    fresh = read_sweep(directory, choice.sweep.grid.measure)
    if fresh.pending:
        told = f"The confirmation has {fresh.ended} of {counted(len(fresh.trials), 'trial')}"
        see = command("ablate", "status", directory)
        return None, f"{told}: see {see}; to complete it: `{completing(directory, fresh.experiment)}`"
    if not fresh.grid.with_results:
        return None, f"Every trial of the confirmation failed: see {command('ablate', 'status', directory)}"
    best = choice.best.cell.label
    if best not in {trial.label for trial in fresh.trials}:
        again = f"{command('ablate', 'recommend', choice.sweep.directory, '--confirm')} adds it"
        return choose(
            fresh
        ), f"The confirmation is of an earlier choice and lacks {best}, which is the best now: {again}."
    return choose(fresh), ""


def _final(choice: Choice, confirmed: Choice | None, confirming: str) -> Candidate | None:
    """Return the composition to use: the best of a two-branch sweep or of the confirmation.

    Return None if nothing is decided, or if training did not improve the best.
    """
    decided = confirmed or (choice if choice.sweep.experiment.shared.branches == "two" else None)
    if decided is None or confirming or choice.sweep.pending:
        return None
    return decided.best if is_useful(decided.sweep, decided.order) else None


def _show_choice(choice: Choice, console: Console) -> None:
    for sentence in (*choice.sweep.measured, *choice.evidence):
        say(console, sentence)
    model = choice.order.model
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in (
        "candidate, best first",
        "validation",
        "test",
        "n",
        *["P(best)"] * (model is not None),
        choice.sweep.unit,
    ):
        table.add_column(heading, overflow="fold", justify="left" if "candidate" in heading else "right")
    for candidate in choice.candidates:
        cell = candidate.cell
        label = Text(cell.label, style="bold" if candidate is choice.best else "")
        if candidate.above is False:
            label.append(" (validation not above untrained)", style="yellow")
        n = f"{cell.n}{f' of {cell.planned}' if cell.n < cell.planned else ''}"
        chances = [chance(model, cell.label)] if model else []
        table.add_row(label, choice.order.percent(cell), percent(cell), n, *chances, clock(candidate.seconds))
    console.print(table)
    if choice.is_shortened:
        more = len(choice.order.cells) - len(choice.candidates)
        say(console, f"and {more} more that cannot be told from these either; the report lists them")


def _choice_as_json(choice: Choice) -> dict[str, Any]:
    return {
        "best": choice.best.cell.label,
        "evidence": list(choice.evidence),
        "branches": choice.sweep.experiment.shared.branches,
        "seeds": list(choice.sweep.experiment.seeds),
        "metric": choice.sweep.grid.metric,
        "candidates": [
            {
                "composition": candidate.cell.label,
                "ops": _ops(candidate.specs),
                "validation": choice.order.score(candidate.cell),
                "test": candidate.cell.mean(),
                "std": candidate.cell.std(),
                "n": candidate.cell.n,
                "seconds": candidate.seconds,
                "above_untrained": candidate.above,
                "p_best": candidate.p_best,
            }
            for candidate in choice.candidates
        ],
    }


def _ops(specs: Sequence[OpSpec]) -> list[dict[str, Any]]:
    return [spec.model_dump(mode="json") for spec in specs]
