"""Sweeps that were never trained: made-up experiments and records, written to a directory."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from ablate.config.sweep import NamedOp, SweepPlan
from ablate.config.trial import DataIdentity, TrialConfig
from ablate.report.data.grid import grid_of, sweep_rows
from ablate.report.figures.style import fix_layout
from ablate.sweep.attempts import last_attempt
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import inherit
from ablate.sweep.plan import plan, save_plan
from ablate.sweep.record import Failure, TrialResult
from ablate.sweep.record import write_record as write
from tests.conftest import op_spec


def make_experiment(labels, seeds=1, references=("untrained",), name="made-up"):
    data = DataIdentity(name=name, fingerprint="f00d", classes=3)
    shared = TrialConfig(composition=(), data=data, epochs=3, warmup_epochs=1)
    ops = tuple(NamedOp(label=label, op=op_spec(label)) for label in labels)
    return SweepPlan(
        command="ablate grid --ops x",
        data="folder:/images",
        seeds=tuple(range(seeds)),
        ops=ops,
        reference_crop=op_spec("crop"),
        references=references,
        shared=shared,
    )


def write_record(directory, result):
    """Write a record as a trial does, and return its path."""
    write(inherit(directory, result.id, last_attempt(directory, result.id)), result)
    return SweepDir(directory).record(result.id)


def record(trial, value=0.5, **changes):
    metrics = {"linear_top1": value, "linear_val_top1": value + 0.01, "knn_top1": value - 0.1}
    content = {"status": "done", "metrics": metrics, **changes}
    place = {name: getattr(trial, name) for name in ("seed", "label", "row", "column", "reference", "config")}
    return TrialResult(key=trial.config.key, **place, **content)


def failure(trial):
    error = Failure(type="Diverged", message="the loss became nan <b>", traceback="Traceback ...")
    return record(trial, status="failed", metrics={}, error=error)


def sweep(directory, labels, seeds=1, value=lambda trial: 0.5, skip=(), fail=(), **kwargs):
    """A sweep directory with a record for every trial but those of the cells in ``skip``."""
    experiment = make_experiment(labels, seeds, **kwargs)
    save_plan(directory, experiment)
    for trial in plan(experiment):
        if trial.label not in skip:
            write_record(directory, failure(trial) if trial.label in fail else record(trial, value(trial)))
    return directory


def by_position(trial):
    """0.1, 0.2, ... in plan order of the labels a, b; seeds 0.01 apart."""
    if trial.reference:
        return 0.05
    return 0.1 * (1 + 2 * "ab".index(trial.row) + "ab".index(trial.column)) + 0.01 * trial.seed


def extents(figure):
    canvas = FigureCanvasAgg(figure)
    fix_layout(figure)  # as it is saved
    canvas.draw()
    return {
        text: text.get_window_extent(canvas.get_renderer())
        for text in figure.findobj(Text)
        if text.get_text() and text.get_visible() and text not in undrawn_ticks(figure)
    }


def undrawn_ticks(figure):
    """The colour bar keeps labels for ticks beyond its ends, which it does not draw."""
    scale = figure.axes[-1]
    low, high = scale.get_ylim()
    return [label for label in scale.get_yticklabels() if not low <= label.get_position()[1] <= high]


HUGE = [
    "crop(area=(0.2, 1.0), ratio=(0.5, 2.0))",
    "color(brightness=0.3, contrast=0.4, saturation=0.1, jitter_p=0.5)",
    "kornia.RandomMotionBlur(kernel_size=5, angle=35.0, direction=0.5, p=1.0)",
    "blur",
]


def big(labels, seeds):
    """A grid with references in which some trials have failed and some are missing."""
    experiment = make_experiment(labels, seeds, references=("untrained", "no-op", "supervised"))
    trials = plan(experiment)
    records = {trial.id: record(trial, 0.2 + 0.6 * i / len(trials)) for i, trial in enumerate(trials)}
    for trial in trials[5::7]:
        records[trial.id] = failure(trial)
    for trial in trials[6::11]:
        del records[trial.id]
    return grid_of(sweep_rows(trials, records))
