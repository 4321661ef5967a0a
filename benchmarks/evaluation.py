"""What evaluation takes of a trial, and its two halves beside their alternatives.

``python -m benchmarks.evaluation``. The shares are those of the committed runs' records: seconds of kNN, linear
evaluation and all else that follows training, of the trial's total. Features: one pass over the images of glyphs,
beside the encoder's bare forward pass over the same images, all on one thread. The sweep: eight strengths of l2 on
those features, warm-started from strong to weak as a trial does, each from zero, and by scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression

from ablate.config.experiment import Experiment
from ablate.data import DataSet, cache_dir, prepare
from ablate.evaluation.frozen import BATCH, Frozen
from ablate.evaluation.linear import L2_SWEEP, fit, standardise
from ablate.planning.settings import shared_config
from ablate.sweep.record import read_records
from ablate.training.trainer import Trainer
from benchmarks.harness import measure, quartiles, save

CPU = torch.device("cpu")
RESULTS = Path(__file__).parents[1] / "results"


def shares() -> dict[str, object]:
    """By committed sweep, the share of evaluation in the seconds of its trained trials."""
    rows: dict[str, object] = {}
    for directory in sorted(path.parent for path in RESULTS.glob("fig5-*/sweep.toml")):
        records, _ = read_records(directory)
        trained = [record.timings for record in records.values() if record.timings["train"] > 0]
        rows[directory.name] = {"trials": len(trained)} | quartiles([t["evaluate"] / t["total"] for t in trained])
    return rows


def frozen(data: DataSet) -> Frozen:
    config = shared_config(Experiment(device="cpu", compositions=["none"]), data.identity)
    trainer = Trainer(config, 0, data, CPU)
    trainer.train_steps(64)
    return Frozen(trainer.encoder, trainer.head, config, 0, data, CPU)


def extraction(at: Frozen) -> dict[str, Callable[[], object]]:
    split, index = at.data.train, at.labelled
    ready = [chunk.contiguous(memory_format=at.memory_format) for chunk in (split.images.pixels / 255).split(BATCH)]

    def forward() -> None:
        at.encoder.eval()
        with torch.inference_mode():
            for chunk in ready:
                at.encoder(chunk)

    return {"the encoder alone": forward, "features": lambda: at.features(split, index)}


def sweeps(at: Frozen) -> dict[str, Callable[[], object]]:
    h, y, held_out = at.train()
    fitted, classes = standardise(h[~held_out])[0], len(at.data.classes)
    y = y[~held_out]

    def warm() -> None:
        weights = None
        for l2 in L2_SWEEP:
            weights = fit(fitted, y, classes, l2, start=weights)

    def peer() -> None:
        for l2 in L2_SWEEP:
            LogisticRegression(C=1 / (len(y) * l2), max_iter=500).fit(fitted.numpy(), y.numpy())

    return {"scikit-learn": peer, "from zero": lambda: [fit(fitted, y, classes, l2) for l2 in L2_SWEEP], "ablate": warm}


if __name__ == "__main__":
    at = frozen(prepare("glyphs", cache=cache_dir(None), image_size=32))
    rows = {
        "share of a trial's seconds": shares(),
        "features, images/s": measure(extraction(at), len(at.labelled), rounds=5),
        "l2 sweeps/s": measure(sweeps(at), 1, rounds=3),
    }
    save("evaluation", rows)
