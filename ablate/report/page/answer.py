"""The answer at the top of the page: the composition to use, how sure that is, its gain, and the next step."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from ablate.console import clock, counted
from ablate.report.data.grid import MAJORITY, Cell
from ablate.report.data.results import Results, protecting
from ablate.report.recommendation.choice import Choice
from ablate.report.recommendation.conclusion import doubt, next_steps
from ablate.report.recommendation.recommend import Recommendation, advise
from ablate.report.section import Section
from ablate.report.stats.adapting import adapting
from ablate.report.stats.failures import without_results
from ablate.report.stats.noise import chance, chances, noise
from ablate.report.stats.order import Ranking, order
from ablate.report.stats.predicted import predicted
from ablate.report.stats.screening import findings, screening_of
from ablate.report.stats.summary import summary, tied
from ablate.report.stats.untrained import over_untrained
from ablate.report.stats.verdict import absent_classes, far_from_test, few_images, is_useful, verdict
from ablate.report.stats.words import judge, mentioned, percent, points, so_far


@dataclass(frozen=True)
class Answer:
    """The lead sentence on the best or recommended composition, and the sentences and tables that follow it.

    ``lead`` names the best or recommended composition; ``details`` are further sentences, each group under one word.
    ``sections`` are the candidates' tables, ``pipelines`` the recommended composition's code by file name.
    ``recommends`` is True if there is a composition to use. ``confirmed`` names the setting of the confirmation.
    """

    lead: str
    details: list[tuple[str, list[str]]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    pipelines: dict[str, str] = field(default_factory=dict)
    recommends: bool = False
    confirmed: str = ""


def answer(sweep: Results) -> Answer:
    """Return the answer of the sweep, and of its confirmation if there is one.

    For a sweep with axes it only names the best composition.
    """
    ranking = order(sweep.grid)
    if ranking.best is None:
        why = f"{sweep.directory.name} has no results yet{without_results(sweep)}."
        return Answer(summary(sweep)[0], [("Next", [why])])
    if sweep.experiment.variants:
        lead = " ".join([*adapting(sweep, ranking), _best(sweep, ranking)])
        return Answer(lead, [("How sure", noise(sweep)[:1]), *_worth(sweep, ranking, ranking.best)])
    advice = advise(sweep)
    decided, options = advice.decided, shlex.join(protecting(sweep.protect))
    next_step = [*next_steps(advice), *advice.unexported]
    if advice.final:
        lead = f"Recommended{', provisionally' if decided.provisional else ''}: {mentioned(advice.final.cell.label)}"
        lead = f"{lead}. {_accuracy(decided.sweep, decided.order, advice.final.cell)}."
        if advice.confirmed:
            lead = (
                f"{lead} These numbers are from the two-branch confirmation; those of the cells below are one-branch."
            )
    else:
        lead = _best(sweep, ranking)
    details = [("Protected", [f"Chosen with `{options}`.", *decided.sweep.protected])] if options else []
    details += [("How sure", [f"{doubt(decided)}{_chance(decided)}", *predicted(sweep)[1:]])]
    details += _worth(decided.sweep, decided.order, decided.best.cell, " ".join(next_step))
    details.append(("Next", next_step))
    fresh = advice.confirmed.sweep if advice.confirmed else None
    confirmed = f"{fresh.setting}, {counted(len(fresh.experiment.seeds), 'seed')}" if fresh else ""
    if screened := _screened(sweep):
        method, *found, caution = screened  # they are what a screening is for; its best cell has half of the ops
        details = [("How sure", [method, caution]), ("Best cell", [lead]), *details[1:]]
        lead = " ".join(found)
    lead = " ".join([*adapting(decided.sweep, decided.order), lead])
    return Answer(lead, details, _tables(advice), advice.pipelines, advice.final is not None, confirmed)


def _screened(sweep: Results) -> list[str]:
    """Return the findings of a screening with their method first and a caution last; none if there are none yet."""
    design = screening_of(sweep)
    said = findings(sweep, design) if design else []
    return said if len(said) > 2 else []


def _best(sweep: Results, ranking: Ranking) -> str:
    assert ranking.best is not None
    none = f"No composition to recommend; the highest {judge(sweep.grid)}"
    best = "Best composition" if is_useful(sweep, ranking) else none
    which = f"{mentioned(ranking.best.label)}{tied(ranking)}"
    return f"{best}{so_far(sweep)}: {which}. {_accuracy(sweep, ranking, ranking.best)}."


def _accuracy(sweep: Results, ranking: Ranking, cell: Cell) -> str:
    return f"{ranking.percent(cell)} {judge(sweep.grid)}, {percent(cell)} on the test set, n = {cell.n}"


def _chance(choice: Choice) -> str:
    model = choice.order.model
    sentence = "The probability that it is the best is"
    return (
        f" {sentence} {chance(model, choice.best.cell.label)}." if model and chances(choice.sweep, choice.order) else ""
    )


def _worth(sweep: Results, ranking: Ranking, best: Cell, already: str = "") -> list[tuple[str, list[str]]]:
    """Describe the metric for choosing, and the gain over the untrained encoder and the majority class.

    Args:
        sweep: the sweep.
        ranking: its order.
        best: the best composition.
        already: text whose sentences are not repeated.

    Returns:
        Sentences by term, among them those of :func:`verdict`.
    """
    difference = over_untrained(sweep.grid, ranking, best)
    chosen = [*sweep.measured, *few_images(sweep), *absent_classes(sweep), *far_from_test(sweep, ranking, best)]
    says = difference and not sweep.grid.given  # the lead says whether adapting a given encoder helps
    gains = [f"{points(difference, judge(sweep.grid))} over the untrained encoder."] if difference and says else []
    majority, score = sweep.grid.references.get(MAJORITY), ranking.score(best)
    floor = majority.mean(ranking.metric) if majority else None
    if floor is not None and score is not None:
        gains.append(
            f"{100 * (score - floor):+.1f} points ({judge(sweep.grid)}) over always predicting the largest class."
        )
    gains += [sentence for sentence in verdict(sweep, ranking) if sentence not in already]
    return [(term, sentences) for term, sentences in (("Gain", gains), ("Chosen by", chosen)) if sentences]


def _tables(advice: Recommendation) -> list[Section]:
    """Return the table of the confirmation's candidates, if there is a confirmation."""
    if advice.confirmed is None:
        return []
    choice = advice.confirmed
    rows = tuple(
        (
            item.cell.label,
            choice.order.percent(item.cell),
            percent(item.cell),
            str(item.cell.n),
            chance(choice.order.model, item.cell.label) if choice.order.model else "",
            clock(item.seconds),
        )
        for item in choice.candidates
    )
    headings = ("candidate", "validation", "test", "n", "P(best)", f"{choice.sweep.unit} of a trial")
    text = f"Trained on both branches with fresh seeds, in {choice.sweep.directory.name}: {choice.sweep}."
    return [Section("Confirmation", (text, *choice.evidence), headings, rows)]
