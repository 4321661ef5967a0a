"""A trial that needs more memory than there is says so, and what would need less."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ablate.sweep.record import MEMORY_ADVICE, OUT_OF_MEMORY
from ablate.trial.failure import is_out_of_memory
from ablate.trial.run import run_trial
from tests.support.processes import config, data

CPU = (
    "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "99999999 bytes. Error code 12 (Cannot allocate memory)"
)
CUBLAS = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        torch.OutOfMemoryError("whatever it says"),
        MemoryError(),
        RuntimeError(CPU),
        RuntimeError(CUBLAS),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
    ],
    ids=lambda error: f"{type(error).__name__}: {error}"[:40],
)
def test_how_it_is_said(error):
    assert is_out_of_memory(error)


def test_the_allocators_themselves():
    with pytest.raises(RuntimeError) as told:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(told.value)
    with pytest.raises(MemoryError) as told:
        np.empty(1 << 60, dtype=np.uint8)
    assert is_out_of_memory(told.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        ValueError("out of memory"),
        KeyError("memory"),
    ],
)
def test_what_is_something_else(error):
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(MemoryError(), OUT_OF_MEMORY), (RuntimeError(CPU), OUT_OF_MEMORY), (RuntimeError("no"), "RuntimeError")],
)
def test_the_record_says_what_would_need_less(tmp_path, monkeypatch, error, kind):
    def fail(*_):
        raise error

    monkeypatch.setattr("ablate.training.step.TransformPair.apply", fail)
    result = run_trial(config(1), tmp_path, data=data())
    assert (result.status, result.error.type) == ("failed", kind)
    assert (MEMORY_ADVICE in result.error.message) == (kind == OUT_OF_MEMORY)
    assert str(error) in result.error.message
    assert "in fail\n" in result.error.traceback
