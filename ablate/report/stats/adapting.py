"""Whether training an encoder that was given, further and on these images, helps at all."""

from __future__ import annotations

from pathlib import Path

from ablate.config.sweep import AS_GIVEN
from ablate.report.data.results import Results
from ablate.report.stats.order import Ranking
from ablate.report.stats.untrained import over_untrained
from ablate.report.stats.words import judge, mentioned, points, so_far


def adapting(sweep: Results, ranking: Ranking) -> list[str]:
    """Return a sentence on the best composition against the encoder as given; none if weights were drawn.

    It is the first that a report says: if adapting does not help, no composition matters.
    """
    best = ranking.best
    difference = over_untrained(sweep.grid, ranking, best) if sweep.grid.given and best else None
    if best is None or difference is None:
        return []
    gained = difference.mean > 0
    if difference.low is None or difference.high is None:
        said = f"Adapting the given encoder may {'' if gained else 'not '}help (one seed cannot tell)"
    elif difference.low > 0 or (gained and difference.is_constant):
        said = "Adapting the given encoder helps"
    elif difference.high <= 0:
        said = "Adapting the given encoder does not help"
    else:
        said = "Whether adapting the given encoder helps is not clear"
    gain = points(difference, judge(sweep.grid))
    return [
        f"{said}{so_far(sweep)}: {mentioned(best.label)}, the best composition, against the encoder as given: {gain}."
    ]


def start(sweep: Results) -> str:
    """Return a sentence on the weights from which the encoders start; an empty text if they were drawn."""
    encoder = sweep.experiment.shared.encoder
    if not sweep.grid.given:
        return ""
    file = f"{Path(sweep.experiment.init).name}, " if sweep.experiment.init else ""
    as_given = (
        f"{AS_GIVEN}, it is evaluated with the batch-norm statistics that belong to them"
        if encoder.init
        else f"{AS_GIVEN}, it is evaluated with batch-norm statistics averaged over these images"
    )
    return f"The encoder starts from given weights ({file}{encoder.init or encoder.weights}); {as_given}."
