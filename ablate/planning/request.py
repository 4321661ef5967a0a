"""The way from a command line to a description, and the defaults that a sweep in its directory gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablate.config.experiment import Experiment
from ablate.config.experiment_file import validated
from ablate.config.option import option_of
from ablate.config.sources import FROM_FILES, kind_of
from ablate.data.listing import named, named_file
from ablate.evaluation.protocols import parse_protocols
from ablate.ops import split_list
from ablate.planning.settings import image_size, parse_assignments
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
        source = named_file(Path(rest)) if kind_of(data).takes == "FILE" else named(Path(rest))
    else:
        source = f"glyphs-{rest}" if kind == "glyphs" and rest else kind
    names = [source, *(label.partition("(")[0].rpartition(".")[2] for label in labels)]
    return Path("results") / "-".join(names)
