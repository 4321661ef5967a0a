"""The objectives by name."""

from __future__ import annotations

from ablate.config.trial import TrialConfig
from ablate.training.objectives.barlow import BarlowTwins
from ablate.training.objectives.byol import BYOL
from ablate.training.objectives.dino import DINO
from ablate.training.objectives.mocov3 import MoCoV3
from ablate.training.objectives.objective import Objective
from ablate.training.objectives.simclr import SimCLR
from ablate.training.objectives.simsiam import SimSiam
from ablate.training.objectives.supcon import SupCon
from ablate.training.objectives.supervised import Supervised
from ablate.training.objectives.vicreg import VICReg

OBJECTIVES: dict[str, type[Objective]] = {
    "simclr": SimCLR,
    "supervised": Supervised,
    "byol": BYOL,
    "simsiam": SimSiam,
    "barlow": BarlowTwins,
    "vicreg": VICReg,
    "mocov3": MoCoV3,
    "supcon": SupCon,
    "dino": DINO,
    "untrained": SimCLR,  # nothing is trained; its head stays as SimCLR's begins
}


def objective_of(config: TrialConfig) -> Objective:
    """Return the objective of a trial."""
    return OBJECTIVES[config.objective](config)
