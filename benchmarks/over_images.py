"""How often intervals over seeds, images and both hold the truth, simulated: docs/image-by-image.md.

``python -m benchmarks.over_images`` takes some minutes of one core, trains nothing and writes
``benchmarks/results/over_images.json``. An image is classified correctly if a latent score is above 0: the level of the
cell, the difficulty of the image for all cells and for this one, the seed, and noise of its own. The true accuracy on
new images with new seeds is therefore known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ablate.inference.images_only import over_images_only
from ablate.inference.model import TwoWayModel, estimate
from ablate.inference.over_images import influence_of, over_images

RESULTS = Path("benchmarks/results/over_images.json")
SWEEPS = 500
OF_CELL = 0.5  # standard deviation of the difficulty of an image for one cell; that for all cells is 1
OF_GROUP = 0.7
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A sweep: its seeds, images and groups (0: none), and for each cell the effect of a seed and its own noise."""

    name: str
    seeds: int = 3
    images: int = 300
    groups: int = 0
    of_seed: tuple[float, ...] = (0.05,) * 6
    noise: tuple[float, ...] = (0.6,) * 6
    shares: tuple[float, ...] = field(default=())  # of classes; not empty: balanced accuracy


CASES = (
    Case("like seeds, 2 seeds", seeds=2),
    Case("like seeds"),
    Case("like seeds, 5 seeds", seeds=5),
    Case("unlike seeds", of_seed=(0.15,) * 6),
    Case("100 images", images=100),
    Case("1,000 images", images=1000),
    Case("half the cells twice as noisy", of_seed=(0.05, 0.1) * 3, noise=(0.5, 1.0) * 3),
    Case("the best four times as noisy", of_seed=(0.2, *(0.05,) * 5), noise=(1.2, *(0.5,) * 5)),
    Case("30 groups", groups=30),
    Case("balanced, 5 classes of 60 to 4 %", shares=(0.6, 0.2, 0.1, 0.06, 0.04)),
)


@dataclass(frozen=True)
class Row:
    """Shares of sweeps: the interval of the first cell minus the last holds the truth; contenders hold the best."""

    name: str
    seeds: float
    images: float
    both: float
    best_by_seeds: float
    best_by_both: float


def sweep(case: Case, level: Array, rng: np.random.Generator) -> dict[str, TwoWayModel]:
    """Return the models of one simulated sweep by what they hold."""
    cells, n = len(level), case.images
    group = rng.integers(0, case.groups, n) if case.groups else None
    label = rng.choice(len(case.shares), n, p=case.shares) if case.shares else np.zeros(n, dtype=int)
    score = level[:, None, None] + rng.standard_normal(n) + OF_CELL * rng.standard_normal((cells, 1, n))
    if group is not None:
        score = score + OF_GROUP * rng.standard_normal((cells, 1, case.groups))[..., group]
    shift, own = np.array(case.of_seed)[:, None, None], np.array(case.noise)[:, None, None]
    score = score + shift * rng.standard_normal((cells, case.seeds, 1))
    correct = score + own * rng.standard_normal((cells, case.seeds, n)) > 0
    at = [label == k for k in np.unique(label)]
    values = {
        str(c): {s: float(np.mean([y[k].mean() for k in at])) for s, y in enumerate(correct[c])} for c in range(cells)
    }
    adds = influence_of(label, group, balanced=bool(case.shares))
    parts = {str(c): {s: adds(y) for s, y in enumerate(correct[c])} for c in range(cells)}
    images = over_images(parts, n)
    models = {
        "seeds": estimate(values),
        "both": estimate(values, images=images),
        "images": over_images_only(values, images),
    }
    return {name: model for name, model in models.items() if model}


def simulated(case: Case) -> Row:
    """Simulate the sweeps of a case, all with the same levels: the first cell is the best by a small step."""
    rng = np.random.default_rng(0)
    level = np.linspace(0.6, 0.4, len(case.noise))
    spread = 1 + OF_CELL**2 + np.array(case.of_seed) ** 2 + np.array(case.noise) ** 2
    truth = ndtr(level / np.sqrt(spread + (OF_GROUP**2 if case.groups else 0)))
    best, last = str(int(truth.argmax())), str(len(level) - 1)
    held: dict[str, list[bool]] = {}
    for _ in range(SWEEPS):
        for name, model in sweep(case, level, rng).items():
            low, high = model.difference("0", last).bounds() or (-1.0, 1.0)
            held.setdefault(name, []).append(bool(low <= truth[0] - truth[-1] <= high))
            held.setdefault(f"best_by_{name}", []).append(best in model.contenders)
    shares = {name: round(float(np.mean(each)), 3) for name, each in held.items() if name != "best_by_images"}
    return Row(case.name, **shares)


def rows(found: Sequence[Mapping[str, float | str]]) -> list[str]:
    """Return the lines of the table in docs/image-by-image.md."""
    columns = ("seeds", "images", "both", "best_by_seeds", "best_by_both")
    return [f"| {row['name']} | {' | '.join(f'{row[column]:.3f}' for column in columns)} |" for row in found]


def main() -> None:
    """Simulate every case, print its row and write the results."""
    found = []
    for case in CASES:
        found.append(asdict(simulated(case)))
        print(rows(found[-1:])[0], flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
