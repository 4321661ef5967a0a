"""The next batch of a search, proposed from the results of all batches before it by the sampler of the search."""

from __future__ import annotations

from collections.abc import Sequence

from ablate.config.sweep import Search
from ablate.search import by_model, by_optuna
from ablate.search.measured import Defaults, Measured, Proposal
from ablate.sweep.budget import WITHIN


def propose(search: Search, known: Sequence[Measured], defaults: Defaults, within: float = WITHIN) -> Proposal:
    """Return the next batch of unknown compositions: at most ``search.batch``, fewer when the space is exhausted.

    It follows from the results and the seed of the search alone.

    Args:
        search: the space and the sampler.
        known: the compositions proposed before, in that order.
        defaults: op parameters that labels leave out.
        within: the difference of accuracies, as a fraction, by which a composition is clearly better than the best.
    """
    if search.sampler == "gp":
        return by_model.propose(search, known, defaults, within)
    return Proposal(by_optuna.propose(search, known, defaults))
