"""From the steps of a pipeline to ops: each step's equal, one after the other."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

from ablate.errors import UsageError
from ablate.transforms.given import Given, Surroundings, is_adaptable, tidy
from ablate.transforms.steps import Step, Unread
from ablate.transforms.table import EQUALS, NEAR, SKIPPED

Made = tuple[str, dict[str, Any]]
"""An op: its name and its parameters."""
IN_ORDER = ("Compose", "Sequential", "AugmentationSequential", "ImageSequential", "ReplayCompose")
CHOOSING = ("RandomChoice", "RandomOrder", "OneOf", "OneOrOther", "SomeOf")
BATCHWISE = {"random_apply": "which of its steps act", "same_on_batch": "the same for all images of a batch"}
"""Arguments of kornia's containers, and what they draw."""
GEOMETRIC = ("crop", "flip", "vflip", "rotate", "d4")


@dataclass
class Composed:
    """A pipeline as ops, with the steps that are no augmentation, and what differs."""

    ops: list[Made] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    around: Surroundings = field(default_factory=Surroundings)


def composed(pipeline: Step) -> Composed:
    """Return the ops that a pipeline is equal to.

    Raises:
        UsageError: a step without an equal; the sentence names its place and the nearest op.
    """
    found = Composed()
    _add(pipeline, found)
    return found


def _add(step: Step, found: Composed) -> None:
    """Add the ops of a step to those that were found."""
    if step.name in CHOOSING and step.library:
        raise step.error(
            f"{step.name} draws which of its steps act, or in which order, and no op does; write one of them "
            "in its place, and compare the others as cells"
        )
    if step.name in (*IN_ORDER, "RandomApply") and step.library:
        _add_inside(step, _share(step), found)
    elif step.name in SKIPPED.get(step.library, ()):
        _skip(step, found)
    else:
        found.ops.append(_equal(step, found))


def _share(step: Step) -> float:
    """Return the share of images on which the steps of a container act."""
    for name, drawn in BATCHWISE.items() if step.library == "kornia" else ():
        if step.named.get(name):
            raise step.error(f"{step.name} with {name} draws {drawn}, and no op does")
    if step.name in IN_ORDER and step.library != "albumentations":
        return 1.0
    if "p" not in step.named and not step.positional and step.is_printed:
        raise step.error(f"print does not show the p of this {step.name}; write it in, as in {step.name}(..., p=0.5)")
    default = 0.5 if step.name in ("RandomApply", "Sequential") else 1.0
    share: Any = step.named.get("p", step.positional[0] if step.positional else default)
    if isinstance(share, Unread):
        raise step.error(f"p={share.text} of {step.name} cannot be read without running the file: {share.why}")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise step.error(f"p={share!r} of {step.name} must be a number in [0, 1]")
    return float(share)


def _add_inside(step: Step, share: float, found: Composed) -> None:
    """Add the ops of a container, which draws once whether they act on an image, with the probability ``share``."""
    inner = Composed(around=found.around)
    for item in step.inside:
        _add(item, inner)
    found.skipped += inner.skipped
    if share == 1:
        found.ops += _one(inner.ops) if (step.library, step.name) == ("albumentations", "Sequential") else inner.ops
    elif share > 0:
        ops = _together(step, share, inner.ops)
        found.ops += [(name, {**given, "p": tidy(share * given["p"])}) for name, given in ops]


def _together(step: Step, share: float, ops: list[Made]) -> list[Made]:
    """Return the one op that does what the ops of a container do together; raise UsageError if there is none."""
    found = _one(ops)
    if len(found) <= 1:
        return found
    names = ", ".join(name for name, _ in ops)
    raise step.error(
        f"{step.name} draws once for all its steps, which act on p={share:g} of the images, while each of the ops "
        f"{names} draws by itself; near: p={share:g} for each of them"
    )


def _one(ops: list[Made]) -> list[Made]:
    """Return the one op that does what these ops do; if there is none, return the ops as they are."""
    match ops:
        case [("jitter", jitter), ("gray", gray)]:
            return [("color", {**jitter, "p": 1.0, "jitter_p": jitter["p"], "gray_p": gray["p"]})]
        case [("crop", {"p": 1} as crop), ("flip", flip)]:
            return [("crop", {**crop, "flip_p": flip["p"]})]
    return ops


def _skip(step: Step, found: Composed) -> None:
    found.skipped.append(step.name)
    if step.name == "Normalize":
        found.around.is_normalised = True
    elif step.name in ("Resize", "CenterCrop", "SmallestMaxSize"):
        size = ("max_size",) if step.name == "SmallestMaxSize" else ("size", "height", "width")
        Given(step, found.around).set_side(*size)


def _equal(step: Step, found: Composed) -> Made:
    """Return the op that does what a step does; raise UsageError if there is none."""
    if step.name in EQUALS.get(step.library, {}):
        said = list(found.around.differs)
        try:
            return _in_table(step, found)
        except UsageError:
            if not is_adaptable(step):
                raise
            found.around.differs = said
    if is_adaptable(step):
        return _adapted(step)
    if not step.library:
        raise step.error(
            f"{step.name} is not a class of torchvision, kornia or albumentations, so what it does is not known"
            f"{_alike(step.name)}"
        )
    near = f"; the nearest op is {NEAR[step.name]}" if step.name in NEAR else ""
    more = "; a Python file may hold it" if step.library == "kornia" and step.is_printed else ""
    raise step.error(f"{step.name} of {step.library} has no equal among the ops{near}{more}")


def _in_table(step: Step, found: Composed) -> Made:
    """Return the op that the table has for a step; raise UsageError if a value has no equal."""
    name, equal = EQUALS[step.library][step.name]
    given = Given(step, found.around)
    if step.library == "kornia":
        given.only(same_on_batch=False)
        if given.get("p_batch", step.named.get("p_batch", 1.0)) != 1.0:
            raise step.error(f"{step.name} acts on whole batches, and no op does")
    if step.named.get("always_apply") is True:
        given.values["p"] = 1.0
    parameters = equal(given)
    given.say_unknown()
    if found.around.is_normalised and name not in (*GEOMETRIC, "erase"):
        given.say("changes normalised images; here their values are in [0, 1]")
    return name, parameters


def _alike(name: str) -> str:
    """Return a sentence on the class of torchvision whose name is most like that of a user's own, if there is one."""
    found = difflib.get_close_matches(name.rpartition(".")[2], EQUALS["torchvision"], n=1)
    return f"; if it does what torchvision's {found[0]} does, put that in its place" if found else ""


def _adapted(step: Step) -> Made:
    """Return kornia's own class as an op, with the arguments that were given, and with ``p`` in any case."""
    given = Given(step, Surroundings())
    by_place = list(given.values)[: len(step.positional)]
    return f"kornia.{step.name}", {name: given[name] for name in dict.fromkeys((*by_place, *step.named, "p"))}
