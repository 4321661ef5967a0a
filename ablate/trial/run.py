"""One trial from start to record: train, evaluate, write the result."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ablate.compiled import keep_code
from ablate.config.sweep import Trial
from ablate.config.trial import TrialConfig
from ablate.data import DataSet, cache_dir, read_entry
from ablate.distributed import ALONE, World
from ablate.errors import DamagedRecord, Interrupted, TrialHeld
from ablate.evaluation.protocols import check_protocols, default_protocols
from ablate.files import set_aside
from ablate.ops.composition import Composition
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import Lease, claim
from ablate.sweep.record import TrialResult, read_record
from ablate.trial import endings
from ablate.trial.attempt import TrialAttempt
from ablate.trial.context import STOPPED, Context
from ablate.trial.encoders import Keep, check_keep
from ablate.trial.thumbnail import write_preview


def run_trial(
    config: TrialConfig,
    directory: str | Path,
    context: Context | None = None,
    *,
    data: DataSet | None = None,
    seed: int = 0,
    label: str = "",
    device: str | torch.device | None = None,
    retry_failed: bool = False,
    protocols: Sequence[str] | None = None,
    keep_encoders: Keep = "none",
    world: World = ALONE,
) -> TrialResult:
    """Train and evaluate ``config`` with ``seed``; write ``directory/trials/<key>-s<seed>.json`` and return it.

    A trial that already has a record is returned without work; one with a checkpoint under ``directory/running``
    resumes from it. An exception inside the trial becomes a record with status ``failed`` and the traceback, which is
    kept until ``retry_failed``. A damaged record is set aside, and reported as ``{"damaged_record": path}``.

    Args:
        config: the configuration.
        directory: where the record, the checkpoint and the encoder go.
        context: the exchange with whoever runs the trial.
        data: the images; by default those that the default cache holds under the fingerprint in ``config``.
        seed: the trial's seed.
        label: its name, for display; by default the names of its ops.
        device: where it runs; by default the device in ``config``.
        retry_failed: run the trial again if its record is a failed one.
        protocols: the evaluations to record, as :func:`ablate.evaluation.protocols.parse_protocols` returns them; by
            default linear evaluation and kNN, or those that need no labels.
        keep_encoders: whether the trained encoder is written to ``directory/encoders``, see
            :func:`ablate.trial.encoders.save`.
        world: the processes that train together (:func:`ablate.distributed.join`). All make the same call with the same
            ``directory``; the first evaluates and writes, and all return the record.

    Raises:
        FileNotFoundError: the default cache does not hold the images.
        UsageError: ``config`` names an unknown op, or another version of it; a protocol needs labels; no protocol tells
            which encoder is the best.
        ValueError: ``data`` is not the data that ``config`` names, or ``world`` has another size than ``config`` says.
        TrialHeld: another process is at work on this trial.
        Interrupted: ``context.stop_requested()`` returned True; the same call resumes.
        DiskError: the disk refused the checkpoint or the record.
    """
    data = _images(config, data)
    if world.size != config.world_size:
        raise ValueError(f"the configuration is for {config.world_size} processes, not {world.size}")
    trial = Trial(config=config, seed=seed, label=label or config.op_names or "none")
    Composition.from_specs(config.composition, config.second)
    protocols = default_protocols(data) if protocols is None else protocols
    check_protocols(protocols, data)
    check_keep(keep_encoders, protocols)
    context, root = context or Context(), Path(directory)
    if config.compile:
        keep_code(cache_dir(None), config.threads)
    with _shared_claim(root, trial.id, world) as lease:
        if (existing := _shared_record(SweepDir(root).record(trial.id), context, retry_failed, world)) is not None:
            shutil.rmtree(SweepDir(root).begun(trial.id), ignore_errors=True)
            return existing
        where = torch.device(device or config.device)
        return execute(trial, root, data, where, lease, context, protocols, keep_encoders, world)


def _images(config: TrialConfig, data: DataSet | None) -> DataSet:
    """Return ``data``, or the images in the default cache, if they are those that ``config`` names."""
    if data is None:
        data = read_entry(cache_dir(None), config.data.fingerprint)
    if data.fingerprint != config.data.fingerprint:
        raise ValueError(f"the configuration is for data {config.data.fingerprint}, not {data.fingerprint}")
    return data


@contextlib.contextmanager
def _shared_claim(directory: Path, trial_id: str, world: World) -> Iterator[Lease]:
    """Let the first process claim the trial for all of them."""
    with contextlib.ExitStack() as stack:
        answer: Lease | TrialHeld | None = None
        if world.rank == 0:
            try:
                answer = stack.enter_context(claim(directory, trial_id))
            except TrialHeld as held:
                answer = held
        answer = world.broadcast(answer)
        if isinstance(answer, TrialHeld):
            raise answer
        assert answer is not None
        yield answer


def _shared_record(path: Path, context: Context, retry_failed: bool, world: World) -> TrialResult | None:
    """Let the first process look for the record for all of them."""
    existing: TrialResult | None = world.broadcast(_on_record(path, context, retry_failed) if world.rank == 0 else None)
    return existing


def _on_record(path: Path, context: Context, retry_failed: bool) -> TrialResult | None:
    """Return the record at ``path``, if any; set aside a damaged one, or a failed one that is to be retried."""
    try:
        result = read_record(path)
    except FileNotFoundError:
        return None
    except DamagedRecord:
        context.report(0, {"damaged_record": str(set_aside(path))})
        return None
    if retry_failed and result.status == "failed":
        set_aside(path, "failed")
        return None
    return result


def execute(
    trial: Trial,
    directory: Path,
    data: DataSet,
    device: torch.device,
    lease: Lease,
    context: Context,
    protocols: Sequence[str] | None = None,
    keep_encoders: Keep = "none",
    world: World = ALONE,
) -> TrialResult:
    """Run ``trial`` whatever is on record, resuming from its checkpoint if there is one; see :func:`run_trial`.

    Args:
        trial: the trial.
        directory: as in :func:`run_trial`.
        data: the images.
        device: where it runs.
        lease: the claim on the trial.
        context: as in :func:`run_trial`.
        protocols: as in :func:`run_trial`.
        keep_encoders: as in :func:`run_trial`.
        world: as in :func:`run_trial`.

    Raises:
        LostLease: another process took over ``lease``; nothing has been written since.
        LostRank: another process is gone, and ``context`` says that this one does not record it.
        Interrupted, DiskError: as in :func:`run_trial`.
        Parked: the trial has reached ``context.until``.
    """
    torch.set_num_threads(trial.config.threads)
    protocols = default_protocols(data) if protocols is None else protocols
    run = TrialAttempt(trial, directory, data, device, lease, context, world, online="online" in protocols)
    if world.rank == 0:
        write_preview(directory, trial.config, data, device)
    try:
        run.train()
        if world.rank > 0:
            return _heard(world)
        outcome = run.evaluate(protocols)
        run.keep(keep_encoders, outcome["metrics"])
    except endings.LEFT:
        raise
    except Exception as error:  # becomes a record, so that the sweep continues
        return endings.failed(run, error)
    return endings.done(run, outcome)


def _heard(world: World) -> TrialResult:
    """Return the record that process 0 sends; raise Interrupted if it was asked to stop before it had one."""
    message = world.hear()
    if message == STOPPED:
        raise Interrupted
    return TrialResult.model_validate_json(message)
