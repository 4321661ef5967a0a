"""A known truth: an op that hides the hue costs the task of hues, and not the task of shapes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ablate.config.sweep import Task
from ablate.data.tasks import TaskLabels
from ablate.evaluation.protocols import evaluate
from ablate.report.data.results import read_sweep
from ablate.report.text import tasks
from ablate.sweep.plan import plan, save_plan
from tests.evaluation.conftest import data_set, freeze
from tests.support.sweeps import make_experiment, record, write_record


class Blind(torch.nn.Module):
    """Features of 4 x 4 average pixels: of every channel or, for an encoder blind to hues, of their mean."""

    def __init__(self, *, to_hue):
        super().__init__()
        self.to_hue = to_hue

    def forward(self, x):
        x = torch.nn.functional.avg_pool2d(x, 4)
        return (x.mean(1, keepdim=True) if self.to_hue else x).flatten(1)


@pytest.fixture(scope="module")
def metrics():
    """The metrics of both encoders, by whether they are blind: horizontal or vertical bars in one of three colours."""
    generator = torch.Generator().manual_seed(0)

    def draw(n):
        shape, hue = torch.arange(n) % 2, torch.randint(0, 3, (n,), generator=generator)
        images = torch.randint(0, 90, (n, 3, 16, 16), dtype=torch.uint8, generator=generator)
        for image, is_flat, channel in zip(images, shape.tolist(), hue.tolist(), strict=True):
            bar = image[channel, 4:8] if is_flat else image[channel, :, 4:8]
            bar += 120
        return images, shape, hue

    (train, shape, hue), (test, test_shape, test_hue) = draw(120), draw(60)
    data = data_set((train, shape), (test, test_shape), torch.arange(120) % 4 < 1, 2)
    labels = TaskLabels("hue", "classes", ("r", "g", "b"), hue.double()[:, None], test_hue.double()[:, None])
    data = dataclasses.replace(data, tasks=(labels,))
    return {blind: evaluate(freeze(data, Blind(to_hue=blind)), ["linear"]).metrics for blind in (False, True)}


def test_an_op_that_hides_the_hue_costs_only_that_task(metrics, tmp_path):
    assert metrics[False]["linear_val_top1"] == metrics[True]["linear_val_top1"] == 1
    assert metrics[False]["hue:linear_val_top1"] > 0.9
    assert metrics[True]["hue:linear_val_top1"] < 0.6
    images = (120, 30, 60)
    both = Task(name="shape", images=images), Task(name="hue", images=images)
    experiment = make_experiment(["color", "blur", "flip"], seeds=2).replace(label="shape,hue", tasks=both)
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        jitter = 0.001 * (len(trial.label) % 7) * (1 if trial.seed else -1)
        own = metrics["color" in trial.label]
        write_record(tmp_path, record(trial).replace(metrics={name: value + jitter for name, value in own.items()}))
    compared = tasks.tasks_of(read_sweep(tmp_path, task="hue"))
    hue, shape = compared.sides
    assert "color" not in hue.ranking.best.label
    assert {label for label, score in hue.ranking.scores.items() if score < 0.7} == {
        label for label in hue.ranking.scores if "color" in label
    }
    assert max(shape.ranking.scores.values()) - min(shape.ranking.scores.values()) < 0.02
