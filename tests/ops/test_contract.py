"""The contract that every registered op keeps; a new op gets all of this for nothing."""

from __future__ import annotations

import math

import pytest
import torch

from ablate.errors import UsageError
from ablate.ops import from_spec, get, names, parse_op, spec, to_string
from tests.ops.fake_cuda import DeviceMix, fake_cuda
from tests.support.pictures import CUDA_BUILD, generator, pictures

SIZES = [(32, 32), (96, 96), (224, 224), (32, 48)]


def make(name, **parameters):
    return get(name)(**{"p": 1.0, **parameters})


def has_strength(name):
    return "strength" in get(name).__dataclass_fields__


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", names())
def test_shape_dtype_range_and_input_untouched(name, size):
    op, images = make(name), pictures(4, 3, size)
    if op.square_only and size[0] != size[1]:
        with pytest.raises(UsageError, match="square"):
            op.apply(images, op.sample(4, size, generator()))
        return
    before = images.clone()
    result = op.apply(images, op.sample(4, size, generator()))
    assert result.shape == images.shape
    assert result.dtype == images.dtype
    assert torch.isfinite(result).all()
    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", names())
def test_float64_stays_float64(name):
    op, images = make(name), pictures(2, 3, (32, 32)).double()
    assert op.apply(images, op.sample(2, (32, 32), generator())).dtype == torch.float64


@pytest.mark.parametrize("name", names())
def test_p_zero_is_bit_exact_identity(name):
    op, images = make(name, p=0.0), pictures(4, 3, (32, 32))
    assert torch.equal(op.apply(images, op.sample(4, (32, 32), generator())), images)


@pytest.mark.parametrize("name", [name for name in names() if has_strength(name)])
def test_strength_zero_is_bit_exact_identity(name):
    op, images = make(name, strength=0.0), pictures(4, 3, (32, 32))
    assert torch.equal(op.apply(images, op.sample(4, (32, 32), generator())), images)


@pytest.mark.parametrize("name", [name for name in names() if has_strength(name)])
def test_more_strength_changes_more(name):
    images, moved = pictures(64, 3, (32, 32)), []
    for strength in (0.1, 0.4, 1.0):
        op = make(name, strength=strength)
        moved.append((op.apply(images, op.sample(64, (32, 32), generator())) - images).abs().mean().item())
    assert moved[0] < moved[1] < moved[2]


@pytest.mark.parametrize("name", [name for name in names() if not has_strength(name)])
def test_strength_elsewhere_is_an_error(name):
    with pytest.raises(UsageError, match="strength"):
        parse_op(f"{name}(strength=0.5)")


@pytest.mark.parametrize("name", names())
def test_apply_rate_is_p(name):
    """On the mask, at p = 0.5: within four standard deviations of the binomial; unmasked images pass bit for bit."""
    n, op = 4000, make(name, p=0.5)
    rate = op.sample(n, (16, 16), generator())["mask"].float().mean().item()
    assert abs(rate - 0.5) < 4 * math.sqrt(0.25 / n)
    images, params = pictures(64, 3, (16, 16)), op.sample(64, (16, 16), generator())
    same = (op.apply(images, params) == images).flatten(1).all(1)
    assert same[~params["mask"]].all()
    assert not same.all()


@pytest.mark.parametrize("name", names())
def test_images_of_one_batch_differ(name):
    """One picture sixteen times: at p = 0.5 not all results agree, nor at p = 1 if anything but the mask is drawn."""
    images = pictures(1, 3, (32, 32)).expand(16, -1, -1, -1).contiguous()
    op = make(name, p=0.5)
    assert (op.apply(images, op.sample(16, (32, 32), generator())) != images[0]).any()
    drawn = op.sample(16, (32, 32), generator())
    halves = op.apply(images, drawn)
    assert not all(torch.equal(halves[0], other) for other in halves)
    op = make(name)
    drawn = op.sample(16, (32, 32), generator())
    if set(drawn) - {"mask"}:
        results = op.apply(images, drawn)
        assert len({tuple(image.flatten()[:300].tolist()) for image in results}) > 1


@pytest.mark.parametrize("name", names())
def test_same_generator_state_same_pixels(name):
    op, images = make(name, p=0.5), pictures(8, 3, (32, 32))
    a, b, other = (op.apply(images, op.sample(8, (32, 32), generator(seed))) for seed in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, other)


@pytest.mark.parametrize("name", names())
def test_an_image_does_not_depend_on_its_batch(name):
    """Per-image parameters: rows of the batch alone give what they gave together."""
    op, images = make(name, p=0.5), pictures(6, 3, (32, 32))
    params = op.sample(6, (32, 32), generator())
    together = op.apply(images, params)
    for i in range(6):
        alone = op.apply(images[i : i + 1], {key: value[i : i + 1] for key, value in params.items()})
        torch.testing.assert_close(alone[0], together[i], atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", names())
def test_parameters_are_per_image_small_and_on_the_asked_device(name):
    params = make(name).sample(5, (64, 64), generator())
    assert params["mask"].dtype == torch.bool
    for value in params.values():
        assert value.shape[0] == 5
        assert value.numel() <= 5 * 64
        assert value.device.type == "cpu"


@pytest.mark.parametrize("name", names())
def test_one_image_and_one_channel(name):
    op = make(name)
    single = op.apply(pictures(1, 3, (32, 32)), op.sample(1, (32, 32), generator()))
    assert single.shape == (1, 3, 32, 32)
    grey = pictures(3, 1, (32, 32))
    if 1 in op.channels:
        assert op.apply(grey, op.sample(3, (32, 32), generator())).shape == grey.shape
    else:
        with pytest.raises(UsageError, match="c = 3"):
            op.apply(grey, op.sample(3, (32, 32), generator()))


@pytest.mark.skipif(not CUDA_BUILD, reason="fake CUDA tensors need a CUDA build of torch")
@pytest.mark.parametrize("p", [0.5, 1.0])
@pytest.mark.parametrize("name", names())
def test_no_wait_for_the_device_on_cuda(name, p):
    op = make(name, p=p)
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


@pytest.mark.parametrize("name", names())
def test_text_and_data_round_trips(name):
    op = make(name)
    assert parse_op(to_string(op)) == op
    assert from_spec(spec(op)) == op
    assert spec(op).version == op.version


@pytest.mark.parametrize("name", names())
def test_every_parameter_has_a_range_and_a_meaning(name):
    from ablate.ops import describe

    (entry,) = [entry for entry in describe() if entry.name == name]
    assert entry.summary.endswith((".", ")"))
    for parameter in entry.parameters:
        assert parameter.doc
        assert parameter.range
        outside = (parameter.high or 0) + 1e6
        if parameter.high is not None:
            with pytest.raises(UsageError, match=parameter.name):
                parse_op(
                    f"{name}({parameter.name}={outside})"
                    if not isinstance(parameter.default, tuple)
                    else f"{name}({parameter.name}=({outside}, {outside}))"
                )
