"""The cells that ablate a recipe: all of it, all but each op, and what is asked for beside them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ablate.config.experiment import Experiment
from ablate.config.recipes import PREFIX, is_recipe
from ablate.errors import UsageError, unknown
from ablate.ops import Op, branches_to_string, parse_op, to_string
from ablate.ops.composition import Composition
from ablate.planning.compositions import op_defaults, parse_one
from ablate.planning.screening import design

FACTORS = {"half": 0.5, "double": 2.0}
INSIDE = (("crop", "flip_p", "flip"), ("color", "gray_p", "gray"), ("color", "jitter_p", "jitter"))
"""An op, one of its parameters, and the op that it does by itself with that probability."""

Branch = tuple[Op, ...]


def dropping(
    wish: Experiment,
    recipe: str,
    added: Sequence[str] = (),
    in_order: Sequence[str] = (),
    *,
    strengths: bool = False,
) -> Experiment:
    """Return ``wish`` with the cells that show what each op of a recipe does.

    They are the recipe, the recipe without each op, if asked for the recipe with each op at half and at double
    strength, the recipe followed by each op of ``added``, and the recipe without the first two, three, ... ops of
    ``in_order``. An op is known by its name: ops of one name leave
    together, in ``A|B`` from both branches.

    Args:
        wish: the description, whose compositions are replaced.
        recipe: the composition, or ``recipe:NAME``.
        added: further ops, each tried at the end of the recipe.
        in_order: names of ops to leave out one after the other, each with those before it.
        strengths: also try every op that has a strength at half and at double of it.

    Raises:
        UsageError: a recipe of fewer than two ops, malformed text, an op to add that is a composition, or ops in order
            that are not the recipe's, occur twice, or leave nothing.
    """
    defaults, whole = op_defaults(wish), parse_one(wish, recipe)
    names = _names(whole)
    if len(names) < 2:
        raise UsageError(f"ops are left out of a recipe of at least two, not of {recipe!r}; to try one: ablate train")

    def text(composition: Composition) -> str:
        return branches_to_string(composition.ops, composition.second, defaults)

    baseline = recipe.strip() if is_recipe(recipe) else text(whole)
    cells = {baseline: whole} | {f"without {name}": _changed(whole, partial(_without, [name])) for name in names}
    for name in names if strengths else ():
        cells |= {f"{name} at {word} strength": changed for word, changed in _scaled(whole, name)}
    for op in (parse_op(item, defaults) for item in added):
        label = f"with {to_string(op, defaults)}"
        if label in cells:
            raise UsageError(f"op {to_string(op, defaults)!r} is listed twice in {','.join(added)!r}")
        cells[label] = _changed(whole, lambda ops, op=op: (*ops, op))  # type: ignore[misc]
    _check_order(in_order, names)
    for number in range(2, len(in_order) + 1):
        gone = in_order[:number]
        cells[f"without {'+'.join(gone)}"] = _changed(whole, partial(_without, gone))
    named = {label: text(composition) for label, composition in cells.items()}
    return wish.replace(compositions=named, baseline=baseline)


def screening(wish: Experiment, recipe: str) -> Experiment:
    """Return ``wish`` with the cells of a two-level design: half of the recipe's ops in each, all of them in the first.

    Args:
        wish: the description, whose compositions are replaced.
        recipe: the composition, or ``recipe:NAME``.

    Raises:
        UsageError: malformed text, or a recipe of too few or too many ops.
    """
    defaults, whole = op_defaults(wish), parse_one(wish, recipe)
    names = _names(whole)
    cells = {}
    for signs in design(len(names)):
        gone = [name for name, sign in zip(names, signs, strict=True) if sign < 0]
        cell = _changed(whole, partial(_without, gone))
        text = branches_to_string(cell.ops, cell.second, defaults)
        cells[text if gone or not is_recipe(recipe) else recipe.strip()] = text
    return wish.replace(compositions=cells, baseline=next(iter(cells)))


def ops_of(wish: Experiment, recipe: str) -> list[str]:
    """Return the names of a recipe's ops, each once."""
    return _names(parse_one(wish, recipe))


def called(wish: Experiment, recipe: str) -> list[str]:
    """Return the words by which a directory is named after a recipe: its name, or those of its ops."""
    return [recipe.strip().removeprefix(PREFIX)] if is_recipe(recipe) else ops_of(wish, recipe)


def done_twice(wish: Experiment, recipe: str, added: Sequence[str] = ()) -> list[str]:
    """Return a sentence for each op of a recipe, or added to it, that another op of the same branch does too."""
    whole, defaults = parse_one(wish, recipe), op_defaults(wish)
    further, found = [parse_op(item, defaults) for item in added], []
    for branch in (1, 2):
        ops = (*whole.branch(branch), *further)
        names = {op.name for op in ops}
        for op, (outer, parameter, inner) in itertools.product(ops, INSIDE):
            if op.name == outer and inner in names and getattr(op, parameter) > 0:
                found.append(
                    f"{outer} does what {inner} does too, since {parameter} is {getattr(op, parameter):g}: with or "
                    f"without {inner}, little changes. To tell them apart, write {outer}({parameter}=0.0)"
                )
    return list(dict.fromkeys(found))


def _names(composition: Composition) -> list[str]:
    return list(dict.fromkeys(op.name for op in composition.every_op))


def _changed(composition: Composition, change: Callable[[Branch], Branch]) -> Composition:
    """Return the composition with ``change`` made to each of its branches."""
    second = composition.second
    return Composition(change(composition.ops), None if second is None else change(second))


def _check_order(in_order: Sequence[str], names: Sequence[str]) -> None:
    for name in in_order:
        if name not in names:
            raise unknown("op of the recipe", name, names)
    if len(in_order) == 1:
        raise UsageError(f"ops in order are at least two, not {in_order[0]!r}: the recipe without it is a cell anyway")
    if len(set(in_order)) < len(in_order):
        raise UsageError(f"an op is listed twice in {','.join(in_order)!r}: it can be left out once")
    if len(in_order) == len(names):
        raise UsageError("without every op, a recipe is the reference no-op, which is trained anyway: let one op stay")


def _without(names: Sequence[str], ops: Branch) -> Branch:
    return tuple(op for op in ops if op.name not in names)


def _scaled(composition: Composition, name: str) -> Iterator[tuple[str, Composition]]:
    """Yield the composition with the strength of an op scaled, where the op has one and its range allows it."""
    if not any(op.name == name and hasattr(op, "strength") for op in composition.every_op):
        return
    for word, factor in FACTORS.items():

        def scale(ops: Branch, factor: float = factor) -> Branch:
            return tuple(_stronger(op, factor) if op.name == name else op for op in ops)

        try:
            changed = _changed(composition, scale)
        except UsageError:  # beyond the op's range
            continue
        if changed != composition:  # half of 0 is 0
            yield word, changed


def _stronger(op: Op, factor: float) -> Op:
    return dataclasses.replace(op, strength=factor * op.strength)  # type: ignore[attr-defined, call-arg]
