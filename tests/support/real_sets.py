"""Made-up grids of the five data sets of docs/real-images.md, in which its predictions come true, fail or drown."""

from __future__ import annotations

import random

from ablate.config.sweep import NamedComposition
from ablate.report.data.grid import grid_of, sweep_rows
from ablate.report.data.results import Results, read_sweep
from ablate.report.figures.paper import published
from ablate.report.stats.order import order
from ablate.sweep.confirm import confirmation
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan, save_plan
from benchmarks.predictions import SETS, SEVEN, Records
from tests.support.sweeps import make_experiment, record, write_record

OPS = ("crop(flip_p=0.0)", "flip", "rotate", "color", "cutout")
REFERENCES = ("untrained", "no-op", "supervised")
ALONE = {
    "CIFAR-10": {"crop": 0.40, "flip": 0.21, "rotate": 0.29, "color": 0.34, "cutout": 0.33, "no-op": 0.265},
    "blood cells": {"crop": 0.80, "flip": 0.40, "rotate": 0.60, "color": 0.55, "cutout": 0.50, "no-op": 0.44},
    "plankton": {"crop": 0.65, "flip": 0.40, "rotate": 0.70, "color": 0.45, "cutout": 0.55, "no-op": 0.50},
    "spoken digits": {"crop": 0.80, "flip": 0.50, "rotate": 0.55, "color": 0.60, "cutout": 0.65, "no-op": 0.52},
    "Fashion-MNIST": {"crop": 0.75, "flip": 0.55, "rotate": 0.60, "color": 0.62, "cutout": 0.64, "no-op": 0.57},
}
WITH_CROP = {
    "CIFAR-10": {"color": 0.48},
    "blood cells": {"color": 0.70, "rotate": 0.85},
    "plankton": {"color": 0.66, "rotate": 0.80},
    "spoken digits": {"color": 0.82, "rotate": 0.70, "flip": 0.72, "cutout": 0.88},
    "Fashion-MNIST": {"color": 0.76, "rotate": 0.70, "cutout": 0.80},
}


def as_predicted(name, ops):
    """The accuracy of a composition or reference, by the ops' own names, as every prediction wants it."""
    if ops in (("untrained",), ("supervised",)):
        return 0.1 if ops == ("untrained",) else 0.95
    if name == SEVEN:
        first, second = (ops * 2)[:2]
        return published().get(first, {}).get(second, 20.0) / 100
    if len(ops) == 2 and "crop" in ops and (other := next(op for op in ops if op != "crop")) in WITH_CROP[name]:
        return WITH_CROP[name][other]
    return sum(ALONE[name][op] for op in ops) / len(ops)


def turned(name, ops):
    """The opposite of every prediction."""
    return 1 - as_predicted(name, ops)


def flat(name, ops):
    return 0.5


class Worlds:
    """The trials of a world: ``truth(set, ops)`` is the accuracy, ``noise`` its standard deviation over seeds."""

    def __init__(self, truth, noise=0.002, seeds=3, knn=lambda accuracy: accuracy):
        self.truth, self.noise, self.seeds, self.knn = truth, noise, seeds, knn

    def experiment(self, name):
        ops = tuple(published()) if name == SEVEN else OPS
        planned = make_experiment(ops, self.seeds, REFERENCES, name=name)
        return planned.replace(shared=planned.shared.replace(epochs=40, warmup_epochs=1.0))

    def record(self, name, trial):
        own = tuple(op.name.partition("(")[0] for op in trial.config.composition)
        ops = (trial.reference,) if trial.reference else own
        draw = random.Random(f"{name} {trial.label} {trial.seed}").gauss(0, self.noise)
        value = self.truth(name, ops) + draw + 0.01 * trial.seed
        history = tuple({"epoch": float(epoch), "knn_val_top1": self.knn(value)} for epoch in range(5, 41, 5))
        return record(trial, value - 0.01, history=history, timings={"cpu": 150.0, "total": 160.0})

    def results(self, name, directory):
        """A whole grid that lies in no directory."""
        experiment = self.experiment(name)
        trials = plan(experiment)
        records = {trial.id: self.record(name, trial) for trial in trials}
        return Results(directory, experiment, trials, records, [], grid_of(sweep_rows(trials, records)))

    def known(self, root, names=(*SETS, SEVEN)):
        """The grids of ``names`` as if they had been read."""
        records = Records(root)
        records.__dict__["found"] = {name: self.results(name, records.directory(name)) for name in names}
        return records

    def write(self, root, names=(*SETS, SEVEN), skip=()):
        """Grids on disk, with confirmations of the five sets, or without the trials whose label is in ``skip``."""
        records = Records(root)
        for name in names:
            self._write(records.directory(name), name, self.experiment(name), skip)
            if name != SEVEN and not skip:
                self._confirm(records.directory(name), name)
        return records

    def _write(self, directory, name, experiment, skip=()):
        save_plan(directory, experiment)
        for trial in plan(experiment):
            if trial.label not in skip:
                write_record(directory, self.record(name, trial))

    def _confirm(self, directory, name):
        sweep = read_sweep(directory)
        best = order(sweep.grid).best.label
        ops = next(trial.config.composition for trial in sweep.trials if trial.label == best)
        planned = confirmation(sweep.experiment, [NamedComposition(label=best, ops=ops)], 3, "")
        self._write(SweepDir(directory).confirmation, name, planned)
