"""The measure that is asked for with ``--metric``: what it needs, and what it means in the directory of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ablate.config.at_hand import as_option
from ablate.config.experiment import Experiment
from ablate.config.measure import Measure, in_full
from ablate.config.tasks import check_measure, main_task
from ablate.console import command
from ablate.data import DataSet
from ablate.errors import UsageError
from ablate.sweep.plan import is_sweep, load_plan


def measured_as_before(wish: Experiment, directory: Path) -> Experiment:
    """Return ``wish`` with the metric of the sweep in ``directory``, if there is one; None where the rule chose it.

    Raises:
        UsageError: another metric is asked for, which would choose another l2 for the trials that are left.
    """
    if not is_sweep(directory):
        return wish
    before = load_plan(directory)
    if wish.metric not in {None, before.measure}:
        again = command("ablate", "report", directory, "--metric", wish.metric)
        raise UsageError(
            f"{directory} was planned with {in_full(before.measure)}, which chooses l2 in its trials: {again} ranks "
            f"what it has by {in_full(wish.metric)}; for another l2, choose another --out"
        )
    return wish.replace(metric=before.shared.measure)


def check_metric(wish: Experiment, specs: Sequence[str]) -> None:
    """Refuse a metric that does not suit the main task, or that no protocol has; needs no images.

    Args:
        wish: the description.
        specs: the protocols that are asked for; none: the default ones.

    Raises:
        UsageError: there is such a metric.
    """
    if wish.metric is None:
        return
    check_measure(wish.metric, main_task(wish.label), "classes")
    if specs and "linear" not in specs:
        raise UsageError(
            f"{as_option('metric', wish.metric)} is for linear evaluation: add linear to the protocols "
            f"{','.join(specs)}"
        )


def measure_of(wish: Experiment, data: DataSet) -> Measure | None:
    """Return the measure for the configuration of trials: the one that is asked for, None if the rule gives it too.

    Raises:
        UsageError: a measure is asked for, and the images have no labels, or too few of them for AUROC.
    """
    if wish.metric is None:
        return None
    option, counts = as_option("metric", wish.metric), data.all_class_counts
    if counts is None:
        raise UsageError(f"{option} is for labels, and {data.name} {data.lacks}: leave it out")
    if wish.metric == "auroc" and sum(count > 0 for count in counts.validation) < 2:
        raise UsageError(
            f"{option} is not defined on the validation images of {data.name}, which are all of one class: take more "
            "images, or another metric"
        )
    return None if wish.metric == data.measure else wish.metric
