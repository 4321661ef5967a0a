"""Sentences on noise: contenders for the best, seeds needed to separate two compositions, and unknown noise."""

from __future__ import annotations

from collections.abc import Mapping

from ablate.console import clock, counted
from ablate.inference.difference import EQUAL
from ablate.inference.model import MOST_SEEDS
from ablate.report.data.results import Results
from ablate.report.stats.model import CONFIDENCE, TwoWayModel
from ablate.report.stats.order import Ranking, order
from ablate.report.stats.rounds import rounds
from ablate.report.stats.verdict import few_images
from ablate.report.stats.words import judge, mentioned, named, so_far
from ablate.sweep.again import option_for_seeds
from ablate.sweep.batches import not_asked_for

SEEDS = 3  # seeds that a sweep of one seed is advised to use
ALONE = "No other composition keeps the protected classes."
EXACT = (
    "All seeds show exactly the same differences. No noise was seen, which does not prove that there is none, so the "
    "compositions have no P(best)."
)
DOUBTFUL = 0.05  # p value below which the report says that the noise changes with accuracy


def noise(sweep: Results) -> list[str]:
    """Return sentences on how far the seeds separate the cells by validation accuracy; empty without results.

    The first one says why rounds of seeds ended, if there were any.
    """
    ranking = order(sweep.grid)
    if len(ranking.cells) < 2:
        return rounds(sweep) if ranking.cells else []
    if _is_alone(sweep, ranking):
        return [*rounds(sweep), ALONE]
    if ranking.model is None:
        return [*rounds(sweep), one_seed(sweep)]
    if ranking.model.is_exact:
        return [*rounds(sweep), EXACT]
    sentences = [contenders(sweep, ranking), separation(sweep, ranking), images_only(ranking)]
    return [*rounds(sweep), *filter(None, sentences), *unequal(ranking.model)]


def one_seed(sweep: Results) -> str:
    """Return the sentence that the noise is unknown, and the cost of more seeds.

    A pruned sweep takes no further seeds, so more of them need another directory.
    """
    if len(sweep.experiment.seeds) > 1:
        so_far = "so far " if sweep.pending else ""
        return f"Real differences and noise cannot be separated: {so_far}no two compositions share two seeds."
    return f"With one seed, real differences and noise cannot be separated. {more_seeds(sweep)}"


def more_seeds(sweep: Results) -> str:
    """Return a sentence with the cost of further seeds."""
    seed = sweep.experiment.seeds[0]
    once = [trial.label for trial in sweep.trials if trial.seed == seed]
    seconds = sweep.seconds_in_all(once)
    where, times = (" in another --out", SEEDS) if sweep.experiment.prune else ("", SEEDS - 1)
    cost = f", about {clock(seconds * times)} of {sweep.unit}" if seconds else ""
    more = option_for_seeds(sweep.directory, sweep.experiment, SEEDS)
    return f"Run {more}{where} ({counted(len(once) * times, 'more trial')}{cost})."


def contenders(sweep: Results, ranking: Ranking) -> str:
    """Return a sentence on the cells that cannot be told from the best.

    It names the probability that each is the best, the metric and the method.
    """
    best, model = ranking.cells[0], ranking.model
    assert model is not None
    others = [label for label in ranking.contenders if label != best.label]
    top, over = mentioned(best.label), " over all rounds" if sweep.experiment.rounds else ""
    by = f"({judge(sweep.grid)}, Hsu's multiple comparisons with the best, 95 %{over}{held(model)})"
    if not others:
        return f"Every other composition{among(sweep, ranking)} is worse than {top}{so_far(sweep)} {by}."
    listed = named([f"{label} ({chance(model, label)})" for label in others])
    which = f"{counted(len(others), 'other composition')} cannot be told from {top}"
    return f"{which}, P(best) {chance(model, best.label)}: {listed} {by}."


def held(model: TwoWayModel | None) -> str:
    """Return the words for what intervals hold, such as ``, seeds and images``; nothing if it is seeds, as always."""
    return f", {model.images.how}" if model and model.images else ""


def condition(model: TwoWayModel | None) -> str:
    """Return the words for what a comparison is limited to or, where it holds more than seeds, for what it holds."""
    return f"holding {model.images.how}" if model and model.images else "conditional on this data set and its split"


def images_only(ranking: Ranking) -> str:
    """Return the sentence that seeds are not held, or nothing."""
    if ranking.model is None or ranking.model.images is None or not ranking.model.images.alone:
        return ""
    return "Only images count as a sample here: encoders of other seeds may come in another order."


def among(sweep: Results, ranking: Ranking) -> str:
    """Return the words that limit a comparison to some compositions, or nothing if it covers all planned ones."""
    if sweep.protect:
        return " that keeps the protected classes"
    if len(ranking.cells) == len(sweep.grid.compositions):
        return " that was trained" if not_asked_for(sweep.experiment) else ""
    return " that was trained to the end" if sweep.experiment.prune else " that could be compared"


def chances(sweep: Results, ranking: Ranking) -> Mapping[str, float]:
    """Return P(best) by label; empty if it is unknown, or if one composition is left, which is compared with none."""
    return {} if ranking.model is None or _is_alone(sweep, ranking) else ranking.model.p_best


def _is_alone(sweep: Results, ranking: Ranking) -> bool:
    return bool(sweep.protect) and len(ranking.eligible) == 1


def chance(model: TwoWayModel, label: str) -> str:
    """Return the probability that a cell is the best, as in ``81 %``; nothing if it is unknown.

    The one cell that the comparisons leave is the best with the confidence of these comparisons, not with certainty.
    """
    p = model.p_best.get(label)
    if p is None:
        return ""
    if model.contenders == (label,):
        return f"> {100 * CONFIDENCE:.0f} %"
    return "< 1 %" if 0 < p < 0.01 else "> 99 %" if p > 0.99 else f"{100 * p:.0f} %"


def separation(sweep: Results, ranking: Ranking) -> str:
    """Return a sentence on how many seeds would tell the best from the next that cannot be told from it, or nothing.

    With few validation images, which all seeds share, no number of seeds is named.
    """
    best, model = ranking.cells[0].label, ranking.model
    assert model is not None
    second = next((label for label in ranking.contenders if label != best), None)
    if second is None or (model.images and model.images.alone):
        return ""
    one, other = mentioned(best), mentioned(second)
    if abs(model.difference(best, second).mean) < EQUAL:
        are = f"{mentioned(best, start=True)} and {other} are equal so far"
        return f"{are}, so the number of seeds that would tell them apart is unknown."
    if few_images(sweep):
        return (
            f"More seeds could tell {one} from {other} on these few validation images only, which all seeds share: "
            "add images."
        )
    seeds = model.seeds_to_separate(best, second)
    if seeds is None and model.images:
        return f"More seeds alone would not tell {one} from {other}: the validation images are too few, so add images."
    number = counted(seeds, "seed") if seeds else f"more than {MOST_SEEDS} seeds"
    return f"With {number}, the same comparisons would tell {one} from {other} in four of five sweeps."


def unequal(model: TwoWayModel) -> list[str]:
    """Return the sentence that the noise changes with the mean, or nothing if it does not."""
    if model.spread_p >= DOUBTFUL:
        return []
    return [
        f"The noise changes with the mean of a cell (Breusch-Pagan test, p = {model.spread_p:.2g}), so the interval of "
        "each cell is based on its own noise, moderated by that of all cells."
    ]
