"""A shard: some hundred image files, decoded into one file of raw bytes, with a record that is written last.

Shards are what decoding shares out, and what an interrupted decoding goes on from. ``python -m ablate.data.shards`` is
a process that makes them: a task per line of standard input, an answer per line of standard output. No torch needed.
"""

from __future__ import annotations

import hashlib
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

from ablate.data.decode import Corrupt, decode
from ablate.results import write_atomically

UNREADABLE = "unreadable: "
BLOCK = 1 << 22  # bytes read at once


@dataclass(frozen=True)
class Task:
    """The files ``places`` below ``root``, to be stored with the short side ``short`` as ``target``.pixels.

    ``key`` changes whenever the files may have changed: a shard with another key is made anew.
    """

    key: str
    root: str
    places: list[str]
    short: int
    target: str

    @property
    def pixels(self) -> Path:
        """The images that could be decoded, ``[3, h, w]`` each, one after the other."""
        return Path(f"{self.target}.pixels")

    @property
    def record(self) -> Path:
        """JSON: key, bytes and crc32 of the pixels and, per file, SHA-256 and [h, w]; of a corrupt one the reason."""
        return Path(f"{self.target}.json")


def finish(task: Task) -> None:
    """Make the shard, unless it is there, whole.

    Raises:
        OSError: the disk refused it.
    """
    if not _is_whole(task):
        _make(task)


def digest(path: Path) -> tuple[str, bytes | None]:
    """SHA-256 of a file and its content; of an unreadable one the reason, and None."""
    try:
        content = path.read_bytes()
    except OSError as error:  # a dangling link, for instance
        return f"{UNREADABLE}{error.strerror}", None
    return hashlib.sha256(content).hexdigest(), content


def _make(task: Task) -> None:
    task.record.unlink(missing_ok=True)
    task.pixels.unlink(missing_ok=True)  # never overwritten in place: a running trial may have mapped it
    digests: list[str] = []
    images: list[tuple[int, int] | str] = []
    crc32 = 0
    with task.pixels.open("wb") as out:
        for place in task.places:
            name, content = digest(Path(task.root, place))
            digests.append(name)
            try:
                if content is None:
                    raise Corrupt(name.removeprefix(UNREADABLE))
                image = np.ascontiguousarray(decode(content, task.short))
            except Corrupt as error:
                images.append(str(error))
                continue
            out.write(image.data)
            crc32 = zlib.crc32(image.data, crc32)
            images.append((image.shape[1], image.shape[2]))
        size = out.tell()
    record = {"key": task.key, "bytes": size, "crc32": crc32, "digests": digests, "images": images}
    write_atomically(task.record, json.dumps(record))


def _is_whole(task: Task) -> bool:
    """True when the shard was made of these files, has all its bytes, and no file was unreadable at the time."""
    try:
        record = json.loads(task.record.read_bytes())
        if record["key"] != task.key or any(name.startswith(UNREADABLE) for name in record["digests"]):
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
    """``task`` as a process of this module reads it."""
    return json.dumps(asdict(task)) + "\n"


def _serve() -> None:
    tasks: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    while True:
        print(json.dumps(_attempt(Task(**json.loads(tasks.get())))), flush=True)


def _listen(tasks: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        tasks.put(line)
    os._exit(0)  # whoever started this process has died; it must not go on writing beside their successor


def _attempt(task: Task) -> dict[str, Any]:
    try:
        finish(task)
    except OSError as error:
        return {"errno": error.errno, "strerror": error.strerror, "filename": error.filename}
    return {}


if __name__ == "__main__":
    _serve()
