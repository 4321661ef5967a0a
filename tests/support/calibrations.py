"""Sweeps with a calibration that was never trained: made-up records, at full price and cheaper."""

from __future__ import annotations

from ablate.config.sweep import NamedComposition
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.sweeps import make_experiment, record, write_record

OPS = ("a", "b", "c", "d")
WORTH = {"a": 0.4, "b": 0.31, "c": 0.23, "d": 0.1}


def true(trial):
    """The best cell is a+b; seeds differ by their own offset."""
    first, second = trial.row, trial.column
    return WORTH[first] + WORTH[second] / 2 * (first != second) + 0.01 * trial.seed


def accuracies(values):
    return {"metrics": {"linear_top1": values, "linear_val_top1": values}}


def full(directory, value=true, seeds=2, seconds=100.0, ops=OPS, **changes):
    """A finished grid whose cells have ``value``, a function of their trial; each trial took ``seconds``."""
    planned = make_experiment(ops, seeds).replace(**changes)
    planned = planned.replace(shared=planned.shared.replace(epochs=8, warmup_epochs=2))
    save_plan(directory, planned)
    for trial in plan(planned):
        worth = accuracies(0.05 if trial.reference else value(trial))
        write_record(directory, record(trial, timings={"cpu": seconds, "total": seconds}, **worth))
    return directory


def cheaper(directory, name, value, seconds, skip=0, **changes):
    """A cheaper sweep of all its cells, without ``skip`` of its last trials; ``changes`` are those of its settings."""
    above = load_plan(directory)
    placed = {trial.label: trial for trial in plan(above) if trial.reference is None}
    planned = above.replace(
        ops=(),
        references=(),
        compositions=tuple(NamedComposition(label=label, ops=t.config.composition) for label, t in placed.items()),
        shared=above.shared.replace(**changes),
    )
    out = SweepDir(directory).calibration / name
    save_plan(out, planned)
    trials = plan(planned)
    for trial in trials[: len(trials) - skip]:
        there = placed[trial.label].replace(seed=trial.seed)
        worth = accuracies(value(there))
        write_record(out, record(trial, timings={"cpu": seconds, "total": seconds}, **worth))
    return out
