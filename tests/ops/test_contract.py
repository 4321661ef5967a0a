"""The contract that every registered op keeps; a new op gets all of this for nothing."""

from __future__ import annotations

import pytest
import torch

from ablate.ops import get, names
from ablate.testing import OpContract
from tests.ops.fake_cuda import DeviceMix, fake_cuda
from tests.support.pictures import CUDA_BUILD


class TestEveryOp(OpContract):
    """Every registered op keeps the contract."""

    @pytest.fixture(params=names())
    def name(self, request):
        return request.param


def test_an_op_that_breaks_the_contract_is_caught():
    """Planted faults, each of which a test of the contract must find."""

    class Broken(OpContract):
        def make(self, name, **parameters):
            op = get(name)(**{"p": 1.0, **parameters})
            apply = op.apply
            object.__setattr__(op, "apply", lambda images, params: apply(images.clone(), params) + 1.0)
            return op

    with pytest.raises(AssertionError):
        Broken().test_shape_dtype_range_and_input_untouched("flip", (32, 32))
    with pytest.raises(AssertionError):
        Broken().test_p_zero_is_bit_exact_identity("flip")
    with pytest.raises(AssertionError):
        Broken().test_apply_rate_is_p("flip")


@pytest.mark.skipif(not CUDA_BUILD, reason="fake CUDA tensors need a CUDA build of torch")
@pytest.mark.parametrize("p", [0.5, 1.0])
@pytest.mark.parametrize("name", names())
def test_no_wait_for_the_device_on_cuda(name, p):
    op = get(name)(p=p)
    if op.syncs:
        pytest.skip("exempt")
    with fake_cuda():
        images = torch.empty(4, 3, 32, 32, device="cuda")
        params = op.sample(4, (32, 32), torch.Generator(), "cuda")
        assert {value.device.type for value in params.values()} == {"cuda"}
        result = op.apply(images, params)
    assert result.shape == (4, 3, 32, 32)
    assert result.device.type == "cuda"


@pytest.mark.skipif(not CUDA_BUILD, reason="fake CUDA tensors need a CUDA build of torch")
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("text", ["none", "crop+color", "color+blur"])
def test_transform_pairs_do_not_wait_either(text, padded, monkeypatch):
    from ablate.ops.pair import Streams, TransformPair

    monkeypatch.setattr(Streams, "__getitem__", lambda self, purpose: torch.Generator())
    for op in ("crop", "color", "blur"):  # fake mode takes a CPU generator, but only with the device named
        sample = get(op).sample
        monkeypatch.setattr(get(op), "sample", lambda self, n, size, g, _s=sample: _s(self, n, size, g, "cuda"))
    boxes = get("crop").sample_boxes
    monkeypatch.setattr(get("crop"), "sample_boxes", lambda self, n, s, g, d="cuda": boxes(self, n, s, g, "cuda"))
    with fake_cuda():
        images = torch.empty(4, 3, 40, 48, dtype=torch.uint8, device="cuda")
        sizes = torch.empty(4, 2, dtype=torch.long, device="cuda") if padded else None
        for pair in (TransformPair.one_branch(text, size=32), TransformPair.two_branch(text, size=32)):
            for view in pair(images, Streams(0, 0, "cpu"), sizes):
                assert view.shape == (4, 3, 32, 32)
                assert view.device.type == "cuda"


@pytest.mark.skipif(not CUDA_BUILD, reason="fake CUDA tensors need a CUDA build of torch")
@pytest.mark.parametrize(
    "planted",
    [
        lambda x: x * x.mean().item(),
        lambda x: x[x > 0.5],
        lambda x: x.cpu(),
        lambda x: x * torch.tensor([1.0, 2.0, 3.0], device="cuda")[:, None, None],
        lambda x: x * torch.rand(3, 1, 1).to("cuda"),
        lambda x: x if (x > 0).all() else -x,
    ],
    ids=["item", "mask index", "to the host", "constant to the device", "tensor to the device", "branch on data"],
)
def test_the_harness_catches_planted_waits_and_copies(planted):
    from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

    caught = (DeviceMix, DataDependentOutputException, DynamicOutputShapeException)
    with fake_cuda(), pytest.raises(caught):
        planted(torch.empty(2, 3, 8, 8, device="cuda"))
