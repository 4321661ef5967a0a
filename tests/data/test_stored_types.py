"""Images of every stored type and channel count, from the entry on the disk to the views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ablate.config.encoder import Encoder
from ablate.data import DataSet, Images, Resident, Split
from ablate.data.entry import Writer, read
from ablate.data.gather import _by_address, gather
from ablate.evaluation.features import unaugmented
from ablate.ops.pair import TransformPair
from ablate.ops.resample import resized_crop
from ablate.pixels import FULL_SCALE
from ablate.training.encoder import build_encoder
from ablate.trial import encoders
from ablate.trial.colours import in_words, visible
from ablate.trial.run import run_trial
from ablate.trial.thumbnail import pairs

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
SIZES = [(16, 24), (24, 16), (16, 16), (20, 31)]
EVERY = pytest.mark.parametrize(("dtype", "channels"), [("uint8", 4), ("uint16", 1), ("uint16", 13), ("float32", 2)])


def some(dtype, *shape):
    """Random pixels over the whole scale of a type."""
    return (RNG.random(shape) * FULL_SCALE[dtype]).astype(dtype)


@EVERY
def test_images_of_one_size_come_back_from_the_disk(tmp_path, dtype, channels):
    pixels, labels = some(dtype, 6, channels, 8, 9), torch.arange(6) % 2
    writer = Writer(tmp_path)
    for split in ("train", "test"):
        writer.uniform(split, pixels, labels)
    writer.describe("set", ["a", "b"], labels > 0)
    data = read(tmp_path, writer.meta)
    assert data.identity.channels == channels
    assert data.train.images.nbytes == pixels.nbytes
    batch, sizes = Resident(data.train.images, CPU).batch(torch.tensor([5, 0, 0]))
    assert sizes is None
    assert np.array_equal(batch.numpy(), pixels[[5, 0, 0]])


@EVERY
def test_images_of_several_sizes_come_back_from_the_disk(tmp_path, dtype, channels):
    images = [some(dtype, channels, *size) for size in SIZES]
    writer = Writer(tmp_path)
    for split in ("train", "test"):
        for number, part in enumerate((images[:3], images[3:])):
            np.concatenate([image.ravel() for image in part]).tofile(f"{writer.shard(split, number)}.pixels")
        writer.ragged(
            split, [SIZES[:3], SIZES[3:]], torch.zeros(4).long(), torch.arange(4), channels=channels, dtype=dtype
        )
    writer.describe("set", [], torch.zeros(4, dtype=torch.bool))
    stored = read(tmp_path, writer.meta).train.images
    assert stored.channels == channels
    assert stored.nbytes == sum(image.nbytes for image in images)
    batch, index = gather(stored, torch.tensor([3, 1])), torch.tensor([3, 1])
    for row, image in zip(batch.numpy(), (images[3], images[1]), strict=True):
        assert np.array_equal(row[:, : image.shape[1], : image.shape[2]], image)
        assert not row[:, image.shape[1] :].any()
        assert not row[:, :, image.shape[2] :].any()
    # the code for devices, which gathers by address
    starts = torch.tensor([0, len(stored.pixels[0])])[stored.addresses[index, 0]] + stored.addresses[index, 1]
    on_device = _by_address(torch.cat(stored.pixels), starts, stored.sizes[index], tuple(batch.shape))
    assert torch.equal(on_device.view(torch.uint8), batch.view(torch.uint8))


@EVERY
def test_compiled_crops_are_those_of_torch_in_float64(dtype, channels):
    images = torch.from_numpy(some(dtype, 3, channels, 12, 17))
    boxes = {"top": [0, 2, 5], "left": [1, 0, 3], "height": [12, 7, 4], "width": [9, 17, 5]}
    params = {name: torch.tensor(values).float() for name, values in boxes.items()}
    exact = resized_crop(images.double() / FULL_SCALE[dtype], params, (8, 8))
    assert torch.allclose(resized_crop(images, params, (8, 8)).double(), exact, atol=1e-6)


@pytest.mark.parametrize("bits", [12, 14, 16])
def test_every_grey_level_reaches_the_views(bits):
    levels = torch.arange(2**bits).view(2 ** (bits - 12), 1, 64, 64)
    images = (levels.double() * 65535 / (2**bits - 1)).round().to(torch.uint16)
    evaluated = unaugmented(images, None, 64)
    _, base = TransformPair.two_branch("none", 64)(images, torch.Generator())
    for views in (evaluated, base):
        assert views.dtype == torch.float32
        assert len(views.unique()) == 2**bits
        assert views.min() == 0
        assert views.max() == 1


@pytest.mark.parametrize("name", ["resnet8", "resnet18"])
@pytest.mark.parametrize(("channels", "size"), [(1, 32), (13, 32), (4, 72)])
def test_encoders_take_the_channels_of_the_images(name, channels, size):
    encoder = build_encoder(Encoder(name=name, width=8) if name == "resnet8" else Encoder(name=name), size, channels)
    assert encoder(torch.rand(2, channels, size, size)).shape == (2, encoder.dim)


def deep_set(dtype="uint16", channels=4, count=96):
    """A set whose class lies in channel 2 alone: it is bright or dark there, and noise elsewhere."""
    pixels, labels = some(dtype, count, channels, 16, 16), torch.arange(count) % 2
    half = pixels[:, 2] / 2 + (FULL_SCALE[dtype] / 2) * labels.numpy()[:, None, None]
    pixels[:, 2] = half.astype(dtype)
    split = Split(Images(torch.from_numpy(pixels)), labels, torch.arange(count))
    val_mask = torch.arange(count) % 4 == 3
    return DataSet("deep", "0" * 8, ("dark", "bright"), split, split, val_mask, split)


@pytest.mark.parametrize(("dtype", "channels"), [("uint16", 4), ("float32", 5), ("uint8", 3)])
def test_a_trial_learns_from_the_channel_that_carries_the_class(config, tmp_path, dtype, channels):
    data = replace(deep_set(dtype, channels), ranges=None if dtype == "uint8" else ((96.0, 3871.5),))
    own = config.replace(data=data.identity, composition=(), epochs=2, warmup_epochs=0)
    result = run_trial(own, tmp_path, data=data, keep_encoders="all")
    (kept,) = encoders.kept(tmp_path)
    assert encoders.describe(tmp_path, kept)["ranges"] == (None if dtype == "uint8" else [[96.0, 3871.5]])
    assert result.status == "done"
    assert result.metrics["linear_top1"] > 0.8  # of two classes, equally many images
    assert visible(pairs(own, data, CPU)[0]).shape[1] == 3


def test_another_number_of_channels_is_another_trial(config):
    three, four = (config.replace(data=config.data.replace(channels=channels)) for channels in (3, 4))
    assert three.key == config.key != four.key


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 13])
def test_channels_are_shown_between_black_and_white(channels):
    black, white = visible(torch.zeros(1, channels, 2, 2)), visible(torch.ones(1, channels, 2, 2))
    assert (black == 0).all()
    assert torch.allclose(white, torch.ones(1, 3, 2, 2))
    assert (in_words(channels) == "") == (channels in {1, 3})


def test_two_channels_can_be_told_apart():
    only_first = visible(torch.tensor([1.0, 0.0]).view(1, 2, 1, 1))
    assert only_first.flatten().tolist() == [0, 1, 0]
    assert in_words(2) == "channels 1 in green and 2 in magenta"
