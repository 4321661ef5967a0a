"""Fidelities: settings at which a training is cheaper than that of a sweep. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ablate.config.encoder import WIDTHS
from ablate.config.sweep import SweepPlan
from ablate.config.trial import SMALL_IMAGE, TrialConfig

LEAST_SIZE = 16  # pixels
STEPS = 2  # per epoch at least, with fewer images
NAMES = {"epochs": "epochs", "limit": "images", "image_size": "size", "encoder.width": "width"}
"""The settings that a fidelity may lower, and their names in that of its directory."""
WORDS = {"epochs": "{} epochs", "limit": "{} images", "image_size": "{} px", "encoder.width": "width {}"}


@dataclass(frozen=True)
class Fidelity:
    """A cheaper training: its directory's name and the ``settings`` that it lowers, by the names in :data:`NAMES`."""

    name: str
    settings: Mapping[str, int]

    def __str__(self) -> str:
        """Return a text such as ``6 epochs, 24 px``."""
        return in_words(self.settings)

    def share(self, full: Mapping[str, int]) -> float:
        """Return about what share of the time of ``full`` its training takes: in proportion, pixels as squares."""
        share = 1.0
        for name, value in self.settings.items():
            share *= (value / full[name]) ** (2 if name == "image_size" else 1)
        return share


def in_words(settings: Mapping[str, int]) -> str:
    """Return settings as a text such as ``6 epochs, 24 px``."""
    words = [WORDS[name].format(value) for name, value in settings.items()]
    return ", ".join(word.removesuffix("s") if word.startswith("1 ") else word for word in words)


def settings_of(plan: SweepPlan, images: int | None = None) -> dict[str, int]:
    """Return the settings of a sweep that a fidelity may lower.

    Args:
        plan: the sweep's plan.
        images: the number of its training images, if it is known.
    """
    shared, limit = plan.shared, images or plan.limit
    sizes = {"epochs": shared.epochs, "limit": limit, "image_size": shared.image_size}
    width = None if shared.encoder.is_foreign else shared.encoder.width
    return {name: value for name, value in {**sizes, "encoder.width": width}.items() if value is not None}


def lowered(cheap: SweepPlan, full: SweepPlan) -> dict[str, int]:
    """Return the settings in which a cheaper sweep differs from the full one, with its own values."""
    before = settings_of(full)
    return {name: value for name, value in settings_of(cheap).items() if before.get(name) != value}


def fidelities(shared: TrialConfig, images: int) -> list[Fidelity]:
    """Return the fidelities that a training allows.

    These are half and a quarter of the epochs and of the images, three quarters and half of the image size, and half
    the width, one at a time. The last one joins the mildest of each.

    Args:
        shared: the settings of the training.
        images: the number of training images.
    """
    lower = {
        "epochs": _halves(shared.epochs, 1),
        "limit": _halves(images, STEPS * shared.batch_size),
        "image_size": _sizes(shared),
        "encoder.width": _widths(shared),
    }
    single = [Fidelity(f"{NAMES[name]}-{value}", {name: value}) for name, values in lower.items() for value in values]
    mildest = {name: values[0] for name, values in lower.items() if values}
    return [*single, *([Fidelity("combined", mildest)] if len(mildest) > 1 else [])]


def _halves(number: int, least: int) -> list[int]:
    return [value for value in (number // 2, number // 4) if value >= least]


def _sizes(shared: TrialConfig) -> list[int]:
    """Return smaller image sizes at which the encoder stays the same; a foreign encoder may need its own size."""
    if shared.encoder.is_foreign:
        return []
    size, is_small = shared.image_size, shared.image_size <= SMALL_IMAGE  # decides the stem of our encoders
    return [n for n in (size * 3 // 4, size // 2) if n >= LEAST_SIZE and (n <= SMALL_IMAGE) == is_small]


def _widths(shared: TrialConfig) -> list[int]:
    half = shared.encoder.width // 2
    allowed = half >= 1 if shared.encoder.name == "resnet8" else half in WIDTHS.values()
    has_width = not (shared.encoder.is_foreign or shared.encoder.init)  # given weights have one of their own
    return [half] if allowed and has_width else []
