"""A sweep as its reports read it: the plan, the records, and the grid built from them."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ablate.config.interval import Interval
from ablate.config.measure import IN_WORDS, Measure, in_full, reason
from ablate.config.sweep import ClassCounts, SweepPlan, Task, Trial
from ablate.config.tasks import check_measure, main_task, metric_of, metrics_of
from ablate.console import command, counted
from ablate.errors import UsageError, unknown
from ablate.inference.rounds import tail
from ablate.report.data.grid import Grid, grid_of, lacking, sweep_rows
from ablate.report.data.over_images import read_over_images
from ablate.sweep.again import completing
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.record import TrialResult, read_records
from ablate.sweep.rounds import cells_left, compared

EMPTY = Grid((), {}, {})
POINTS = 40  # points of a training curve: as many as a small plot can show


@dataclass(frozen=True, repr=False)
class Results:
    """The contents of a sweep's directory.

    ``records`` maps trial ids to records with thinned histories; ``damaged`` are unreadable files. ``measured`` says in
    sentences which measure is used to choose, and why. With a ``task``, a further one, the records
    have its metrics in place of the main task's. ``protect`` are the classes that the choice among its compositions
    keeps, as they were asked for, and ``protected`` the sentences on what that changes.

    ``interval`` is what intervals were asked to hold; ``seeds_only`` is a sentence on why they hold seeds only, if they
    were asked to hold more.
    """

    directory: Path
    experiment: SweepPlan
    trials: list[Trial]
    records: dict[str, TrialResult]
    damaged: list[Path]
    grid: Grid = EMPTY
    measured: tuple[str, ...] = ()
    task: Task | None = None
    interval: Interval = "seeds"
    seeds_only: str = ""
    protect: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Results {self.directory}: {self}, {len(self.records)} of {len(self.trials)} trials>"

    @property
    def task_name(self) -> str:
        """The name of the further task that it is read for; empty for the main one."""
        return self.task.name if self.task else ""

    @property
    def task_option(self) -> list[str]:
        """The option with which further commands judge by the same task; none for the main one."""
        return ["--task", self.task_name] if self.task else []

    @property
    def choice_options(self) -> list[str]:
        """The options with which further commands choose for the same task and metric, and keep the same classes."""
        planned = self.task.measure if self.task else self.experiment.measure
        other = ["--metric", self.grid.measure] if self.grid.is_linear and self.grid.measure != planned else []
        return [*self.task_option, *other, *protecting(self.protect)]

    @property
    def class_counts(self) -> ClassCounts | None:
        """The numbers of images per class of its task; None if they are not known."""
        return self.task.class_counts if self.task else self.experiment.class_counts

    @property
    def classes(self) -> int:
        """The number of classes of its task, 0 without classes."""
        if self.task is None:
            return self.experiment.shared.data.classes
        return len(self.task.class_counts.train) if self.task.class_counts else 0

    @property
    def held(self) -> Interval:
        """What the intervals of its comparisons hold; seeds only, if there are not all results for every image."""
        over = self.grid.images
        return "seeds" if over is None else "images" if over.alone else "both"

    @property
    def judges(self) -> tuple[str, str, Interval]:
        """The metric, the task and what intervals hold, as :class:`ablate.sweep.asked.Asked` has them."""
        return self.grid.metric, self.task_name, self.held

    @property
    def failed(self) -> list[TrialResult]:
        """The records of failed trials, in plan order."""
        known = (self.records.get(trial.id) for trial in self.trials)
        return [record for record in known if record and record.status == "failed"]

    @property
    def ended(self) -> int:
        """The number of trials with a readable record."""
        return sum(trial.id in self.records for trial in self.trials)

    @property
    def pending(self) -> list[Trial]:
        """The trials without a readable record that can change which composition is the best, or whether it is good.

        These are the trials of compositions and of the untrained encoder; no other reference has an influence.
        """
        return [t for t in self.trials if t.id not in self.records and t.reference in (None, "untrained")]

    def seconds(self, label: str) -> float:
        """Return the time of a trial of a cell or reference, in seconds of :attr:`unit`.

        It is the median over seeds; 0 if unknown.
        """
        name = "cpu" if self.experiment.shared.device == "cpu" else "total"
        records = (self.records.get(trial.id) for trial in self.trials if trial.label == label)
        known = [record.timings[name] for record in records if record and name in record.timings]
        return statistics.median(known) if known else 0.0

    def seconds_in_all(self, labels: Sequence[str]) -> float:
        """Return the time of one trial of each label together; an unknown time counts as the mean of the others."""
        known = list(filter(None, map(self.seconds, labels)))
        return statistics.fmean(known) * len(labels) if known else 0.0

    @property
    def unit(self) -> str:
        """The unit of its times: ``CPU time``, of all cores, or ``GPU time``."""
        return "CPU time" if self.experiment.shared.device == "cpu" else "GPU time"

    def __str__(self) -> str:
        """Return a text such as ``glyphs, one-branch simclr, resnet8, 15 epochs, 3 seeds``."""
        first = [f"first view {self.experiment.first.label}"] if self.experiment.first else []
        dropped = self.experiment.rounds.dropped.values() if self.experiment.rounds else ()
        most = len(self.experiment.seeds)
        fewest = min(dropped, default=most)
        seeds = f"{fewest} to {most} seeds" if fewest < most else counted(most, "seed")
        judged = [f"task {self.task_name}"] if self.task else []
        return ", ".join([self.experiment.shared.data.name, *judged, self.setting, *first, seeds])

    @property
    def setting(self) -> str:
        """The training setting, as in ``one-branch simclr, resnet8, 15 epochs``.

        A setting that varies along an axis is given with every value: ``6 or 12 epochs``.
        """
        configs = [v.shared for v in self.experiment.variants] or [self.experiment.shared]

        def each(values: Iterable[object]) -> str:
            return " or ".join(dict.fromkeys(map(str, values)))

        epochs = list(dict.fromkeys(config.epochs for config in configs))
        length = counted(epochs[0], "epoch") if len(epochs) == 1 else f"{each(epochs)} epochs"
        branches, objective = each(c.branches for c in configs), each(c.objective for c in configs)
        return f"{branches}-branch {objective}, {each(c.encoder.name for c in configs)}, {length}"

    @property
    def by_variant(self) -> dict[str, Grid]:
        """The grid of ops at every point of the axes, by the point's name; empty without ops or axes."""
        if not self.experiment.ops:
            return {}
        groups: dict[str, list[Trial]] = {}
        for trial in self.trials:
            name = ", ".join(f"{axis}={value}" for axis, value in trial.point.items())
            groups.setdefault(name, []).append(trial.replace(point={}))
        references = groups.pop("", [])
        return (
            {
                name: _grid(
                    sweep_rows([*references, *trials], self.records),
                    self.grid.measure,
                    self.experiment,
                    self.class_counts,
                )
                for name, trials in groups.items()
            }
            if self.experiment.variants
            else {}
        )


def protecting(classes: Iterable[str]) -> list[str]:
    """Return the options that protect classes, as in ``--protect six:5``."""
    return [part for name in classes for part in ("--protect", name)]


def read_sweep(
    directory: str | Path, measure: Measure | None = None, task: str = "", interval: Interval = "seeds"
) -> Results:
    """Read a sweep's directory.

    Args:
        directory: the sweep's directory.
        measure: the measure by which compositions are chosen, if all trials with linear evaluation have it; default:
            the one that the sweep was planned with.
        task: the name of the task to judge by; default: the main one.
        interval: what the intervals of comparisons hold: other seeds, or also (or only) other images, if all trials
            have results for every image. What a running sweep decides goes by seeds: image results may be removed.

    Raises:
        UsageError: it is not a sweep's directory, or there is no such measure, task or interval.
    """
    directory = Path(directory)
    if measure is not None and measure not in get_args(Measure):
        raise unknown("metric", str(measure), get_args(Measure))
    if interval not in get_args(Interval):
        raise unknown("interval", str(interval), get_args(Interval))
    experiment = load_plan(directory)
    judged = _task(directory, experiment, task)
    if measure:
        check_measure(measure, task or _main_task(experiment), judged.kind if judged else "classes")
    return _judged(_whole(directory, experiment), judged, measure, interval)


def read_tasks(directory: str | Path) -> list[Results]:
    """Read a sweep once for each of its tasks, each with its own measure, the main one first; none if it has one task.

    Args:
        directory: the sweep's directory.

    Raises:
        UsageError: it is not a sweep's directory.
    """
    directory = Path(directory)
    experiment = load_plan(directory)
    if not experiment.tasks:
        return []
    whole = _whole(directory, experiment)
    return [_judged(whole, task) for task in (None, *experiment.tasks[1:])]


def _whole(directory: Path, experiment: SweepPlan) -> Results:
    trials = plan(experiment)
    return Results(directory, experiment, trials, *read_records(directory, trials, points=POINTS))


def _judged(whole: Results, task: Task | None, measure: Measure | None = None, interval: Interval = "seeds") -> Results:
    """Return the results of a sweep as a task judges them, with their grid; None: the main task.

    Args:
        whole: the sweep, with its records as they are.
        task: the further task, if any.
        measure: the measure that was asked for, if any.
        interval: what intervals are to hold.
    """
    experiment, records = whole.experiment, whole.records
    planned: Measure = task.measure if task else experiment.measure
    counts = (task or experiment).class_counts
    if task:
        records = {name: _judged_by(task.name, record) for name, record in records.items()}
    rows = sweep_rows(whole.trials, records)
    wanted = measure or planned
    grid = _grid(rows, planned if lacking(rows, wanted)[0] else wanted, experiment, counts)
    says = grid.is_linear and (task.kind == "classes" if task else experiment.shared.data.classes > 0)
    said = _measured(whole.directory, experiment, wanted, grid.measure, rows, counts) if says else ()
    if not grid.is_linear and wanted != planned:
        said = (f"Compositions are ranked by rotation prediction: without linear evaluation, no {IN_WORDS[wanted]}.",)
    if task:
        main = experiment.tasks[0].name
        by = "" if said else f", by {in_full(grid.measure)}"
        said = (f"Judged by the task {task.name}{by}; the main task is {main}.", *said)
    known = [(trial, whole.records[trial.id]) for trial in whole.trials if trial.id in whole.records]
    images, why = read_over_images(whole.directory, experiment, known, grid.measure, interval, task)
    grid = dataclasses.replace(grid, images=images)
    judged = dataclasses.replace(whole, records=records, grid=grid, measured=said, task=task)
    return dataclasses.replace(judged, interval=interval, seeds_only=why)


def _task(directory: Path, experiment: SweepPlan, name: str) -> Task | None:
    """Return the further task of that name; None for the main task."""
    known = [task.name for task in experiment.tasks]
    if not name or name == _main_task(experiment):
        return None
    if not known:
        raise UsageError(
            f"{directory} has no further tasks: a sweep has them if --label names several columns, or --eval-data "
            "several data sets, the main task first"
        )
    if name not in known:
        raise unknown("task", name, known)
    return experiment.tasks[known.index(name)]


def _main_task(experiment: SweepPlan) -> str:
    """Return the name of the main task."""
    return next((task.name for task in experiment.tasks), main_task(experiment.label))


def _judged_by(task: str, record: TrialResult) -> TrialResult:
    """Return a record with the metrics and flags of a further task in place of the main task's."""
    prefix = metric_of(task, "")
    flags = (flag.removeprefix(prefix) for flag in record.flags if ":" not in flag or flag.startswith(prefix))
    return record.replace(metrics=metrics_of(task, record.metrics), flags=tuple(dict.fromkeys(flags)))


def _grid(rows: list[dict[str, Any]], measure: Measure, experiment: SweepPlan, counts: ClassCounts | None) -> Grid:
    grid = grid_of(rows, measure, counts, {op.label: op.acts for op in experiment.ops})
    grid = dataclasses.replace(grid, given=experiment.shared.encoder.starts_given)
    if experiment.rounds is None:
        return grid
    return dataclasses.replace(grid, tail=tail(compared(experiment)), left=frozenset(cells_left(experiment)))


def _measured(
    directory: Path,
    experiment: SweepPlan,
    wanted: Measure,
    used: Measure,
    rows: list[dict[str, Any]],
    counts: ClassCounts | None,
) -> tuple[str, ...]:
    """Return the sentence on which measure is used to choose, and why."""
    without, of = lacking(rows, wanted)
    if without:
        which = f"{len(without)} of {counted(of, 'trial')} {'has' if len(without) == 1 else 'have'}"
        known = [in_full(measure) for measure in get_args(Measure) if not lacking(rows, measure)[0]]
        have = f"; all have {', '.join(known)}" if known else ""
        return (
            f"Compositions are ranked by {in_full(used)}: {which} no {IN_WORDS[wanted]} on validation, which earlier "
            f"versions did not record{have}. {_adding_it(directory, experiment, without)}",
        )
    return (reason(wanted, counts.train if counts else ()),)


def _adding_it(directory: Path, experiment: SweepPlan, without: Sequence[str]) -> str:
    """Return the sentence on how trials get what they lack: from their kept encoders, or by another training.

    Args:
        directory: the sweep's directory.
        experiment: its plan.
        without: the ids of the trials that lack it.
    """
    place = SweepDir(directory)
    lost = [trial_id for trial_id in without if not place.encoder(trial_id).is_file()]
    evaluate = command("ablate", "evaluate", directory, "--protocol", "linear", "--again")
    if not lost:
        return f"Run {evaluate} to add it."
    first = f"Run {evaluate} to add it to those with kept encoders. The others" if len(lost) < len(without) else "They"
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return (
        f"{first} must be trained again: remove their records ({place.record(lost[0])}{more}), then run "
        f"`{completing(directory, experiment)}`."
    )
