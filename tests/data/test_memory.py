"""The memory that a folder of images takes while it is prepared, by the kernel's account."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIDE, DISTINCT = 64, 100
PEAKS = """
import re, resource, sys
from pathlib import Path
from ablate.data import prepare
data = prepare(f"folder:{sys.argv[1]}", cache=Path(sys.argv[2]), image_size=64)
own = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(len(data.train.labels) + len(data.test.labels), own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the kernel's account of memory")
def test_memory_hardly_grows_with_the_number_of_files(tmp_path):
    """Of the command and of the processes that decode: 10 MiB and 117 MiB of pixels; a name takes some hundred bytes.

    All images have equal ones in the other split, which are listed.
    """
    rng = np.random.default_rng(0)
    for number in range(DISTINCT):
        pixels = np.broadcast_to(rng.integers(0, 256, (SIDE, 1, 3), dtype=np.uint8), (SIDE, SIDE, 3))
        Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / f"{number}.png")
    peaks = []
    for count in (800, 10_000):
        folder = tmp_path / f"set{count}"
        for name in "ab":
            (folder / name).mkdir(parents=True)
        for number in range(count):
            os.link(tmp_path / f"{number % DISTINCT}.png", folder / "ab"[number % 2] / f"{number:05}.png")
        line = [sys.executable, "-c", PEAKS, str(folder), str(tmp_path / f"cache{count}")]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        read, *mebibytes = (int(number) for number in done.stdout.split())
        assert read == count
        peaks.append(np.array(mebibytes) // 1024)
    assert (peaks[1] - peaks[0]).max() < 50, peaks
