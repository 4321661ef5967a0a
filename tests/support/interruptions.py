"""Train with interruptions."""

from __future__ import annotations

from ablate.config.trial import Optimiser
from ablate.distributed import ALONE
from ablate.trial.run import run_trial
from tests.support.processes import config, data

EPOCHS, STEPS = 2, 5

SGD = {"optimiser": Optimiser(name="sgd", lr=0.05)}

PROTOCOLS_ASKED = ("online", "linear", "finetune:10%", "knn")


def run(directory, context=None, world=ALONE, **changes):
    changes = {**SGD, "epochs": EPOCHS, **changes}
    return run_trial(
        config(world.size, **changes), directory, context, data=data(), protocols=PROTOCOLS_ASKED, world=world
    )
