"""Sentences on a recommendation: the composition to use, how sure the choice is, and what to do next."""

from __future__ import annotations

import statistics

from ablate.config.sweep import LAST_ROUND
from ablate.console import clock, command, counted
from ablate.report.recommendation.choice import MOST, Choice, missing_trials, to_confirm
from ablate.report.recommendation.recommend import Recommendation
from ablate.report.stats.failures import failures
from ablate.report.stats.noise import ALONE, EXACT, SEEDS, among, chance, chances, held, more_seeds
from ablate.report.stats.predicted import predicted
from ablate.report.stats.rounds import takes_more
from ablate.report.stats.screening import screening_of
from ablate.report.stats.summary import pruned
from ablate.report.stats.verdict import few_images, is_useful, verdict
from ablate.report.stats.words import judge, mentioned, named, so_far
from ablate.sweep.again import completing, option_for_seeds
from ablate.sweep.confirm import shares_no_crop


def conclusion(recommendation: Recommendation) -> str:
    """Return the composition to use and its certainty, or the reason why there is none, and the next step."""
    choice, decided = recommendation.choice, recommendation.decided
    if choice.sweep.pending:
        return (
            f"Nothing is recommended yet: {missing_trials(choice.sweep)} and could change the choice. To complete it: "
            f"`{completing(choice.sweep.directory, choice.sweep.experiment)}`"
        )
    if recommendation.final:
        label, model = recommendation.final.cell.label, decided.order.model
        known = model and chances(decided.sweep, decided.order)
        sure = f" (P(best) {chance(model, label)})" if model and known else ""
        sentence = f"Recommended{', provisionally' * decided.provisional}: {mentioned(label)}{sure}."
        caveats = [*verdict(decided.sweep, decided.order), *failures(decided.sweep), *predicted(choice.sweep)[1:]]
        return " ".join([sentence, doubt(decided), *caveats])
    return _undecided(recommendation)


def _undecided(recommendation: Recommendation) -> str:
    """Return why nothing is recommended although all trials have ended, and the next step."""
    choice, decided = recommendation.choice, recommendation.decided
    if screening_of(choice.sweep):
        return (
            "No cell of a screening is recommended, since each lacks half of the ops: decide on ops by their effects, "
            "and check what you decide in the whole recipe."
        )
    if recommendation.confirming:
        return recommendation.confirming
    if recommendation.confirmed or choice.sweep.experiment.shared.branches == "two":
        return " ".join(["No recommendation.", *verdict(decided.sweep, decided.order)])
    caveats = verdict(choice.sweep, choice.order)
    if not is_useful(choice.sweep, choice.order):
        return " ".join(["There is nothing to confirm.", *caveats])
    return " ".join([*caveats, offer(choice)])


def next_steps(recommendation: Recommendation) -> list[str]:
    """Return the next steps if a composition is recommended: use it, or first add seeds.

    Without a recommendation, return :func:`conclusion`.
    """
    if not recommendation.final:
        return [conclusion(recommendation)]
    if not recommendation.decided.provisional:
        return ["Use the pipeline below, which makes both views."]
    return [_surer(recommendation), "Until then the pipeline below, which makes both views, is the best guess."]


def _surer(recommendation: Recommendation) -> str:
    """Return the command that gives a provisional recommendation more seeds, or the advice if seeds do not help."""
    sweep = recommendation.decided.sweep
    if few_images(sweep) and len(sweep.experiment.seeds) > 1:
        return "Take more images: further seeds would be judged by the same few validation images."
    seeds = max(SEEDS, 2 * len(sweep.experiment.seeds))
    if sweep.experiment.rounds:
        if not takes_more(sweep):
            return "The rounds of seeds have ended, so this sweep takes no more: train longer, or with more images."
        seeds = min(seeds, LAST_ROUND)
    if recommendation.confirmed:
        whole = recommendation.choice.sweep
        again = command("ablate", "recommend", whole.directory, *whole.choice_options, "--confirm", "--seeds", seeds)
        return f"Take more seeds: run {again}."
    if len(sweep.experiment.seeds) == 1:
        return f"Take more seeds. {more_seeds(sweep)}"
    more = option_for_seeds(sweep.directory, sweep.experiment, seeds)
    return f"Take more seeds: run `{completing(sweep.directory, sweep.experiment)}` with {more}."


def doubt(choice: Choice) -> str:
    """Return a sentence on how many compositions may be as good as the best."""
    others = [candidate.cell.label for candidate in choice.candidates[1:]]
    if len(choice.order.cells) == 1:
        alone = pruned(choice.sweep.grid)
        return f"{alone}." if alone else "No other composition was compared."
    if choice.sweep.protect and len(choice.order.eligible) == 1:
        return ALONE
    if choice.order.model is None:
        single = len(choice.sweep.experiment.seeds) == 1
        why = "With one seed," if single else "No two compositions share two seeds:"
        which = f"none of {counted(len(choice.order.eligible), 'composition')} can be told from the others"
        return f"{why} {which}{so_far(choice.sweep)}."
    if choice.order.model and choice.order.model.is_exact:
        return EXACT
    if not others:
        by = held(choice.order.model)
        return f"Every other composition{among(choice.sweep, choice.order)} is worse{so_far(choice.sweep)} (95 %{by})."
    return f"{counted(len(others), 'other composition')} cannot be told from it: {named(others)}."


def offer(choice: Choice, seeds: int = 3) -> str:
    """Return a sentence on how to confirm a one-branch choice, and its cost."""
    count, others = len(choice.candidates[:MOST]), _compared(choice)
    best = f", the best of {others} by {judge(choice.sweep.grid)}, since a confirmation takes {MOST},"
    limit = best if others > count else ""
    each = statistics.fmean(candidate.seconds for candidate in choice.candidates)
    confirm = command("ablate", "recommend", choice.sweep.directory, *choice.sweep.choice_options, "--confirm")
    return (
        "These numbers are from one-branch training. To check the candidates as they will be used, with both views "
        f"augmented, run {confirm}: {counted(count, 'composition')}{limit} with "
        f"{counted(seeds, 'fresh seed')}, about {clock(each * count * seeds)} of {choice.sweep.unit}. It then writes a "
        f"pipeline.{shares_no_crop(to_confirm(choice))}"
    )


def _compared(choice: Choice) -> int:
    """Count the compositions that may be the best: all of them, if the noise is unknown."""
    return len(choice.order.eligible) if choice.is_shortened else len(choice.candidates)
