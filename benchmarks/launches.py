"""What two views cost a GPU, counted without one: kernels launched, bytes they move, waits for the device.

``python -m benchmarks.launches``; kornia is in the base installation. Every operation that is not a view or an
allocation counts as a kernel, with the bytes of what it reads and writes. Ours run on fake CUDA tensors; kornia's
classes, which wait for the device, on the CPU, where its boolean indexing and ``.item()`` count as the waits that they
would be. ``compiled`` is what Inductor generates for an H100 from the same stages, parameters drawn as before: its
kernels are counted in the code, its bytes are the inputs and outputs of every kernel. ``into the network`` is what
stands between the views and the first convolution.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Iterator
from unittest import mock

import torch
from torch import Tensor
from torch._dynamo.device_interface import CudaInterface
from torch._inductor.debug import DebugContext
from torch._inductor.decomposition import select_decomp_table
from torch._inductor.graph import GraphLowering
from torch._inductor.scheduler import NopKernelSchedulerNode
from torch._inductor.virtualized import V
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ablate.ops import Crop, Op, Params, resized_crop
from ablate.ops.pair import PairParams, TransformPair
from ablate.training.layout import joined
from benchmarks.harness import save
from benchmarks.with_kornia import kornia_views

SIZES = ((32, 512), (96, 256), (224, 64))
FREE = ("prim::", "empty", "detach", "alias", "lift_fresh", "_unsafe_view", "set_", "resize_")
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "index.Tensor", "_unique2")
Row = dict[str, float]


class Count(TorchDispatchMode):
    """Kernels, bytes and waits of what is called inside."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = self.bytes = self.waits = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.name().removeprefix("aten::")
        if func.is_view or name.startswith(FREE):  # prim::device and the like launch nothing
            return result
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
        masks = [t for t in tree_leaves(args) if isinstance(t, Tensor) and t.dtype == torch.bool]
        self.waits += name.startswith(WAITS) and (name != "index.Tensor" or bool(masks))
        self.kernels += 1
        self.bytes += sum(moved(t) for t in tensors)
        return result

    def row(self) -> Row:
        """For the table."""
        return {"kernels": self.kernels, "MB": self.bytes / 1e6, "waits": self.waits}


def moved(tensor: Tensor) -> int:
    """Bytes: an expanded tensor is read once."""
    return min(tensor.nbytes, tensor.untyped_storage().nbytes())


def drawn(pair: TransformPair, n: int) -> PairParams:
    """As :meth:`TransformPair.sample`, but for a generator on the CPU, which is all that fake tensors allow."""
    generator, size = torch.Generator(), (pair.size, pair.size)

    def branch() -> tuple[Params, ...]:
        first, *rest = pair.composition.ops
        assert isinstance(first, Crop)
        boxes = first.sample_boxes(n, size, generator, "cuda")
        return boxes, *(op.sample(n, size, generator, "cuda") for op in rest)

    return PairParams(None, (branch(), branch()))


def eager(size: int, batch: int) -> tuple[Row, Row]:
    """Of the draws, and of both views."""
    pair = TransformPair.two_branch("crop+color+blur", size)
    with FakeTensorMode():
        images = torch.empty(batch, 3, size, size, dtype=torch.uint8, device="cuda")
        with Count() as draws:
            params = drawn(pair, batch)
        with Count() as views:
            pair.apply(images, params)
    return draws.row(), views.row()


def compiled(size: int, batch: int) -> Row:
    """Of both views, each stage compiled as ``--compile`` does: twice what one view's stages take."""
    pair = TransformPair.two_branch("crop+color+blur", size)
    _, color, blur = pair.composition.ops
    kernels = moved_bytes = 0
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with fake:
        stored = torch.empty(batch, 3, size, size, dtype=torch.uint8, device="cuda")
        floats = torch.empty(batch, 3, size, size, device="cuda")
        boxes, *others = drawn(pair, batch).branches[0]
        stages = [
            (lambda x, p: resized_crop(x, p, (size, size)), stored, boxes),
            (functools.partial(apply, color), floats, others[0]),
            (functools.partial(apply, blur), floats, others[1]),
        ]
        for function, images, params in stages:
            graph = make_fx(function, decomposition_table=select_decomp_table())(images, params)
            nodes = lowered(graph, tree_leaves((images, params)), fake)
            kernels += len(nodes)
            moved_bytes += sum(nodes)
    return {"kernels": 2 * kernels, "MB": 2 * moved_bytes / 1e6, "waits": 0}


def apply(op: Op, images: Tensor, params: Params) -> Tensor:
    return op.apply(images, params)


def lowered(graph: torch.fx.GraphModule, inputs: list[Tensor], fake: FakeTensorMode) -> list[int]:
    """The bytes of every kernel that Inductor schedules for ``graph``."""
    with as_if_on_a_gpu():
        lowering = GraphLowering(graph, is_inference=True)
        with V.set_graph_handler(lowering), V.set_fake_mode(fake), DebugContext():
            lowering.run(*inputs)
            lowering.codegen()
            nodes = [node for node in lowering.scheduler.nodes if not isinstance(node, NopKernelSchedulerNode)]
            return [node.get_read_write_buffers_sizes() for node in nodes]


def into_the_network(size: int, batch: int) -> Row:
    """Of what lies between the views and the first convolution of a bfloat16 encoder."""
    with FakeTensorMode():
        views = [torch.empty(batch, 3, size, size, device="cuda") for _ in range(2)]
        with Count() as count:
            joined(views, torch.bfloat16, torch.channels_last)
    return count.row()


@contextlib.contextmanager
def as_if_on_a_gpu() -> Iterator[None]:
    """What code generation asks of the driver, answered for an H100."""
    h100 = types.SimpleNamespace(
        name="H100", major=9, minor=0, multi_processor_count=132, total_memory=80 << 30, warp_size=32,
        max_threads_per_multi_processor=2048, max_threads_per_block=1024, regs_per_multiprocessor=65536,
        L2_cache_size=50 << 20, shared_memory_per_block=49152, shared_memory_per_block_optin=232448,
        shared_memory_per_multiprocessor=233472, gcnArchName="", uuid="",
    )  # fmt: skip
    answers: dict[str, Callable[..., object]] = {
        "torch.cuda.is_available": lambda: True,
        "torch.cuda.device_count": lambda: 1,
        "torch.cuda.current_device": lambda: 0,
        "torch.cuda.get_device_properties": lambda *_: h100,
        "torch.cuda.get_device_capability": lambda *_: (9, 0),
        "torch._inductor.codegen.triton.TritonKernel.inductor_meta_common": staticmethod(lambda *_, **__: {}),
    }
    with contextlib.ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(mock.patch(name, answer))
        for owner in (CudaInterface, CudaInterface.Worker):
            stack.enter_context(mock.patch.object(owner, "get_device_properties", staticmethod(lambda *_: h100)))
        stack.enter_context(mock.patch.object(CudaInterface, "current_device", staticmethod(lambda: 0)))
        yield


def kornia(size: int, batch: int) -> Row:
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    views = kornia_views(images, size)
    views()
    with Count() as count:
        views()
    return count.row()


def rows_of(size: int, batch: int) -> dict[str, Row]:
    draws, views = eager(size, batch)
    fused = compiled(size, batch)
    return {
        "kornia, eager": kornia(size, batch),
        "ablate, eager": {key: draws[key] + views[key] for key in draws},
        "ablate, eager: the draws alone": draws,
        "ablate, compiled": {key: draws[key] + fused[key] for key in draws},
        "into the network": into_the_network(size, batch),
    }


if __name__ == "__main__":
    save("launches", {f"{size} px, B{batch}": rows_of(size, batch) for size, batch in SIZES})
