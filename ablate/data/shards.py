"""Shards: some hundred image files, decoded into one file of raw bytes, with a record that is written last.

A shard is the unit in which decoding is shared out and continued after an interruption. ``python -m
ablate.data.shards`` is a process that makes shards: it reads one task per line of standard input and writes one answer
per line of standard output. No torch is needed.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ablate.data.contents import UNREADABLE, Held, contents
from ablate.data.decode import Levels, decode
from ablate.errors import CorruptImage, ImageError, UnsupportedImage
from ablate.files import write_atomically

BLOCK = 1 << 22  # bytes read at once


@dataclass(frozen=True)
class Task:
    """The images ``relpaths`` below ``root``, to be stored with the short side ``short`` as ``target``.pixels.

    ``held`` says what holds the images. ``key`` changes whenever the files may have changed; a shard with another key
    is made again. ``levels`` are the values of 16-bit grey that become 0 and 255; without them, only the spans of such
    images are stored, not their pixels.
    """

    key: str
    root: str
    relpaths: list[str]
    short: int
    target: str
    held: Held = "files"
    levels: Levels | None = None

    @property
    def pixels(self) -> Path:
        """The path of the images that could be decoded, ``[3, h, w]`` each, one after the other."""
        return Path(f"{self.target}.pixels")

    @property
    def record(self) -> Path:
        """The path of the JSON record.

        The record holds the key, the levels, the number of bytes, their crc32, the least and the greatest pixel value
        and, for each file, its SHA-256 and [h, w]. In place of [h, w], a file without pixels has the reason, or null
        for 16-bit grey without levels. ``refused`` lists the numbers of refused files, which are intact; ``spans`` maps
        the numbers of 16-bit grey files to their spans; ``traits`` maps each trait to the count of its files and the
        number of the first.
        """
        return Path(f"{self.target}.json")


def finish(task: Task) -> None:
    """Make the shard unless it already exists and is whole.

    Raises:
        OSError: the disk refused it.
    """
    if not _is_whole(task):
        _make(task)


def _make(task: Task) -> None:
    task.record.unlink(missing_ok=True)
    task.pixels.unlink(missing_ok=True)  # never overwritten in place: a running trial may have mapped it
    digests: list[str] = []
    images: list[tuple[int, int] | str | None] = []
    refused: list[int] = []
    spans: dict[int, Levels] = {}
    traits: dict[str, tuple[int, int]] = {}
    extremes = (255, 0)
    crc32 = 0
    with task.pixels.open("wb") as out:
        for number, (name, content) in enumerate(contents(task.held, Path(task.root), task.relpaths)):
            digests.append(name)
            try:
                if content is None:
                    raise CorruptImage(name.removeprefix(UNREADABLE))
                pixels, span, found = decode(content, task.short, task.levels)
            except ImageError as error:
                images.append(str(error))
                refused += [number] * isinstance(error, UnsupportedImage)
                continue
            for trait in found:
                count, first = traits.get(trait, (0, number))
                traits[trait] = (count + 1, first)
            if span:
                spans[number] = span
            if pixels is None:
                images.append(None)
                continue
            image = np.ascontiguousarray(pixels)
            out.write(image.data)
            crc32 = zlib.crc32(image.data, crc32)
            images.append((image.shape[1], image.shape[2]))
            extremes = (min(extremes[0], int(image.min())), max(extremes[1], int(image.max())))
        size = out.tell()
    record: dict[str, Any] = {
        "key": task.key,
        "levels": task.levels,
        "bytes": size,
        "crc32": crc32,
        "extremes": extremes,
    }
    record |= {"digests": digests, "images": images, "refused": refused, "spans": spans, "traits": traits}
    write_atomically(task.record, json.dumps(record))


def _is_whole(task: Task) -> bool:
    """Return True if the shard was made of these files, has all its bytes, and every file could be read."""
    try:
        record = json.loads(task.record.read_bytes())
        if record["key"] != task.key or any(name.startswith(UNREADABLE) for name in record["digests"]):
            return False
        if task.levels and record["spans"] and record["levels"] != list(task.levels):
            return False
        return bool(task.pixels.stat().st_size == record["bytes"] and _crc32(task.pixels) == record["crc32"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


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
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    while True:
        print(json.dumps(_attempt(Task(**json.loads(tasks.get())))), flush=True)


def _listen(tasks: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        tasks.put(line)
    os._exit(0)  # the parent has died; do not go on writing beside its successor


def _attempt(task: Task) -> dict[str, Any]:
    try:
        finish(task)
    except OSError as error:
        return {"errno": error.errno, "strerror": error.strerror, "filename": error.filename}
    return {}


if __name__ == "__main__":
    _serve()
