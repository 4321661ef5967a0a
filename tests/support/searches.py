"""Searches that were never trained."""

from __future__ import annotations

from ablate.config.sweep import NamedOp, Search
from ablate.ops import parse_op, spec
from ablate.search.propose import Known, propose
from ablate.sweep.plan import load_plan
from tests.support.sweeps import make_experiment

OPS = ("crop", "color", "blur", "sobel")


def space(**changes):
    ops = tuple(NamedOp(label=name, op=spec(parse_op(name))) for name in OPS)
    return Search(ops=ops, **changes)


def value_of(composition):
    """Made up: color is good, and best first; more ops are a little worse."""
    names = [op.name for op in composition.ops]
    return 0.3 + 0.4 * ("color" in names) + 0.1 * (names[0] == "color") - 0.05 * len(names)


def walk(search, batches, become=lambda item: Known(item, value_of(item))):
    """The compositions that are proposed in so many batches, where each becomes ``become(composition)``."""
    known = []
    for _ in range(batches):
        known += [become(item) for item in propose(search, known, {})]
    return [item.composition for item in known]


def begun(seeds=2, **changes):
    return make_experiment([], seeds).model_copy(update={"search": space(**changes)})


def labels(directory):
    return [item.label for item in load_plan(directory).compositions]
