"""Experiment files: read them, change them, write them as TOML, and describe them as a JSON schema."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from ablate.config.at_hand import flags
from ablate.config.experiment import Experiment
from ablate.config.settable import SETTABLE, schema_of
from ablate.errors import UsageError, sentence, unknown


def read(path: Path, changes: Sequence[str] = ()) -> Experiment:
    """Read the experiment in a TOML file, and apply ``changes`` to it.

    Args:
        path: the file.
        changes: ``epochs=5`` (a setting), ``seeds=3`` or ``axes.temperature=[1]``.

    Raises:
        UsageError: no such file, not TOML, an unknown key or a value that is not allowed; the sentence names the file
            and the key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory; ablate run takes an experiment file (.toml)") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    for change in changes:
        _change(content, change)
    return validated(content, str(path))


def _change(content: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    name, text = name.strip(), text.strip()
    if not equals:
        raise UsageError(f"--set takes NAME=VALUE, not {change!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        value = text  # a bare word
    group, _, axis = name.partition(".")
    if name in SETTABLE:
        if name in content.get("axes", {}):
            raise UsageError(
                f"--set {name}: {name} is an axis of the experiment; set its values with --set axes.{name}=[...]"
            )
        content.setdefault("set", {})[name] = value
    elif group == "axes" and axis:
        content.setdefault("axes", {})[axis] = value
    elif name in Experiment.model_fields:
        content[name] = value
    else:
        raise unknown("setting", name, sorted({*SETTABLE, *Experiment.model_fields}))


def validated(content: Mapping[str, Any], source: str = "") -> Experiment:
    """Return ``content`` as an experiment.

    Args:
        content: the keys and values of an experiment file.
        source: where they came from, for messages.

    Raises:
        UsageError: an unknown key or a value that is not allowed; the sentence names ``source``, if given, and the key.
    """
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["loc"][:1] == ("set",) and len(problem["loc"]) > 1:  # a union: pydantic would name one member
            scalar = "a number, a word, true or false, or a list of numbers"
            message = f"{problem['loc'][1]}: a setting is {scalar}, not {problem['input']!r}"
        else:
            places = {} if source else flags(Experiment.model_fields)
            message = sentence(error, kind="key", allowed=list(Experiment.model_fields), places=places)
        raise UsageError(f"{source}: {message}" if source else message) from None


HEADER = "# {command}\n# The last command in this directory, as an experiment file; to run it: ablate run FILE\n\n"


def to_toml(file: Experiment, command: str) -> str:
    """Return ``file`` as TOML without default values, below a comment with the command that it came from."""
    content = file.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return HEADER.format(command=command.replace("\n", " ")) + tomli_w.dumps(content)


def json_schema() -> str:
    """Return the JSON schema of experiment files, for editors: all keys, and the settings for ``[set]`` and axes."""
    schema = Experiment.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "ablate experiment"
    known = schema["properties"]
    known["set"]["properties"] = {name: schema_of(field) for name, field in sorted(SETTABLE.items())}
    known["set"]["propertyNames"] = {"enum": sorted(SETTABLE)}
    return json.dumps(schema, indent=1) + "\n"
