"""Shards: some hundred image files, decoded into one file of raw bytes, with a record that is written last.

A shard is the unit in which decoding is shared out and continued after an interruption. ``python -m
ablate.data.decoding.shards`` is a process that makes shards: it reads one task per line of standard input and writes
one answer per line of standard output. No torch is needed.
"""

from __future__ import annotations

import hashlib
import json
import queue
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ablate.config.reading import Range, Reading
from ablate.data.decoding.contents import UNREADABLE, Held, contents
from ablate.data.decoding.decode import Decoded, Known, decode
from ablate.data.decoding.ranges import SAMPLE, spans
from ablate.errors import CorruptImage, ImageError, UnsupportedImage, UsageError, printable
from ablate.files import write_atomically
from ablate.processes.children import end_with_parent

BLOCK = 1 << 22  # bytes read at once
PRINT = 8  # bytes of the digest of an image's pixels: among 10 million images two are alike by chance in 3e-6 of cases


@dataclass(frozen=True)
class Task:
    """The images ``relpaths`` below ``root``, to be stored with the short side ``short`` as ``target``.pixels.

    ``held`` says what holds the images. ``key`` changes whenever the files may have changed; a shard with another key
    is made again. ``reading`` holds the settings of a :class:`~ablate.config.reading.Reading` that differ from the
    default. ``ranges`` and ``background`` are those of :class:`~ablate.data.decoding.decode.Known`; without them,
    images that depend on them are looked at, not stored. ``quota`` is the number of pixels per channel that are kept of
    every file of more than 8 bits, as ``target``.sample.npy.
    """

    key: str
    root: str
    relpaths: list[str]
    short: int
    target: str
    held: Held = "files"
    reading: dict[str, Any] = field(default_factory=dict)
    ranges: Sequence[Sequence[float]] | None = None
    background: Sequence[int] | None = (255, 255, 255)
    quota: int = SAMPLE

    @property
    def pixels(self) -> Path:
        """The path of the images that could be decoded, ``[c, h, w]`` each, one after the other."""
        return Path(f"{self.target}.pixels")

    @property
    def record(self) -> Path:
        """The path of the JSON record, see :class:`Record`."""
        return Path(f"{self.target}.json")

    @property
    def sample(self) -> Path:
        """The path of some pixels of all its files of more than 8 bits, ``[c, n]``."""
        return Path(f"{self.target}.sample.npy")

    @property
    def facts(self) -> Known:
        """What is known of the set."""
        ranges = None if self.ranges is None else tuple((low, high) for low, high in self.ranges)
        if self.background is None:
            return Known(ranges, None)
        red, green, blue = self.background
        return Known(ranges, (red, green, blue))


@dataclass
class Record:
    """What a shard holds, as JSON.

    ``digests`` are the files' SHA-256; ``images`` the [h, w] of each image of every file, or the reason why it has
    none. ``prints`` are the digests of the pixels of all images. ``types`` are the type and the number of channels of
    every file, ``spans`` the values of each channel between which its pixels lie, both null where there is none.
    ``refused`` lists the numbers of refused files, which are intact; ``traits`` maps each trait to the count of its
    files and the number of the first. ``waiting`` is True if pixels depend on the ranges or the background. ``edge``
    sums up :func:`ablate.data.decoding.blend.edge`; ``extremes`` are the least and the greatest value of 8-bit images.
    ``sample`` is the size of the sample, in bytes. ``windows`` lists the windows that decide, each with the number of
    the first file that states it.
    """

    key: str
    ranges: Any
    background: Any
    digests: list[str] = field(default_factory=list)
    images: list[list[tuple[int, int]] | str] = field(default_factory=list)
    prints: list[str] = field(default_factory=list)
    types: list[tuple[str, int] | None] = field(default_factory=list)
    spans: list[tuple[Range, ...] | None] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    traits: dict[str, tuple[int, int]] = field(default_factory=dict)
    waiting: bool = False
    edge: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    extremes: tuple[int, int] = (255, 0)
    sample: int = 0
    windows: list[tuple[Range, int]] = field(default_factory=list)
    bytes: int = 0
    crc32: int = 0


def finish(task: Task) -> None:
    """Make the shard unless it already exists and is whole.

    Raises:
        OSError: the disk refused it.
        UsageError: a file needs a package that is not installed.
    """
    if not _is_whole(task):
        _make(task)


def _make(task: Task) -> None:
    for path in (task.record, task.pixels, task.sample):
        path.unlink(missing_ok=True)  # never overwritten in place: a running trial may have mapped it
    record = Record(task.key, task.ranges, task.background)
    samples: list[np.ndarray[Any, Any]] = []
    reading, facts = Reading(**task.reading), task.facts
    with task.pixels.open("wb") as out:
        for number, (name, content) in enumerate(contents(task.held, Path(task.root), task.relpaths)):
            record.digests.append(name)
            try:
                if content is None:
                    raise CorruptImage(name.removeprefix(UNREADABLE))
                decoded = decode(content, task.short, reading, facts, task.quota)
            except ImageError as error:
                record.images.append(str(error))
                record.types.append(None)
                record.spans.append(None)
                record.refused += [number] * isinstance(error, UnsupportedImage)
                continue
            except UsageError as error:
                raise UsageError(printable(f"{task.relpaths[number]}: {error}")) from error
            _note(record, number, decoded)
            _store(record, out, decoded)
            if decoded.sample is not None and len(decoded.sample) == len((samples or [decoded.sample])[0]):
                samples.append(decoded.sample)  # files of other channels are refused with the set
    if samples:
        np.save(task.sample, np.concatenate(samples, axis=1))
        record.sample = task.sample.stat().st_size
    write_atomically(task.record, json.dumps(asdict(record)))


def _note(record: Record, number: int, decoded: Decoded) -> None:
    """Add what was found of a file."""
    record.types.append((decoded.depth, decoded.channels))
    record.spans.append(None if decoded.sample is None else spans(decoded.sample))
    record.edge = [a + b for a, b in zip(record.edge, decoded.edge, strict=True)]
    record.waiting |= decoded.depends
    known = {window for window, _ in record.windows}
    record.windows += [(window, number) for window in decoded.windows if window not in known]
    for trait in decoded.traits:
        count, first = record.traits.get(trait, (0, number))
        record.traits[trait] = (count + 1, first)


def _store(record: Record, out: BinaryIO, decoded: Decoded) -> None:
    """Write the images of a file, if they are known yet."""
    for pixels in decoded.images or []:
        image = np.ascontiguousarray(pixels)
        out.write(image.data)
        record.crc32 = zlib.crc32(image.data, record.crc32)
        record.bytes += image.nbytes
        record.prints.append(hashlib.blake2b(image.data, digest_size=PRINT).hexdigest())
        if decoded.depth == "uint8":
            least, greatest = record.extremes
            record.extremes = (min(least, int(image.min())), max(greatest, int(image.max())))
    record.images.append([(image.shape[1], image.shape[2]) for image in decoded.images or []])


def _is_whole(task: Task) -> bool:
    """Return True if the shard was made of these files, has all its bytes, and every file could be read."""
    try:
        record = json.loads(task.record.read_bytes())
        if record["key"] != task.key or any(name.startswith(UNREADABLE) for name in record["digests"]):
            return False
        if record["waiting"] and not _is_newer(task, record):
            return False
        if record["sample"] and task.sample.stat().st_size != record["sample"]:
            return False
        return bool(task.pixels.stat().st_size == record["bytes"] and _crc32(task.pixels) == record["crc32"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_newer(task: Task, record: dict[str, Any]) -> bool:
    """Return True if the shard was made with all that ``task`` knows of the set, or with more."""
    asked = json.loads(json.dumps([task.ranges, task.background]))
    made = [record["ranges"], record["background"]]
    return all(known is None or known == then for known, then in zip(asked, made, strict=True))


def _crc32(path: Path) -> int:
    crc32 = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            crc32 = zlib.crc32(block, crc32)
    return crc32


def line_of(task: Task) -> str:
    """Return ``task`` as the line that a process of this module reads."""
    return json.dumps(asdict(task)) + "\n"


def _serve() -> None:
    tasks: queue.SimpleQueue[str] = queue.SimpleQueue()
    end_with_parent(tasks.put)  # else it would go on writing beside its parent's successor
    while True:
        print(json.dumps(_attempt(Task(**json.loads(tasks.get())))), flush=True)


def _attempt(task: Task) -> dict[str, Any]:
    try:
        finish(task)
    except OSError as error:
        return {"errno": error.errno, "strerror": error.strerror, "filename": error.filename}
    except UsageError as error:
        return {"usage": str(error)}
    return {}


if __name__ == "__main__":
    _serve()
