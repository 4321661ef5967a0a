"""The live display of a local sweep; plain lines where the output is not a terminal."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ablate.config.measure import IN_WORDS, Measure, measured_by
from ablate.config.sweep import Trial
from ablate.console import clock, say
from ablate.errors import DamagedRecord
from ablate.launch.timing import REPRESENTATIVE, remaining_seconds
from ablate.sweep.layout import SweepDir
from ablate.sweep.progress import TrialProgress, read_progress
from ablate.sweep.record import TrialResult, read_record

REFRESH = 0.5  # seconds between looks at the running trials
PLAIN_EVERY = 30.0  # seconds between lines about running trials when not on a terminal
SHOWN = {"linear_top1": "linear", "sgd_top1": "SGD", "knn_top1": "kNN"}


class Progress:
    """A display of a sweep on disk: cells done, epochs of running trials, latest accuracies and the time left."""

    def __init__(
        self,
        console: Console,
        directory: Path,
        trials: list[Trial],
        finished: int,
        workers: int,
        *,
        prunes: bool = False,
        measure: Measure = "top1",
    ) -> None:
        self.console, self.directory, self.workers = console, directory, workers
        self.prunes = prunes  # then it is not known which trials will end early, and no time is shown
        self.shown = {measured_by(metric, measure): name for metric, name in SHOWN.items()}
        self.shown["rotation_top1"] = "rotation"
        self.about = f"{IN_WORDS[measure]}: " if measure != "top1" else ""
        self.total = len(trials) + finished
        self.already = finished
        self.pending = {trial.id: trial for trial in trials}
        self.results: list[TrialResult] = []
        self.warned: set[str] = set()
        self.started = self.refreshed = self.said = time.monotonic()
        self.began: dict[str, float] = {}
        self.first_epoch: dict[str, int] = {}  # a resumed trial does not start at 0
        self.running: list[tuple[Trial, TrialProgress]] = []
        self.rung: tuple[int, set[str]] | None = None  # the next rung's epoch, and the trials that train to it
        self.live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self.live:
            self.live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.live:
            self.live.__exit__(kind, error, tb)

    def head_for(self, trials: list[Trial], until: int | None) -> None:
        """Note that ``trials`` train to the end of epoch ``until``, a rung; None: trials train to their end."""
        self.rung = None if until is None else (until, {trial.id for trial in trials})
        for trial in trials:
            self.began.pop(trial.id, None)  # trials that stopped at an earlier rung begin again
            self.first_epoch.pop(trial.id, None)

    def update(self, running: list[Trial]) -> None:
        """Look at the disk, at most every half second, and show changes."""
        now = time.monotonic()
        for trial in running:
            self.began.setdefault(trial.id, now)
        if now - self.refreshed < REFRESH:
            return
        self.refreshed = now
        at_work = {trial.id for trial in running}
        self.finish([self.pending[i] for i in self.began if i in self.pending and i not in at_work])
        self.running = [(trial, self._progress(trial)) for trial in running]
        for trial, progress in self.running:
            self.first_epoch.setdefault(trial.id, progress.epoch)
        if self.live:
            self.live.update(self._screen(), refresh=True)
        elif now - self.said >= PLAIN_EVERY:
            self.said = now
            say(self.console, self._plain())

    def finish(self, trials: Iterable[Trial]) -> None:
        """Take note of trials whose records have appeared."""
        for trial in trials:
            try:
                result = read_record(SweepDir(self.directory).record(trial.id), points=1)
            except (FileNotFoundError, DamagedRecord):
                continue
            del self.pending[trial.id]
            self.results.append(result)
            say(self.console, *self._line(result))

    def end(self) -> None:
        """Take note of the last changes, and leave a last line that is up to date."""
        self.finish(list(self.pending.values()))
        self.running = []
        if self.live:
            self.live.update(self._screen(), refresh=True)

    def _progress(self, trial: Trial) -> TrialProgress:
        progress = read_progress(self.directory, trial.id) or TrialProgress.nothing_yet(trial)
        damaged = progress.metrics.get("damaged_checkpoint")
        if damaged and trial.id not in self.warned:
            self.warned.add(trial.id)
            say(self.console, f"damaged checkpoint set aside as {damaged}; {trial.label} starts over", "yellow")
        return progress

    def seconds_left(self) -> float | None:
        """Estimate the seconds left, from measured trials or, before the first, from the pace of running ones."""
        if self.prunes:
            return None
        measured = [r.timings["total"] for r in self.results if r.reference in REPRESENTATIVE and r.timings]
        known = measured or self._paces()
        if not known:
            return None
        each = statistics.fmean(known)
        at_work = {trial.id for trial, _ in self.running}
        waiting = sum(t.reference != "untrained" for t in self.pending.values() if t.id not in at_work)
        needs = [each * (1 - progress.epoch / max(1, trial.config.epochs)) for trial, progress in self.running]
        return remaining_seconds(each, waiting, needs, self.workers)

    def _paces(self) -> list[float]:
        """Estimate how many seconds each running trial takes in all, once two of its epochs were seen."""
        paces = []
        for trial, progress in self.running:
            seen = progress.epoch - self.first_epoch[trial.id]
            if trial.reference in REPRESENTATIVE and seen >= 2:
                paces.append((time.monotonic() - self.began[trial.id]) / seen * trial.config.epochs)
        return paces

    @property
    def done(self) -> int:
        """The number of trials with a record, including those of earlier runs."""
        return self.already + len(self.results)

    def _headline(self) -> str:
        failed = sum(result.status == "failed" for result in self.results)
        left = self.seconds_left()
        parts = [f"{self.done}/{self.total} trials done"]
        if self.rung and self.pending:
            until, ids = self.rung
            there = ids & self.began.keys() - {trial.id for trial, _ in self.running}
            parts += [f"{len(there)}/{len(ids)} at the rung after epoch {until}"]
        parts += [f"{failed} failed"] if failed else []
        if self.pending:
            parts += [f"{len(self.running)} running" if self.began else "starting workers"]
            if self.began and not self.running:
                parts += [f"{len(self.pending)} still to train"]
        parts += [f"elapsed {clock(time.monotonic() - self.started)}"]
        if self.pending:
            unknown = "time left: depends on pruning" if self.prunes else "time left: known after the first epochs"
            parts += [f"about {clock(left)} left" if left is not None else unknown]
        return " · ".join(parts)

    def _plain(self) -> str:
        epochs = ", ".join(f"{t.label} s{t.seed} {p.epoch}/{t.config.epochs}" for t, p in self.running)
        return f"{self._headline()} · {epochs}" if epochs else self._headline()

    def _line(self, result: TrialResult) -> tuple[str, str]:
        """Return the sentence about a finished trial, and its style."""
        head = f"[{self.done}/{self.total}] {result.label} seed {result.seed}: "
        if result.status == "failed":
            reason = result.error.message if result.error else "no reason recorded"
            return f"{head}failed: {reason} (log: {SweepDir(self.directory).log(result.id)})", "red"
        if result.status == "pruned":
            return f"{head}pruned after epoch {result.history[-1]['epoch']:.0f}", "dim"
        known = [
            f"{name} {result.metrics[metric]:.1%}" for metric, name in self.shown.items() if metric in result.metrics
        ]
        accuracy = self.about + ", ".join(known) if known else "done"
        flags = f" [{', '.join(result.flags)}]" if result.flags else ""
        return f"{head}{accuracy}{flags} in {clock(result.timings['total'])} of wall time", ""

    def _screen(self) -> Group:
        table = Table(box=None, pad_edge=False, show_header=bool(self.running), header_style="dim")
        for name in ("running", "seed", "epoch", "", "loss", "images/s"):
            table.add_column(name, justify="left" if name in {"running", ""} else "right", no_wrap=True)
        for trial, progress in self.running:
            metrics, epochs = progress.metrics, max(1, trial.config.epochs)
            filled = round(20 * progress.epoch / epochs)
            table.add_row(
                Text(trial.label),
                str(trial.seed),
                f"{progress.epoch}/{trial.config.epochs}",
                "█" * filled + "░" * (20 - filled),
                f"{metrics['loss']:.3f}" if "loss" in metrics else "",
                f"{metrics['images_per_second']:.0f}" if "images_per_second" in metrics else "",
            )
        return Group(Text(self._headline(), style="bold"), table)
