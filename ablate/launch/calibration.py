"""Run the cheaper sweeps of a calibration one after the other, or show what they would run and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ablate.console import clock, counted, say
from ablate.errors import ExitCode
from ablate.facts import note
from ablate.launch.start import run_here, submit
from ablate.planning.calibrate import Cheaper
from ablate.report.data.results import Results
from ablate.report.stats.calibration import seconds
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan
from ablate.sweep.survey import State, survey


def run_calibration(
    directory: Path, planned: Sequence[Cheaper], cache: Path, workers: int | None, retry_failed: bool, console: Console
) -> int:
    """Run the missing trials of a calibration, here or on the cluster that its plans ask for.

    Args:
        directory: the directory of the full sweep.
        planned: the cheaper sweeps.
        cache: where the decoded images are.
        workers: how many workers run side by side; None: the default of the machine.
        retry_failed: also run failed trials again.
        console: where to say which training begins.

    Returns:
        The exit code: 0, or 1 if trials failed, or if one sweep stopped, after which no other begins.
    """
    code: int = ExitCode.DONE
    for number, cheaper in enumerate(planned, start=1):
        out = SweepDir(directory).calibration / cheaper.fidelity.name
        training = f"training {number} of {len(planned)}: {cheaper.fidelity}"
        state = _state(out, cheaper)
        if not state.missing and not (retry_failed and state.failed):
            say(console, f"{training}: complete")
            code = ExitCode.FAILED if state.failed else code
            continue
        say(console, f"\n{training}", "bold")
        if cheaper.plan.slurm:
            ended = submit(out, cheaper.plan, cheaper.images, cache, retry_failed, dry_run=False)
        else:
            ended = run_here(out, cheaper.plan, cheaper.images, cache, workers, retry_failed, dry_run=False)
            if ended and _state(out, cheaper).missing:
                return ended  # it stopped, and has given the reason
        code = ended or code
    left = sum(len(_state(SweepDir(directory).calibration / one.fidelity.name, one).missing) for one in planned)
    if left:
        say(console, f"{counted(left, 'trial')} left: when the jobs have ended, the same command prints the table")
    return code


def show_calibration(
    sweep: Results,
    full: Mapping[str, int],
    planned: Sequence[Cheaper],
    cache: Path,
    retry_failed: bool,
    console: Console,
) -> None:
    """Print the cheaper sweeps with the trials that they lack, and about what these cost; write nothing.

    On a cluster, also print the jobs of the first of them that lacks trials.

    Args:
        sweep: the full sweep, whose trials' times are the basis of the estimate.
        full: its settings.
        planned: the cheaper sweeps.
        cache: where the decoded images are.
        retry_failed: True if failed trials would run again.
        console: where to print.
    """
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("training", "trials to run", f"{sweep.unit}, about"):
        table.add_column(heading, overflow="fold", justify="left" if heading == "training" else "right")
    known, total, waiting = seconds(sweep), 0.0, 0
    first: Cheaper | None = None
    trainings = []
    for cheaper in planned:
        missing = _state(SweepDir(sweep.directory).calibration / cheaper.fidelity.name, cheaper).missing
        cost = cheaper.fidelity.share(full) * sum(known.get((trial.label, trial.seed), 0.0) for trial in missing)
        first = cheaper if missing and first is None else first
        total, waiting = total + cost, waiting + len(missing)
        table.add_row(str(cheaper.fidelity), str(len(missing)), clock(cost))
        trainings.append({"training": str(cheaper.fidelity), "to_run": len(missing), "seconds": cost})
    console.print(table)
    basis = f"from the trials of {sweep.directory}, in proportion to epochs, images, pixels and width"
    say(console, f"{counted(waiting, 'trial')} to run; estimated: {clock(total)} of {sweep.unit} ({basis})")
    if first and first.plan.slurm:
        say(console, f"\nthe jobs of the first sweep that lacks trials, {first.fidelity}:")
        out = SweepDir(sweep.directory).calibration / first.fidelity.name
        submit(out, first.plan, first.images, cache, retry_failed, dry_run=True)
    note(directory=str(SweepDir(sweep.directory).calibration), trainings=trainings)


def _state(out: Path, cheaper: Cheaper) -> State:
    """Return the state of a cheaper sweep's trials on disk."""
    return survey(out, plan(merge_with_existing(out, cheaper.plan)))
