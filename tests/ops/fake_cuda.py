"""Running an op as if on a GPU, without one: fake tensors see waits for the device, a dispatch mode sees copies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

COPIES = {"aten._to_copy.default", "aten.copy_.default", "aten._local_scalar_dense.default"}


class DeviceMix(AssertionError):
    """A call moved data between the host and the device."""


class NoTransfers(TorchDispatchMode):
    """Rejects calls that take or give tensors of several devices; a scalar on the host is passed along by value."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor)]
        devices = {t.device.type for t in tensors if t.ndim or str(func) in COPIES}
        if len(devices) > 1:
            raise DeviceMix(f"{func} mixes {sorted(devices)}")
        return result


@contextmanager
def fake_cuda() -> Iterator[None]:
    """Inside, tensors made with ``device="cuda"`` are fakes: shapes and devices, no data, no driver."""
    with FakeTensorMode(), NoTransfers():
        yield
