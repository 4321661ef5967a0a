"""What an objective makes of a preset: the head and the settings of its paper. Needs no torch."""

from __future__ import annotations

from typing import Any

from ablate.config.experiment import Experiment
from ablate.config.objectives import KINDS, Kind, objection, own_head
from ablate.config.presets import Preset
from ablate.errors import UsageError, unknown

PAPERS = "resnet50"
"""Presets with this encoder have the widths of an objective's paper, which are for it."""


def check_objective(wish: Experiment) -> None:
    """Raise UsageError if ``wish`` asks for an unknown objective, or for a setting that its objective has not."""
    objective = wish.set.get("objective", "simclr")
    if objective == "untrained":
        raise UsageError(f"objective 'untrained' is a reference, not a sweep; allowed: {', '.join(KINDS)}")
    if objective not in KINDS:
        raise unknown("objective", str(objective), list(KINDS))
    # Supervised training ignores the temperature, which may be set beside it on an axis, and refuses loss_scale itself.
    shared = {"temperature", "loss_scale"} if objective == "supervised" else set()
    refused = objection(str(objective), {name: value for name, value in wish.set.items() if name not in shared})
    if refused:
        raise UsageError(refused)
    # Also their defaults, which would not be what is trained.
    if KINDS[str(objective)].has_own_head and {"head.kind", "head.batch_norm"} & wish.set.keys():
        raise UsageError(own_head(str(objective)))


def suit(content: dict[str, Any], wish: Experiment, preset: Preset) -> None:
    """Give ``content``, the values of ``preset``, the head and the settings of the objective that ``wish`` asks for.

    The structure of the head and the settings are those of the objective's paper. Widths are the paper's where the
    preset has a ResNet-50; elsewhere the preset's own, with the scales of :class:`~ablate.config.objectives.Kind`.
    """
    kind = KINDS[wish.set.get("objective", "simclr")]  # type: ignore[index]
    if "loss_scale" not in kind.settings and "loss_scale" not in wish.set:
        content.pop("loss_scale", None)
    if kind.layers is None:
        return
    if "temperature" not in kind.settings:
        content.pop("temperature")
    elif kind.settings["temperature"] is not None:
        content["temperature"] = kind.settings["temperature"]
    widths = _widths(kind, wish, preset)
    content["head"] = {"hidden": widths.pop("hidden"), "output": widths.pop("output"), "layers": kind.layers}
    content["method"] = kind.method | widths


def _widths(kind: Kind, wish: Experiment, preset: Preset) -> dict[str, Any]:
    if kind.widths and preset.values["encoder"]["name"] == PAPERS:
        return dict(kind.widths)
    head: dict[str, Any] = {name: preset.values["head"][name] for name in ("hidden", "output")}
    asked = {name: wish.set.get(f"head.{name}", value) for name, value in head.items()}
    head |= {name: value for name, value in asked.items() if isinstance(value, int)}  # validation reports others
    return head | {name: max(1, round(head[of] * times)) for name, (of, times) in kind.scales.items()}
