"""Survey a sweep's records: which trials are done, failed, missing, pruned or damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.config.sweep import Trial
from ablate.console import counted
from ablate.errors import DamagedRecord
from ablate.files import names_in
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import TrialResult, read_record


@dataclass(frozen=True)
class State:
    """The state of a sweep's trials on disk; records are without their histories.

    ``pruned`` trials count as finished in a sweep that prunes; in one that does not, they count as missing.
    """

    finished: list[TrialResult]
    failed: list[TrialResult]
    missing: list[Trial]
    damaged: list[Path]
    begun: int
    pruned: list[TrialResult]


def without_history(path: Path) -> TrialResult:
    """Read a record as :func:`read_record` does, without its history."""
    return read_record(path, points=0)


def survey(
    directory: Path,
    trials: list[Trial],
    read: Callable[[Path], TrialResult] = without_history,
    *,
    prunes: bool = True,
) -> State:
    """Sort ``trials`` by the state of their records, without changing anything on disk.

    A trial whose record is damaged counts as missing.

    Args:
        directory: the sweep's directory.
        trials: the trials of its plan.
        read: the function that reads a record.
        prunes: True if a pruned trial counts as finished.
    """
    finished: list[TrialResult] = []
    failed: list[TrialResult] = []
    missing: list[Trial] = []
    damaged: list[Path] = []
    pruned: list[TrialResult] = []
    recorded = names_in(SweepDir(directory).trials)
    for trial in trials:
        path = SweepDir(directory).record(trial.id)
        if path.name not in recorded:
            missing.append(trial)
            continue
        try:
            result = read(path)
        except FileNotFoundError:
            missing.append(trial)
        except DamagedRecord:
            damaged.append(path)
            missing.append(trial)
        else:
            if result.status == "pruned":
                pruned.append(result)
                if not prunes:
                    missing.append(trial)
                    continue
            (failed if result.status == "failed" else finished).append(result)
    begun = len({trial.id for trial in missing} & names_in(SweepDir(directory).running))
    return State(finished, failed, missing, damaged, begun, pruned)


def numbers(trials: Sequence[Trial], state: State, retry_failed: bool) -> dict[str, int]:
    """Return how many trials there are, are done, pruned, failed and begun, and will run, as :func:`summary` says.

    Args:
        trials: the trials of the plan.
        state: the result of :func:`survey`.
        retry_failed: True if failed trials will run again.
    """
    again = len({trial.id for trial in state.missing} & {result.id for result in state.pruned})
    return {
        "planned": len(trials),
        "done": len(state.finished) - (0 if again else len(state.pruned)),
        "pruned": len(state.pruned),
        "failed": len(state.failed),
        "begun": state.begun,
        "to_run": len(state.missing) + len(state.failed) * retry_failed,
    }


def summary(trials: list[Trial], state: State, retry_failed: bool) -> str:
    """Summarise in one line how many trials there are, are done, have failed, and will run.

    Args:
        trials: the trials of the plan.
        state: what :func:`survey` found.
        retry_failed: True if failed trials will run again.
    """
    cells = len({trial.label for trial in trials if trial.reference is None})
    counts = Counter(trial.label for trial in trials if trial.reference is None).values()
    seeds = len({trial.seed for trial in trials if trial.reference is None} or {trial.seed for trial in trials})
    fewest = min(counts, default=seeds)
    each = counted(seeds, "seed") if fewest == seeds else f"{fewest} to {seeds} seeds"
    references = sum(trial.reference is not None for trial in trials)
    beside = f" + {counted(references, 'reference')}" if references else ""
    parts = [f"{counted(cells, 'cell')} x {each}{beside} = {counted(len(trials), 'trial')}"]
    again = len({trial.id for trial in state.missing} & {result.id for result in state.pruned})
    count = numbers(trials, state, retry_failed)
    parts += [f"{count['done']} done"] if count["done"] else []
    parts += [f"{count['pruned']} pruned{' (to train to the end)' * bool(again)}"] if state.pruned else []
    if state.failed:
        parts += [f"{count['failed']} failed ({'to rerun' if retry_failed else 'kept; --retry-failed reruns them'})"]
    parts += [f"{count['begun']} begun"] if state.begun else []
    return "; ".join([*parts, f"{count['to_run']} to run"])
