"""Invariances: how far features move under every op, relative to another image's, and whether a probe tells the op."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ablate.evaluation.accuracy import accuracy
from ablate.evaluation.features import drawn, unaugmented
from ablate.evaluation.frozen import BATCH, At, Frozen, Outcome
from ablate.evaluation.linear import fit, predict, standardise
from ablate.ops import Op
from ablate.ops.registry import get, names
from ablate.ops.rehearsal import HALF_A_LEVEL
from ablate.rng import stream

IMAGES = 512  # test images; their number bounds what the protocol costs, whatever the size of the data set
L2 = 0.01  # of the probe, which chooses nothing; on standardised features accuracy hardly depends on it
DIGITS = 4  # of what is recorded; 512 images tell no more
CONSTANT = 1e-10  # of a dimension's mean square: what float32 leaves of a spread that is 0


@dataclass(frozen=True)
class Responses:
    """What an encoder makes of the same images, as they are and under each op.

    Args:
        ops: the names of the ops that change at least one of the images.
        unchanged: the names of those that change none by half a grey level.
        h: float32 ``[1 + len(ops), n, d]``, of the images as they are, then under each op.
        halves: bool ``[n]``, True for the images on which probes are fitted.
    """

    ops: tuple[str, ...]
    unchanged: tuple[str, ...]
    h: Tensor
    halves: Tensor


def invariance(frozen: Frozen, at: At) -> Outcome:
    """Run the protocol ``invariance``: :func:`concordance` and :func:`told` for every op of the registry.

    Each op has its default parameters, but is applied to every image. Up to 512 test images are used. Images and draws
    are the same for every trial of an image size, so that encoders are compared. An op that does not take the images'
    number of channels, or changes none of the images, is left out. The features are computed once for both places.
    """
    seen: Responses = frozen.once("invariance", lambda: responses(frozen))
    images = seen.h.shape[1]
    rows = seen.h if at == "h" else frozen.project(seen.h.flatten(0, 1)).unflatten(0, (-1, images))
    values: dict[str, float | None] = {}
    for op, moved in zip(seen.ops, rows[1:], strict=True):
        values[f"invariance_{op}"] = concordance(rows[0], moved)
    for op, moved in zip(seen.ops, rows[1:], strict=True):
        frozen.stop_if_asked()
        values[f"told_{op}"] = told(rows[0], moved, seen.halves)
    left_out = f"; left out, since they change none of these images: {', '.join(seen.unchanged)}" * bool(seen.unchanged)
    x, of = frozen.called(at), f"{images} un-augmented test images"
    return Outcome(
        metrics={name: round(value, DIGITS) for name, value in values.items() if value is not None},
        description=(
            f"for each of {len(seen.ops)} ops t with default parameters, applied to every one of {of}: invariance, 1 "
            f"minus the mean squared distance of {x} of x and t(x) over that of x and t(another image), for each "
            "dimension, then the mean over dimensions (Lin's concordance correlation); and told, the top-1 of a "
            f"logistic regression (l2 {L2:g}) on standardised {x} that tells t(x) from x, fitted on "
            f"{int(seen.halves.sum())} of the images and scored on the others{left_out}"
        ),
    )


def of_an_op(metric: str) -> bool:
    """Return True for a metric that a record has for every op, such as ``z_told_color``."""
    return metric.removeprefix("z_").startswith(("invariance_", "told_"))


def responses(frozen: Frozen) -> Responses:
    """Encode the images as they are and under every op that takes them."""
    split, resident = frozen.data.test, frozen.resident(frozen.data.test)
    index = drawn(split, "invariance", IMAGES)
    chunks = [unaugmented(*resident.batch(chunk), frozen.config.image_size) for chunk in index.split(BATCH)]
    plain = torch.cat([frozen.encode(views) for views in chunks])
    every, changed, unchanged = [plain], [], []
    for op in ops_tested(frozen.data.test.images.channels):
        frozen.stop_if_asked()
        draws, parts, acts = stream(0, f"evaluation/invariance/{op.name}"), [], False
        for views in chunks:
            moved = op(views, draws)
            acts |= float((moved - views).abs().max()) >= HALF_A_LEVEL
            parts.append(frozen.encode(moved))
        if acts:
            changed.append(op.name)
            every.append(torch.cat(parts))
        else:
            unchanged.append(op.name)
    return Responses(tuple(changed), tuple(unchanged), torch.stack(every), halves(split.groups[index]))


def ops_tested(channels: int) -> list[Op]:
    """Return every op of the registry that takes so many channels, by name, acting on all images."""
    return [get(name)().acting(1.0) for name in names() if channels in get(name).channels]


def concordance(x: Tensor, y: Tensor) -> float | None:
    """Return Lin's concordance correlation of ``x [n, d]`` and ``y [n, d]``, the mean over dimensions, from -1 to 1.

    For one dimension it is ``1 - E (x_i - y_i)^2 / E (x_i - y_j)^2``, where i and j are drawn independently, which is
    ``2 cov / (var x + var y + (mean x - mean y)^2)`` (Lin 1989). It is 1 if y = x, and 0 if y_i is on average as far
    from x_i as from another image. It does not depend on the scale of a dimension, as linear evaluation does not.
    Dimensions that are constant are left out; None if all are.
    """
    a, b = x.double(), y.double()
    means = a.mean(0), b.mean(0)
    centred = a - means[0], b - means[1]
    apart = sum(part.square().mean(0) for part in centred) + (means[0] - means[1]).square()
    varies = apart > CONSTANT * (a.square() + b.square()).mean(0)
    if not bool(varies.any()):
        return None
    together = 2 * (centred[0] * centred[1]).mean(0)
    return float((together[varies] / apart[varies]).mean())


def told(x: Tensor, y: Tensor, halves: Tensor) -> float | None:
    """Return how well a linear probe tells ``y [n, d]`` from ``x [n, d]`` on held-out rows; chance is 0.5.

    Args:
        x: features of the images as they are.
        y: features of the same images under an op.
        halves: bool ``[n]``, True for the rows on which the probe is fitted.

    Returns:
        The accuracy on the other rows; None if either half is empty.
    """
    fitted, held = halves.to(x.device), ~halves.to(x.device)
    if not bool(fitted.any()) or not bool(held.any()):
        return None
    train, test = standardise(torch.cat([x[fitted], y[fitted]]), torch.cat([x[held], y[held]]))
    label = torch.arange(2, device=x.device)
    weights = fit(train, label.repeat_interleave(int(fitted.sum())), 2, L2)
    return accuracy(predict(weights, test), label.repeat_interleave(int(held.sum())))


def halves(groups: Tensor) -> Tensor:
    """Return bool ``[n]`` that is True for about half of the images, drawn by whole ``groups``, int64 ``[n]``.

    If all images are of one group, they are drawn one by one.
    """
    found, inverse = groups.unique(return_inverse=True)
    if len(found) < 2:
        inverse = torch.arange(len(groups))
    ranks = torch.randperm(int(inverse.max()) + 1 if len(groups) else 0, generator=stream(0, "evaluation/invariance"))
    return ranks[inverse] % 2 == 0
