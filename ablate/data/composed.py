"""Composed data sets: pre-training on one set and evaluation on another, fewer training images, or fewer labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ablate.data.dataset import DataSet, Split, homes, whole_groups
from ablate.data.digest import digest_of
from ablate.data.duplicates import kept
from ablate.rng import stream

VERSION = "1"  # version of this file's rules; raise it when the same parts give another set
LABELS_SEED, LIMIT_SEED = 0, 0


class Recipe(NamedTuple):
    """The fingerprints of the set to pre-train on and of the labelled sets, and the images and labels to keep.

    The first two may be the same. ``labels`` is a fraction in (0, 1]. ``limit`` is the number of training images, and
    of images to pre-train on; None keeps all. ``further`` are the labelled sets of further tasks.
    """

    pretrain: str
    labelled: str
    labels: float
    limit: int | None = None
    further: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the composed set."""
        limit = [] if self.limit is None else [f"limit {self.limit}"]
        further = [f"further {name}" for name in self.further]
        return digest_of(f"composed {VERSION}", self.pretrain, self.labelled, repr(self.labels), *limit, *further)


def composed(recipe: Recipe, pretrain: DataSet, labelled: DataSet, further: Sequence[DataSet] = ()) -> DataSet:
    """Return the data set that ``recipe`` makes of its parts.

    The result depends on the arguments only. Pixels are not copied, but for fewer images of one size. If the set to
    pre-train on is another one than the labelled set, its images are used without their labels; its test images are
    used too, unless its test split was given by hand or the set is one of the ``further`` ones.

    Args:
        recipe: the fingerprints of both sets, and the images and labels to keep.
        pretrain: the set to pre-train on.
        labelled: the set to evaluate on.
        further: the sets of further tasks.
    """
    data = _reduced(labelled, recipe)
    evaluated = " and ".join([data.name, *(each.name for each in further)])
    if further:
        sets = tuple(replace(_reduced(each, recipe), name=each.name) for each in further)
        data = replace(
            data,
            name=f"{pretrain.name}, evaluated on {evaluated}",
            corrupt=data.corrupt + tuple(name for each in further for name in each.corrupt),
            refused=data.refused + tuple(file for each in further for file in each.refused),
            further=sets,
            main=labelled.name,
        )
    if recipe.pretrain != recipe.labelled:
        unseen = not pretrain.carved or recipe.pretrain in recipe.further
        images = pretrain.pretrain if unseen else joined(pretrain.pretrain, pretrain.test)
        if recipe.limit is not None:
            images = images.subset(chosen(images, recipe.limit))
        data = replace(
            data,
            name=f"{pretrain.name}, evaluated on {evaluated}",
            pretrain=replace(images, labels=torch.full_like(images.labels, -1)),
            corrupt=pretrain.corrupt + data.corrupt,
            refused=pretrain.refused + data.refused,
            carved=False,
            ranges=pretrain.ranges,
            background=pretrain.background,
        )
    return replace(data, fingerprint=recipe.fingerprint)


def _reduced(data: DataSet, recipe: Recipe) -> DataSet:
    """Return a labelled set with the training images and labels that ``recipe`` keeps."""
    data = data if recipe.limit is None else limited(data, recipe.limit)
    if recipe.labels == 1:
        return data
    kept = labels_kept(data, recipe.labels)
    train = replace(data.train, labels=data.train.labels.where(kept, -1))
    name = f"{data.name} ({100 * recipe.labels:g} % of labels)"
    pretrain = train if data.pretrain is data.train else data.pretrain
    tasks = tuple(task.only(kept) for task in data.tasks)
    return replace(data, name=name, pretrain=pretrain, train=train, val_mask=data.val_mask & kept, tasks=tasks)


def limited(data: DataSet, limit: int) -> DataSet:
    """Return ``data`` with about ``limit`` training images, and as many to pre-train on if these are others.

    Images for validation stay images for validation; the test images stay all.
    """
    index = chosen(data.train, limit, data.val_mask)
    train = data.train.subset(index)
    pretrain = data.pretrain.subset(chosen(data.pretrain, limit)) if data.pretrain is not data.train else train
    name = f"{data.name} ({len(index)} of {len(data.train.labels)} training images)"
    alike, tasks = kept(data.alike, index.tolist()), tuple(task.subset(index) for task in data.tasks)
    val_mask = data.val_mask[index]
    return replace(data, name=name, pretrain=pretrain, train=train, val_mask=val_mask, alike=alike, tasks=tasks)


def chosen(split: Split, limit: int, val_mask: Tensor | None = None) -> Tensor:
    """Draw about ``limit`` images of every class alike, in whole groups, as their indices, int64, ascending.

    Images inside and outside ``val_mask`` are drawn separately, at least one group of each class. The draw has its own
    fixed seed.
    """
    count = len(split.labels)
    if limit >= count:
        return torch.arange(count)
    kept = torch.zeros(count, dtype=torch.bool)
    inside = kept if val_mask is None else val_mask
    generator = stream(LIMIT_SEED, "limit")
    drawn_with = homes(split.labels, split.groups)
    for label in drawn_with.unique().tolist():
        for side in (~inside, inside):
            members = ((drawn_with == label) & side).nonzero()[:, 0]
            if len(members):
                kept[members[whole_groups(split.groups[members], limit / count, generator)]] = True
    return kept.nonzero()[:, 0]


def labels_kept(data: DataSet, fraction: float) -> Tensor:
    """Draw the training images that keep their label by :func:`stratified`, as a bool mask ``[N]``.

    The draw has its own fixed seed, so every trial sees the same labels.
    """
    generator = stream(LABELS_SEED, "labels")
    train = data.train
    return stratified(train.labels, train.groups, data.val_mask, len(data.classes), fraction, generator)


def stratified(
    labels: Tensor, groups: Tensor, val_mask: Tensor, classes: int, fraction: float, generator: torch.Generator
) -> Tensor:
    """Draw about ``fraction`` of every class, in whole groups, as a bool mask ``[N]``.

    Images inside and outside the validation split are drawn separately, at least one group each, so both keep every
    class that they had, except for classes that occur only in groups of rarer ones, see
    :func:`~ablate.data.dataset.homes`. Draws from equal generators are nested: a smaller fraction is part of a larger.

    Args:
        labels: int64 ``[N]``, in [0, classes); images with -1 are left out.
        groups: int64 ``[N]``.
        val_mask: bool ``[N]``, True for the validation split.
        classes: number of classes.
        fraction: the share of images wanted, in (0, 1].
        generator: the generator to draw from.
    """
    kept = torch.zeros_like(val_mask)
    drawn_with = homes(labels, groups)
    for label in range(classes):
        for side in (~val_mask, val_mask):
            members = ((drawn_with == label) & side).nonzero()[:, 0]
            if len(members):
                kept[members[whole_groups(groups[members], fraction, generator)]] = True
    return kept


def joined(a: Split, b: Split) -> Split:
    """Join two splits of one ragged set, ``a`` first; no group contains images of both."""
    assert isinstance(a.images.pixels, tuple)
    assert isinstance(b.images.pixels, tuple)
    assert a.images.sizes is not None
    assert a.images.addresses is not None
    assert b.images.sizes is not None
    assert b.images.addresses is not None
    assert a.images.channels == b.images.channels
    addresses = b.images.addresses + torch.tensor([len(a.images.pixels), 0])
    images = replace(
        a.images,
        pixels=a.images.pixels + b.images.pixels,
        sizes=torch.cat([a.images.sizes, b.images.sizes]),
        addresses=torch.cat([a.images.addresses, addresses]),
    )
    groups = torch.cat([a.groups, b.groups + a.groups.max() + 1])
    return Split(images, torch.cat([a.labels, b.labels]), groups)
