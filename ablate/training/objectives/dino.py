"""DINO (Caron et al. 2021, arXiv 2104.14294): the student finds the teacher's distribution over prototypes.

The teacher is the target. There are two views of each image, without the paper's further small crops.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.distributed import World
from ablate.training.objectives.objective import Projections
from ablate.training.objectives.pairs import Pairs, views
from ablate.training.target import momentum_copy


class DINO(Pairs):
    """Cross-entropy of the student's distribution and the teacher's, which is centred and sharpened."""

    metric = "prototype_top1"
    evaluates_target = True  # "the teacher has better performance than the student" (section 5.2)

    def modules(self, dim: int, classes: int) -> dict[str, nn.Module]:
        """Build ``head``, a :class:`PrototypeHead`."""
        head, bottleneck = self.config.head, self.config.method.bottleneck
        assert bottleneck is not None
        return {"head": PrototypeHead([dim, *[head.hidden] * (head.layers - 1), bottleneck], head.output)}

    def target(self, model: nn.ModuleDict, world: World) -> nn.ModuleDict:
        """Return the teacher, whose head ends with the centring of its output."""
        momentum = self.config.method.centre_momentum
        assert momentum is not None
        teacher = momentum_copy(model, world)
        centre = Centre(self.config.head.output, momentum, world).to(next(model.parameters()).device)
        teacher["head"] = nn.Sequential(teacher["head"], centre)
        return teacher

    def evaluated(self, model: nn.ModuleDict, target: nn.ModuleDict | None) -> tuple[nn.Module, nn.Module]:
        """Return encoder and head of the teacher, without the centring."""
        assert target is not None
        return target["encoder"], target["head"].get_submodule("0")

    def hold(self, model: nn.ModuleDict, epoch: Tensor) -> None:
        """Keep the prototypes as they are in the first ``method.fixed_epochs`` epochs, as the published code does.

        Their gradient becomes 0, and weight decay, which then changes their length alone, has no effect on z. Without a
        gradient, torch's fused SGD would fail once they have one.
        """
        fixed, gradient = self.config.method.fixed_epochs, model["head"].prototypes.grad
        assert fixed is not None
        if gradient is not None:
            gradient.masked_fill_(epoch < fixed, 0)  # type: ignore[operator]

    def of_batch(self, projections: Projections) -> tuple[Tensor, Tensor]:
        """Return :func:`dino`, and the share of views whose first prototype is the teacher's for the other view."""
        method = self.config.method
        assert method.student_temperature is not None
        assert method.teacher_temperature is not None
        temperatures = method.student_temperature, method.teacher_temperature
        (s1, s2), (t1, t2) = views(projections.z), views(projections.target)
        with torch.no_grad():
            hits = torch.cat([s1, s2]).argmax(1) == torch.cat([t2, t1]).argmax(1)
        return dino(s1, s2, t1, t2, *temperatures), hits.float().mean()


def dino(s1: Tensor, s2: Tensor, t1: Tensor, t2: Tensor, student: float, teacher: float) -> Tensor:
    """Return equation 3 for two views: the mean of ``H(P_t(x1), P_s(x2))`` and ``H(P_t(x2), P_s(x1))``.

    H is the cross-entropy, averaged over the images, and P the softmax of the outputs divided by a temperature.

    Args:
        s1: the student's outputs for the first views, ``[N, K]``.
        s2: the student's outputs for the second views.
        t1: the teacher's centred outputs for the first views, without gradient.
        t2: the teacher's centred outputs for the second views, without gradient.
        student: temperature of the student.
        teacher: temperature of the teacher.
    """

    def entropy(t: Tensor, s: Tensor) -> Tensor:
        return -((t / teacher).softmax(1) * (s / student).log_softmax(1)).sum(1).mean()

    return (entropy(t1, s2) + entropy(t2, s1)) / 2


class PrototypeHead(nn.Module):
    """Linear layers with GELU between them, then the cosine similarity to prototypes (appendix C).

    Args:
        sizes: the dimensions before, between and after the layers; the last is the bottleneck.
        prototypes: their number K.
    """

    def __init__(self, sizes: list[int], prototypes: int) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            linear = nn.Linear(before, after)
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
            modules += [linear, nn.GELU()]
        self.layers = nn.Sequential(*modules[:-1])
        self.prototypes = nn.Parameter(torch.empty(prototypes, sizes[-1]))
        nn.init.normal_(self.prototypes)

    def forward(self, h: Tensor) -> Tensor:
        """Return ``[N, K]`` similarities in [-1, 1]."""
        return F.linear(F.normalize(self.layers(h), dim=1), F.normalize(self.prototypes, dim=1))


class Centre(nn.Module):
    """Subtract a running mean of the outputs over all processes, and update it in training (equation 4).

    Args:
        size: the number of outputs.
        momentum: the share of the old mean in the new one.
        world: the processes that train together; each has equally many rows.
    """

    value: Tensor

    def __init__(self, size: int, momentum: float, world: World) -> None:
        super().__init__()
        self.momentum, self.world = momentum, world
        self.register_buffer("value", torch.zeros(size))

    def forward(self, outputs: Tensor) -> Tensor:
        """Return ``outputs [N, K]`` minus the mean of earlier batches, at least in float32."""
        outputs = outputs if outputs.dtype.itemsize >= 4 else outputs.float()
        centred = outputs - self.value
        if self.training:
            mean = outputs.mean(0)
            self.world.sum_([mean])
            self.value.lerp_(mean / self.world.size, 1 - self.momentum)
        return centred
