"""Extend a sweep by more ops, seeds or points; refuse other settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ablate.config.base import OpSpec
from ablate.config.sweep import Budgeted, Rounds, Search, SweepPlan, Variant
from ablate.errors import UsageError
from ablate.files import names_in
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import is_sweep, load_plan, plan

PLACES = ("data", "eval_data")
"""The places of the images, which may be written otherwise or moved as long as the images stay the same."""

CHOOSES_IMAGES = {*PLACES, "label", "labels", "limit", "short_side", "image_size"}
FOLLOWS = (
    ("base.", {"branches", "share_crop"}),
    ("data.", CHOOSES_IMAGES),
    ("first.ops", {"first.label"}),
    ("search.", {"kind"}),
)
"""The start of a setting's name, and the settings whose difference explains its own, which is then not worth a word."""


def merge_with_existing(directory: Path, experiment: SweepPlan) -> SweepPlan:
    """Return ``experiment``, extended by what ``directory`` already holds.

    Raises:
        UsageError: the directory holds another sweep.
    """
    if is_sweep(directory):
        return extend(load_plan(directory), experiment, directory)
    return experiment


def extend(old: SweepPlan, new: SweepPlan, directory: Path) -> SweepPlan:
    """Return the experiment that ``directory`` holds once ``new`` is requested there.

    More seeds and more ops extend the old experiment.

    Args:
        old: the experiment that the directory holds now.
        new: the experiment that is requested.
        directory: the sweep's directory, for the error message.

    Raises:
        UsageError: a shared setting changed; the message names every difference.
    """
    changes = differences(old, new)
    if changes:
        raise UsageError(
            f"{directory} holds another sweep ({'; '.join(changes)}); choose another --out, or use the same settings"
        )
    whole = union(old, new)
    _check_rounds(old, new, whole, directory)
    if new.budgeted and old.budgeted is None:
        cells = dict.fromkeys((*_on_record(old, directory), *new.budgeted.cells))
        return whole.replace(budgeted=new.budgeted.replace(cells=tuple(cells)))
    return whole


def _on_record(experiment: SweepPlan, directory: Path) -> tuple[str, ...]:
    """Return the labels of the cells with a record, in plan order: those are trained whatever a budget asks for."""
    recorded = names_in(SweepDir(directory).trials)
    cells = (trial for trial in plan(experiment) if trial.reference is None)
    return tuple(dict.fromkeys(trial.label for trial in cells if f"{trial.id}.json" in recorded))


def _check_rounds(old: SweepPlan, new: SweepPlan, whole: SweepPlan, directory: Path) -> None:
    """Raise UsageError if ``new`` would leave the rounds of seeds of ``old``, or add cells that were not compared."""
    if old.rounds is None:
        return
    if new.rounds is None:
        raise UsageError(
            f"{directory} is trained in rounds of seeds, in which not every cell gets every seed: use seeds auto "
            "again, or choose another --out"
        )
    late = sorted(_labels(whole) - _labels(old)) if old.rounds.compared else []
    if late:
        raise UsageError(
            f"the cells of {directory} have been compared without {late[0]}: use the same cells, or choose another "
            "--out"
        )


def _labels(experiment: SweepPlan) -> set[str]:
    return {trial.label for trial in plan(experiment) if trial.reference is None}


def differences(old: SweepPlan, new: SweepPlan) -> list[str]:
    """Describe every difference between two experiments in the settings that trials of one directory share."""
    found = _differences(_flat(_frame(old)), _flat(_frame(new)))
    if any(name == "data.fingerprint" for name, _, _ in found):
        found = (
            _differences(*({name: getattr(experiment, name) for name in PLACES} for experiment in (old, new))) + found
        )
    found = [("metric", old.measure, new.measure) if name == "measure" else (name, *pair) for name, *pair in found]
    changed = {name for name, _, _ in found}
    changes = [
        "the images have changed" if name == "data.fingerprint" else f"{name} was {_value(before)}, is {_value(after)}"
        for name, before, after in found
        if not any(name.startswith(start) and changed & causes for start, causes in FOLLOWS)
    ]
    changes += _changed_axes(old, new)
    before, after = {op.label: op.op for op in old.ops}, {op.label: op.op for op in new.ops}
    changes += [
        f"{label} was {_changed(before[label], after[label])}"
        for label in before
        if label in after and before[label] != after[label]
    ]
    known = {item.label: item for item in old.compositions}
    renamed = [item.label for item in new.compositions if known.get(item.label, item) != item]
    return changes + [f"the composition called {label!r} was another one" for label in renamed]


def _value(value: object) -> str:
    return "not given" if value is None else repr(value)


def _changed_axes(old: SweepPlan, new: SweepPlan) -> list[str]:
    """Describe changed axes, and common points whose settings differ; further points only extend a sweep."""
    if list(old.axes) != list(new.axes):
        names = [", ".join(experiment.axes) or "none" for experiment in (old, new)]
        return [f"its axes were {names[0]}, are {names[1]}"]
    known = {str(variant): variant.shared for variant in old.variants}
    return [
        f"{name} at {variant} was {_value(before)}, is {_value(after)}"
        for variant in new.variants
        if str(variant) in known
        for name, before, after in _differences(
            _flat(known[str(variant)].model_dump(mode="json")), _flat(variant.shared.model_dump(mode="json"))
        )
        if name != "data.name"
    ]


def union(old: SweepPlan, new: SweepPlan) -> SweepPlan:
    """Return ``new`` with the ops, compositions, points, seeds and references of ``old`` before its own."""
    ops = tuple({op.label: op for op in (*old.ops, *new.ops)}.values())  # in the old order, with the new definitions
    beside = (*old.compositions, *(item for item in new.compositions if item not in old.compositions))
    seeds = (*old.seeds, *(seed for seed in new.seeds if seed not in old.seeds))
    references = (*old.references, *(name for name in new.references if name not in old.references))
    partners = (*old.pairs_with, *new.pairs_with) if old.pairs_with and new.pairs_with else ()
    return new.replace(
        ops=ops,
        unordered=old.unordered and new.unordered,
        pairs_with=tuple(dict.fromkeys(partners)),
        compositions=beside,
        search=_proposed_by_both(old.search, new.search),
        variants=_all_variants(old.variants, new.variants),
        seeds=seeds,
        untrained_seeds=tuple(dict.fromkeys((*old.untrained_seeds, *new.untrained_seeds))),
        rounds=_rounds_of_both(old.rounds, new.rounds),
        budgeted=_asked_for_by_both(old.budgeted, new.budgeted),
        references=references,
        measure=old.measure,
        slurm=new.slurm or old.slurm,
    )


def _proposed_by_both(old: Search | None, new: Search | None) -> Search | None:
    """Return the search that both share, with every version of Optuna that has proposed a part of it."""
    if old is None or new is None:
        return new
    return new.replace(optuna=tuple(dict.fromkeys((*old.optuna, *new.optuna))), prior=old.prior or new.prior)


def _rounds_of_both(old: Rounds | None, new: Rounds | None) -> Rounds | None:
    """Return the rounds that ``new`` asks for, with the comparisons of whichever of both has made more."""
    if old is None or new is None or len(new.compared) > len(old.compared):
        return new
    return new.replace(compared=old.compared, dropped=old.dropped)


def _asked_for_by_both(old: Budgeted | None, new: Budgeted | None) -> Budgeted | None:
    """Return the budget of ``new`` with the cells that either has asked for; None if one of them trains all cells."""
    if old is None or new is None:
        return None
    cells = tuple(dict.fromkeys((*old.cells, *new.cells)))
    last = new if len(new.cells) > len(old.cells) else old  # whose last batch is the later one
    waiting = tuple(label for label in last.waiting if label not in cells)
    return new.replace(cells=cells, waiting=waiting, prior=old.prior or new.prior)


def _all_variants(old: tuple[Variant, ...], new: tuple[Variant, ...]) -> tuple[Variant, ...]:
    """Combine the points of both: new ones follow the old ones, and only what both exclude stays excluded."""
    there = {str(variant): variant for variant in new}
    kept = [
        variant.replace(excluded=tuple(x for x in variant.excluded if x in there[str(variant)].excluded))
        if str(variant) in there
        else variant
        for variant in old
    ]
    known = {str(variant) for variant in old}
    return (*kept, *(variant for variant in new if str(variant) not in known))


def _frame(experiment: SweepPlan) -> dict[str, Any]:
    """Return the settings that must not change within one directory.

    These are all settings except the axes, the seeds and the place of the data.
    """
    free = (
        "ops",
        "unordered",
        "pairs_with",
        "compositions",
        "variants",
        "prune",
        "rounds",
        "budgeted",
        "seeds",
        "untrained_seeds",
        "references",
        "command",
        "preset",
        "data",
        "eval_data",
        "ranges",
        "background",
        "protocols",
        "keep_encoders",
        "rank_timeout",
        "measure",
        "class_counts",
        "tasks",
        "classes",
        "slurm",
        "init",
    )
    derived: Any = {
        "shared": {"data": {"name"}},
        "search": {"optuna": True, "prior": True, "ops": {"__all__": {"acts"}}},
    }
    settings = experiment.model_dump(mode="json", exclude={**dict.fromkeys(free, True), **derived})
    return {**settings, "kind": "search" if experiment.search else "sweep"}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for name, item in value.items() for k, v in _flat(item, f"{prefix}{name}.").items()}
    return {prefix.rstrip(".").removeprefix("shared."): value}


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    names = sorted({*old, *new})
    return [(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def _changed(old: OpSpec, new: OpSpec) -> str:
    return ", ".join(
        f"{name}={before!r} and is {after!r}"
        for name, before, after in _differences(
            {"version": old.version, **old.params}, {"version": new.version, **new.params}
        )
    )
