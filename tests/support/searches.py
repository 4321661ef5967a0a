"""Searches that were never trained."""

from __future__ import annotations

import signal

from rich.console import Console

from ablate.config.sweep import NamedComposition, NamedOp, Search
from ablate.errors import Interruption
from ablate.ops import parse_op, spec
from ablate.search.measured import Measured
from ablate.search.propose import propose
from ablate.search.run import run_search
from ablate.sweep.budget import Budget
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.sweeps import failure, make_experiment, record, write_record

OPS = ("crop", "color", "blur", "sobel")


def space(**changes):
    ops = tuple(NamedOp(label=name, op=spec(parse_op(name))) for name in OPS)
    return Search(ops=ops, **changes)


def value_of(composition):
    """Made up: color is good, and best first; more ops are a little worse."""
    names = [op.name for op in composition.ops]
    return 0.3 + 0.4 * ("color" in names) + 0.1 * (names[0] == "color") - 0.05 * len(names)


def walk(search, batches, become=lambda item: Measured(item, value_of(item))):
    """The compositions that are proposed in so many batches, where each becomes ``become(composition)``."""
    known = []
    for _ in range(batches):
        known += [become(item) for item in propose(search, known, {}).batch]
    return [item.composition for item in known]


def begun(seeds=2, **changes):
    return make_experiment([], seeds).model_copy(update={"search": space(**changes)})


def labels(directory):
    return [item.label for item in load_plan(directory).compositions]


class Machine:
    """Trains by making results up; is interrupted, or fails a composition, on request."""

    def __init__(self, directory, stop_after=None, fails=()):
        self.directory, self.left, self.fails = directory, stop_after, fails

    def __call__(self, experiment):
        self.directory.mkdir(parents=True, exist_ok=True)
        save_plan(self.directory, experiment)
        for trial in plan(experiment):
            if (self.directory / "trials" / f"{trial.id}.json").exists():
                continue
            if self.left == 0:
                raise Interruption(signal.SIGINT)
            self.left = None if self.left is None else self.left - 1
            named = NamedComposition(label=trial.label, ops=trial.config.composition)
            made = failure(trial) if trial.label in self.fails else record(
                trial, 0.1 if trial.reference else value_of(named) + 0.001 * trial.seed
            )  # fmt: skip
            write_record(self.directory, made)
        return 0


def search_there(directory, budget, machine=None, experiment=None, **changes):
    """Search with a budget of so many trials, which ``machine`` trains; return the exit code."""
    console, machine = Console(quiet=True), machine or Machine(directory)
    experiment = experiment or begun(**changes)
    return run_search(directory, experiment, Budget(budget, "trials"), {}, machine, lambda sweep: None, console)
