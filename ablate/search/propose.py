"""What a search tries next: asked of an Optuna study that is made anew, from the records, for every batch.

So nothing is left running in a study by a killed worker, no two workers propose one point, and what is proposed follows
from the results alone: not from who was fast, nor from how often the search was interrupted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ablate.config import NamedComposition, Search
from ablate.ops import Op, from_spec, spec, to_string
from ablate.rng import derive_seed
from ablate.space import STEP, place, tuned

if TYPE_CHECKING:
    import optuna

Defaults = Mapping[str, Mapping[str, Any]]
PATIENCE = (
    20  # draws in a row that are known already, after which TPE, which insists on what is good, gives way to chance
)
TRIES = 3000  # after which the space counts as exhausted
STARTUP = 8  # compositions at random before TPE has something to learn from


@dataclass(frozen=True)
class Known:
    """What became of a composition: its validation accuracy; where it was pruned, kNN by epoch; else it failed."""

    composition: NamedComposition
    value: float | None = None
    pruned: Mapping[int, float] = field(default_factory=dict)


def propose(search: Search, known: Sequence[Known], defaults: Defaults) -> list[NamedComposition]:
    """The next batch, none of them known: at most ``search.batch``, fewer when the space is exhausted.

    Args:
        search: the space and the sampler.
        known: what was proposed before, in that order. TPE ranks what was pruned behind what was not, by how far it
            came and how good it was there.
        defaults: op parameters that labels leave out.
    """
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize", sampler=_sampler(search, len(known)))
        study.add_trials([_trial(search, item) for item in known])
        taken = {item.composition.label for item in known}
        return list(_new(study, search, taken, defaults))
    finally:
        optuna.logging.set_verbosity(before)


def _sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    """Seeded for this batch alone: the same seed again would draw the same points again."""
    import optuna

    seed = derive_seed(search.seed, "search", number) % 2**32
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)


def _trial(search: Search, known: Known) -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState, create_trial

    params, distributions = place(search, known.composition)
    state = TrialState.COMPLETE if known.value is not None else TrialState.PRUNED if known.pruned else TrialState.FAIL
    return create_trial(
        state=state,
        value=known.value,
        params=params,
        distributions=distributions,
        intermediate_values=dict(known.pruned),
    )


def _new(study: optuna.Study, search: Search, taken: set[str], defaults: Defaults) -> Iterator[NamedComposition]:
    """Points that are not ``taken``; they stay running in the study, so that TPE looks elsewhere for the next."""
    from optuna.trial import TrialState

    chosen, elsewhere = study.sampler, _sampler(search.model_copy(update={"sampler": "random"}), len(taken))
    found, in_vain = 0, 0
    while found < search.batch and in_vain < TRIES:
        study.sampler = elsewhere if in_vain >= PATIENCE else chosen
        trial = study.ask()
        composition = _draw(trial, search, defaults)
        if composition.label in taken:
            study.tell(trial, state=TrialState.FAIL)
            in_vain += 1
            continue
        taken.add(composition.label)
        yield composition
        found, in_vain = found + 1, 0


def _draw(trial: optuna.Trial, search: Search, defaults: Defaults) -> NamedComposition:
    """A composition; an op that is drawn again for a later place is left out there."""
    by_label = {op.label: op for op in search.ops}
    length = trial.suggest_int("length", 1, search.max_length)
    labels = [trial.suggest_categorical(f"op{place}", list(by_label)) for place in range(1, length + 1)]
    ops: list[Op] = []
    for label in dict.fromkeys(labels):
        named = by_label[label]
        drawn = {
            name: round(trial.suggest_float(f"{named.op.name}.{name}", low, high, step=STEP), 2)
            for name, (low, high) in tuned(search, named).items()
        }
        ops.append(dataclasses.replace(from_spec(named.op), **drawn))
    label = "+".join(to_string(op, defaults) for op in ops)
    return NamedComposition(label=label, ops=tuple(spec(op) for op in ops))
