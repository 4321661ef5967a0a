"""The compiled code of the CPU against the same op in torch and float64, whole images and every awkward shape."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ablate.config.trial import Base
from ablate.errors import UsageError
from ablate.ops import Crop, center_crop, get, names, parse_op, resized_crop
from ablate.ops.pair import Streams, TransformPair

SIZES = [(32, 32), (96, 64), (7, 5), (224, 224)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(n, channels, size, seed=1):
    """White noise with some gray, black, white and two-tone images among it: ties in the hue, flat contrast."""
    images = torch.rand(n, channels, *size, generator=generator(seed))
    images[1], images[2] = 0, 1
    images[3] = images[3, :1]
    images[4, -1] = images[4, 0]
    return images


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", ["color", "jitter", "blur", "crop"])
def test_compiled_code_is_the_op_in_float64(name, size):
    op, images = get(name)(), noise(12, 3, size)
    params = op.sample(12, size, generator())
    result, expected = op.apply(images, params), op.apply(images.double(), params)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), expected, atol=1e-5, rtol=0)


def in_torch():
    """The code that runs on CUDA."""
    return mock.patch("ablate.ops.cpu.serves", return_value=False)


EXACT = 0.0
ROUNDED = 2e-7  # torch's square root may be off by a unit in the last place
TOLERANCE = {
    **dict.fromkeys(("flip", "vflip", "rotate", "d4", "cutout(fill=0.6)", "erase(shape='rows',fill=0.3)"), EXACT),
    **dict.fromkeys(("erase", "gray", "solarize(threshold=0.3)", "sobel(signed=True)"), EXACT),
    "sobel": ROUNDED,
    **dict.fromkeys(("noise", "intensity", "color", "jitter", "blur"), 2e-6),
    "zoom_out": 1e-5,
}


@pytest.mark.parametrize("text", TOLERANCE)
def test_a_pass_is_the_op_in_torch_on_the_masked_images_alone(text):
    for channels, size in ((3, (32, 32)), (1, (9, 9)), (32, (13, 13)), (3, (7, 5)), (2, (5, 8)), (3, (2, 3))):
        op = get(parse_op(text).name)(**{**parse_op(text).parameters(), "p": 0.5})
        if channels not in op.channels or (op.square_only and size[0] != size[1]):
            continue
        images, params = noise(12, channels, size), op.sample(12, size, generator())
        if op.name not in ("blur", "zoom_out"):  # in torch these are products, which spread a NaN over the image
            images[:, -1, 0, -1] = float("nan")
        before = images.clone()
        result = op.apply(images, params)
        with in_torch():
            expected = op.apply(images, params)
        torch.testing.assert_close(result, expected, atol=TOLERANCE[text], rtol=0, equal_nan=True)
        torch.testing.assert_close(images, before, atol=0, rtol=0, equal_nan=True)
        skipped = ~params["mask"]
        torch.testing.assert_close(result[skipped], before[skipped], atol=0, rtol=0, equal_nan=True)
        strided = images.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(op.apply(strided, params), result, atol=0, rtol=0, equal_nan=True)


def test_every_pass_is_among_those_that_are_tested():
    assert {name for name in names() if get(name)().has_pass} == {parse_op(text).name for text in TOLERANCE}


COMPOSITIONS = ["crop+flip+blur+noise", "flip+crop(p=0.5)+gray", "solarize+invert+sobel", "cutout(p=0.0)+cutout"]


@pytest.mark.parametrize("text", COMPOSITIONS)
def test_passes_in_place_change_neither_the_stored_images_nor_the_other_view(text):
    images = torch.rand(8, 3, 16, 16, generator=generator())  # already of the views' size
    before = images.clone()
    for pair in (
        TransformPair.one_branch(text, 16),
        TransformPair.two_branch(text, 16),
        TransformPair.two_branch(text, 16, base=Base()),
    ):
        params = pair.sample(8, (16, 16), Streams(0, 0, "cpu"))
        views = pair.apply(images, params)
        with mock.patch("ablate.ops.pair._apply", lambda op, images, params, own: op.apply(images, params)):
            for view, expected in zip(views, pair.apply(images, params), strict=True):
                assert torch.equal(view, expected)
            assert torch.equal(pair.apply_first(images, params), views[0])
        assert torch.equal(images, before)


@pytest.mark.parametrize("name", names())
def test_the_strides_of_stored_images_change_no_view(name):
    """Channels come last in arrays of NumPy and PIL, and images of the views' own size are only scaled."""
    stored = (noise(6, 3, (16, 16)) * 255).byte()
    pair = TransformPair.two_branch(name, size=16)
    expected = pair(stored, generator())
    assert not all(torch.equal(view, stored / 255) for view in expected)
    for strided in (
        stored.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
        stored.repeat(1, 1, 1, 2)[..., :16],
        stored.mT.contiguous().mT,
    ):
        assert not strided.is_contiguous()
        assert all(map(torch.equal, pair(strided, generator()), expected))


@pytest.mark.parametrize("context", ["gradients", pytest.param("compiled", marks=pytest.mark.slow), "fake"])
def test_torch_computes_what_a_pass_cannot(context):
    op, images = get("solarize")(p=1.0), torch.rand(3, 3, 8, 8, generator=generator())
    params = op.sample(3, (8, 8), generator())
    if context == "gradients":
        images.requires_grad_()
        op.apply(images, params).sum().backward()
        assert torch.equal(images.grad, torch.where(images < 0.5, 1.0, -1.0))
    elif context == "compiled":
        compiled = torch.compile(op.apply, backend="eager", fullgraph=True)
        assert torch.equal(compiled(images, params), op.apply(images, params))
    else:
        with FakeTensorMode() as mode:
            assert op.apply(mode.from_tensor(images), params).shape == images.shape


class Darkness:
    def transform(self, images, params):
        return torch.zeros_like(images)


def test_another_transform_does_not_keep_the_pass_of_its_parent():
    class Black(get("gray")):
        transform = Darkness.transform

    class Mixed(Darkness, get("gray")):
        pass

    class Grandchild(Mixed):
        pass

    images = torch.rand(2, 3, 4, 4)
    for black in (Black(p=1.0), Mixed(p=1.0), Grandchild(p=1.0)):
        assert not black.has_pass
        assert black.apply(images, black.sample(2, (4, 4), generator())).max() == 0


@pytest.mark.parametrize("name", names())
def test_parameters_of_fewer_images_are_refused_before_a_byte_is_read(name):
    op = get(name)()
    params = op.sample(3, (16, 16), generator())
    with pytest.raises(UsageError, match="parameters of other than 8 images"):
        op.apply(torch.rand(8, 3, 16, 16), params)
    if name == "crop":
        with pytest.raises(UsageError, match="boxes of 3 images for 8 images"):
            resized_crop(torch.rand(8, 3, 16, 16), params, (16, 16))


@pytest.mark.parametrize("text", ["crop", "cutout", "erase(shape='rows')", "zoom_out(p=1.0)"])
def test_boxes_of_larger_images_are_refused(text):
    op = parse_op(text)
    with pytest.raises(UsageError, match="reaches beyond images of 16 x 16 px"):
        op.apply(torch.rand(8, 3, 16, 16), op.sample(8, (64, 64), generator()))


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 1e-38, 1e-30])
def test_the_faintest_colors(scale):
    """Below 3e-39 the inverse of a difference is infinite; a blur beside black makes such values."""
    images = (torch.rand(8, 3, 16, 16, generator=generator()) * scale).float()
    op = get("color")(jitter_p=1.0)
    params = op.sample(8, (16, 16), generator())
    torch.testing.assert_close(
        op.apply(images, params).double(), op.apply(images.double(), params), atol=1e-30, rtol=1e-4
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("stored", "out"), [((32, 32), (32, 32)), ((300, 211), (96, 96)), ((20, 33), (64, 48)), ((9, 9), (1, 1))]
)
def test_boxes_of_stored_images(stored, out, channels):
    images = torch.randint(0, 256, (16, channels, *stored), dtype=torch.uint8, generator=generator())
    boxes = Crop(area=(0.01, 1.0)).sample_boxes(16, stored, generator(2))
    result, expected = resized_crop(images, boxes, out), resized_crop(images.double() / 255, boxes, out)
    torch.testing.assert_close(result.double(), expected, atol=1e-5, rtol=0)
    result, expected = center_crop(images, out, 0.7), center_crop(images.double() / 255, out, 0.7)
    torch.testing.assert_close(result.double(), expected, atol=1e-5, rtol=0)


def test_a_broken_pixel_shows_and_stays_in_its_image():
    for name in ("color", "blur", "crop"):
        op, images = get(name)(p=1.0), noise(8, 3, (16, 16))
        params = op.sample(8, (16, 16), generator())
        clean = op.apply(images, params)
        images[5, 1] = float("nan")
        broken = op.apply(images, params)
        assert broken[5].isnan().any(), name
        others = torch.arange(8) != 5
        assert torch.equal(broken[others], clean[others]), name


def test_bits_do_not_depend_on_threads_batches_or_strides():
    images = torch.randint(0, 256, (13, 3, 40, 40), dtype=torch.uint8, generator=generator())
    pair = TransformPair.two_branch("crop+color+blur", 32)
    params = pair.sample(13, (40, 40), Streams(0, 0, "cpu"))
    alone = pair.apply(images, params)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = pair.apply(images.contiguous(memory_format=torch.channels_last), params)
    finally:
        torch.set_num_threads(threads)
    parts = [pair.apply(images[rows], params.part(rows)) for rows in (slice(0, 4), slice(4, 13))]
    for view in (0, 1):
        assert torch.equal(together[view], alone[view])
        assert torch.equal(torch.cat([part[view] for part in parts]), alone[view])


@pytest.mark.parametrize("text", ["crop+color+blur", "color+crop", "blur"])
def test_no_images_are_no_views(text):
    pair = TransformPair.two_branch(text, 16)
    images = torch.zeros(0, 3, 20, 20, dtype=torch.uint8)
    assert pair(images, generator())[0].shape == (0, 3, 16, 16)
