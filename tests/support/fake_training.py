"""A training step as on a GPU, without one: fake tensors, and a backward pass that needs no driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from ablate.config.trial import TrialConfig
from ablate.distributed import ALONE
from ablate.ops.pair import Streams
from ablate.training.objectives.registry import objective_of
from ablate.training.probe import OnlineProbe
from ablate.training.step import GraphStep, choose_step
from ablate.training.trainer import build_model
from ablate.training.update import Update
from tests.ops.fake_cuda import fake_cuda

CUDA = torch.device("cuda")
CLASSES = 3


class OnCuda(torch.Generator):
    """A generator that says that it is on a GPU; fake tensors take its draws."""

    device = CUDA


class FakeStreams(Streams):
    """Streams whose generators need no driver."""

    def __getitem__(self, purpose: str) -> torch.Generator:
        return OnCuda()


def backward(root: Tensor, gradient: Tensor | None = None) -> None:
    """``root.backward()`` in Python: torch's own engine asks the driver for the stream of every node."""
    grads: dict[Any, list[Tensor | None]] = {}
    order: list[Any] = []

    def visit(node: Any) -> None:
        grads[node] = [None] * len(node._input_metadata)
        for following, _ in node.next_functions:
            if following is not None and following not in grads:
                visit(following)
        order.append(node)

    visit(root.grad_fn)
    grads[root.grad_fn][root.output_nr] = torch.ones_like(root) if gradient is None else gradient
    with torch.no_grad():
        for node in reversed(order):
            results = node(*grads.pop(node))
            results = results if isinstance(results, tuple) else (results,)
            for (following, place), result in zip(node.next_functions, results, strict=False):
                if following is not None and result is not None:
                    like, held = following._input_metadata[place], grads[following][place]
                    part = result.sum_to_size(tuple(like.shape)).to(like.dtype)
                    grads[following][place] = part if held is None else held + part


@contextmanager
def a_gpu() -> Iterator[list[Any]]:
    """Inside, steps run on a fake GPU, as if they were being captured; yields the rates of fused optimisers.

    torch has no fakes of the fused kernels that take a learning rate on the device.
    """
    rates: list[Any] = []

    def fused(params: list[Tensor], *states: list[Tensor], lr: Any, **settings: Any) -> None:
        rates.append(lr)

    with (
        mock.patch("torch._fused_sgd_", fused),
        mock.patch("torch._fused_adamw_", fused),
        mock.patch("torch.cuda.is_current_stream_capturing", lambda: True),
        mock.patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),
        mock.patch("torch.cuda.is_bf16_supported", lambda: True),
        mock.patch.object(Tensor, "backward", backward),
        fake_cuda(),
    ):
        yield rates


def on_gpu(module: nn.ModuleDict) -> None:
    """Give ``module`` fake parameters and buffers on a GPU."""
    for part in module.modules():
        for values in (part._parameters, part._buffers):
            for name, value in values.items():
                if value is not None:
                    fake = torch.empty(value.shape, dtype=value.dtype, device=CUDA)
                    fake = fake.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else fake
                    values[name] = nn.Parameter(fake, value.requires_grad) if isinstance(value, nn.Parameter) else fake


class Short(nn.Sequential):
    """An encoder of one convolution, which is quick."""

    dim = 4

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, self.dim, 3), nn.BatchNorm2d(self.dim), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def captured_step(config: TrialConfig, size: int = 20, *, short: bool = True) -> tuple[GraphStep, Tensor, list[Any]]:
    """Take what the graph of a step would hold.

    Args:
        config: the trial's configuration.
        size: the side of the stored images.
        short: take :class:`Short` in place of the trial's encoder.

    Returns:
        The step, its shares of loss and metric, and the learning rates of the fused optimisers: of the model's groups,
        then of the probe.
    """
    model, n = build_model(config, 0, CLASSES), config.batch_size
    if short:
        model = nn.ModuleDict({"encoder": Short(), **objective_of(config).modules(Short.dim, CLASSES)})
    target = objective_of(config).target(model, ALONE)
    with a_gpu() as rates:
        for part in (model, target):
            on_gpu(part or nn.ModuleDict())
        probe = OnlineProbe(int(model["encoder"].dim), CLASSES, CUDA)  # type: ignore[arg-type]
        update = Update(config, model, target, ALONE, probe)
        pixels = torch.empty(n, 3, size, size, dtype=torch.uint8, device=CUDA)
        images: Any = SimpleNamespace(
            device=CUDA,
            fits=True,
            images=SimpleNamespace(sizes=None),
            batch=lambda index: (pixels, None),
            extents=lambda index: (size, size),
        )
        labels = torch.empty(2 * n, dtype=torch.long, device=CUDA)
        step = choose_step(config, model, images, labels, FakeStreams(0, 0, CUDA), ALONE, target, update)
        assert isinstance(step, GraphStep)
        update.prepare(0, 0.1, 0.01)
        return step, step._captured(torch.empty(n, dtype=torch.long, device=CUDA)), rates
