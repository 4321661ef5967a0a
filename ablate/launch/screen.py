"""What a terminal shows of a sweep: its counts, speed, cells, trials at work and failures. Needs no torch.

Everything is drawn from a :class:`~ablate.launch.status.Status`, that is, from what the sweep's directory says. So the
command that trains and ``ablate status`` in another terminal show the same.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from typing import get_args

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ablate.config.measure import IN_WORDS, ON_VALIDATION, measure_of, measured_by
from ablate.config.sweep import Trial
from ablate.console import MOST, clock, counted, first_lines, say_text
from ablate.launch.cells import MARKS, PLAIN, STYLES, View, coloured, draw, one_line, view
from ablate.launch.status import Status, TrialState
from ablate.launch.timing import seconds_left, trials_per_hour
from ablate.report.data.grid import grid_of, sweep_rows
from ablate.report.stats.words import numbers
from ablate.sweep import batches, rounds
from ablate.sweep.again import completing
from ablate.sweep.failures import failure_line
from ablate.sweep.holders import STALE
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import TrialResult

FEW = 5  # failures and further cells at most on a screen, which has little room
LEAST_GRID = 6  # lines at least for the cells
SHOWN = {"linear_top1": "linear", "sgd_top1": "SGD", "knn_top1": "kNN"}
QUIET = STALE / 2  # seconds after which the silence of a running trial is marked; after STALE it counts as lost


def print_status(status: Status, console: Console) -> None:
    """Print counts, cells, begun trials with their epochs, failures with reason and log, and the next step."""
    for part in _parts(status, console):
        if isinstance(part, Text):
            say_text(console, part)
        else:
            console.print(part)


def headline(status: Status) -> Text:
    """Return the number of trials in each state, and the jobs in the queue."""
    pruned = sum(record.status == "pruned" for record in status.records.values())
    of_them = {"done": f" ({pruned} of them pruned)"} if pruned else {}
    counts = ", ".join(
        f"{status.count(state)} {state}{of_them.get(state, '')}"
        for state in get_args(TrialState)
        if status.count(state) or state == "done"
    )
    sentence = f"{status.directory}: {len(status.trials)} trials: {counts}"
    if status.jobs and status.jobs.jobs:
        states = Counter(_state(job.state, job.reason) for job in status.jobs.jobs)
        found = ", ".join(f"{number} {state}" for state, number in states.most_common())
        sentence += f"; {counted(len(status.jobs.jobs), 'job')}: {found}"
    return Text(sentence)


def progress(status: Status, now: float) -> Text | None:
    """Return the workers, the speed and the time left; None if nothing of it is known.

    As in ``2 of 2 workers busy, elapsed 3 min 05 s, 12.5 trials/h, about 40 min 00 s left``.

    Args:
        status: the status of the sweep.
        now: the time, in unix seconds.
    """
    work, running = status.work, status.count("running")
    parts = [f"elapsed {clock(now - work.since)}"] if work else []
    if not status.is_complete:
        if work:
            parts.insert(0, f"{min(running, work.workers)} of {counted(work.workers, 'worker')} busy")
        if rung := status.rung:
            parts.append(f"{rung.there} of {counted(rung.trials, 'trial')} at the rung after epoch {rung.epoch}")
    if status.experiment.rounds:
        parts.append(rounds.progress_in_words(status.experiment))
    if status.experiment.budgeted:
        parts.append(batches.progress_in_words(status.experiment))
    if not status.is_complete:
        if per_hour := trials_per_hour(status, now):
            parts.append(f"{per_hour:.3g} trials/h" if per_hour < 1000 else f"{per_hour:,.0f} trials/h")
        stage = status.experiment.stage
        here = f" in this {stage}" if stage else ""
        if _only_evaluates(status):
            parts.append(f"only evaluation is left{here}")
        elif left := seconds_left(status):
            parts.append(f"about {clock(max(1, left))} left{here}")
        elif work or running:
            known = "depends on pruning" if status.experiment.prune else "known after the first epochs"
            parts.append(f"time left: {known}")
    return Text(", ".join(parts)) if parts else None


def _only_evaluates(status: Status) -> bool:
    """Return True if trials run, all their epochs are done, and no trial waits."""
    running = status.at("running")
    waits = status.count("queued", "parked", "interrupted", "lost", "missing")
    epochs = ((status.begun[trial.id].progress.epoch, trial.config.epochs) for trial in running)
    return bool(running) and not waits and all(done >= of for done, of in epochs)


def line(status: Status, now: float) -> Text:
    """Return the progress in one line for where there is no terminal, with the epochs of running trials.

    Args:
        status: the status of the sweep.
        now: the time, in unix seconds.
    """
    running = [(trial, status.begun[trial.id].progress.epoch) for trial in status.at("running")]
    epochs = ", ".join(
        f"{trial.called} s{trial.seed}" + (f" {epoch}/{trial.config.epochs}" if trial.config.epochs else "")
        for trial, epoch in running
    )
    speed = progress(status, now)
    parts = [headline(status).plain, *([speed.plain] if speed else []), *([epochs] if epochs else [])]
    return Text("; ".join(parts))


def outcome(status: Status, result: TrialResult) -> tuple[str, str]:
    """Return the sentence about a trial that has ended, and its style."""
    head = f"{result.called} seed {result.seed}:"
    if result.status == "failed":
        why = result.error.message if result.error else "no reason recorded"
        return f"{head} failed: {why} (log: {SweepDir(status.directory).log(result.id)})", "red"
    if result.status == "pruned":
        epoch = f" after epoch {result.history[-1]['epoch']:.0f}" if result.history else ""
        return f"{head} pruned{epoch}", "dim"
    measure = status.experiment.measure
    shown = {measured_by(metric, measure): name for metric, name in SHOWN.items()} | {"rotation_top1": "rotation"}
    values: dict[str, list[str]] = {}
    for metric, name in shown.items():
        if metric in result.metrics:
            by = measure_of(metric)
            kind = f"{IN_WORDS[by]}: " if by != "top1" else ""
            values.setdefault(kind, []).append(f"{name} {result.metrics[metric]:.1%}")
    accuracy = "; ".join(kind + ", ".join(known) for kind, known in values.items()) or "done"
    flags = f" [{', '.join(result.flags)}]" if result.flags else ""
    took = f" in {clock(result.timings['total'])} of wall time" if "total" in result.timings else ""
    return f"{head} {accuracy}{flags}{took}", ""


def notices(status: Status) -> dict[str, str]:
    """Return a sentence for each running trial that found its checkpoint damaged, by the trial's id."""
    running = [(trial, status.begun[trial.id].progress.metrics) for trial in status.at("running")]
    return {
        trial.id: f"damaged checkpoint set aside as {metrics['damaged_checkpoint']}; {trial.called} starts over"
        for trial, metrics in running
        if "damaged_checkpoint" in metrics
    }


def screen(status: Status, console: Console, hint: str, now: float) -> Group:
    """Return a status that fits the terminal; the cells get the lines that the other parts leave.

    Args:
        status: the status of the sweep.
        console: the terminal.
        hint: the last line, which says what Ctrl-C does.
        now: the time, in unix seconds.
    """
    above, below = _above(status, now), _below(status, FEW)
    if last := _last(status):
        below.insert(0, last)
    below.append(Text(f"as of {time.strftime('%H:%M:%S', time.localtime(now))}; {hint}", style="dim"))
    taken = sum(len(console.render_lines(part)) for part in (*above, *below))
    return Group(*above, *cells(status, console, FEW, console.height - taken), *below)


def _parts(status: Status, console: Console) -> list[RenderableType]:
    return [*_above(status, time.time()), *cells(status, console, MOST, None), *_below(status, MOST)]


def _above(status: Status, now: float) -> list[RenderableType]:
    return [part for part in (headline(status), progress(status, now)) if part]


def _last(status: Status) -> Text | None:
    """Return the result of the last trial that ended, while others are still to run."""
    ended = [result for result in status.records.values() if result.status != "failed"]
    if status.is_over or not ended:
        return None
    sentence, style = outcome(status, max(ended, key=lambda result: result.when))
    return Text(f"last: {sentence}", style=style)


def _below(status: Status, most: int) -> list[RenderableType]:
    """Return the parts below the cells: trials at work, what went wrong, and what to do next."""
    parts: list[RenderableType] = [at_work(status, most)] if _begun(status) else []
    parts += _some(list(notices(status).values()), most, "yellow")
    parts += _some([failure_line(status.directory, result) for result in status.failed], most, "red")
    parts += _some([f"damaged record: {path} (its trial will run again)" for path in status.damaged], most, "yellow")
    parts += _some(status.ended_jobs, most, "yellow")
    if status.note:
        parts.append(Text(status.note, style="yellow"))
    if status.is_over and (status.count("interrupted", "lost", "missing", "parked") or not status.is_compared):
        parts.append(Text(f"to complete it: `{completing(status.directory, status.experiment)}`"))
    elif status.may_continue:
        again = completing(status.directory, status.experiment)
        parts.append(Text(f"the same command trains further compositions, or says why there are none: `{again}`"))
    if status.failed:
        parts.append(
            Text(f"to run failed trials again: `{completing(status.directory, status.experiment, retry_failed=True)}`")
        )
    return parts


def _some(sentences: Sequence[str], most: int, style: str) -> list[Text]:
    """Return the first ``most`` sentences, and the number of the others."""
    if len(sentences) <= most:
        return first_lines(sentences, style)
    return [*first_lines(sentences[:most], style), Text(f"... and {len(sentences) - most} more", style=style)]


def cells(status: Status, console: Console, most: int, height: int | None) -> list[RenderableType]:
    """Return the grid, then the cells that have no place in it; nothing at the start of a sweep.

    Args:
        status: the status of the sweep.
        console: the console, whose width and colours count.
        most: the highest number of further cells.
        height: the highest number of lines, as far as the least of a grid fits; None for any number.
    """
    if not status.records and not status.begun:
        return []
    ascii_only = console.options.ascii_only
    grid = grid_of(sweep_rows(status.trials, status.records), status.experiment.measure, status.experiment.class_counts)
    seen = view(status, dataclasses.replace(grid, given=status.experiment.shared.encoder.starts_given))
    beside = _beside(seen, most, ascii_only=ascii_only)
    room = None if height is None else max(LEAST_GRID, height - len(beside))
    drawn = draw(seen, console.width, ascii_only=ascii_only, height=room) if seen.grid.ops else []
    lines = [*drawn, *beside]
    return [coloured(line) if console.color_system else line for line in lines]


def _beside(seen: View, most: int, *, ascii_only: bool) -> list[Text]:
    """Return a line for each composition beside the grid, the best first, and for each reference."""
    marks = PLAIN if ascii_only else MARKS
    spots = [*seen.further, *seen.references]
    lines = [Text(f"{seen.grid.called(spot.cell.label)}: {one_line(spot, seen, marks)}") for spot in spots[:most]]
    if any(spot.cell.n for spot in seen.further):
        by = ON_VALIDATION[seen.grid.measure]
        lines.insert(0, Text(f"{numbers(seen.grid)}; the best by {by} first", style="dim"))
    return [*lines, Text(f"... and {len(spots) - most} more")] if len(spots) > most else lines


def at_work(status: Status, most: int) -> Table:
    """Return a table of the trials that have begun, running ones first.

    It shows epoch, loss, speed, host and job, and the last sign of life.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")  # within 80 columns
    for heading in ("trial", "seed", "state", "attempt", "epoch", "loss", "img/s", "host", "job", "last news"):
        table.add_column(heading, no_wrap=heading not in {"trial", "host"}, overflow="fold")
    begun = _begun(status)
    for trial in begun[:most]:
        table.add_row(*_row(status, trial))
    if len(begun) > most:
        table.add_row(f"... and {len(begun) - most} more")
    return table


def _begun(status: Status) -> list[Trial]:
    """Return the trials that have begun and do not wait for others, running ones first."""
    there = [trial for trial in status.at("running", "lost", "interrupted") if trial.id in status.begun]
    return sorted(there, key=lambda trial: status.states[trial.id] != "running")


def _row(status: Status, trial: Trial) -> list[Text | str]:
    attempt, progress, beat = status.begun[trial.id]
    loss, speed, state = (
        progress.metrics.get("loss"),
        progress.metrics.get("images_per_second"),
        status.states[trial.id],
    )
    silent = max(0.0, time.time() - max(progress.updated, attempt.began, beat))
    return [
        Text(trial.called),
        str(trial.seed),
        Text(state, style=STYLES[state]),
        str(attempt.number),
        f"{progress.epoch}/{trial.config.epochs}" if trial.config.epochs else "",
        f"{loss:.3f}" if isinstance(loss, float) else "",
        f"{speed:.0f}" if isinstance(speed, float) else "",
        Text(attempt.host),
        attempt.job,
        Text(clock(silent), style="yellow" if state == "running" and silent > QUIET else ""),
    ]


def _state(state: str, reason: str) -> str:
    """Return the state of a job and, if Slurm gives it, the reason why it waits: ``pending (Resources)``."""
    waits = state == "PENDING" and reason not in {"", "None"}
    return f"{state.lower()} ({reason})" if waits else state.lower()
