"""Trained encoders on disk, loadable without ablate: safetensors with the configuration beside them.

``DIR/encoders/<id>.safetensors`` holds the encoder's state dict. For ResNets it has torchvision's own names, without
``fc`` (up to 64 px with a 3x3 ``conv1`` and no max pool). ``<id>.head.safetensors`` holds the head's state dict: the
projection head, or a supervised trial's classifier. ``<id>.json`` describes both, their input and their metrics;
``ranges`` are the values of deep images that became 0 and 1 in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ablate.config.encoder import WIDTHS
from ablate.config.measure import Measure, measured_by
from ablate.config.reading import Range
from ablate.config.sweep import Trial
from ablate.config.trial import SMALL_IMAGE, TrialConfig
from ablate.errors import DiskError, UsageError, first_line
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import Lease
from ablate.training.body import WRAPPER
from ablate.training.trainer import build_model

Keep = Literal["all", "best", "none"]
State = dict[str, Tensor]

CHOSEN_BY = ("linear_val_top1", "rotation_val_top1")


def check_keep(keep: Keep, protocols: Sequence[str]) -> None:
    """Raise UsageError if the best encoder is to be kept and no protocol can tell which one that is."""
    if keep == "best" and not {"linear", "rotation"} & set(protocols):
        raise UsageError(
            "the best encoder is chosen by the validation accuracy of linear evaluation or, without labels, rotation "
            "prediction: add linear or rotation to the protocols, or keep all"
        )


def save(
    lease: Lease,
    trial: Trial,
    encoder: nn.Module,
    head: nn.Module,
    metrics: dict[str, float],
    keep: Keep,
    measure: Measure = "top1",
    ranges: Sequence[Range] | None = None,
) -> bool:
    """Write a trial's encoder and head under ``directory/encoders``, atomically; return True if they are kept.

    ``best`` keeps one encoder per directory, however many workers save at once. It is the one with the highest
    ``linear_val_top1`` (by ``measure``, ``linear_val_balanced_accuracy``; without these, ``rotation_val_top1``); among
    equals it is the one with the smaller id. References do not compete.

    Args:
        lease: the lease on the trial, in whose directory its encoder is kept.
        trial: the trial.
        encoder: its encoder.
        head: its head.
        metrics: its metrics.
        keep: which encoders are kept: all, best or none.
        measure: what chooses the best.
        ranges: the values that became 0 and 1 in its images of more than 8 bits, for each channel or for all.

    Raises:
        LostLease: the lease is not held.
        DiskError: the disk refused a write.
    """
    directory = lease.directory
    if keep == "none":
        return False
    if keep == "all":
        _write(lease, trial, encoder, head, metrics, ranges)
        return True
    if trial.reference is not None:
        return False
    with _alone(SweepDir(directory).encoders):
        described = {name: describe(directory, name) for name in kept(directory) if name != trial.id}
        rivals = [name for name, content in described.items() if content["reference"] is None]
        known = {trial.id: metrics, **{name: described[name]["metrics"] for name in rivals}}
        if trial.id != _best(known, measure):
            return False
        _write(lease, trial, encoder, head, metrics, ranges)
        for name in rivals:
            _remove(directory, name)
    return True


def kept(directory: Path) -> list[str]:
    """Return the ids of the trials whose encoders ``directory`` holds, in order."""
    return sorted(path.stem for path in SweepDir(directory).encoders.glob("[!.]*.json"))


def describe(directory: Path, trial_id: str) -> dict[str, Any]:
    """Return the content of ``<id>.json``: ``config, seed, label, reference, input, ranges, size, metrics``."""
    content: dict[str, Any] = json.loads(SweepDir(directory).encoder(trial_id, "json").read_text(encoding="utf-8"))
    return content


def load(directory: Path, trial_id: str) -> tuple[State, State]:
    """Return the state dicts of encoder and head, on the CPU, under the names that the files have.

    Raises:
        UsageError: a file is missing or damaged.
    """
    return _read(SweepDir(directory).encoder(trial_id, "safetensors")), _read(
        SweepDir(directory).encoder(trial_id, "head.safetensors")
    )


def rebuild(directory: Path, trial_id: str, config: TrialConfig) -> tuple[nn.Module, nn.Module]:
    """Return the encoder and head of a trial as modules, on the CPU, in evaluation mode and its memory format."""
    states = load(directory, trial_id)
    any_weights = config.encoder.replace(weights="", init="")  # the initial weights are overwritten at once
    model = build_model(config.replace(encoder=any_weights), 0, config.data.classes)
    encoder, head = model["encoder"], model["head"]
    layout = torch.channels_last if config.memory_format == "channels_last" else torch.contiguous_format
    for module, state in zip((encoder, head), states, strict=True):
        prefix = WRAPPER if hasattr(module, "net") else ""
        module.load_state_dict({prefix + name: value for name, value in state.items()})
        module.eval().to(memory_format=layout)
    return encoder, head


def init_file(directory: Path, config: TrialConfig) -> Path | None:
    """Return the file of the weights from which a trial in ``directory`` starts; None if its weights are drawn.

    A confirmation and a calibration lie inside the sweep from which they take their settings, and so do the weights.
    """
    if not config.encoder.init:
        return None
    places = [SweepDir(place).init(config.encoder.init) for place in (directory, *directory.absolute().parents[:2])]
    return next((file for file in places if file.is_file()), places[0])


def _input(config: TrialConfig) -> str:
    """Say what an encoder takes."""
    channels, normalize = config.data.channels, config.encoder.normalize
    kind = "RGB" if channels == 3 else f"{channels} channel{'s' * (channels > 1)}"
    then = (
        f"it was trained behind (x - mean) / std of every channel, which the weights do not do: {normalize}"
        if normalize
        else "no mean is subtracted and nothing divided by a standard deviation"
    )
    return f"{kind}, float32 in [0, 1], [n, {channels}, size, size]; {then}"


def _write(
    lease: Lease,
    trial: Trial,
    encoder: nn.Module,
    head: nn.Module,
    metrics: dict[str, float],
    ranges: Sequence[Range] | None,
) -> None:
    """Write the weights first and the description last: if the description is there, the weights are whole."""
    normalize = trial.config.encoder.normalize
    metadata = {"format": "pt"} | ({"normalize": normalize.model_dump_json()} if normalize else {})
    for kind, module in (("safetensors", encoder), ("head.safetensors", head)):
        state = {  # clones, since tied weights may not share memory in the file
            name.removeprefix(WRAPPER): value.detach().cpu().contiguous().clone()
            for name, value in module.state_dict().items()
        }
        lease.write(SweepDir(lease.directory).encoder(trial.id, kind), to_bytes(state, metadata=metadata))
    description = {
        **trial.model_dump(mode="json", include={"config", "seed", "label", "reference"}),
        "input": _input(trial.config),
        "ranges": ranges,
        "size": trial.config.image_size,
        "encoder": _in_words(trial.config),
        "metrics": metrics,
    }
    lease.write(SweepDir(lease.directory).encoder(trial.id, "json"), json.dumps(description, indent=1) + "\n")


def _in_words(config: TrialConfig) -> str:
    start = f"; trained from the weights {config.encoder.init}" if config.encoder.init else ""
    return f"{_architecture(config)}{start}"


def _architecture(config: TrialConfig) -> str:
    encoder = config.encoder
    if encoder.name == "resnet8":
        return f"ablate's ResNet8, width {encoder.width}"
    if encoder.is_foreign:
        loaded = f", trained from the weights {encoder.weights}" if encoder.weights else ""
        return f"{encoder.name} ({encoder.code}{loaded})"
    stem = ", conv1 3x3 with stride 1 and no maxpool" if config.image_size <= SMALL_IMAGE else ""
    wide = f", every layer's channels times {encoder.width // WIDTHS[1]}" if encoder.width != WIDTHS[1] else ""
    return f"torchvision.models.{encoder.name} without fc{stem}{wide}"


def _alone(folder: Path) -> AbstractContextManager[object]:
    """Return the lock of ``folder``, held until the ``with`` block ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / ".lock").acquire()
    except OSError as error:
        raise DiskError(error.errno, error.strerror, str(folder)) from error


def _read(path: Path) -> State:
    try:
        state: State = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path} is missing or damaged ({first_line(error)}); its trial has to be run again") from None
    return state


def _best(known: dict[str, dict[str, float]], measure: Measure) -> str | None:
    """Return the best of the trials in ``known``, by the first validation metric that any of them has."""
    names = [measured_by(CHOSEN_BY[0], measure), *CHOSEN_BY]
    shared = [name for name in names if all(name in metrics for metrics in known.values())]
    some = [name for name in names if any(name in metrics for metrics in known.values())]
    for name in (shared or some)[:1]:
        return min((-metrics[name], trial_id) for trial_id, metrics in known.items() if name in metrics)[1]
    return None


def _remove(directory: Path, trial_id: str) -> None:
    """Remove the description first, since it was written last."""
    for kind in ("json", "safetensors", "head.safetensors"):
        SweepDir(directory).encoder(trial_id, kind).unlink(missing_ok=True)
