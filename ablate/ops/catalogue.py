"""The catalogue that ``ablate ops`` and the documentation print: every op with its parameters, from the classes."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

from ablate.config.recipes import refuse_bare
from ablate.ops.grammar import parse_op
from ablate.ops.op import parameter_fields
from ablate.ops.registry import get, names


@dataclass(frozen=True)
class ParameterEntry:
    """One parameter: its default, inclusive range or allowed words, unit and meaning."""

    name: str
    default: object
    low: float | None
    high: float | None
    unit: str
    doc: str
    choices: tuple[str, ...] = ()

    @property
    def range(self) -> str:
        """The range in words: ``0.0 to 1.0``, ``at least 0.0``, ``'a' or 'b'``, ``True or False``, or nothing."""
        if self.choices:
            return " or ".join(map(repr, self.choices))
        if isinstance(self.default, bool):
            return "True or False"
        if self.low is None and self.high is None:
            return ""
        if self.high is None:
            return f"at least {self.low}"
        return f"at most {self.high}" if self.low is None else f"{self.low} to {self.high}"

    @property
    def text(self) -> str:
        """The parameter in one line: ``sigma=(0.1, 2.0) px [0.01 to 20.0]: standard deviation``."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name}={self.default!r}{unit} [{self.range}]: {self.doc}"


@dataclass(frozen=True)
class OpEntry:
    """One op: its name, the first sentence of its docstring, the share of images it acts on, its parameters."""

    name: str
    summary: str
    acts: float
    parameters: tuple[ParameterEntry, ...]


def describe(only: Sequence[str] | None = None) -> list[OpEntry]:
    """Describe every registered op in alphabetical order, or those in ``only``: names, or ops with parameters.

    Raises:
        UsageError: an op that is not registered, or parameters that it does not take.
    """
    return [_entry(parse_op(text).name if "(" in text else text) for text in only or names()]


def _entry(name: str) -> OpEntry:
    refuse_bare(name)
    cls = get(name)
    written = inspect.getdoc(cls) or ""
    if written.startswith(f"{cls.__name__}("):  # no docstring, or -OO: dataclasses put the signature in its place
        written = ""
    summary = written.split("\n\n")[0].replace("\n", " ").replace("``", "`")
    parameters = tuple(
        ParameterEntry(
            name=field.name,
            default=field.default,
            low=field.metadata.get("low"),
            high=field.metadata.get("high"),
            unit=field.metadata.get("unit", ""),
            doc=field.metadata.get("doc", ""),
            choices=field.metadata.get("choices", ()),
        )
        for field in parameter_fields(cls).values()
    )
    return OpEntry(name, summary + " It waits for the device." * cls.syncs, cls().acts, parameters)


def markdown_table() -> str:
    """Return the table of ``docs/ops.md``."""
    lines = ["| op | what it does | acts on | parameters |", "| --- | --- | --- | --- |"]
    for entry in describe():
        parameters = "<br>".join(f"`{p.name}={p.default!r}` {_detail(p)}" for p in entry.parameters)
        lines.append(f"| `{entry.name}` | {entry.summary} | {100 * entry.acts:.0f} % | {parameters} |")
    return "\n".join(lines)


def _detail(parameter: ParameterEntry) -> str:
    unit = f" {parameter.unit}" if parameter.unit else ""
    return f"({parameter.range}{unit}) {parameter.doc}"
