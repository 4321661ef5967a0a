"""Sweeps with noise, and with strengths as an axis."""

from __future__ import annotations

import numpy as np

from ablate.config.sweep import NamedComposition
from ablate.sweep.plan import plan, save_plan
from tests.conftest import op_spec
from tests.support.sweeps import make_experiment, record, write_record


def noisy(trial):
    return (
        0.3 + 0.1 * (len(trial.label) % 4) + 0.01 * np.random.default_rng([trial.seed, *trial.label.encode()]).normal()
    )


def strengths(directory, objective="simclr"):
    experiment = make_experiment(["crop"], 2, references=("untrained", "supervised"))
    specs = {s: (op_spec("crop"), op_spec("color", strength=s)) for s in (1.0, 0.25, 0.5)}
    cells = tuple(NamedComposition(label=f"crop+color(strength={s})", ops=ops) for s, ops in specs.items())
    shared = experiment.shared.model_copy(update={"objective": objective})
    experiment = experiment.model_copy(update={"ops": (), "compositions": cells, "shared": shared})
    save_plan(directory, experiment)
    for trial in plan(experiment):
        value = 0.9 if trial.reference == "supervised" else 0.1 if trial.reference else float(trial.label[20:-1]) / 2
        write_record(directory, record(trial, value + 0.01 * trial.seed))
    return directory
