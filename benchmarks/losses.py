"""Every loss and its gradient beside lightly's and solo-learn's formula, with equal inputs in float64.

``python -m benchmarks.losses``, in seconds; lightly is in the extra ``[bench]``. solo-learn asks for an old torch, so
``pip install --no-deps solo-learn==1.0.2``; one file of it is loaded. No package of these has MoCo v3's loss without a
queue. A row is the largest difference, relative to the largest value. It says whether two formulas are the same, not
which is faster.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.metadata import files, version
from typing import Any

import torch
from lightly.loss import BarlowTwinsLoss, DINOLoss, NegativeCosineSimilarity, NTXentLoss, VICRegLoss
from torch import Tensor

from ablate.distributed import ALONE
from ablate.training.loss import nt_xent_with_top1
from ablate.training.objectives.barlow import barlow_twins
from ablate.training.objectives.byol import byol
from ablate.training.objectives.dino import dino
from ablate.training.objectives.simsiam import simsiam
from ablate.training.objectives.supcon import supcon
from ablate.training.objectives.vicreg import vicreg
from benchmarks.harness import save

N, D, CLASSES = 64, 32, 5
Loss = Callable[..., Tensor]


def solo(name: str) -> Any:
    """A module of solo-learn's losses, without the package around it, which needs versions of its own."""
    (path,) = (file for file in files("solo-learn") or () if str(file) == f"solo/losses/{name}.py")
    spec = importlib.util.spec_from_file_location(f"solo_{name}", path.locate())
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pairs() -> dict[str, tuple[Loss, Loss, int, int]]:
    """Our loss, the other one, their number of inputs ``[N, D]``, and how many of these get a gradient."""
    cosine, moved = NegativeCosineSimilarity(), solo("byol").byol_loss_func
    labels = torch.arange(N) % CLASSES
    same = (labels.repeat(2)[:, None] == labels.repeat(2)) & ~torch.eye(2 * N, dtype=torch.bool)
    alike = solo("simclr").simclr_loss_func
    centred = DINOLoss(D, teacher_temp=0.04, student_temp=0.1).double()  # its centre is still zero
    return {
        "simclr, lightly": (
            lambda a, b: nt_xent_with_top1(torch.cat([a, b]), 0.2, ALONE)[0],
            NTXentLoss(temperature=0.2),
            2,
            2,
        ),
        "supcon, solo-learn": (
            lambda a, b: supcon(torch.cat([a, b]), labels.repeat(2), 0.1)[0],
            lambda a, b: alike(a, b, 0.1, extra_pos_mask=same),
            2,
            2,
        ),
        "byol, solo-learn": (byol, lambda p, q, t, u: moved(p, u) + moved(q, t), 4, 2),
        "simsiam, lightly": (
            simsiam,
            lambda p, q, y, z: (cosine(p, z.detach()) + cosine(q, y.detach())) / 2,
            4,
            2,
        ),
        "barlow, lightly": (lambda a, b: barlow_twins(a, b, 0.005), BarlowTwinsLoss(0.005), 2, 2),
        "vicreg, lightly": (lambda a, b: vicreg(a, b, 25, 25, 1), VICRegLoss(), 2, 2),
        "dino, lightly": (
            lambda s, r, t, u: dino(s, r, t, u, 0.1, 0.04),
            lambda s, r, t, u: centred([t, u], [s, r]),
            4,
            2,
        ),
    }


def apart(ours: Loss, other: Loss, inputs: int, trained: int) -> dict[str, float]:
    """The relative difference of both losses, and the largest one of their gradients."""
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(N, D, generator=generator, dtype=torch.float64) for _ in range(inputs)]

    def both(loss: Loss) -> tuple[Tensor, Tensor]:
        x = [one.clone().requires_grad_(number < trained) for number, one in enumerate(given)]
        value = loss(*x)
        return value.detach(), torch.stack(torch.autograd.grad(value, x[:trained]))

    (a, da), (b, db) = both(ours), both(other)
    return {"loss": float((a - b).abs() / b.abs()), "gradient": float((da - db).abs().max() / db.abs().max())}


def main() -> None:
    rows = {name: apart(*pair) for name, pair in pairs().items()}
    save("losses", {"packages": {name: version(name) for name in ("lightly", "solo-learn")}, **rows})


if __name__ == "__main__":
    main()
