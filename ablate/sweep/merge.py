"""Merge shards of one sweep, run in several places, into one directory; refuse shards with different settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ablate.config.sweep import SweepPlan, Trial
from ablate.errors import UsageError
from ablate.files import names_in, write_atomically
from ablate.sweep.extend import differences, union
from ablate.sweep.layout import SweepDir
from ablate.sweep.lock import sole_user
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.record import TrialResult, read_records
from ablate.sweep.withdrawal import concerned, withdraw

WORTH = ("failed", "pruned", "done")
"""Statuses in ascending order of preference: of two records of one trial, the later in this list is taken."""


@dataclass(frozen=True)
class Shard:
    """A directory and its part of the merged plan; ``begun`` counts the trials that were begun but have no record."""

    directory: Path
    experiment: SweepPlan
    records: dict[str, TrialResult]
    damaged: list[Path]
    begun: int


@dataclass
class Merged:
    """The result of a merge.

    ``experiment`` and ``trials`` are the whole plan. ``copied`` and ``there`` count the records that were copied and
    those that were there already. ``damaged`` files and ``begun`` trials, counted by directory, were left behind.
    ``withdrawn`` are the sweeps whose recommendation the new records could change.
    """

    experiment: SweepPlan
    trials: list[Trial]
    copied: int = 0
    there: int = 0
    damaged: list[Path] = field(default_factory=list)
    begun: dict[Path, int] = field(default_factory=dict)
    withdrawn: list[Path] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """The number of trials of the whole plan that have no record."""
        return len(self.trials) - self.copied - self.there


def merge(directories: Sequence[Path], out: Path) -> Merged:
    """Merge ``directories`` into ``out``, and leave them unchanged.

    Records, image results, encoders, previews and logs are copied byte for byte; nothing of running trials is copied.
    If several directories have done a trial, one record is kept; a trial that failed in one directory and is done in
    another is done. Everything is checked before anything is written, and running the same command again adds what is
    new. Reports of ``out`` stay as they are, see :func:`ablate.report.correction.correct_pages`.

    Args:
        directories: the sweeps' directories to merge.
        out: the directory to write: a new one, or one that was merged before.

    Raises:
        UsageError: a directory is not a sweep's, is named twice or lies inside another; settings differ; or one trial
            has different results.
        DiskError: the disk refused a write; the same command completes the rest.
    """
    _check_places(directories, out)
    known = [out] if (SweepDir(out).plan).is_file() else []
    shards = _shards([*known, *directories])
    experiment = _common(shards)
    trials = plan(experiment)
    chosen = _chosen(shards, {trial.id for trial in trials})
    merged = Merged(experiment, trials)
    out.mkdir(parents=True, exist_ok=True)
    with sole_user(out):
        save_plan(out, experiment)
        _keep_file(shards, out)
        new = [trial for trial in trials if chosen.get(trial.id, out) != out]
        merged.withdrawn = [sweep for sweep in concerned(out) if withdraw(sweep, new)]
        for trial in trials:
            if trial.id not in chosen:
                continue
            if chosen[trial.id] == out:
                merged.there += 1
            else:
                _copy(trial, chosen[trial.id], out)
                merged.copied += 1
    merged.damaged = [path for shard in shards for path in shard.damaged]
    merged.begun = {shard.directory: shard.begun for shard in shards if shard.begun and shard.directory != out}
    return merged


def _check_places(directories: Sequence[Path], out: Path) -> None:
    target, seen = Path(os.path.realpath(out)), dict[Path, Path]()
    for directory in directories:
        real = Path(os.path.realpath(directory))
        if real in seen:
            raise UsageError(f"{seen[real]} and {directory} are the same directory")
        if real == target or real in target.parents or target in real.parents:
            raise UsageError(f"--out {out} and {directory}: neither may lie in the other")
        seen[real] = directory
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is not a directory")
    if names_in(out) and not (SweepDir(out).plan).is_file():
        raise UsageError(f"--out {out} holds other files; name a new directory, or one that was merged before")


def _shards(directories: Iterable[Path]) -> list[Shard]:
    shards = []
    for directory in directories:
        experiment = load_plan(directory)
        records, damaged = read_records(directory, plan(experiment))
        begun = names_in(SweepDir(directory).running) - records.keys()
        shards.append(Shard(directory, experiment, records, damaged, len(begun)))
    return shards


def _common(shards: Sequence[Shard]) -> SweepPlan:
    """Return the union of the shards' plans.

    Raises:
        UsageError: a shared setting differs; the message names every difference.
    """
    first = shards[0]
    whole = first.experiment
    for shard in shards[1:]:
        changes = differences(whole, shard.experiment)
        if changes:
            raise UsageError(
                f"{first.directory} and {shard.directory} are not shards of one sweep "
                f"({'; '.join(changes)}, in the second)"
            )
        if whole.rounds != shard.experiment.rounds:
            raise UsageError(
                f"{first.directory} and {shard.directory} cannot be merged: their rounds of seeds differ, so cells "
                "have been dropped by different comparisons"
            )
        both = union(whole, shard.experiment)
        prune = whole.prune and shard.experiment.prune  # the cells of a shard that does not prune are all kept
        whole = both.replace(command=whole.command, data=whole.data, eval_data=whole.eval_data, prune=prune)
    return whole


def _chosen(shards: Sequence[Shard], planned: set[str]) -> dict[str, Path]:
    """Return the directory from which the record of each trial is taken.

    It is the first directory in which the trial is done, else the first in which it is pruned, else failed.

    Raises:
        UsageError: two directories have done a trial with different results.
    """
    chosen: dict[str, Shard] = {}
    for shard in shards:
        for name, record in shard.records.items():
            if name not in planned:
                continue
            other = chosen.get(name)
            if other is None or WORTH.index(record.status) > WORTH.index(other.records[name].status):
                chosen[name] = shard
            elif record.status == "done" == other.records[name].status:
                _check_equal(other.records[name], other.directory, record, shard.directory)
    return {name: shard.directory for name, shard in chosen.items()}


def _check_equal(a: TrialResult, where: Path, b: TrialResult, there: Path) -> None:
    """Raise UsageError unless every metric that both records hold has the same value.

    One of them may have been evaluated by more protocols.
    """
    unequal = [name for name in sorted(a.metrics.keys() & b.metrics.keys()) if a.metrics[name] != b.metrics[name]]
    if unequal:
        values = ", ".join(f"{name} {a.metrics[name]:.6g} and {b.metrics[name]:.6g}" for name in unequal[:3])
        raise UsageError(
            f"trial {a.id} ({a.label}, seed {a.seed}) has different results in {where} and {there}: {values}; "
            "remove one of the two records"
        )


def _keep_file(shards: Sequence[Shard], out: Path) -> None:
    """Copy the weights that trials start from, and the experiment file of the first shard, so ``out`` depends on none.

    The merged plan keeps the command of that shard.
    """
    file = SweepDir(shards[0].directory).experiment
    if file.is_file() and shards[0].directory != out:
        write_atomically(SweepDir(out).experiment, file.read_bytes())
    for path in (path for shard in shards for path in sorted(SweepDir(shard.directory).inits.glob("[!.]*"))):
        if not (out / path.relative_to(path.parent.parent)).is_file():
            write_atomically(out / path.relative_to(path.parent.parent), path.read_bytes())


def _copy(trial: Trial, source: Path, out: Path) -> None:
    """Copy a trial's files, its record last: wherever the record is, the other files are there too."""
    beside = [SweepDir(source).log(trial.id), SweepDir(source).preview(trial.config.key)]
    beside += [SweepDir(source).image_results(trial.id), *sorted(SweepDir(source).encoders.glob(f"{trial.id}.*"))]
    for path in [*beside, SweepDir(source).record(trial.id)]:
        if path.is_file():
            write_atomically(out / path.relative_to(source), path.read_bytes())
