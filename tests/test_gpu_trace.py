"""Where a step's time goes, from a made-up trace: parts, gaps, the kernels that take longest, and the page's tables."""

from __future__ import annotations

import copy

import pytest
import torch

from ablate.config.encoder import Encoder
from ablate.training.trainer import Trainer
from benchmarks import gpu, page, trace
from benchmarks.trace import Kernel, kernels, parts, summary

STEP = (
    ("Memcpy HtoD (Pageable -> Device)", "views", 2),
    ("at::native::distribution_elementwise_grid_stride_kernel<float>", "views", 3),
    ("sgemm_largek_lds64", "views", 40),
    ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", "convolutions", 200),
    ("triton_red_fused__native_batch_norm_legit_functional_relu_3", "batch norm", 60),
    ("void cudnn::ops::nchwToNhwcKernel<float>", "changes of layout", 5),
    ("nvjet_tst_128x64", "matrix products", 10),
    ("triton_poi_fused_convolution_relu_7", "other kernels of the network", 20),
    ("cutlass__5x_cudnn::Kernel<cutlass_tensorop_bf16_s16816wgrad_optimized>", "convolutions", 300),
    ("at::native::multi_tensor_apply_kernel<FusedSgd>", "update", 30),
    ("nvjet_tst_8x8", "update", 4),
)
GAP = 1.0


def made_up(steps: int) -> dict:
    """A Chrome trace of some steps, a microsecond idle after each kernel, with what else stands in such files."""
    events, now = (
        [{"ph": "M", "name": "process_name"}, {"ph": "X", "cat": "cpu_op", "name": "aten::add", "ts": 0, "dur": 9}],
        5.0,
    )
    for name, _, length in STEP * steps:
        events.append(
            {"ph": "X", "cat": "gpu_memcpy" if "Memcpy" in name else "kernel", "name": name, "ts": now, "dur": length}
        )
        now += length + GAP
    return {"traceEvents": events[::-1]}


def test_every_kernel_has_its_part():
    ran = kernels(made_up(3))
    assert parts(ran) == [part for _, part, _ in STEP] * 3
    assert set(parts(ran)) | {"gaps"} == set(trace.PARTS)


def test_shares_add_up_and_the_longest_come_first():
    found = summary(kernels(made_up(2)), 2)
    busy = sum(length for *_, length in STEP)
    span = 2 * busy + GAP * (2 * len(STEP) - 1)
    assert found["ms per step"] == pytest.approx(span / 2 / 1e3)
    assert found["kernels per step"] == len(STEP)
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert found["shares"]["convolutions"] == pytest.approx(2 * 500 / span)
    assert found["shares"]["gaps"] == pytest.approx(GAP * (2 * len(STEP) - 1) / span)
    assert [kernel["us per step"] for kernel in found["top"]] == sorted((length for *_, length in STEP), reverse=True)
    assert found["top"][0]["part"] == "convolutions"


def test_kernels_side_by_side_count_once():
    found = summary([Kernel("fprop", 0, 10), Kernel("batch_norm", 4, 10), Kernel("dgrad", 20, 5)], 1)
    shares = {part: share for part, share in found["shares"].items() if share}
    assert shares == pytest.approx({"convolutions": 15 / 25, "batch norm": 4 / 25, "gaps": 6 / 25})


def test_without_convolutions_nothing_is_claimed():
    assert set(parts([Kernel("a", 0, 1), Kernel("b", 1, 1)])) == {"other kernels of the network"}


def test_the_step_is_measured_in_small():
    """On a CPU, whose trace has no kernels."""
    cpu, data = torch.device("cpu"), gpu.noise(64)
    row = gpu.step_of(
        Trainer(gpu.config_of(data, cpu, Encoder(name="resnet8", width=8), 8, compile=False), 0, data, cpu), 1
    )
    assert row["trace"] == {}
    assert row["seconds per CIFAR-10 epoch"] > 0


def test_the_page_shows_it():
    found = copy.deepcopy(page.results())
    assert "is not known yet" in page.render(found)
    for row in found["gpu"]["rows"]["ResNet-18 step, 32 px, B512"].values():
        row["trace"] = summary(kernels(made_up(2)), 2)
    text = page.render(found)
    assert "is not known yet" not in text
    assert "Changed since these numbers" not in text
    assert "#### Where the time of the compiled step goes" in text
    assert "| convolutions | 73.0 % |" in text
    assert "| batch norm | `triton_red_fused__native_batch_norm_legit_functional_relu_3` | 60 | 1 |" in text
