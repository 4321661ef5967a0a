"""Launch a sweep as ``ablate grid`` does: run it here, submit jobs, or show what would run."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ablate.config.sweep import SweepPlan, Trial
from ablate.config.trial import TrialConfig
from ablate.console import command, counted, make_console, say
from ablate.errors import ExitCode
from ablate.files import names_in
from ablate.launch.batches import run_batches, with_next
from ablate.launch.dry_run import show_cost, show_plan
from ablate.launch.local import run_sweep
from ablate.launch.pool import default_devices
from ablate.launch.room import refuse_without_room, room_for, room_of
from ablate.launch.rounds import run_rounds
from ablate.launch.slurm.dry_run import show_submission
from ablate.launch.slurm.submission import forget_cancelling, was_cancelled
from ablate.launch.slurm.submit import submit_sweep
from ablate.launch.watch import EVERY, looks
from ablate.planning.outline import outline
from ablate.sweep.batches import started
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.layout import WAITING, SweepDir
from ablate.sweep.lock import sole_user
from ablate.sweep.plan import plan
from ablate.sweep.prune import run_rungs, short_of
from ablate.sweep.survey import summary, survey
from ablate.training.given import planned_weights
from ablate.trial.encoders import init_file


def run_here(
    directory: Path,
    experiment: SweepPlan,
    images: str,
    cache: Path,
    workers: int | None,
    retry_failed: bool,
    dry_run: bool,
    *,
    cost_first: bool = False,
) -> int:
    """Run the missing trials on this machine, and return the exit code.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan.
        images: a description of the images.
        cache: where the decoded images are.
        workers: how many workers run side by side; None: the default of the machine.
        retry_failed: also run failed trials again.
        dry_run: only show what would run.
        cost_first: measure and show the cost before the sweep begins.
    """
    shared, console = experiment.shared, make_console()
    devices = default_devices(shared.device, workers, shared.threads, shared.world_size)
    whole = started(merge_with_existing(directory, experiment))
    check_given(directory, experiment, whole)
    say(console, images)
    say(console, outline(whole))
    if dry_run:
        show_plan(directory, _continued(directory, whole, console), devices, cache, retry_failed, console)
        return ExitCode.DONE
    if cost_first:
        trials = plan(whole)
        state = survey(directory, trials, prunes=bool(whole.prune))
        say(console, summary(trials, state, retry_failed))
        show_cost(whole, state, devices, cache, retry_failed, console)
    check_room(directory, whole, len(devices), cache, console)
    retry = [retry_failed]

    def train(planned: SweepPlan) -> int:
        return run_sweep(directory, planned, cache, devices, bool(retry and retry.pop()), console)

    return _in_stages(directory, whole, train, console)


def _in_stages(directory: Path, experiment: SweepPlan, train: Callable[[SweepPlan], int], console: Console) -> int:
    """Train a sweep in its rounds or batches, or all at once if it has neither."""
    if experiment.rounds:
        return run_rounds(directory, experiment, train, console)
    if experiment.budgeted:
        return run_batches(directory, experiment, train, console)
    return train(experiment)


def _continued(directory: Path, experiment: SweepPlan, console: Console) -> SweepPlan:
    """Return the plan with the next batch of cells, if there is a budget and all trials so far have ended."""
    if experiment.budgeted is None or survey(directory, plan(experiment)).missing:
        return experiment
    return with_next(directory, experiment, console)


def check_given(directory: Path, experiment: SweepPlan, whole: SweepPlan) -> None:
    """Check the weights from which missing trials start, where ``experiment`` does not bring them along.

    A confirmation and a calibration do not: theirs were kept by the sweep around them.

    Raises:
        UsageError: weights are missing or damaged, or others than planned.
    """
    configs = [shared for shared in whole.configs if shared.encoder.init not in {"", *experiment.weights}]
    if configs and survey(directory, plan(whole), prunes=bool(whole.prune)).missing:
        for config in configs:
            planned_weights(init_file(directory, config), config.encoder.init)


def check_room(directory: Path, experiment: SweepPlan, workers: int, cache: Path, console: Console) -> None:
    """Warn if memory is short.

    Raises:
        UsageError: there is clearly not enough memory for the remaining trials.
    """
    room = room_of(experiment, workers, cache)
    if room is None or room.warning is None:
        return
    missing = survey(directory, plan(experiment), prunes=bool(experiment.prune)).missing
    at_once = min(workers, sum(trial.reference != "untrained" for trial in missing))
    if at_once and (warning := refuse_without_room(dataclasses.replace(room, workers=at_once))):
        say(console, warning, "yellow")


@contextlib.contextmanager
def training_here(
    directory: Path, shared: TrialConfig, cache: Path, workers: int | None, retry_failed: bool, console: Console
) -> Iterator[Callable[[SweepPlan], int]]:
    """Yield a function that runs all missing trials of an experiment on this machine.

    Failed trials are retried only the first time.

    Args:
        directory: the sweep's directory.
        shared: the settings that the trials share.
        cache: where the decoded images are.
        workers: how many workers run side by side; None: the default of the machine.
        retry_failed: also run failed trials again.
        console: where to show progress.
    """
    devices = default_devices(shared.device, workers, shared.threads, shared.world_size)
    retry = [retry_failed]
    if warning := refuse_without_room(room_for([shared], len(devices), 0)):
        say(console, warning, "yellow")

    def train(experiment: SweepPlan) -> int:
        return run_sweep(directory, experiment, cache, devices, bool(retry and retry.pop()), console)

    yield train


@contextlib.contextmanager
def training_there(directory: Path, stage: str, cache: Path, retry_failed: bool, console: Console) -> Iterator[Cluster]:
    """Yield a :class:`Cluster`, which submits missing trials and waits for their jobs.

    While the block lasts, ``ablate status`` sees that a command waits for the jobs.

    Args:
        directory: the sweep's directory.
        stage: the word for that whose jobs it waits for, as in :attr:`SweepPlan.stage`.
        cache: where the decoded images are.
        retry_failed: also run failed trials again, the first time.
        console: where to show progress.

    Raises:
        UsageError: another command waits for the directory's jobs.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with sole_user(directory, WAITING):
        say(console, f"this command waits for the jobs of each {stage}; if it is stopped, run it again to continue")
        yield Cluster(directory, cache, retry_failed, console)


@dataclass
class Cluster:
    """A launcher that submits all missing trials of an experiment and waits for the jobs; a rung waits for all of them.

    Trials that jobs left undone are submitted again, as long as there is progress and the jobs have not been cancelled.
    Failed trials are retried only the first time.
    """

    directory: Path
    cache: Path
    retry_failed: bool
    console: Console

    def __call__(self, experiment: SweepPlan) -> int:
        """Run ``experiment`` on the cluster.

        Returns:
            The exit code: 0 all done; 1 some trials failed, or it stopped and said why.
        """
        whole = merge_with_existing(self.directory, experiment)
        trials = plan(whole)
        forget_cancelling(self.directory)
        retry, self.retry_failed = self.retry_failed, False
        state = survey(self.directory, trials, prunes=bool(whole.prune))
        in_the_way = [trial for trial in state.missing if SweepDir(self.directory).record(trial.id).exists()]
        if not state.missing or in_the_way or (retry and state.failed):  # short_of does not cover these cases
            first = whole.prune[0].epoch(whole.shared.epochs) if whole.prune else None
            if code := self._submit(experiment, first, retry=retry):
                return code

        def train(waiting: list[Trial], until: int | None) -> int:
            return self._train(experiment, waiting, until)

        code = run_rungs(self.directory, whole, trials, trials, train)
        return code or (ExitCode.FAILED if survey(self.directory, trials).failed else ExitCode.DONE)

    def _train(self, experiment: SweepPlan, waiting: list[Trial], until: int | None) -> int:
        left = None
        while missing := len(short_of(self.directory, waiting, until)):
            if left is not None and missing >= left:
                logs = f"{command('ablate', 'status', self.directory)} names their logs"
                left_over = f"{counted(missing, 'trial')} left, none of which the last jobs have done"
                self._stop(f"{left_over} ({logs}); run the same command again to continue")
                return ExitCode.FAILED
            before = names_in(SweepDir(self.directory).jobs)
            if code := self._submit(experiment, until):
                return code
            new = names_in(SweepDir(self.directory).jobs) - before
            left = missing if new else None  # earlier jobs have done their part
        return ExitCode.DONE

    def _submit(self, experiment: SweepPlan, until: int | None, *, retry: bool = False) -> int:
        code = submit_sweep(self.directory, experiment, self.cache, retry, self.console, until=until)
        if code:
            return code
        for status in looks(self.directory, EVERY):
            if status.is_idle:
                break
        if was_cancelled(self.directory):
            self._stop("the jobs were cancelled; run the same command again to continue")
            return ExitCode.FAILED
        return ExitCode.DONE

    def _stop(self, why: str) -> None:
        say(self.console, f"stopped: {why}", "red")


def submit(directory: Path, experiment: SweepPlan, images: str, cache: Path, retry_failed: bool, dry_run: bool) -> int:
    """Submit the missing trials to the cluster, and return the exit code.

    If cells are pruned, wait for the jobs up to each rung, and then for those of the cells that continue. In rounds of
    seeds, wait for the jobs of each round; within a budget, for those of each batch of cells.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan.
        images: a description of the images.
        cache: where the decoded images are.
        retry_failed: also run failed trials again.
        dry_run: only show what would be submitted.
    """
    console = make_console()
    whole = started(merge_with_existing(directory, experiment))
    check_given(directory, experiment, whole)
    say(console, images)
    say(console, outline(whole))
    if dry_run:
        show_submission(directory, _continued(directory, whole, console), cache, retry_failed, console)
        return ExitCode.DONE
    if whole.stage:
        with training_there(directory, whole.stage, cache, retry_failed, console) as train:
            return _in_stages(directory, whole, train, console)
    return submit_sweep(directory, experiment, cache, retry_failed, console)
