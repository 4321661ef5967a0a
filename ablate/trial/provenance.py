"""The versions and the hardware behind a result, as every record and benchmark carries them."""

from __future__ import annotations

import contextlib
import platform
import socket
from importlib import metadata
from pathlib import Path

import torch

from ablate._version import __version__


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    import kornia

    return {
        "ablate": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": metadata.version("torchvision"),
        "kornia": str(kornia.__version__),
        "numba": metadata.version("numba"),
    }


def host(device: torch.device) -> dict[str, str]:
    """Return the host, device, processor and the vector instructions that torch uses (they change the last bits)."""
    cuda = device.type == "cuda"
    return {
        "name": socket.gethostname(),
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
