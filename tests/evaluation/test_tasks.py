"""Linear evaluation of further tasks: on the same features, without the images that have no label."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ablate.data.tasks import TaskLabels
from ablate.evaluation.linear import linear_evaluation
from ablate.evaluation.protocols import evaluate
from tests.evaluation.conftest import freeze


def coarse():
    """An encoder without parameters: 2 x 4 average pixels in three channels."""
    return torch.nn.Sequential(torch.nn.AvgPool2d((8, 4)), torch.nn.Flatten())


def column(labels, missing):
    values = labels.double()[:, None]
    return values.where(~missing[:, None], torch.nan)


@pytest.fixture
def halves(stripes):
    """The task whether the class is 0, which a third of the images has no label for."""
    train, test = stripes.train.labels, stripes.test.labels
    holes = torch.arange(len(train)) % 5 == 1, torch.arange(len(test)) % 5 == 1
    task = TaskLabels("half", "classes", ("no", "yes"), column(train == 0, holes[0]), column(test == 0, holes[1]))
    return dataclasses.replace(stripes, tasks=(task,))


def test_a_task_is_evaluated_as_if_its_labels_were_the_only_ones(halves, stripes):
    alone, both = evaluate(freeze(stripes, coarse()), ["linear"]), evaluate(freeze(halves, coarse()), ["linear"])
    assert {name: both.metrics[name] for name in alone.metrics} == alone.metrics
    frozen, task = freeze(halves, coarse()), halves.tasks[0]
    (h, _, val_mask), (test_h, _) = frozen.train(), frozen.test()
    known, tested = task.known
    y, test_y = task.train[known, 0].long(), task.test[tested, 0].long()
    result = linear_evaluation(h[known], y, val_mask[known], test_h[tested], 2)
    assert both.metrics["half:linear_l2"] == result.l2
    assert both.metrics["half:linear_top1"] == pytest.approx(float((result.test == test_y).double().mean()))
    assert both.metrics["half:linear_val_top1"] == pytest.approx(
        float((result.val == y[val_mask[known]]).double().mean())
    )
    assert both.protocols["half:linear"].startswith("task half: logistic regression by L-BFGS")
    assert f"all {int(known.sum())} training images with a label" in both.protocols["half:linear"]


def test_a_task_needs_no_label_of_the_main_one(halves):
    """Images that lost the main label still count for a task that has one."""
    train = dataclasses.replace(halves.train, labels=halves.train.labels.where(torch.arange(120) % 2 == 0, -1))
    fewer = dataclasses.replace(halves, train=train, pretrain=train)
    every = evaluate(freeze(halves, coarse()), ["linear"]).metrics
    assert evaluate(freeze(fewer, coarse()), ["linear"]).metrics["half:linear_top1"] == every["half:linear_top1"]
