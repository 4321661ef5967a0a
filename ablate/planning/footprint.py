"""The peak memory of a trial, calculated from its configuration alone; needs no torch.

The part that grows with the batch is what autograd keeps of both views for the backward pass: the output of every
convolution (batch norm's input) and, after batch norm and ReLU, the input of the next one. It is counted exactly. The
backward pass, the ops and the allocator add to it by factors that were measured, see :data:`KEPT` and :data:`VIEWS`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from ablate.config.encoder import Encoder
from ablate.config.objectives import kind_of
from ablate.config.trial import SMALL_IMAGE, TrialConfig

BASE = 450 << 20
"""Bytes of a worker before its first step: interpreter, torch, compiled kernels. Measured: 430 MiB."""
KEPT = 1.55
"""Peak of a step divided by what autograd keeps: gradients of activations, workspaces, memory that is not reused."""
VIEWS = 10
"""Copies of a batch's views as floats while they are made: the images, the ops' steps, both memory layouts."""
ENCODED = 256
"""Images that evaluation encodes at once."""
STATES = {"sgd": 1, "lars": 1, "adamw": 2}
"""Numbers that an optimiser keeps per weight."""
MATRICES = {"barlow": 4, "vicreg": 6, "mocov3": 6, "supcon": 5, "dino": 5}
"""Matrices at the peak of a loss: correlations, similarities or distributions, and their gradients. Measured."""
BOTTLENECKS = ("resnet50", "resnet101")
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
FLOAT = 4


@dataclass(frozen=True)
class Convolution:
    """One convolution of an encoder.

    Args:
        outputs: the numbers that it gives per view.
        weights: its weights, and the two numbers per channel of the batch norm after it.
        kept: how many times autograd keeps ``outputs`` numbers: 2, as batch norm's input and after the ReLU; 1 on a
            shortcut.
    """

    outputs: int
    weights: int
    kept: int = 2


def convolutions(encoder: Encoder, size: int, channels: int = 3) -> list[Convolution]:
    """Return the convolutions of one of our ResNets for views of ``size`` pixels, in order; none if it is foreign."""
    return [] if encoder.is_foreign else list(_convolutions(encoder, size, channels))


def _layers(config: TrialConfig) -> list[Convolution]:
    return convolutions(config.encoder, config.image_size, config.data.channels)


def _convolutions(encoder: Encoder, size: int, channels: int) -> Iterator[Convolution]:
    width, large = encoder.width, encoder.name != "resnet8" and size > SMALL_IMAGE
    side = size if encoder.name != "resnet8" and not large else _half(size)
    kernel = 7 if large else 3
    yield _convolution(channels, width, kernel, side)
    if large:  # max pooling keeps its output for the next convolution, and the 64-bit positions of the maxima
        side = _half(side)
        yield Convolution(width * side**2, 0, kept=3)
    inputs = width
    stages = (1, 1, 1) if encoder.name == "resnet8" else BLOCKS[encoder.name]
    for stage, blocks in enumerate(stages):
        inner = width << stage
        outer = inner * 4 if encoder.name in BOTTLENECKS else inner
        for block in range(blocks):
            before, stride = side, 2 if stage and not block else 1
            side = _half(side) if stride == 2 else side
            if encoder.name in BOTTLENECKS:
                yield _convolution(inputs, inner, 1, before)
                yield _convolution(inner, inner, 3, side)
                yield _convolution(inner, outer, 1, side)
            else:
                yield _convolution(inputs, inner, 3, side)
                yield _convolution(inner, outer, 3, side)
            if stride == 2 or inputs != outer:
                yield _convolution(inputs, outer, 1, side, kept=1)
            inputs = outer


def _convolution(inputs: int, outputs: int, kernel: int, side: int, kept: int = 2) -> Convolution:
    return Convolution(outputs * side**2, inputs * outputs * kernel**2 + 2 * outputs, kept)


def _half(side: int) -> int:
    return (side + 1) // 2


def dimensions(encoder: Encoder) -> int:
    """Return the length of ``h``; 0 for a foreign encoder, whose length is not known here."""
    if encoder.is_foreign:
        return 0
    return encoder.width * (4 if encoder.name == "resnet8" else 32 if encoder.name in BOTTLENECKS else 8)


def kept_per_view(encoder: Encoder, size: int, channels: int = 3) -> int:
    """Return how many numbers autograd keeps of one view of ``size`` pixels, including the view itself."""
    kept = sum(layer.kept * layer.outputs for layer in convolutions(encoder, size))  # the same for any channels
    return channels * size**2 + kept


def weights(config: TrialConfig) -> int:
    """Return the number of weights of encoder, head (an mlp or a linear one) and predictor."""
    dim, head = dimensions(config.encoder), config.head
    inner = [dim] + [head.hidden] * (head.layers - 1 if head.kind == "mlp" else 0)
    inner += [config.method.bottleneck] if config.method.bottleneck else []
    sizes = [] if head.kind == "none" else [*inner, head.output]
    projection = sum(a * b for a, b in itertools.pairwise(sizes))
    predictor = 2 * head.output * (config.method.predictor or 0)
    return projection + predictor + sum(layer.weights for layer in _layers(config))


def peak(config: TrialConfig, images: int = 0) -> int | None:
    """Return the bytes that a trial of ``config`` takes on a CPU at its peak, or None if it is not known.

    Args:
        config: the trial's configuration; all its processes are counted together.
        images: training and test images; evaluation keeps their features.
    """
    if config.encoder.is_foreign:
        return None
    pixels, layers = config.data.channels * config.image_size**2, _layers(config)
    passing = 3 * max(layer.outputs for layer in layers) + pixels
    features = 4 * images * dimensions(config.encoder)
    return max(training_peak(config), _owned(config) + FLOAT * (ENCODED * passing + features))


def training_peak(config: TrialConfig) -> int:
    """Return the bytes at the peak of a training step of one of our encoders; up to a quarter above real workers'."""
    size, channels, number = (
        config.image_size,
        config.data.channels,
        FLOAT / 2 if config.precision == "bfloat16" else FLOAT,
    )
    views = (config.micro_batch or config.batch_size) * kind_of(config.objective).views
    each = KEPT * number * kept_per_view(config.encoder, size, channels) + VIEWS * FLOAT * channels * size**2
    return _owned(config) + int(views * each) + FLOAT * config.world_size * _loss_matrices(config)


def _loss_matrices(config: TrialConfig) -> int:
    """Return how many numbers the loss of one process keeps that grow with a product of batch and z, gradients too."""
    batch, size = config.batch_size, config.head.output
    matrices = {"barlow": (size, size), "vicreg": (size, size), "mocov3": (batch, batch)}
    matrices |= {"supcon": (2 * batch, 2 * batch), "dino": (2 * batch, size)}
    rows, columns = matrices.get(config.objective, (0, 0))
    return MATRICES.get(config.objective, 0) * rows * columns


def _owned(config: TrialConfig) -> int:
    """Return the bytes that all processes hold for any batch: libraries, weights, gradients, the optimiser's state."""
    copies = 2 + STATES[config.optimiser.name] + kind_of(config.objective).has_target
    return config.world_size * (BASE + FLOAT * weights(config) * copies)
