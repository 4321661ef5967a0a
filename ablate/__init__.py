"""Find out which data augmentations, alone and composed, make contrastive learning work on your images."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ablate._version import __version__

if TYPE_CHECKING:
    from ablate.api import grid
    from ablate.config.trial import TrialConfig
    from ablate.data import prepare
    from ablate.ops import Op, param, register
    from ablate.ops.composition import Composition
    from ablate.ops.grammar import op
    from ablate.ops.pair import TransformPair
    from ablate.report import write_report
    from ablate.report.data.load import load_results
    from ablate.report.figures.heatmap import heatmap
    from ablate.report.recommendation.recommend import recommend
    from ablate.report.stats.image_by_image import ImagesCompared, compare_images
    from ablate.sweep.images import ImageResults, SplitResults, load_image_results
    from ablate.sweep.record import TrialResult
    from ablate.training.lars import LARS
    from ablate.training.loss import nt_xent
    from ablate.trial.run import run_trial

_HOME = {
    "Composition": "ablate.ops.composition",
    "TransformPair": "ablate.ops.pair",
    "TrialConfig": "ablate.config.trial",
    "grid": "ablate.api",
    "Op": "ablate.ops",
    "op": "ablate.ops.grammar",
    "prepare": "ablate.data",
    "param": "ablate.ops",
    "register": "ablate.ops",
    "compare_images": "ablate.report.stats.image_by_image",
    "heatmap": "ablate.report.figures.heatmap",
    "recommend": "ablate.report.recommendation.recommend",
    "write_report": "ablate.report",
    "ImageResults": "ablate.sweep.images",
    "ImagesCompared": "ablate.report.stats.image_by_image",
    "SplitResults": "ablate.sweep.images",
    "load_image_results": "ablate.sweep.images",
    "LARS": "ablate.training.lars",
    "TrialResult": "ablate.sweep.record",
    "load_results": "ablate.report.data.load",
    "nt_xent": "ablate.training.loss",
    "run_trial": "ablate.trial.run",
}

__all__ = [
    "LARS",
    "Composition",
    "ImageResults",
    "ImagesCompared",
    "Op",
    "SplitResults",
    "TransformPair",
    "TrialConfig",
    "TrialResult",
    "__version__",
    "compare_images",
    "grid",
    "heatmap",
    "load_image_results",
    "load_results",
    "nt_xent",
    "op",
    "param",
    "prepare",
    "recommend",
    "register",
    "run_trial",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: ``import ablate`` alone imports no torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'ablate' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return __all__
