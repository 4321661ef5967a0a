"""Where the time of a training step on a GPU goes: kernels of a profiler trace, by part of the step and by name.

A CUDA graph replays kernels without the operations that they came from, so a kernel's part follows from its name and
from its place. What runs before the first convolution of a step makes its views, what runs after the last one is the
update; a step begins with the copy of its indices to the GPU. Between these, names tell convolutions, batch norm and
matrix products from the rest. Compiled kernels have the operations that they join in their names.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

TOP = 15  # kernels that are listed
ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
CONVOLUTION = re.compile(
    r"fprop|dgrad|wgrad|winograd|implicit_gemm|convolve|conv2d|triton_tem_fused_.*convolution", re.I
)
NAMED = {
    "batch norm": re.compile(r"batch_?norm|bn_(fw|bw)|::bn", re.I),
    "changes of layout": re.compile(r"nchwToNhwc|nhwcToNchw|transpose", re.I),
    "matrix products": re.compile(r"gemm|cublas|cutlass|nvjet|triton_tem", re.I),
}
"""Parts between the first and the last convolution, by name; the first that fits."""
PARTS = ("views", "convolutions", *NAMED, "other kernels of the network", "update", "gaps")


class Kernel(NamedTuple):
    """A kernel or a copy on the device; ``start`` and ``length`` in microseconds."""

    name: str
    start: float
    length: float


def traced(call: Callable[[], object], device: torch.device) -> list[Kernel]:
    """What ``call`` runs on the device, in order; nothing on a CPU."""
    from torch.profiler import ProfilerActivity, profile

    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiler:
        call()
        if on_gpu:
            torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return kernels(json.loads(path.read_text()))


def kernels(trace: dict[str, Any]) -> list[Kernel]:
    """The kernels of a Chrome trace, by their start."""
    events = [event for event in trace["traceEvents"] if event.get("cat") in ON_DEVICE and event.get("ph") == "X"]
    return sorted((Kernel(e["name"], float(e["ts"]), float(e["dur"])) for e in events), key=lambda k: k.start)


def parts(ran: Sequence[Kernel]) -> list[str]:
    """The part of the step that each kernel belongs to, one of :data:`PARTS` but the gaps."""
    convolutions = [number for number, kernel in enumerate(ran) if CONVOLUTION.search(kernel.name)]
    found = ["views"] * len(ran)
    if not convolutions:
        return ["other kernels of the network"] * len(ran)
    for number in range(convolutions[0], convolutions[-1] + 1):
        found[number] = named(ran[number].name)
    # Between the last convolution of a step and the first of the next one lies a copy of indices.
    for before, after in zip(convolutions, [*convolutions[1:], len(ran)], strict=True):
        between = range(before + 1, after)
        begins = next((number for number in between if "HtoD" in ran[number].name), None)
        if begins is not None or after == len(ran):
            for number in between:
                found[number] = "update" if begins is None or number < begins else "views"
    return found


def named(name: str) -> str:
    """The part of a kernel of the network, by its name."""
    if CONVOLUTION.search(name):
        return "convolutions"
    return next((part for part, pattern in NAMED.items() if pattern.search(name)), "other kernels of the network")


def summary(ran: Sequence[Kernel], steps: int) -> dict[str, Any]:
    """Milliseconds per step, the share of every part in them, and the kernels that take longest.

    Args:
        ran: all kernels of ``steps`` steps.
        steps: their number.

    Returns:
        ``ms per step``, from the first kernel's start to the last one's end; ``kernels per step``; ``shares`` by part,
        of which ``gaps`` is the time in which nothing ran; ``top``, a list. Empty without kernels, as on a CPU.
    """
    if not ran:
        return {}
    own, times, calls = defaultdict[str, float](float), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    end = ran[0].start
    for (name, start, length), part in zip(ran, parts(ran), strict=True):
        own["gaps"] += max(0.0, start - end)
        own[part] += max(0.0, start + length - max(end, start))  # beside another kernel, the time that it runs alone
        end = max(end, start + length)
        times[part, name] += length  # type: ignore[assignment]
        calls[part, name] += 1
    span = end - ran[0].start
    top = [
        {"part": part, "name": name, "us per step": time / steps, "calls per step": calls[part, name] / steps}
        for (part, name), time in times.most_common(TOP)
    ]
    return {
        "ms per step": span / steps / 1e3,
        "kernels per step": len(ran) / steps,
        "shares": {part: own[part] / span for part in PARTS},
        "top": top,
    }
