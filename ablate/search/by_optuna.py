"""The next batch of a search, asked of an Optuna study that is built anew from the records for every batch.

A killed worker therefore leaves no running trial in a study, and no two workers propose the same point. The proposals
depend on the results alone, not on which trials were faster or how often the search was interrupted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ablate.config.space import STEP, compositions, coordinates, tuned
from ablate.config.sweep import NamedComposition, Search
from ablate.rng import derive_seed
from ablate.search.measured import Defaults, Measured
from ablate.search.points import at_random, composed, is_finite

if TYPE_CHECKING:
    import optuna

PATIENCE = (
    20  # draws in a row of points that are known, after which random draws replace TPE, which repeats the good ones
)
TRIES = 3000  # draws in vain after which the space counts as exhausted
STARTUP = 8  # results that TPE needs to learn from; until then compositions are drawn at random
TPE: Mapping[str, Any] = {
    "n_startup_trials": 0,  # this module draws the first points itself
    "n_ei_candidates": 24,
    "multivariate": False,  # True by default from Optuna 5.0 on
    "group": False,
    "constant_liar": True,
}
"""All options of Optuna's TPE, so that no other default of another version changes the proposals.

Only deprecated options are left out (the prior's weight, ``gamma``, ``weights``): they are the same from 4.0 to 5.0.
"""


def propose(search: Search, known: Sequence[Measured], defaults: Defaults) -> list[NamedComposition]:
    """Return the next batch of unknown compositions: at most ``search.batch``, fewer when the space is exhausted.

    Args:
        search: the space and the sampler.
        known: the compositions proposed before, in that order. TPE ranks pruned ones behind the others, by how far they
            came and how good they were there.
        defaults: op parameters that labels leave out.
    """
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize", sampler=_sampler(search, len(known)))
        study.add_trials([_trial(search, item) for item in known])
        return list(_new(study, search, known, defaults))
    finally:
        optuna.logging.set_verbosity(before)


def _sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    """Return a sampler seeded for this batch alone, since the same seed would draw the same points again."""
    import optuna

    seed = derive_seed(search.seed, "search", number) % 2**32
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, **TPE)


def _trial(search: Search, known: Measured) -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState, create_trial

    params, distributions = coordinates(search, known.composition)
    state = TrialState.COMPLETE if known.value is not None else TrialState.PRUNED if known.knn else TrialState.FAIL
    return create_trial(
        state=state,
        value=known.value,
        params=params,
        distributions=distributions,
        intermediate_values=dict(known.knn),
    )


def _new(
    study: optuna.Study, search: Search, known: Sequence[Measured], defaults: Defaults
) -> Iterator[NamedComposition]:
    """Yield points that are not ``known``.

    They stay running in the study, so that TPE looks elsewhere for the next one.
    """
    from optuna.trial import TrialState

    chosen, by_chance = study.sampler, _sampler(search.replace(sampler="random"), len(known))
    generator = random.Random(derive_seed(search.seed, "compositions", len(known)))
    taken = {item.composition.label for item in known}
    learns = search.sampler == "tpe" and sum(item.value is not None or bool(item.knn) for item in known) >= STARTUP
    finite = is_finite(search)
    new, in_vain = 0, 0
    while new < search.batch and in_vain < TRIES and not (finite and len(taken) == sum(compositions(search))):
        guided = learns and in_vain < PATIENCE
        study.sampler = chosen if guided else by_chance
        if not guided:
            study.enqueue_trial(at_random(search, generator))
        trial = study.ask()
        composition = _draw(trial, search, defaults)
        if composition.label in taken:
            study.tell(trial, state=TrialState.FAIL)
            in_vain += 1
            continue
        taken.add(composition.label)
        yield composition
        new, in_vain = new + 1, 0


def _draw(trial: optuna.Trial, search: Search, defaults: Defaults) -> NamedComposition:
    """Return a composition; an op that is drawn again for a later place is left out there."""
    by_label = {op.label: op for op in search.ops}
    length = trial.suggest_int("length", 1, search.max_length)
    labels = [trial.suggest_categorical(f"op{position}", list(by_label)) for position in range(1, length + 1)]
    different = list(dict.fromkeys(labels))
    parameters = {
        key: round(trial.suggest_float(key, low, high, step=STEP), 2)
        for label in different
        for name, (low, high) in tuned(search, by_label[label]).items()
        for key in (f"{by_label[label].op.name}.{name}",)
    }
    return composed(search, different, parameters, defaults)
