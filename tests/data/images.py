"""Image files whose bytes no library's version changes."""

from __future__ import annotations

import struct
from pathlib import Path


def bmp(width: int, height: int, seed: int) -> bytes:
    """A BMP file of slanted stripes."""
    row = (3 * width + 3) // 4 * 4
    lines = (bytes((seed * 31 + 7 * y + x) % 256 for x in range(3 * width)).ljust(row, b"\0") for y in range(height))
    body = b"".join(lines)
    file = struct.pack("<2sIHHI", b"BM", 54 + len(body), 0, 0, 54)
    return file + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(body), 2835, 2835, 0, 0) + body


def fill(folder: Path, count: int, first: int = 0) -> None:
    """``count`` images 16 px high and 16 to 24 wide, all different, 00000.bmp and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"{i:05}.bmp").write_bytes(bmp(16 + (i + first) % 9, 16, first + i))
