"""From an experiment to its trials, and to and from ``sweep.toml``. Pure: needs no torch and touches no data."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from ablate.config import Experiment, NamedComposition, NamedOp, OpSpec, Reference, Trial, TrialConfig
from ablate.errors import UsageError
from ablate.results import write_atomically

SWEEP_FILE = "sweep.toml"


def cell_label(row: str, column: str) -> str:
    """``crop+color``, or ``crop`` on the diagonal, where the op is applied once."""
    return row if row == column else f"{row}+{column}"


def plan(experiment: Experiment) -> list[Trial]:
    """Every trial of the sweep: for each seed the references, the cells row by row, the compositions beside the grid.

    A grid of k ops has k² cells: k single ops and k(k-1) ordered pairs. The seeds of a cell share one configuration,
    and with it the key, which is hashed once.
    """
    one_seed = [
        *(_reference(experiment, name) for name in experiment.references),
        *(_cell(experiment, row, column) for row in experiment.ops for column in experiment.ops),
        *(_beside(experiment, composition) for composition in experiment.compositions),
    ]
    return [Trial(seed=seed, **place) for seed in experiment.seeds for place in one_seed]


def _cell(experiment: Experiment, row: NamedOp, column: NamedOp) -> dict[str, Any]:
    """What the trials of a cell have in common."""
    ops = (row.op,) if row.label == column.label else (row.op, column.op)
    return {
        "config": _with(experiment.shared, composition=ops),
        "label": cell_label(row.label, column.label),
        "row": row.label,
        "column": column.label,
    }


def _beside(experiment: Experiment, composition: NamedComposition) -> dict[str, Any]:
    """A composition that has no place in the grid."""
    return {"config": _with(experiment.shared, composition=composition.ops), "label": composition.label}


def _reference(experiment: Experiment, name: Reference) -> dict[str, Any]:
    """The untrained encoder, the pair without augmentation, or the encoder trained with labels and crops."""
    shared = experiment.shared
    config = {
        "untrained": lambda: _with(shared, objective="untrained", epochs=0),
        "no-op": lambda: shared,
        "supervised": lambda: _with(shared, objective="supervised", composition=(experiment.reference_crop,)),
    }[name]()
    return {"config": config, "label": name, "reference": name}


def _with(config: TrialConfig, **changes: Any) -> TrialConfig:
    return config.model_copy(update=changes)


def save_experiment(directory: Path, experiment: Experiment) -> None:
    """Write ``DIR/sweep.toml``, atomically."""
    content = experiment.model_dump(mode="json", exclude_none=True)
    write_atomically(directory / SWEEP_FILE, tomli_w.dumps(content))


def load_experiment(directory: str | Path) -> Experiment:
    """Read ``DIR/sweep.toml``.

    Raises:
        UsageError: the directory is not a sweep's, or the file is damaged.
    """
    path = Path(directory) / SWEEP_FILE
    if not path.is_file():
        raise UsageError(f"{directory} is not a sweep directory: it has no {SWEEP_FILE}")
    try:
        content = tomllib.loads(path.read_text())
        content["shared"].setdefault("base", None)  # TOML has no null: an absent base is none
        return Experiment.model_validate(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is damaged: {str(error).splitlines()[0]}") from error


def extend(old: Experiment, new: Experiment, directory: Path) -> Experiment:
    """The experiment that ``directory`` holds after ``new`` is asked for there: more seeds and more ops extend it.

    Raises:
        UsageError: a shared setting changed; the sentence names every difference.
    """
    found = differences(old, new)
    if found:
        raise UsageError(
            f"{directory} holds another sweep ({'; '.join(found)}); choose another --out or the same settings"
        )
    return union(old, new)


def differences(old: Experiment, new: Experiment) -> list[str]:
    """Every setting in which two experiments differ that trials of one directory share, in words."""
    found = [
        "the images are others" if name == "data.fingerprint" else f"{name} was {before!r}, is {after!r}"
        for name, before, after in _differences(_flat(_frame(old)), _flat(_frame(new)))
    ]
    before, after = {op.label: op.op for op in old.ops}, {op.label: op.op for op in new.ops}
    return found + [
        f"{label} was {_changed(before[label], after[label])}"
        for label in before
        if label in after and before[label] != after[label]
    ]


def union(old: Experiment, new: Experiment) -> Experiment:
    """``new``, with the ops, compositions, seeds and references of ``old`` before its own."""
    known = {op.label for op in old.ops}
    ops = (*old.ops, *(op for op in new.ops if op.label not in known))
    beside = (*old.compositions, *(item for item in new.compositions if item not in old.compositions))
    seeds = (*old.seeds, *(seed for seed in new.seeds if seed not in old.seeds))
    references = (*old.references, *(name for name in new.references if name not in old.references))
    slurm = new.slurm or old.slurm
    return new.model_copy(
        update={"ops": ops, "compositions": beside, "seeds": seeds, "references": references, "slurm": slurm}
    )


def _frame(experiment: Experiment) -> dict[str, Any]:
    """What must not change in one directory: everything but the axes, the seeds and where the data lies."""
    free = (
        "ops",
        "compositions",
        "seeds",
        "references",
        "command",
        "data",
        "eval_data",
        "protocols",
        "keep_encoders",
        "rank_timeout",
        "slurm",
    )
    return experiment.model_dump(mode="json", exclude={**dict.fromkeys(free, True), "shared": {"data": {"name"}}})


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
