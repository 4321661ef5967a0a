"""A generated folder of 20,000 JPEGs of 400 x 300 px (about 30 KB each): decoded, then read in random batches.

``python -m benchmarks.data``; about ten minutes and 7 GB of temporary disk. Files are in the page cache in every row:
disks play no part. Each row of decoding runs in a process of its own, three times, interleaved: images per second of
wall time and of processor time, and peak memory. The peer, torchvision's ``ImageFolder`` under a ``DataLoader`` with
two workers, resizes to the same short side and keeps nothing; ours also hashes, checksums and writes. Batches are of
256 images with a short side of 256 px, stored for training at 224. The per-image loop that ``Resident`` had before is
the first row; ``waiting`` rows have a consumer that sleeps 50 ms per batch, as one waiting for an accelerator would.
"""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from ablate.data import Images, Resident, prepare, workers
from ablate.rng import stream
from benchmarks.harness import save

COUNT, WIDTH, HEIGHT = 20_000, 400, 300
SIZE, SHORT = 224, 256
BATCH, BATCHES = 256, 40
DECODE_ROUNDS, BATCH_ROUNDS = 3, 7
STEP = 0.05  # seconds

Row = dict[str, float]


def generate(folder: Path, number: int, count: int) -> None:
    """``count`` smooth colour fields with grain, as JPEGs of quality 85."""
    rng = np.random.default_rng(number)
    folder.mkdir(parents=True)
    for i in range(count):
        smooth = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        field = np.asarray(smooth.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
        grain = rng.normal(0, 6, (HEIGHT, WIDTH, 1))
        Image.fromarray((field + grain).clip(0, 255).astype(np.uint8)).save(folder / f"{i:05}.jpg", quality=85)


def decode(root: Path, cache: Path, processes: int) -> Row:
    workers.cores = lambda: processes
    before, peaks, started = memory(), [0.0], now()

    def watch(done: int, total: int) -> None:
        peaks.extend(memory(child) for child in children())

    prepare(f"folder:{root}", cache=cache, image_size=SIZE, short_side=SHORT, progress=watch)
    return {**rates(started), "MB_before": before, "MB_peak": memory(), "MB_peak_per_worker": max(peaks)}


def peer(root: Path) -> Row:
    prepared = v2.Compose([v2.Resize(SHORT), v2.PILToTensor()])
    data = ImageFolder(root, prepared)
    before, peaks, started = memory(), [0.0], now()
    for batch, _ in torch.utils.data.DataLoader(data, batch_size=64, num_workers=2):
        assert batch.shape[2] == SHORT
        peaks.extend(memory(child) for child in children())
    return {**rates(started), "MB_before": before, "MB_peak": memory(), "MB_peak_per_worker": max(peaks)}


def now() -> tuple[float, float]:
    """Seconds of wall time, and of processor time of this process and those children that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in usage)


def rates(started: tuple[float, float]) -> Row:
    wall, cpu = (end - start for start, end in zip(started, now(), strict=True))
    return {"images_per_second": COUNT / wall, "images_per_cpu_second": COUNT / cpu}


def memory(pid: str = "self", field: str = "VmHWM") -> float:
    """Peak resident memory in MB, pages of mapped files included; 0 of a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), 0.0)


def children() -> Iterator[str]:
    for task in Path("/proc/self/task").iterdir():
        yield from (task / "children").read_text().split()


def loop(images: Images, index: Tensor) -> Tensor:
    """One torch copy per image into zeros: what ``Resident.batch`` did before."""
    sizes, places = images.sizes[index], images.addresses[index]
    height, width = sizes.amax(0).tolist()
    padded = torch.zeros(len(index), 3, height, width, dtype=torch.uint8)
    for row, (shard, offset), (h, w) in zip(padded, places.tolist(), sizes.tolist(), strict=True):
        row[:, :h, :w] = images.pixels[shard][offset : offset + 3 * h * w].view(3, h, w)
    return padded


def batches(root: Path, cache: Path) -> dict[str, Row]:
    torch.set_num_threads(1)
    images = prepare(f"folder:{root}", cache=cache, image_size=SIZE, short_side=SHORT).train.images
    resident = Resident(images, torch.device("cpu"))
    for index in torch.arange(len(images)).split(BATCH):
        resident.batch(index)  # every page into the page cache
    ways: dict[str, Callable[[Iterable[Tensor]], Iterable[object]]] = {
        "per-image loop (before)": lambda indices: (loop(images, index) for index in indices),
        "batch": lambda indices: map(resident.batch, indices),
        "stream": resident.stream,
    }
    seconds: dict[str, list[float]] = {}
    for number in range(BATCH_ROUNDS):
        order = torch.randperm(len(images), generator=stream(0, "benchmark", number))
        for wait, suffix in ((0.0, ""), (STEP, ", waiting")):
            for name, way in ways.items():
                started = time.perf_counter()
                for _ in way(order[: BATCH * BATCHES].split(BATCH)):
                    time.sleep(wait)
                seconds.setdefault(name + suffix, []).append(time.perf_counter() - started)
    rows = {name: quartiles([BATCH * BATCHES / one for one in values]) for name, values in seconds.items()}
    return {**rows, "memory": {"MB_anonymous": memory(field="RssAnon"), "MB_mapped": memory(field="RssFile")}}


def quartiles(values: list[float]) -> Row:
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "q1": q1, "q3": q3}


def fresh(function, *args):
    """``function(*args)``, in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def main(directory: Path) -> dict[str, object]:
    root, cache = directory / "images", directory / "cache"
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(generate, [root / f"class{i}" for i in range(10)], range(10), [COUNT // 10] * 10))
    contenders = {"torchvision ImageFolder, 2 workers": (peer, root)}
    contenders |= {f"ablate, {n} process{'es' * (n > 1)}": (decode, root, cache, n) for n in (1, 2)}
    runs: dict[str, list[Row]] = {name: [] for name in contenders}
    for _ in range(DECODE_ROUNDS):
        for name, call in contenders.items():
            shutil.rmtree(cache, ignore_errors=True)
            runs[name].append(fresh(*call))
    decoding = {name: {key: quartiles([row[key] for row in rows]) for key in rows[0]} for name, rows in runs.items()}
    size = statistics.mean(path.stat().st_size for path in root.rglob("*.jpg"))
    conditions = {"images": COUNT, "bytes_per_file": size, "short_side": SHORT, "pillow": PIL.__version__}
    return {"conditions": conditions, "decoding": decoding, "batches": fresh(batches, root, cache)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        save("data", main(Path(directory)))
