"""Trained encoders on disk, loadable without ablate: safetensors with the configuration beside them.

``DIR/encoders/<id>.safetensors`` holds the encoder's state dict: for ResNets under torchvision's own names, without
``fc`` (up to 64 px with a 3x3 ``conv1`` and no max pool). ``<id>.head.safetensors`` holds the head's: the projection
head, or a supervised trial's classifier. ``<id>.json`` says what they are, what goes in and how good they were.
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

from ablate.config.measure import Measure, measured_by
from ablate.config.sweep import Trial
from ablate.config.trial import SMALL_IMAGE, WIDTHS, TrialConfig
from ablate.errors import UsageError, first_line
from ablate.files import DiskTrouble, write_atomically
from ablate.simclr.trainer import build_model

Keep = Literal["all", "best", "none"]
State = dict[str, Tensor]

INPUT = "RGB, float32 in [0, 1], [n, 3, size, size]; no mean is subtracted and nothing divided by a standard deviation"
CHOSEN_BY = ("linear_val_top1", "rotation_val_top1")
WRAPPER = "net."  # where our ResNet holds torchvision's


def check_keep(keep: Keep, protocols: Sequence[str]) -> None:
    """Raise UsageError when the best is to be kept and no protocol says which that is."""
    if keep == "best" and not {"linear", "rotation"} & set(protocols):
        raise UsageError(
            "the best encoder is chosen by the validation accuracy of linear evaluation or, without labels, rotation "
            "prediction: add linear or rotation to the protocols, or keep all"
        )


def save(
    directory: Path,
    trial: Trial,
    encoder: nn.Module,
    head: nn.Module,
    metrics: dict[str, float],
    keep: Keep,
    measure: Measure = "top1",
) -> bool:
    """Write a trial's encoder and head under ``directory/encoders``, atomically; True if they are kept.

    ``best`` keeps one encoder per directory, that with the highest ``linear_val_top1`` (by ``measure``, the
    ``linear_val_balanced_accuracy``; else ``rotation_val_top1``; the smaller id among equals), whatever the number of
    workers that save at once. References do not compete.

    Raises:
        DiskTrouble: the disk refused a write.
    """
    if keep == "none":
        return False
    if keep == "all":
        _write(directory, trial, encoder, head, metrics)
        return True
    if trial.reference is not None:
        return False
    with _alone(directory / "encoders"):
        described = {name: describe(directory, name) for name in kept(directory) if name != trial.id}
        rivals = [name for name, content in described.items() if content["reference"] is None]
        known = {trial.id: metrics, **{name: described[name]["metrics"] for name in rivals}}
        if trial.id != _best(known, measure):
            return False
        _write(directory, trial, encoder, head, metrics)
        for name in rivals:
            _remove(directory, name)
    return True


def kept(directory: Path) -> list[str]:
    """The ids of the trials whose encoders ``directory`` holds, in order."""
    return sorted(path.stem for path in (directory / "encoders").glob("[!.]*.json"))


def describe(directory: Path, trial_id: str) -> dict[str, Any]:
    """What ``<id>.json`` says: ``config, seed, label, reference, input, size, metrics``."""
    content: dict[str, Any] = json.loads(_path(directory, trial_id, "json").read_text(encoding="utf-8"))
    return content


def load(directory: Path, trial_id: str) -> tuple[State, State]:
    """The state dicts of encoder and head, on the CPU, under the names that the files have.

    Raises:
        UsageError: a file is missing or damaged.
    """
    return _read(_path(directory, trial_id, "safetensors")), _read(_path(directory, trial_id, "head.safetensors"))


def rebuild(directory: Path, trial_id: str, config: TrialConfig) -> tuple[nn.Module, nn.Module]:
    """The encoder and head of a trial as modules, on the CPU, in evaluation mode and the trial's memory format."""
    states = load(directory, trial_id)
    any_weights = config.encoder.replace(weights="")  # what it starts from is overwritten at once
    model = build_model(config.replace(encoder=any_weights), 0, config.data.classes)
    encoder, head = model["encoder"], model["head"]
    layout = torch.channels_last if config.memory_format == "channels_last" else torch.contiguous_format
    for module, state in zip((encoder, head), states, strict=True):
        prefix = WRAPPER if hasattr(module, "net") else ""
        module.load_state_dict({prefix + name: value for name, value in state.items()})
        module.eval().to(memory_format=layout)
    return encoder, head


def _write(directory: Path, trial: Trial, encoder: nn.Module, head: nn.Module, metrics: dict[str, float]) -> None:
    """The description comes last: where it is, the weights are whole."""
    for kind, module in (("safetensors", encoder), ("head.safetensors", head)):
        state = {  # clones, since tied weights may not share memory in the file
            name.removeprefix(WRAPPER): value.detach().cpu().contiguous().clone()
            for name, value in module.state_dict().items()
        }
        write_atomically(_path(directory, trial.id, kind), to_bytes(state, metadata={"format": "pt"}))
    description = {
        **trial.model_dump(mode="json", include={"config", "seed", "label", "reference"}),
        "input": INPUT,
        "size": trial.config.image_size,
        "encoder": _in_words(trial.config),
        "metrics": metrics,
    }
    write_atomically(_path(directory, trial.id, "json"), json.dumps(description, indent=1) + "\n")


def _in_words(config: TrialConfig) -> str:
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
    """The lock of ``folder``, held until the ``with`` block ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / ".lock").acquire()
    except OSError as error:
        raise DiskTrouble(error.errno, error.strerror, str(folder)) from error


def _read(path: Path) -> State:
    try:
        state: State = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path} is missing or damaged ({first_line(error)}); its trial has to be run again") from None
    return state


def _best(known: dict[str, dict[str, float]], measure: Measure) -> str | None:
    """The best of the trials whose metrics are ``known``, by the first metric on validation that all or some have."""
    names = [measured_by(CHOSEN_BY[0], measure), *CHOSEN_BY]
    shared = [name for name in names if all(name in metrics for metrics in known.values())]
    some = [name for name in names if any(name in metrics for metrics in known.values())]
    for name in (shared or some)[:1]:
        return min((-metrics[name], trial_id) for trial_id, metrics in known.items() if name in metrics)[1]
    return None


def _remove(directory: Path, trial_id: str) -> None:
    """The description goes first, as it came last."""
    for kind in ("json", "safetensors", "head.safetensors"):
        _path(directory, trial_id, kind).unlink(missing_ok=True)


def _path(directory: Path, trial_id: str, kind: str) -> Path:
    return directory / "encoders" / f"{trial_id}.{kind}"
