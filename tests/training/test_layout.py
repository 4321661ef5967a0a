"""The views that an encoder is given: written once into its layout and type, with the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ablate.config.encoder import Encoder, Normalization
from ablate.training.encoder import build_encoder
from ablate.training.layout import joined, view_dtype
from benchmarks.launches import Count
from tests.support.pictures import CUDA_BUILD
from tests.support.processes import config

LAYOUTS = (torch.contiguous_format, torch.channels_last)
NORMAL = Normalization(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("count", [1, 2])
def test_the_numbers_are_those_of_one_step_after_the_other(count, dtype, layout):
    views = [torch.rand(3, 3, 5, 7) for _ in range(count)]
    ours, expected = joined(views, dtype, layout), torch.cat(views).to(dtype)
    assert torch.equal(ours, expected)
    assert ours.dtype == dtype
    assert ours.is_contiguous(memory_format=layout)


@pytest.mark.skipif(not CUDA_BUILD, reason="fake CUDA tensors need a CUDA build of torch")
def test_every_view_is_copied_once():
    with FakeTensorMode(), Count() as count:
        joined([torch.empty(2, 3, 4, 4, device="cuda") for _ in range(2)], torch.bfloat16, torch.channels_last)
    assert count.kernels == 2


def test_what_the_first_convolution_takes():
    encoder = build_encoder(Encoder(name="resnet8", width=4), 16)
    assert view_dtype(config(1), encoder) == torch.float32
    half = config(1, precision="bfloat16")
    assert view_dtype(half, encoder) == torch.bfloat16
    assert view_dtype(half, encoder.double()) == torch.float64
    for other in (Encoder(name="resnet8", width=4, normalize=NORMAL), Encoder(name="torchvision.models:resnet18")):
        assert view_dtype(half.replace(encoder=other), encoder.float()) == torch.float32


@pytest.mark.parametrize(("name", "width"), [("resnet8", 8), ("resnet18", 64)])
def test_an_encoder_gives_the_same_whether_autocast_rounds_its_views_or_we(name, width):
    encoder = build_encoder(Encoder(name=name, width=width), 16).to(memory_format=torch.channels_last)
    views = torch.rand(4, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    results = []
    for given in (views, views.bfloat16()):
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            h = encoder(given)
        h.float().square().sum().backward()
        results.append([h.detach(), *(p.grad for p in encoder.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
