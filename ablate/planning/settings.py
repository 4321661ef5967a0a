"""The way from a description to the configuration of its trials: the preset, then the settings, which override it."""

from __future__ import annotations

import ast
import copy
import functools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from pydantic import ValidationError

from ablate.compiled import check_compiler, has_compiler
from ablate.config.at_hand import as_option, flags
from ablate.config.checks import device as known_device
from ablate.config.encoder import WIDTHS, Encoder
from ablate.config.experiment import Experiment
from ablate.config.objectives import KINDS, kind_of
from ablate.config.option import option_of
from ablate.config.presets import (
    LARS_BASES,
    LARS_VALUES,
    NAMED,
    NAMES,
    ONE_GPU,
    REPLACED,
    Preset,
    Scaling,
    one_gpu,
    preset_for,
    scaled,
)
from ablate.config.settable import SETTABLE
from ablate.config.trial import MAX_SIZE, MIN_SIZE, DataIdentity, Optimiser, TrialConfig
from ablate.data import DataSet, native_size
from ablate.distributed import World
from ablate.errors import UsageError, sentence, unknown
from ablate.planning.init import as_given, normalization_of
from ablate.planning.metric import measure_of
from ablate.planning.objectives import check_objective, suit
from ablate.training.foreign import ForeignEncoder, code_version, loaded_weights
from ablate.training.global_bn import make_global

Device = Literal["cpu", "cuda"]
COMPILED_FROM = 2000  # optimiser steps of a CUDA trial: above some ten seconds, the time that compiling takes


def parse_assignments(items: Sequence[str]) -> dict[str, Any]:
    """Parse ``["optimiser.lr=0.1"]`` to ``{"optimiser.lr": 0.1}``; values are Python literals or bare words."""
    values: dict[str, Any] = {}
    for item in items:
        name, equals, text = item.partition("=")
        name = name.strip()
        if not equals:
            raise UsageError(f"--set takes NAME=VALUE, not {item!r}")
        if name not in SETTABLE:
            raise unknown("setting", name, sorted(SETTABLE))
        try:
            values[name] = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            values[name] = text.strip()
    return values


def resolve_device(device: str) -> Device:
    """Resolve ``auto`` to ``cuda`` if torch sees a GPU, else to ``cpu``.

    Raises:
        UsageError: an unknown device, or ``cuda`` without a GPU.
    """
    known_device(device)
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"{as_option('device', 'cuda')}: torch sees no CUDA device here; allowed here: cpu")
    return "cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu"


def image_size(wish: Experiment) -> int:
    """Return the training size in pixels: the one asked for, else the data set's own, up to the preset's largest."""
    size = wish.set.get("image_size")
    if size is None:
        own = native_size(wish.data, wish.label, wish.reading.channels)
        named = NAMED.get(wish.preset or "")
        return min(own, named.largest) if named and named.largest else own
    if not isinstance(size, int) or isinstance(size, bool) or not MIN_SIZE <= size <= MAX_SIZE:
        raise UsageError(f"the image size must be a whole number of pixels from {MIN_SIZE} to {MAX_SIZE}, not {size!r}")
    return size


def shared_config(wish: Experiment, data: DataIdentity, elsewhere: Device | None = None) -> TrialConfig:
    """Return the resolved configuration that all cells share, with an empty composition.

    Args:
        wish: the description; its axes are ignored.
        data: the images.
        elsewhere: the device of trials that run on other machines, whose hardware this machine cannot check; None if
            they run here.

    Raises:
        UsageError: an out-of-range or contradictory value.
    """
    size = image_size(wish)
    preset = preset_of(wish)
    device = elsewhere or resolve_device(wish.device)
    check_objective(wish)
    content = copy.deepcopy(dict(preset.values))
    suit(content, wish, preset)
    values = {name: value for name, value in wish.set.items() if name not in {"lr_base", "lr_scaling"}}
    if values.get("encoder.name", content["encoder"]["name"]) != content["encoder"]["name"]:
        ours = ":" not in str(values["encoder.name"])  # our ResNets share zero_init_residual, not the width
        content["encoder"] = {k: v for k, v in content["encoder"].items() if ours and k == "zero_init_residual"}
    epochs = wish.set.get("epochs")
    if isinstance(epochs, int):  # with fewer epochs than the preset's, or than 100, the warm-up shrinks in proportion
        content["warmup_epochs"] *= min(1, epochs / min(content["epochs"], 100))
    if values.get("optimiser.name") == "lars" != content["optimiser"]["name"]:
        content["optimiser"] = dict(LARS_VALUES)
    for name, value in values.items():
        _assign(content, name, value)
    _name_width(content["encoder"], chosen="encoder.width" in values)
    _simplify_head(content["head"], wish)
    _leave_out(content, wish)
    content["image_size"] = size
    batch_size, micro_batch = content["batch_size"], content.get("micro_batch")
    if "optimiser.lr" not in wish.set:
        content["optimiser"]["lr"] = _learning_rate(wish, preset, content["optimiser"]["name"], batch_size)
    elif "lr_base" in wish.set or "lr_scaling" in wish.set:
        raise UsageError("optimiser.lr is the rate itself: it cannot be set together with lr_base or lr_scaling")
    if isinstance(batch_size, int) and isinstance(micro_batch, int) and micro_batch >= batch_size:
        content["micro_batch"] = None  # the whole batch at once
    content.setdefault("precision", _precision(device, elsewhere))
    _check_least(wish.set)
    try:
        config = TrialConfig(
            composition=(),
            branches=wish.branches,
            data=data,
            device=device,
            compile=wish.compile == "on",
            **content,
        )
    except ValidationError as error:
        raise UsageError(sentence(error, allowed=sorted(SETTABLE), places=flags(SETTABLE))) from None
    if elsewhere is None:
        _check_hardware(config)
    return as_given(wish, _with_code(config))


def _with_code(config: TrialConfig) -> TrialConfig:
    """Add the version of the code and the weights behind a foreign encoder, which is built to see that it can be."""
    if not config.encoder.is_foreign:
        return config
    encoder = _built(config.encoder, config.image_size, config.data.channels, config.world_size)
    return config.replace(encoder=encoder)


def forget_encoders() -> None:
    """Build foreign encoders anew: what they load may have changed since the last plan of this process."""
    _built.cache_clear()


@functools.cache
def _built(encoder: Encoder, image_size: int, channels: int, world_size: int) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        made = ForeignEncoder(encoder, image_size, channels)
    weights = loaded_weights(made.net, encoder.name, image_size, channels)
    make_global(made, World(0, world_size), torch.device("cpu"))  # refuses what cannot span processes
    return encoder.replace(code=code_version(encoder.name), weights=weights)


def _name_width(encoder: dict[str, Any], *, chosen: bool) -> None:
    """Replace ``resnet50x2`` by resnet50 with the width multiplier 2."""
    match = re.fullmatch(r"(resnet\d+)x(\d+)", str(encoder.get("name")))
    if not match:
        return
    if chosen:
        raise UsageError(f"encoder {encoder['name']} has its width in its name: encoder.width cannot be set too")
    if int(match[2]) not in WIDTHS:
        raise UsageError(f"encoder {encoder['name']}: the width multiplier must be {_or(WIDTHS)}, not {match[2]}")
    encoder |= {"name": match[1], "width": WIDTHS[int(match[2])]}


def _simplify_head(head: dict[str, Any], wish: Experiment) -> None:
    """Take what a simpler kind of head lacks out of a preset's head; raise UsageError if the user asked for it."""
    kind = head.get("kind", "mlp")
    absent = {"linear": ("hidden", "layers"), "none": ("hidden", "layers", "output", "batch_norm")}.get(kind, ())
    for name in absent:
        if f"head.{name}" in wish.set:
            raise UsageError(f"head.{name} cannot be set for a head of kind {kind}, which has none")
        if name in {"layers", "batch_norm"}:
            head.pop(name, None)


def _leave_out(content: dict[str, Any], wish: Experiment) -> None:
    """Take the base crop that two-branch training lacks out of a preset."""
    if content.get("share_crop") and wish.branches == "one":
        flag, two = as_option("share_crop", True), as_option("branches", "two")
        raise UsageError(f"one-branch pairs always share their crop: {flag} is for {two}")
    if wish.branches == "two" and not content.get("share_crop"):
        if any(name.startswith("base.") for name in wish.set):
            allowed = f"{as_option('branches', 'one')} or {as_option('share_crop', True)}"
            raise UsageError(f"two-branch pairs have no base crop: base.* can be set only with {allowed}")
        content["base"] = None


def _learning_rate(wish: Experiment, preset: Preset, optimiser: str, batch_size: Any) -> Any:
    """Return the preset's base rate, LARS's own, or the one that was asked for, scaled to the batch size."""
    own = optimiser == preset.values["optimiser"]["name"]
    scaling: Any = wish.set.get("lr_scaling", preset.lr_scaling if own else "linear")
    if scaling not in get_args(Scaling):
        raise unknown("lr_scaling", str(scaling), get_args(Scaling))
    base = wish.set.get("lr_base")
    if base is None and own and scaling == preset.lr_scaling:
        base = preset.lr_base
    elif base is None and optimiser == "lars" and not own:
        base = LARS_BASES[scaling]
    elif base is None and not own and optimiser in get_args(Optimiser.model_fields["name"].annotation):
        raise UsageError(
            f"the preset's learning rate is for {preset.values['optimiser']['name']}: give one for {optimiser}, as in "
            "--set optimiser.lr=0.01"
        )
    elif base is None and own:
        raise UsageError(f"lr_scaling={scaling} needs a base rate of its own: give --set lr_base=... too")
    if isinstance(base, bool) or not isinstance(base, int | float | None) or (base is not None and not base > 0):
        raise UsageError(f"lr_base must be a positive number, not {base!r}")
    if base is None or not isinstance(batch_size, int) or batch_size < 1:
        return preset.lr_base  # an unknown optimiser or a bad batch size: validation reports it
    return scaled(base, batch_size, scaling)


def _or(numbers: Iterable[int]) -> str:
    return " or ".join(map(str, numbers))


def validate(wish: Experiment, elsewhere: Device | None = None) -> TrialConfig:
    """Return or raise what :func:`shared_config` would, before any data is touched: for images without identity."""
    return shared_config(wish, DataIdentity(name="", fingerprint="", classes=2), elsewhere)


def trial_config(
    wish: Experiment, data: DataSet, elsewhere: Device | None = None, *, is_trained: bool = True
) -> TrialConfig:
    """Return :func:`shared_config` for ``data``, with ``compile`` resolved.

    ``auto`` compiles on CUDA if a trial of one process has at least 2000 steps (and, for trials that run here, if this
    machine has a C++ compiler). It never compiles on the CPU, where a thread gains too little (docs/performance.md).

    Args:
        wish: the description.
        data: the images.
        elsewhere: as in :func:`shared_config`.
        is_trained: False for the settings that an experiment with axes starts from: if no trial has their batch size,
            it need not fit the data set.

    Raises:
        UsageError: as :func:`shared_config` and :func:`check_data`.
    """
    config = shared_config(wish, data.identity, elsewhere)
    if wish.normalize == "data":
        config = config.replace(encoder=config.encoder.replace(normalize=normalization_of(data, config.image_size)))
    if measure := measure_of(wish, data):
        config = config.replace(measure=measure)
    if is_trained:
        check_data(config, data)
    steps = len(data.pretrain.labels) // config.batch_size * config.epochs
    pays = config.device == "cuda" and config.world_size == 1 and steps >= COMPILED_FROM
    if wish.compile == "auto" and pays and (elsewhere or has_compiler()):
        return config.replace(compile=True)
    return config


def check_data(config: TrialConfig, data: DataSet) -> None:
    """Raise UsageError if one batch needs more images than there are to train on, or if the objective needs labels."""
    if kind_of(config.objective).needs_labels and not data.classes:
        allowed = ", ".join(kind.name for kind in KINDS.values() if not kind.needs_labels)
        raise UsageError(
            f"{data.name} {data.lacks}: {config.objective} training needs labels; allowed objective: {allowed}"
        )
    available = len(data.pretrain.labels)
    if config.batch_size > available:
        raise UsageError(
            f"the batch size {config.batch_size} is larger than the {available} training images of {data.name}; "
            f"allowed: --batch-size (batch_size) from 2 to {available}"
        )


def preset_of(wish: Experiment) -> Preset:
    """Return the preset that was asked for, else the one for the data set and image size.

    Raises:
        UsageError: an unknown preset, or one that another has replaced.
    """
    if wish.preset is None:
        return preset_for(wish.data.partition(":")[0], image_size(wish))
    if wish.preset in REPLACED:
        name, earlier = REPLACED[wish.preset]
        settings = " ".join(f"--set {setting}={value}" for setting, value in earlier.items())
        raise UsageError(
            f"preset {wish.preset} has been replaced by {name}, which has another "
            f"{' and '.join(earlier)}; to continue a sweep that began with it: {as_option('preset', name)} {settings}"
        )
    if wish.preset not in NAMES:
        raise unknown("preset", wish.preset, NAMES)
    return one_gpu(image_size(wish)) if wish.preset == ONE_GPU else NAMED[wish.preset]


def _assign(content: dict[str, Any], name: str, value: Any) -> None:
    group, dot, leaf = name.partition(".")
    if dot:
        content.setdefault(group, {})[leaf] = value
    else:
        content[name] = value


def _precision(device: Device, elsewhere: Device | None) -> str:
    """Return bfloat16 for CUDA devices that have it (devices elsewhere are assumed to), else float32: a fixed rule."""
    if device != "cuda":
        return "float32"
    return "bfloat16" if elsewhere or torch.cuda.is_bf16_supported(including_emulation=False) else "float32"


def _check_least(settings: Mapping[str, Any]) -> None:
    """Raise UsageError for a number below the smallest one that its option takes; records may hold smaller ones."""
    for name, value in settings.items():
        option = option_of(SETTABLE[name])
        least = option.least if option else None
        if least is not None and isinstance(value, int | float) and value < least:
            named = flags([name]).get(name, name)
            raise UsageError(f"{named} must be at least {least:g}, not {value!r}")


def _check_hardware(config: TrialConfig) -> None:
    cores = os.cpu_count() or 1
    if config.threads > cores:
        raise UsageError(f"threads must be at most {cores}, the processor cores of this machine, not {config.threads}")
    if config.compile:
        check_compiler()
    if config.precision != "bfloat16":
        return
    if config.device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UsageError("this GPU has no bfloat16 arithmetic; allowed precision here: float32")
    if config.device == "cpu" and not torch.backends.mkldnn.is_available():
        raise UsageError("this CPU build has no bfloat16 kernels; allowed precision here: float32")
    if config.device == "cpu" and not torch.cpu._is_avx512_bf16_supported():
        raise UsageError("this CPU has no bfloat16 instructions and would be slower; allowed precision here: float32")
