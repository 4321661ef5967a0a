"""Shell completion: ops, data sets, presets, the trials of a sweep. A TAB imports no torch."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import get_args

import typer

from ablate.config.sources import KINDS, Kind
from ablate.errors import UsageError, expanded

OPS = Path(__file__).parents[1] / "ops"
BEGUN = "_ABLATE_BEGUN"
"""The environment variable for what stands before the last colon of the word at the cursor, where bash has split it."""


def with_whole_words(environment: MutableMapping[str, str]) -> None:
    """Rejoin the words that bash has split at colons (COMP_WORDBREAKS): ``folder``, ``:``, ``/images``.

    Otherwise the parser takes ``:`` and ``/images`` for further arguments, and nothing after them is completed. Of the
    word at the cursor, bash replaces only what follows its last colon, so that alone stays in the line;
    :func:`_completed` adds the rest, which :data:`BEGUN` then holds.

    Args:
        environment: the environment variables, in which Typer's script for bash passes the line and the place of the
            cursor; they are changed in place.
    """
    if not _is_for_bash(environment):
        return
    words, current = environment["COMP_WORDS"].split("\n"), int(environment["COMP_CWORD"])
    whole: list[str] = []
    position = len(words)
    for number, word in enumerate(words):
        is_colon, follows_colon = set(word) == {":"}, number > 0 and set(words[number - 1]) == {":"}
        if whole and (is_colon or follows_colon) and word:
            whole[-1] += word
        else:
            whole.append(word)
        if number == current:
            position = len(whole) - 1
    if len(whole) < len(words) and position < len(whole):
        begun, colon, rest = whole[position].rpartition(":")
        whole[position], environment[BEGUN] = rest, f"{begun}{colon}"
    environment.update({"COMP_WORDS": "\n".join(whole), "COMP_CWORD": str(position)})


def _completed(complete: Callable[[str], list[str]], incomplete: str) -> list[str]:
    """Return the completions of a word as the shell takes them: in bash, what follows the last colon."""
    begun = os.environ.get(BEGUN, "")
    return [name.removeprefix(begun) for name in complete(f"{begun}{incomplete}")]


def ops(incomplete: str) -> list[str]:
    """Complete the last op of a list or composition: ``crop,co`` to ``crop,color``."""
    begun, last = re.fullmatch(r"(.*[,+|])?(.*)", incomplete, re.DOTALL).groups("")  # type: ignore[union-attr]
    return [begun + name for name in op_names() if name.startswith(last)]


def compositions(incomplete: str) -> list[str]:
    """Complete the last op or recipe of a composition, or of a list of compositions; of recipes, also files."""
    return _completed(_compositions, incomplete)


def _compositions(incomplete: str) -> list[str]:
    from ablate.config.recipes import PREFIX, RECIPES
    from ablate.transforms.read import ENDINGS

    begun, last = re.fullmatch(r"(.*[,+|])?(.*)", incomplete, re.DOTALL).groups("")  # type: ignore[union-attr]
    files = _files(last.removeprefix(PREFIX), ENDINGS) if last.startswith(PREFIX) else []
    recipes = [f"{PREFIX}{name}" for name in (*RECIPES, *files)]
    return [begun + name for name in (*op_names(), *recipes) if name.startswith(last)]


def op_names() -> list[str]:
    """Return the name of every op without importing one: names that our modules register or packages announce."""
    registered = re.compile(r'^@register\("(\w+)"\)', re.MULTILINE)
    ours = [name for path in OPS.glob("*.py") for name in registered.findall(path.read_text(encoding="utf-8"))]
    return sorted({*ours, *(entry.name for entry in entry_points(group="ablate.ops"))})


def data(incomplete: str) -> list[str]:
    """Complete the kind of a data set, then its path; in bash, which completes files after a colon, the kind."""
    return _completed(_data, incomplete)


def _data(incomplete: str) -> list[str]:
    kind, colon, path = incomplete.partition(":")
    if not colon:
        # two ways to go on, so that no shell puts a space after the colon
        return [start for name in _beginning(KINDS, kind) for start in _starts(KINDS[name])]
    if kind not in KINDS or KINDS[kind].takes == "SEED" or _is_for_bash(os.environ):
        return []
    return [f"{kind}:{name}" for name in _files(path, KINDS[kind].endings)]


def _files(path: str, endings: Sequence[str]) -> list[str]:
    """Complete a path to a folder, or to a file that has one of the endings."""
    parent, slash, name = path.rpartition("/")
    try:
        inside = sorted(expanded(f"{parent}{slash}" or ".").glob("*"))
    except (UsageError, OSError):
        return []
    folders = [f"{item.name}/" for item in inside if item.is_dir()]
    files = [item.name for item in inside if item.suffix in endings and item.is_file()]
    return [f"{parent}{slash}{child}" for child in _beginning([*folders, *files], name)]


def _starts(kind: Kind) -> list[str]:
    return [kind.name] if kind.takes == "SEED" else [f"{kind.name}:./", f"{kind.name}:/"]


def _is_for_bash(environment: Mapping[str, str]) -> bool:
    return environment.get("_ABLATE_COMPLETE") == "complete_bash"


def presets(incomplete: str) -> list[str]:
    """Complete a preset's name."""
    from ablate.config.presets import NAMES

    return _beginning(NAMES, incomplete)


def protocols(incomplete: str) -> list[str]:
    """Complete the last protocol of a list: ``linear,kn`` to ``linear,knn``."""
    return _completed(_protocols, incomplete)


def _protocols(incomplete: str) -> list[str]:
    from ablate.config.protocols import NAMES

    begun, comma, last = incomplete.rpartition(",")
    return [f"{begun}{comma}{name}" for name in _beginning(NAMES, last)]


def measures(incomplete: str) -> list[str]:
    """Complete the name of a measure."""
    from ablate.config.measure import Measure

    return _completed(lambda begun: _beginning(get_args(Measure), begun), incomplete)


def trackers(incomplete: str) -> list[str]:
    """Complete a tracker's name."""
    from ablate.report.trackers.write import WRITERS

    return _completed(lambda begun: _beginning(WRITERS, begun), incomplete)


def cells(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the names of the trials of the sweep in DIR; return nothing if DIR holds no readable sweep."""
    from ablate.sweep.plan import load_plan, plan

    try:
        trials = plan(load_plan(Path(context.params["directory"])))
    except (KeyError, TypeError, ValueError, OSError, UsageError):
        return []
    labels = dict.fromkeys(trial.label for trial in trials)
    return _completed(lambda begun: _beginning(labels, begun), incomplete)


OF_FIELDS: dict[str, Callable[[str], list[str]]] = {
    "ops": ops,
    "pairs_with": ops,
    "compositions": compositions,
    "data": data,
    "eval_data": data,
    "preset": presets,
    "protocol": protocols,
    "metric": measures,
}
"""The completion functions for options that are made of a description's fields."""


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
