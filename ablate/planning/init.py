"""Given weights (``--init``): what an encoder starts from, and how it normalises its input (``--normalize``)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ablate.config.at_hand import as_option
from ablate.config.encoder import IMAGENET, Encoder, Normalization
from ablate.config.experiment import Experiment
from ablate.config.settable import SETTABLE
from ablate.config.trial import TrialConfig
from ablate.console import counted
from ablate.data import DataSet, Resident
from ablate.errors import UsageError
from ablate.evaluation.features import unaugmented
from ablate.planning.matched import hint, in_words, objection
from ablate.sweep.plan import keep_weights
from ablate.training.architectures import architecture_of, called
from ablate.training.encoder import build_encoder
from ablate.training.given import content_of
from ablate.training.global_bn import has_statistics
from ablate.training.matching import Match, best_match, tensors_of
from ablate.training.weight_file import digest, read_weights

SAMPLE = 4096  # images from which the numbers of ``--normalize data`` are computed
CHUNK = 256  # of them at a time
DIGITS = 4  # of these numbers, so that the last bits of sums do not change a trial's key
STEMS = ("conv1.weight", "stem.0.weight")
FILES = 4  # matches that are kept: each holds the tensors of its file


@dataclass(frozen=True)
class Start:
    """The weights from which an encoder starts.

    Args:
        match: the tensors of the file that are loaded, and the others.
        total: the number of tensors of the encoder.
        weights: the hash of what is loaded.
        normalize: the normalisation that the file names.
    """

    match: Match
    total: int
    weights: str
    normalize: Normalization | None


def as_given(wish: Experiment, config: TrialConfig) -> TrialConfig:
    """Return ``config`` with the hash of the weights that ``wish`` starts from, and with its normalisation.

    The numbers of ``normalize`` ``data`` are not known here, see :func:`normalization_of`.

    Raises:
        UsageError: the file cannot be used or does not fit the encoder; or a setting needs given weights, and there
            are none.
    """
    start = _start(wish, config)
    _check_kept(config, is_given=bool(start or config.encoder.weights))
    if wish.init_partial and not start:
        raise UsageError(f"{as_option('init_partial', True)} needs {as_option('init', 'FILE')}")
    channels = config.data.channels
    if wish.normalize == "imagenet" and channels != len(IMAGENET.mean):
        raise UsageError(
            f"{as_option('normalize', 'imagenet')} has numbers for RGB, but these images have "
            f"{counted(channels, 'channel')}; allowed: data, none"
        )
    normalize = IMAGENET if wish.normalize == "imagenet" else None
    if start and wish.normalize is None and start.normalize and len(start.normalize.mean) == channels:
        normalize = start.normalize
    if not start and not normalize:
        return config
    encoder = config.encoder.replace(init=start.weights if start else "", normalize=normalize)
    return config.replace(encoder=encoder)


def contents(wish: Experiment, configs: Sequence[TrialConfig]) -> dict[str, bytes]:
    """Return the content of the files that trials of ``configs`` start from, by the hash of the weights."""
    starts = [_start(wish, config) for config in configs]
    return {start.weights: content_of(start.match.tensors) for start in starts if start}


def keep_given(directory: Path, wish: Experiment, configs: Sequence[TrialConfig]) -> None:
    """Write the weights that trials of ``configs`` start from into ``directory``, where the trials look for them."""
    keep_weights(directory, contents(wish, configs))


def about_init(wish: Experiment, configs: Sequence[TrialConfig]) -> str:
    """Return lines on the weights and the normalisation of the encoders; an empty text without either."""
    lines: list[str] = []
    for config in configs:
        start, encoder = _start(wish, config), config.encoder
        if start:
            lines += in_words(wish.init or "", encoder.name, start.match, start.total)
            lines += hint(start.match, config.data.channels) if not (wish.normalize or encoder.normalize) else []
        if encoder.normalize:
            kept = ", as the given encoder did" if wish.normalize is None else ""
            lines.append(f"input normalised by {encoder.normalize}{kept}")
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))


def _start(wish: Experiment, config: TrialConfig) -> Start | None:
    """Return what the encoder of ``config`` starts from, None if its weights are drawn.

    Raises:
        UsageError: the file cannot be used or does not fit the encoder.
    """
    if not wish.init:
        return None
    path, size, channels = Path(wish.init), config.image_size, config.data.channels
    try:
        at = path.stat()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"{as_option('init', path)}: {why}; a sweep keeps what it started from in DIR/init") from None
    bare = config.encoder.replace(init="", normalize=None)
    start = _matched(path, (at.st_mtime_ns, at.st_size), bare, size, channels)
    match = start.match
    only_channels = all(_same_but_channels(*shapes) for name, shapes in match.shapes.items() if name in STEMS)
    unknown = not config.data.fingerprint and only_channels  # before images are read, their channels are not known
    left = [*match.missing, *match.unexpected, *match.kinds]
    fits = not left and match.shapes.keys() <= set(STEMS) and unknown
    if not match.tensors or not (match.is_whole or wish.init_partial or fits):
        other = architecture_of(read_weights(path).groups, size)
        why = objection(match, start.total, config, "" if other == called(bare) else other)
        raise UsageError(f"{as_option('init', path)}: {why}")
    for name, tensor in match.tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UsageError(f"{as_option('init', path)}: {name} holds NaN or infinite numbers")
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise UsageError(f"{as_option('init', path)}: {name} holds negative numbers, which are no variances")
    return start


@functools.lru_cache(FILES)
def _matched(path: Path, stamp: tuple[int, int], encoder: Encoder, image_size: int, channels: int) -> Start:
    """Return the best match of a file; ``stamp`` is its time and size, by which a changed file is read anew."""
    read = read_weights(path)
    with torch.random.fork_rng(devices=[]):
        built = build_encoder(encoder, image_size, channels)
    match = best_match(read.groups, built)
    return Start(match, len(tensors_of(built)), digest(match.tensors), read.normalize)


def _same_but_channels(given: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return given[:1] + given[2:] == wanted[:1] + wanted[2:]


def _check_kept(config: TrialConfig, *, is_given: bool) -> None:
    """Raise UsageError if a setting that keeps given weights cannot be followed."""
    encoder = config.encoder
    asked: dict[str, float] = {
        "encoder.frozen_stages": encoder.frozen_stages,
        "encoder.frozen_statistics": encoder.frozen_statistics,
        "optimiser.init_lr_scale": config.optimiser.init_lr_scale,
    }
    for name, value in asked.items():
        if value != SETTABLE[name].default and not is_given:
            raise UsageError(
                f"{as_option(name, value)} is for given weights, and these are drawn: add {as_option('init', 'FILE')}"
            )
    if not (encoder.frozen_stages or encoder.frozen_statistics):
        return
    with torch.random.fork_rng(devices=[]):
        built = build_encoder(encoder.replace(init=""), config.image_size, config.data.channels)
    if encoder.frozen_statistics and not has_statistics(built):
        raise UsageError(f"encoder {encoder.name} has no batch norm, so encoder.frozen_statistics cannot be set")


def normalization_of(data: DataSet, image_size: int) -> Normalization:
    """Return mean and standard deviation of every channel over the images to train on, in [0, 1], to four digits.

    They are those of all pixels of up to 4096 images at even distances, as evaluation sees them.

    Args:
        data: the images.
        image_size: the side of the views in pixels.

    Raises:
        UsageError: a channel is the same throughout.
    """
    count = len(data.pretrain.labels)
    index = torch.arange(min(count, SAMPLE)) * count // min(count, SAMPLE)
    images = Resident(data.pretrain.images, torch.device("cpu"))
    sums = torch.zeros(3, data.identity.channels, dtype=torch.float64)
    for part in index.split(CHUNK):
        pixels = unaugmented(*images.batch(part), image_size).double().transpose(0, 1).flatten(1)
        sums += torch.stack([torch.full_like(sums[0], pixels.shape[1]), pixels.sum(1), pixels.square().sum(1)])
    mean = sums[1] / sums[0]
    std = (sums[2] / sums[0] - mean.square()).clamp_min(0).sqrt()
    means, stds = (tuple(round(float(value), DIGITS) for value in values) for values in (mean, std))
    if 0 in stds:
        raise UsageError(
            f"channel {stds.index(0) + 1} of these images is the same throughout, so it cannot be normalised; allowed: "
            f"{as_option('normalize', 'none')}"
        )
    return Normalization(mean=means, std=stds)
