"""The table of classes: ``classes.csv``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ablate.report.stats.classes import Profile
from ablate.report.text.tables import write_rows


def write_classes(profile: Profile, path: Path) -> None:
    """Write one row per class and composition: images, seeds, and recall as a fraction."""
    rows: list[dict[str, Any]] = [
        {
            "class": name,
            "composition": cell.label,
            "seeds": seeds,
            "validation_images": profile.images[number][0],
            "test_images": profile.images[number][1],
            "validation_recall": _known(profile.validation[row, number]),
            "test_recall": _known(profile.test[row, number]),
            "test_against_best": _known(profile.test[row, number] - profile.test[0, number]),
        }
        for number, name in enumerate(profile.names)
        for row, (cell, seeds) in enumerate(zip(profile.cells, profile.seeds, strict=True))
    ]
    write_rows(rows, path)


def _known(value: float) -> float | str:
    return "" if np.isnan(value) else float(value)
