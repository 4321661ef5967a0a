"""A data set made of others: pre-trained on one, evaluated on another, or with only a fraction of the labels."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ablate.data.dataset import DataSet, Images, Split, whole_groups
from ablate.data.digest import digest_of
from ablate.rng import stream

VERSION = "1"  # of this file's rules; raise it when the same parts give another set
LABELS_SEED = 0


class Recipe(NamedTuple):
    """Fingerprints of the set to pre-train on and of the labelled set (it may be the same), and how many labels stay.

    ``labels`` is a fraction in (0, 1].
    """

    pretrain: str
    labelled: str
    labels: float

    @property
    def fingerprint(self) -> str:
        """Of the set that this makes."""
        return digest_of(f"composed {VERSION}", self.pretrain, self.labelled, repr(self.labels))


def composed(recipe: Recipe, pretrain: DataSet, labelled: DataSet) -> DataSet:
    """The data set that ``recipe`` makes of its two parts; a pure function of them. Pixels are not copied.

    Of another set to pre-train on, all images are used whose test split is not given by hand, without their labels.
    """
    data = labelled
    if recipe.labels < 1:
        kept = labels_kept(data, recipe.labels)
        train = replace(data.train, labels=data.train.labels.where(kept, -1))
        name = f"{data.name} ({100 * recipe.labels:g} % of labels)"
        pretrain_split = train if data.pretrain is data.train else data.pretrain
        data = replace(data, name=name, pretrain=pretrain_split, train=train, val_mask=data.val_mask & kept)
    if recipe.pretrain != recipe.labelled:
        images = joined(pretrain.pretrain, pretrain.test) if pretrain.carved else pretrain.pretrain
        data = replace(
            data,
            name=f"{pretrain.name}, evaluated on {data.name}",
            pretrain=replace(images, labels=torch.full_like(images.labels, -1)),
            corrupt=pretrain.corrupt + data.corrupt,
            refused=pretrain.refused + data.refused,
            carved=False,
            levels=pretrain.levels,
        )
    return replace(data, fingerprint=recipe.fingerprint)


def labels_kept(data: DataSet, fraction: float) -> Tensor:
    """Which training images keep their label: about ``fraction`` of every class, in whole groups, bool ``[N]``.

    Drawn apart inside and outside the validation split, at least one group each, so that both have every class that
    they had. The seed is the draw's own: every trial sees the same labels.
    """
    kept = torch.zeros_like(data.val_mask)
    generator = stream(LABELS_SEED, "labels")
    for label in range(len(data.classes)):
        for side in (~data.val_mask, data.val_mask):
            members = ((data.train.labels == label) & side).nonzero()[:, 0]
            if len(members):
                kept[members[whole_groups(data.train.groups[members], fraction, generator)]] = True
    return kept


def joined(a: Split, b: Split) -> Split:
    """Both splits of one ragged set, ``a`` first. Their groups are apart."""
    assert isinstance(a.images.pixels, tuple)
    assert isinstance(b.images.pixels, tuple)
    assert a.images.sizes is not None
    assert a.images.places is not None
    assert b.images.sizes is not None
    assert b.images.places is not None
    places = b.images.places + torch.tensor([len(a.images.pixels), 0])
    images = Images(
        a.images.pixels + b.images.pixels,
        torch.cat([a.images.sizes, b.images.sizes]),
        torch.cat([a.images.places, places]),
    )
    groups = torch.cat([a.groups, b.groups + a.groups.max() + 1])
    return Split(images, torch.cat([a.labels, b.labels]), groups)
