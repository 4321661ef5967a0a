"""Batches by index: gathered, padded, streamed."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

import ablate.data.gather
from ablate.data import Images, Resident
from ablate.data.gather import _by_address, gather, on_device
from ablate.data.prefetch import ahead

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
SIZES = [(16, 24), (24, 16), (16, 16), (20, 31), (16, 24), (33, 16), (16, 48)]


def ragged(sizes=SIZES, shards=3):
    """Images of random pixels over several shards, one of them empty; and the images one by one."""
    images = [torch.from_numpy(RNG.integers(1, 256, (3, *size), dtype=np.uint8)) for size in sizes]
    parts = [[] for _ in range(shards)]
    addresses = []
    for i, image in enumerate(images):
        number = (i % (shards - 1)) + 1
        addresses.append((number, sum(map(torch.numel, parts[number]))))
        parts[number].append(image)
    flat = tuple(
        torch.cat([image.flatten() for image in part] or [torch.empty(0, dtype=torch.uint8)]) for part in parts
    )
    return Images(flat, torch.tensor(sizes), torch.tensor(addresses), 3), images


def test_images_of_several_sizes_must_say_their_channels():
    images, _ = ragged()
    with pytest.raises(ValueError, match="need their number of channels"):
        Images(images.pixels, images.sizes, images.addresses)


def padded(images):
    """The obvious loop."""
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    batch = torch.zeros(len(images), 3, height, width, dtype=torch.uint8)
    for row, image in zip(batch, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    return batch


@pytest.mark.parametrize("index", [[0], [3, 3], [5, 0, 6, 2], list(range(7))])
def test_gathering_is_copying_image_by_image(index):
    images, parts = ragged()
    expected = padded([parts[i] for i in index])
    assert torch.equal(gather(images, torch.tensor(index)), expected)


def test_the_kernel_is_asked_for_the_whole_batch_first(monkeypatch):
    images, _ = ragged()
    asked, real = [], ablate.data.gather._madvise

    def madvise(address, count, advice):
        assert address % mmap.PAGESIZE == 0
        assert advice == mmap.MADV_WILLNEED
        asked.append((address, address + count))
        return real(address, count, advice)

    monkeypatch.setattr(ablate.data.gather, "_madvise", madvise)
    gather(images, torch.tensor([4, 2]))
    for (start, end), i in zip(asked, (4, 2), strict=True):
        shard, offset = images.addresses[i].tolist()
        first = images.pixels[shard].data_ptr() + offset
        assert first - mmap.PAGESIZE < start <= first
        assert end == first + images.sizes[i].prod() * 3


def test_the_batch_is_padded_where_memory_was_dirty(monkeypatch):
    images, parts = ragged()
    monkeypatch.setattr(torch, "empty", lambda *args, **kwargs: torch.full(args, 7, dtype=torch.uint8))
    assert torch.equal(gather(images, torch.arange(7)), padded(parts))


@pytest.mark.parametrize("count", [1, 64, 150])
def test_a_device_gathers_the_same(count):
    sizes = [SIZES[i % 7] for i in range(count)]
    images, parts = ragged(sizes)
    placed = on_device(images, CPU)
    index = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    assert placed.pixels[0].numel() == images.nbytes
    chosen = images.sizes[index]
    height, width = chosen.amax(0).tolist()
    got = _by_address(placed.pixels[0], placed.addresses[index, 1], chosen, (count, 3, height, width))
    assert torch.equal(got, padded([parts[i] for i in index.tolist()]))
    assert torch.equal(gather(placed, index), got)


def test_sizes_come_without_pixels():
    images, _ = ragged()
    untouched = replace(images, pixels=tuple(torch.empty(0, dtype=torch.uint8) for _ in images.pixels))
    sizes = Resident(untouched, CPU).sizes(torch.tensor([5, 0]))
    assert sizes.dtype == torch.int64
    assert sizes.tolist() == [[33, 16], [16, 24]]
    assert Resident(Images(torch.zeros(4, 3, 8, 8, dtype=torch.uint8)), CPU).sizes(torch.tensor([1])) is None


def of_both_kinds():
    return [ragged()[0], Images(torch.from_numpy(RNG.integers(0, 256, (7, 3, 8, 8), dtype=np.uint8)))]


INDICES = [torch.tensor(index) for index in ([0, 1], [2], [6, 5, 4], [1, 1], [3], [0, 6])]


@pytest.mark.parametrize("images", of_both_kinds(), ids=["ragged", "uniform"])
@pytest.mark.parametrize("count", [0, 1, 2, 6])
def test_a_stream_is_its_batches_in_order(images, count):
    resident = Resident(images, CPU)
    got = list(resident.stream(iter(INDICES[:count])))
    assert len(got) == count
    for (pixels, sizes), index in zip(got, INDICES, strict=False):
        expected, expected_sizes = resident.batch(index)
        assert torch.equal(pixels, expected)
        assert (sizes is None) == (expected_sizes is None)
        assert sizes is None or torch.equal(sizes, expected_sizes)


def workers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ablate-prefetch")]


def test_only_what_is_gathered_takes_a_thread():
    ragged_, uniform = of_both_kinds()
    stream = Resident(uniform, CPU).stream(INDICES)
    next(stream)
    assert not workers()
    stream = Resident(ragged_, CPU).stream(INDICES)
    next(stream)
    assert len(workers()) == 1
    stream.close()
    assert not workers()


def test_leaving_a_stream_early_ends_its_thread():
    for _ in Resident(ragged()[0], CPU).stream(itertools.cycle(INDICES)):
        assert workers()
        break
    assert not workers()


def test_an_exception_in_the_thread_reaches_the_consumer_in_its_place():
    resident, got = Resident(ragged()[0], CPU), []

    def consume():
        got.extend(resident.stream([INDICES[0], INDICES[1], torch.tensor([99]), INDICES[2]]))

    stream = resident.stream([INDICES[0], INDICES[1], torch.tensor([99]), INDICES[2]])
    got.append(next(stream))
    got.append(next(stream))
    with pytest.raises(IndexError):
        next(stream)
    assert len(got) == 2
    assert not workers()
    with pytest.raises(IndexError):
        consume()


def test_a_device_copy_is_waited_for_and_its_memory_kept(monkeypatch):
    """The order of CUDA calls, without CUDA: copy and event on the side stream, then the consumer's stream waits."""
    log = []

    class Stream:
        def __init__(self, name="side"):
            self.name = name

        def record_event(self):
            log.append(("copied", self.name))
            return f"event {len(log)}"

        def wait_event(self, event):
            log.append(("wait", self.name, event))

    inside = threading.local()

    @contextlib.contextmanager
    def on(stream):
        inside.stream = stream.name
        yield
        del inside.stream

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("consumer's"))
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: log.append(("kept", stream.name)))
    resident = Resident(ragged()[0], CPU)
    batch, streams = resident.batch, []
    resident.batch = lambda index: (streams.append(inside.stream), batch(index))[1]
    resident.device = torch.device("cuda")  # from here on
    resident.sizes = lambda index: resident.images.sizes[index]
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *args, **kwargs: tensor)
    monkeypatch.setattr(
        "ablate.data.resident.gather", lambda images, index, pin: (log.append(pin), gather(images, index))[1]
    )
    stream = resident.stream(INDICES)
    for (pixels, _), index in zip(stream, INDICES, strict=True):
        assert torch.equal(pixels, gather(resident.images, index))
        wait = max(i for i, entry in enumerate(log) if entry is not True and entry[0] == "wait")
        event = int(log[wait][2].split()[1])
        assert log[event - 1] == ("copied", "side")
        assert event - 1 < wait
    assert streams == ["side"] * 6
    assert log.count(True) == 6  # gathered into pinned memory
    assert log.count(("kept", "consumer's")) == 12  # pixels and sizes
    waits = [entry[2] for entry in log if entry is not True and entry[0] == "wait"]
    assert len(set(waits)) == 6
    assert not workers()


def test_work_is_two_ahead_and_no_more():
    made = []
    items = ahead(lambda i: made.append(i) or i, iter(range(10)))
    for i in items:
        done = threading.Event()
        while len(made) < min(10, i + 3):
            done.wait(0.001)
        assert made == list(range(min(10, i + 3)))


def test_work_runs_in_one_thread_and_items_are_drawn_in_the_consumers():
    drawn, made = set(), set()

    def items():
        for i in range(5):
            drawn.add(threading.get_ident())
            yield i

    assert list(ahead(lambda i: (made.add(threading.get_ident()), i)[1], items())) == list(range(5))
    assert drawn == {threading.get_ident()}
    assert len(made) == 1
    assert not made & drawn
