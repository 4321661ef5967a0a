"""A summary, in one line, of what will be trained, from the configuration alone; needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ablate.config.objectives import kind_of
from ablate.config.sweep import SweepPlan
from ablate.config.trial import TrialConfig

OPTIMISERS = {"sgd": "SGD", "adamw": "AdamW", "lars": "LARS"}


def outline(experiment: SweepPlan) -> str:
    """Return :func:`outline_of` the cells of a sweep, with all values of a setting that an axis varies."""
    configs = [variant.shared for variant in experiment.variants] or [experiment.shared]
    further = [f"{name} {_either(values)}" for name, values in experiment.axes.items() if name not in SHOWN]
    return "; ".join([outline_of(configs), *further])


def outline_of(configs: Sequence[TrialConfig]) -> str:
    """Return a summary of ``configs`` in one line.

    For example, ``training: resnet18 (width 64), 64 px, batch 64, 50 epochs, SGD 0.0075, temperature 0.5; one branch``.
    The number after the optimiser is its peak learning rate. Where ``configs`` differ, all their values are listed.
    """
    parts = [*(_part(configs, before, value, after) for before, value, after in PARTS), _objectives(configs)]
    parts += [text for kept in KEPT if len(texts := set(map(kept, configs))) == 1 for text in texts]
    branches = _part(configs, "", lambda config: config.branches, " branch") + "es" * (configs[0].branches == "two")
    branches += " from one shared crop" * all(config.share_crop for config in configs)
    return f"training: {', '.join(part for part in parts if part)}; {branches}"


def _part(configs: Sequence[TrialConfig], before: str, value: Callable[[TrialConfig], str], after: str) -> str:
    values = [text for text in dict.fromkeys(map(value, configs)) if text]
    plural = after.removesuffix("s") if values == ["1"] else after
    return f"{before}{_either(values)}{plural}" if values else ""


def _either(values: Sequence[str]) -> str:
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last


def _encoder(config: TrialConfig) -> str:
    encoder = config.encoder
    return encoder.name if encoder.is_foreign else f"{encoder.name} (width {encoder.width})"


def _batch(config: TrialConfig) -> str:
    parts = f" (parts of {config.micro_batch})" if config.micro_batch else ""
    return f"{config.batch_size}{parts}" + (f" over {config.world_size} processes" if config.world_size > 1 else "")


def _optimiser(config: TrialConfig) -> str:
    return f"{OPTIMISERS[config.optimiser.name]} {config.optimiser.lr:.4g}"


def _temperature(config: TrialConfig) -> str:
    return f"{config.temperature:g}" if "temperature" in kind_of(config.objective).settings else ""


def _objectives(configs: Sequence[TrialConfig]) -> str:
    """Return the objectives, or nothing if all are SimCLR, which is trained where nothing else is said."""
    names = list(dict.fromkeys(config.objective for config in configs))
    if names == ["simclr"]:
        return ""
    return "with labels" if names == ["supervised"] else _either([kind_of(name).title for name in names])


def _frozen(config: TrialConfig) -> str:
    stages = config.encoder.frozen_stages
    named = "first stage" if stages == 1 else f"first {stages} stages"
    return f"{named} frozen" if stages else ""


def _statistics(config: TrialConfig) -> str:
    return "batch-norm statistics frozen" if config.encoder.frozen_statistics else ""


def _lower_rate(config: TrialConfig) -> str:
    scale = config.optimiser.init_lr_scale
    return f"encoder's learning rate x {scale:g}" if scale != 1 else ""


KEPT = (_frozen, _statistics, _lower_rate)
"""What limits the training of given weights; where an axis varies it, the axis says so."""
PARTS: tuple[tuple[str, Callable[[TrialConfig], str], str], ...] = (
    ("", _encoder, ""),
    ("", lambda config: str(config.image_size), " px"),
    ("batch ", _batch, ""),
    ("", lambda config: str(config.epochs), " epochs"),
    ("", _optimiser, ""),
    ("temperature ", _temperature, ""),
)
"""The parts of the line: the words before a value, the value, the words after it."""
SHOWN = {
    *("encoder.name", "encoder.width", "image_size", "batch_size", "micro_batch", "world_size", "epochs"),
    *("optimiser.name", "optimiser.lr", "lr_base", "lr_scaling", "temperature", "objective", "branches"),
}
"""The axes that the line's own words already cover."""
