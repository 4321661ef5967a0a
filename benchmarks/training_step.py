"""One SimCLR step of the small encoder on glyphs, by composition, images per second on one core.

``python -m benchmarks.training_step``; the first row is the step without augmentation.
"""

from __future__ import annotations

from pathlib import Path

import torch

from ablate.composition import Composition
from ablate.data import cache_dir, prepare
from ablate.settings import Request, shared_config
from ablate.simclr.trainer import Trainer
from benchmarks.harness import measure, save

STEPS = 10
COMPOSITIONS = ("none", "crop", "color", "blur", "crop+color", "color+blur")


def contenders(cache: Path) -> tuple[dict[str, object], int]:
    data = prepare("glyphs", cache=cache, image_size=32)
    config = shared_config(Request(data="glyphs", branches="one", device="cpu"), data.identity)
    calls = {}
    for text in COMPOSITIONS:
        specs = Composition.parse(text).specs()
        trainer = Trainer(config.model_copy(update={"composition": specs}), 0, data, torch.device("cpu"))
        calls[text] = lambda trainer=trainer: trainer.train_steps(STEPS)
    return calls, STEPS * config.batch_size


if __name__ == "__main__":
    calls, images = contenders(cache_dir(None))
    save("training_step", measure(calls, images))
