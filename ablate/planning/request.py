"""The way from a command line to a description, and the defaults that a sweep in its directory gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablate.config.at_hand import as_option
from ablate.config.experiment import Experiment
from ablate.config.experiment_file import validated
from ablate.config.option import option_of
from ablate.config.presets import LAPTOP, ONE_GPU
from ablate.config.sources import FROM_FILES, kind_of
from ablate.config.sweep import Sampler
from ablate.data.sources.listing import named, named_file
from ablate.evaluation.protocols import parse_protocols
from ablate.ops import split_list
from ablate.planning.settings import Device, image_size, parse_assignments
from ablate.sweep.plan import is_sweep, load_plan


def wish_of(flags: Mapping[str, Any], settings: Sequence[str] | None = None, **further: Any) -> Experiment:
    """Return the description for a command's options.

    Args:
        flags: the options that were given, by field; lists are words with commas, as they were given.
        settings: the settings given with ``--set``; those in ``flags["set"]`` override them.
        further: fields that have no option.

    Raises:
        UsageError: an unknown setting or protocol, a list with an empty item, a value that is not allowed.
    """
    values = {**parse_assignments(settings or []), **flags.get("set", {})}
    content = {name: _listed(name, value) for name, value in flags.items()}
    return validated({**content, **further, "set": values})


def _listed(name: str, value: Any) -> Any:
    """Return the list that an option's word with commas stands for; return any other value unchanged."""
    option = option_of(Experiment.model_fields[name])
    if not (option and option.listed and isinstance(value, str)):
        return value
    return list(parse_protocols(value)) if name == "protocol" else split_list(value, ",")


def with_preset(wish: Experiment, device: Device, directory: Path | None = None) -> Experiment:
    """Return ``wish`` with the preset that it gets if it names none.

    In a directory that holds a sweep, it is that sweep's. Otherwise it is ``laptop@2`` for trials on a CPU, where the
    one-GPU recipe would take days; the class of hardware decides, never its speed. Glyphs have a preset of their own.

    Args:
        wish: the description.
        device: the device on which the trials run.
        directory: the sweep's directory, if there is one.
    """
    if wish.preset is not None:
        return wish
    if directory is not None and is_sweep(directory):
        preset = load_plan(directory).preset
    else:
        preset = LAPTOP.name if device == "cpu" and wish.data.partition(":")[0] != "glyphs" else None
    return wish.replace(preset=preset) if preset else wish


def sampler_in(directory: Path, *, prunes: bool) -> Sampler:
    """Return the sampler with which the search in ``directory`` began, and the default one if there is none.

    With pruning that is TPE, since the Gaussian process lost to it on a small grid (docs/search.md). It trains the good
    compositions early, where they compete with few others and the share that continues is small.
    """
    search = load_plan(directory).search if is_sweep(directory) else None
    return search.sampler if search else "tpe" if prunes else "gp"


def about_preset(wish: Experiment, resolved: Experiment) -> str:
    """Return a line on the preset that :func:`with_preset` has chosen for ``wish``; an empty text if it has not."""
    if wish.preset == resolved.preset:
        return ""
    return (
        f"preset {resolved.preset}, the default without a GPU (docs/training.md says what it can show); "
        f"{as_option('preset', ONE_GPU)}: the recipe for a GPU\n"
    )


def sized_as_before(wish: Experiment, directory: Path) -> Experiment:
    """Return ``wish`` at the image size of the sweep in ``directory``, if there is one and no size is asked for.

    The default size depends on the images; in earlier versions it was 224 for every folder. With this, the same command
    means the same size again.
    """
    if "image_size" in wish.set or not is_sweep(directory):
        return wish
    size = load_plan(directory).shared.image_size
    return wish if size == image_size(wish) else wish.at({"image_size": size})


def default_out(data: str, labels: Sequence[str]) -> Path:
    """Return ``results/<data>-<ops>``."""
    kind, _, rest = data.partition(":")
    if kind_of(data) in FROM_FILES:
        is_file = Path(rest).suffix.lower() in kind_of(data).endings
        source = named_file(Path(rest)) if is_file else named(Path(rest))
    else:
        source = f"glyphs-{rest}" if kind == "glyphs" and rest else kind
    names = [source, *(label.partition("(")[0].rpartition(".")[2] for label in labels)]
    return Path("results") / "-".join(names)
