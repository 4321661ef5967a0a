"""The string form of ops, ``crop+color(strength=0.5)`` or ``A|B``; it holds literals only, so it can run no code."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ablate.config.base import OpSpec
from ablate.config.presets import NAMED
from ablate.config.recipes import refuse_bare, with_recipes
from ablate.errors import UsageError
from ablate.ops.kornia_adapter import PREFIX, adapt
from ablate.ops.op import Op, build
from ablate.ops.registry import get
from ablate.transforms.read import FromFile, is_file, read

Defaults = Mapping[str, Mapping[str, Any]]
PAIRS = {"(": ")", "[": "]", "{": "}"}
WRITTEN_OUT = {op: dict.fromkeys(values) for preset in NAMED.values() for op, values in preset.ops.items()}
"""The parameters that a preset may replace: a file means the same with every preset."""


def op(text: str, /, **parameters: Any) -> Op:
    """Make an op from its name and parameters, or from its string form.

    ``op("color", strength=0.5)`` and ``op("color(strength=0.5)")`` are the same op.

    Raises:
        UsageError: an unknown op or parameter, a value out of range, or both forms at once.
    """
    if not parameters:
        return parse_op(text)
    return adapt(text.removeprefix(PREFIX), parameters) if text.startswith(PREFIX) else build(get(text), parameters)


def parse_op(text: str, defaults: Defaults | None = None) -> Op:
    """Read one op from its string form.

    Args:
        text: ``color``, ``color(strength=0.5)`` or ``kornia.RandomPlanckianJitter(p=0.5)``.
        defaults: parameter values by op name, used where ``text`` sets none.

    Raises:
        UsageError: malformed text, an unknown op or parameter, a value that is not a literal or out of range.
    """
    refuse_bare(text.strip())
    name, arguments = _split_call(text)
    if name.startswith(PREFIX):
        return adapt(name.removeprefix(PREFIX), arguments)
    return build(get(name), {**(defaults or {}).get(name, {}), **arguments})


def parse_composition(text: str, defaults: Defaults | None = None) -> tuple[Op, ...]:
    """Read the ops of ``crop+color``, first to last; ``none`` has no ops."""
    if text.strip() == "none":
        return ()
    return tuple(parse_op(item, defaults) for item in split_list(text, "+"))


def parse_branches(text: str, defaults: Defaults | None = None) -> tuple[tuple[Op, ...], tuple[Op, ...] | None]:
    """Read ``A`` or ``A|B``: the ops of the first view, and those of the second where it has ops of its own.

    Args:
        text: ``crop+color``, ``crop+color|crop+blur``, or with recipes (:mod:`ablate.config.recipes`), also from files
            (:mod:`ablate.transforms`).
        defaults: parameter values by op name, used where ``text`` sets none.

    Returns:
        the ops of branch 1, and those of branch 2; None where both branches have the same.

    Raises:
        UsageError: as :func:`parse_op`, and for more than two branches.
    """
    texts = split_list(with_recipes(with_files(text)[0]), "|")
    if len(texts) > 2:
        raise UsageError(
            f"{text!r} has {len(texts)} branches, but a pair has two views: A|B, as in crop+color|crop+blur"
        )
    first, *others = (parse_composition(branch, defaults) for branch in texts)
    return first, others[0] if others and others[0] != first else None


def with_files(text: str) -> tuple[str, list[FromFile]]:
    """Return a composition in which every ``recipe:PATH`` is replaced by its ops, and the recipes that were read.

    Raises:
        UsageError: a file that cannot be read, or a value that an op does not take.
    """
    parts, found = re.split(r"([+|])", text), []
    for position, part in enumerate(parts):
        if is_file(part):
            recipe = read(part)
            found.append(recipe)
            try:
                ops = [op(name, **parameters) for name, parameters in recipe.ops]
            except UsageError as error:
                raise UsageError(f"{recipe.name}: {error}") from None
            parts[position] = "+".join(to_string(item, WRITTEN_OUT) for item in ops)
    return "".join(parts), found


def split_list(text: str, separator: str) -> list[str]:
    """Cut ``text`` at every ``separator`` outside brackets and quotes.

    Raises:
        UsageError: an empty item, or brackets or quotes that do not match.
    """
    items, closing, quote = [""], [], ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in PAIRS:
            closing.append(PAIRS[character])
        elif character in PAIRS.values():
            if not closing or closing.pop() != character:
                raise UsageError(f"unmatched {character!r} in {text!r}")
        elif character == separator and not closing:
            items.append("")
            continue
        items[-1] += character
    if closing or quote:
        raise UsageError(f"missing {(quote or closing[-1])!r} in {text!r}")
    stripped = [item.strip() for item in items]
    if not all(stripped):
        what = "branches" if separator == "|" else "ops"
        allowed = f"{what} are separated by one {separator!r}, as in crop{separator}color"
        raise UsageError(f"empty item in {text!r}: {allowed if len(items) > 1 else 'name an op, such as crop'}")
    return stripped


def to_string(op: Op, defaults: Defaults | None = None) -> str:
    """Return the canonical string of ``op``, with its non-default parameters in declaration order, for ``parse_op``."""
    standard = {**op.defaults(), **(defaults or {}).get(op.name, {})}
    shown = [f"{name}={value!r}" for name, value in op.parameters().items() if value != standard.get(name, op)]
    return f"{op.name}({', '.join(shown)})" if shown else op.name


def branches_to_string(first: Sequence[Op], second: Sequence[Op] | None, defaults: Defaults | None = None) -> str:
    """Return the canonical string of a composition, for :func:`parse_branches`: ``crop+color``, ``A|B`` or ``none``."""
    branches = [first] if second is None else [first, second]
    return "|".join("+".join(to_string(op, defaults) for op in ops) or "none" for ops in branches)


def spec(op: Op) -> OpSpec:
    """Return ``op`` as plain data: name, version and the parameters that records hold; tuples become lists, as in JSON.

    Records hold all parameters except those declared ``later`` that have their default (:func:`ablate.param`).
    """
    return OpSpec(name=op.name, version=op.version, params=json.loads(json.dumps(op.recorded())))


def from_spec(data: OpSpec) -> Op:
    """Return the op that ``data`` describes; raise UsageError if the installed op has another version."""
    op = from_any_version(data)
    if op.version != data.version:
        raise UsageError(f"op {data.name!r} is version {op.version} here, not {data.version}: its pixels have changed")
    return op


def from_any_version(data: OpSpec) -> Op:
    """Return the installed op with the name and parameters of ``data``, whatever its version.

    Raises:
        UsageError: no such op is installed, or it refuses the parameters.
    """
    if data.name.startswith(PREFIX):
        return adapt(data.name.removeprefix(PREFIX), data.params)
    return build(get(data.name), data.params)


def _split_call(text: str) -> tuple[str, dict[str, Any]]:
    text = text.strip()
    example = "write an op as name or name(parameter=value), as in color(strength=0.5)"
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise UsageError(f"cannot read {text!r}: {example}") from None
    if not isinstance(tree, ast.Call):
        return _dotted(tree, text, example), {}
    if tree.args or any(keyword.arg is None for keyword in tree.keywords):
        raise UsageError(f"cannot read {text!r}: parameters are named; {example}")
    arguments: dict[str, Any] = {}
    for keyword in tree.keywords:
        assert keyword.arg is not None
        if keyword.arg in arguments:
            raise UsageError(f"parameter {keyword.arg!r} is given twice in {text!r}")
        try:
            arguments[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, MemoryError, RecursionError):
            word = keyword.value.id if isinstance(keyword.value, ast.Name) else ""
            hint = f'; put a string in quotes: {keyword.arg}="{word}"' * bool(word)
            allowed = "must be a number, a string or a tuple"
            raise UsageError(f"parameter {keyword.arg!r} in {text!r} {allowed}{hint}") from None
    return _dotted(tree.func, text, example), arguments


def _dotted(tree: ast.expr, text: str, example: str) -> str:
    if isinstance(tree, ast.Name):
        return tree.id
    if isinstance(tree, ast.Attribute) and isinstance(tree.value, ast.Name):
        return f"{tree.value.id}.{tree.attr}"
    raise UsageError(f"cannot read {text!r}: {example}")
