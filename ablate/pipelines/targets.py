"""Every file that ``recommend`` writes for another tool, and the reason for each that it does not. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ablate.errors import NotExportable
from ablate.pipelines.about import Files, Pair
from ablate.pipelines.albumentations import differences, saved_json
from ablate.pipelines.albumentations_code import albumentations_code
from ablate.pipelines.dali import DECODER, dali_code
from ablate.pipelines.frameworks import lightly_code, stable_pretraining_code
from ablate.pipelines.slots import LIGHTLY_TRAIN, SOLO_LEARN, lightly_train_code, slot_differences, solo_learn_yaml

SAVED = ("pipeline_albumentations.json", "pipeline_albumentations_first.json", "pipeline_albumentations_second.json")


@dataclass
class Exported:
    """Files by name, what each does otherwise than the ops, and a sentence for each file that is not written."""

    files: dict[str, str] = field(default_factory=dict)
    differs: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


Writer = Callable[[Pair, Files], dict[str, str]]
Said = Callable[[Pair], list[str]]


def _one(name: str, code: Callable[[Pair, Files], str]) -> Writer:
    """Return the writer of a single file."""
    return lambda pair, files: {name: code(pair, files)}


def _saved(pair: Pair, files: Files) -> dict[str, str]:
    """Return a file of ``albumentations.save`` for both views, or one for each."""
    names = SAVED[:1] if len(pair.views) == 1 else SAVED[1:]
    return {name: saved_json(specs, pair, files) for name, specs in zip(names, pair.views, strict=True)}


def _nothing(pair: Pair) -> list[str]:
    return []


TARGETS: dict[str, tuple[Writer, Said]] = {
    "pipeline_albumentations.py": (_one("pipeline_albumentations.py", albumentations_code), differences),
    SAVED[0]: (_saved, differences),
    "pipeline_lightly.py": (_one("pipeline_lightly.py", lightly_code), _nothing),
    "pipeline_lightly_train.py": (
        _one("pipeline_lightly_train.py", lightly_train_code),
        lambda pair: slot_differences(pair, LIGHTLY_TRAIN),
    ),
    "pipeline_solo_learn.yaml": (
        _one("pipeline_solo_learn.yaml", solo_learn_yaml),
        lambda pair: slot_differences(pair, SOLO_LEARN),
    ),
    "pipeline_stable_pretraining.py": (_one("pipeline_stable_pretraining.py", stable_pretraining_code), _nothing),
    "pipeline_dali.py": (_one("pipeline_dali.py", dali_code), lambda pair: [DECODER]),
}
"""By the name of a file: the function that writes it, and the one that says what it does otherwise than the ops."""


def exported(pair: Pair, files: Files) -> Exported:
    """Return the files for every tool that can express a pair, and why the others are missing.

    Args:
        pair: the ops of both views.
        files: how the files of the sweep's images were read.
    """
    found = Exported()
    for name, (write, said) in TARGETS.items():
        try:
            made = write(pair, files)
        except NotExportable as error:
            found.refused.append(f"{name} is not written: {error}.")
            continue
        found.files.update(made)
        if differs := "; ".join(said(pair)):
            found.differs.update(dict.fromkeys(made, differs))
    return found
