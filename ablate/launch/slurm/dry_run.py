"""Show what ``--launcher slurm`` would submit and cost, without writing or submitting anything."""

from __future__ import annotations

import statistics
from pathlib import Path

from rich.console import Console

from ablate.config.slurm import Slurm
from ablate.config.sweep import SweepPlan
from ablate.console import clock, counted, say, say_as_it_is
from ablate.errors import ClusterError
from ablate.facts import note
from ablate.launch.dry_run import further_trials, measured, print_plan, stage_of
from ablate.launch.slurm import cluster
from ablate.launch.slurm.draft import arrange, check_name, describe, draw_up, left_over, limits_for
from ablate.launch.slurm.look import look
from ablate.launch.slurm.packing import Limits
from ablate.launch.slurm.script import batch_script
from ablate.launch.timing import REPRESENTATIVE
from ablate.sweep.plan import plan
from ablate.sweep.prune import cost, stage
from ablate.sweep.record import TrialResult
from ablate.sweep.survey import State


def show_submission(directory: Path, experiment: SweepPlan, cache: Path, retry_failed: bool, console: Console) -> None:
    """Print the plan, the jobs, the batch script of the first array, and the total cost.

    Args:
        directory: the sweep's directory.
        experiment: the sweep's plan.
        cache: where the decoded images are.
        retry_failed: True if failed trials would run again.
        console: where to print.

    Raises:
        UsageError: the cluster would refuse the jobs, as far as its limits are known.
    """
    assert experiment.slurm is not None
    slurm = experiment.slurm
    check_name(directory)
    state = print_plan(directory, experiment, retry_failed, console)
    busy, limits = _cluster(directory, experiment, console)
    wanted = {trial.id for trial in state.missing} | {result.id for result in state.failed if retry_failed}
    waiting = [trial for trial in plan(experiment) if trial.id in wanted - busy]
    if not waiting:
        say(console, "nothing to submit")
        return
    first, until = stage(directory, experiment, waiting)
    packing = arrange([trial.id for trial in first], experiment, limits)
    submission = draw_up(directory, slurm, cache, packing)
    jobs = counted(len(packing.packs), "job") + (f" up to epoch {until}" if until else "")
    arrays, most = counted(len(packing.arrays), "array"), max(map(len, packing.packs))
    say(console, f"{jobs} in {arrays}, each of up to {counted(most, 'trial')}, on {describe(slurm)}")
    if packing.left:
        say(console, left_over(packing), "yellow")
    say(console, "the batch script of the first array (its token is drawn when it is submitted):")
    at_once = packing.arrays[0][2]
    script = batch_script(directory, submission.token, submission.arrays[0], slurm, at_once).rstrip()
    say_as_it_is(console, script)
    hours = _show_cost(experiment, slurm, state, len(waiting), len(packing.packs), cache, console)
    count = {"jobs": len(packing.packs), "arrays": len(packing.arrays), "trials_per_job": most}
    note(jobs={**count, **hours, "script": script})


def _cluster(directory: Path, experiment: SweepPlan, console: Console) -> tuple[set[str], Limits]:
    """Return the queued and running trials, and the cluster's limits; without a scheduler, both are empty."""
    assert experiment.slurm is not None
    if not cluster.is_here():
        say(console, "this machine has no Slurm: the cluster's limits and queued jobs are not considered")
        return set(), Limits()
    try:
        now = look(directory, plan(experiment), lambda _: None, patience=0)
        return now.busy, limits_for(experiment.slurm, now.mine, now.tell, patience=0)
    except ClusterError as trouble:
        say(console, f"{trouble}: the cluster's limits and queued jobs are not considered", "yellow")
        return set(), Limits()


def _show_cost(
    experiment: SweepPlan, slurm: Slurm, state: State, waiting: int, jobs: int, cache: Path, console: Console
) -> dict[str, str | float | None]:
    """Print the expected and the requested hours of GPUs, or of cores if there are no GPUs, and return them."""
    shared = experiment.shared
    on_gpus = shared.device == "cuda"
    unit = "GPU" if on_gpus else "core"
    known, hours = _on_record(state.finished), None
    each, whence = statistics.fmean(known) if known else None, f"from {counted(len(known), 'trial')} on record"
    if each is None and not on_gpus:
        trial_time = measured(experiment, "cpu", cache, console)
        each, whence = trial_time.seconds, trial_time.how
    if each is None and on_gpus:
        say(console, "no estimate yet: no trial has a record, and the trials will run on other machines than this")
    elif each is not None:
        share = shared.world_size / slurm.per_gpu if on_gpus else shared.threads * shared.world_size
        hours = each * share * waiting / 3600 * (cost(experiment) if experiment.prune else 1)
        more = each * share * further_trials(experiment) / 3600
        stage = stage_of(experiment)
        rest = f" in {stage}" if stage != "all" else ""
        rest += f", at most {_plain(hours + more)} in all" if more or experiment.rounds else ""
        say(console, f"estimated: {_plain(hours)} {unit} hours{rest}, {clock(each)} per trial ({whence})")
        note(estimate={"seconds_per_trial": each, "how": whence})
    units = slurm.nodes * (slurm.gpus if on_gpus else slurm.cpus)
    requested = jobs * units * slurm.time / 60
    say(
        console,
        f"requested: at most {_plain(requested)} {unit} hours: {counted(jobs, 'job')} x "
        f"{counted(units, unit)} x {clock(60 * slurm.time)}",
    )
    return {"unit": unit, "hours_requested": requested, "hours": hours}


def _plain(hours: float) -> str:
    """Format hours with few digits, as a whole number from 100 on: ``0.08``, ``2.5``, ``2880``."""
    return f"{hours:.0f}" if hours >= 100 else f"{hours:.3g}" if hours >= 0.1 else f"{hours:.2f}"


def _on_record(finished: list[TrialResult]) -> list[float]:
    return [r.timings["total"] for r in finished if r.reference in REPRESENTATIVE and "total" in r.timings]
