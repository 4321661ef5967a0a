"""A training step by composition, and whole steps beside lightly's example loop.

``python -m benchmarks.training_step``; lightly is in the extra ``[bench]``. By composition: the small encoder of the
glyphs preset, images per second of processor time, one thread; the first row is the step without augmentation. Beside
lightly: crop, colour and blur, the same encoder and head widths, two threads, images per second by the clock; lightly
loads with two worker processes that live on, and its first epoch is not counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import to_pil_image

from ablate.config.encoder import Encoder
from ablate.config.experiment import Experiment
from ablate.config.trial import Optimiser, TrialConfig
from ablate.data import DataSet, cache_dir, prepare
from ablate.ops.composition import Composition
from ablate.planning.settings import shared_config
from ablate.training.encoder import build_encoder
from ablate.training.trainer import Trainer
from benchmarks.harness import measure, save

CPU = torch.device("cpu")
COMPOSITIONS = ("none", "crop", "color", "blur", "crop+color", "color+blur")
SIZES = {"resnet8 of width 16, batch 256": ("resnet8", 16, 256, 4), "resnet18, batch 32": ("resnet18", 64, 32, 2)}


def by_composition(data: DataSet, config: TrialConfig, steps: int) -> dict[str, Callable[[], object]]:
    return {text: steps_of(data, config, text, steps) for text in COMPOSITIONS}


def steps_of(data: DataSet, config: TrialConfig, composition: str, steps: int) -> Callable[[], object]:
    specs = Composition.parse(composition).specs()
    trainer = Trainer(config.replace(composition=specs), 0, data, CPU)
    return lambda: trainer.train_steps(steps)


def beside_lightly(data: DataSet, config: TrialConfig, steps: int) -> dict[str, Callable[[], object]]:
    ours = {mode: config.replace(compile=mode == "on") for mode in ("off", "on")}
    return {
        "lightly's example loop": Lightly(data, config, steps),
        "ablate": steps_of(data, ours["off"], "crop+color+blur", steps),
        "ablate, --compile on": steps_of(data, ours["on"], "crop+color+blur", steps),
    }


class Decoded(Dataset[Any]):
    """A data set's images as PIL images, through lightly's transform."""

    def __init__(self, data: DataSet) -> None:
        pixels = data.pretrain.images.pixels
        assert isinstance(pixels, Tensor)
        self.images = [to_pil_image(image) for image in pixels]
        self.transform = SimCLRTransform(input_size=32, cj_strength=1.0, gaussian_blur=0.5)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[Tensor]:
        views: list[Tensor] = self.transform(self.images[index])
        return views


class Lightly:
    """``steps`` of the loop of lightly's SimCLR example per call."""

    def __init__(self, data: DataSet, config: TrialConfig, steps: int) -> None:
        encoder = build_encoder(config.encoder, 32)
        self.model = nn.Sequential(encoder, SimCLRProjectionHead(encoder.dim, config.head.hidden, config.head.output))
        self.loader = DataLoader(
            Decoded(data), config.batch_size, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True
        )
        self.criterion, self.steps = NTXentLoss(), steps
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=0.06)
        self.batches = self._batches()
        for _ in range(2 * steps):
            next(self.batches)

    def _batches(self) -> Iterator[list[Tensor]]:
        return itertools.chain.from_iterable(self.loader for _ in itertools.count())

    def __call__(self) -> None:
        for first, second in itertools.islice(self.batches, self.steps):
            loss = self.criterion(self.model(first), self.model(second))
            loss.backward()
            self.optimiser.step()
            self.optimiser.zero_grad()


def main(cache: Path) -> None:
    data = prepare("glyphs", cache=cache, image_size=32)
    small = shared_config(Experiment(device="cpu", compositions=["none"]), data.identity)
    rows: dict[str, object] = {"by composition": measure(by_composition(data, small, 10), 10 * small.batch_size)}
    for name, (encoder, width, batch, steps) in SIZES.items():
        config = small.model_copy(
            update={
                "branches": "two",
                "base": None,
                "encoder": Encoder(name=encoder, width=width),
                "batch_size": batch,
                "optimiser": Optimiser(),
                "threads": 2,
            }
        )
        calls = beside_lightly(data, config, steps)
        rows[f"{name}, two threads"] = measure(calls, steps * batch, rounds=5, threads=2, wall=True)
        del calls
    save("training_step", rows)


if __name__ == "__main__":
    main(cache_dir(None))
