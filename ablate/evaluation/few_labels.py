"""Few labels: the training images whose labels a protocol may use, the same ones for all cells of a seed.

A share of the labels is drawn from every class alike, in whole groups, separately inside and outside the validation
split, and at least one group of each (:func:`ablate.data.composed.stratified`). The draw belongs to the trial's seed
and to nothing else, so cells with one seed are compared on the same images. Shares are nested: the images of 1 % are
among those of 10 %.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ablate.data import DataSet
from ablate.data.composed import stratified
from ablate.rng import stream


def few_labels(data: DataSet, percent: int, seed: int) -> Tensor:
    """Return the training images whose labels may be used, as a bool mask ``[N]``.

    Args:
        data: the images. Where they have few labels already (``--labels``), the share is one of those.
        percent: the percentage of the labels, up to 100.
        seed: the trial's seed.
    """
    index, kept = data.labelled, torch.zeros_like(data.val_mask)
    train = data.train.labels[index], data.train.groups[index], data.val_mask[index]
    kept[index] = stratified(*train, len(data.classes), percent / 100, stream(seed, "evaluation/labels"))
    return kept


def in_words(data: DataSet, used: Tensor, percent: int) -> str:
    """Say how many labels are used, as in ``10 % of the labels, drawn by seed: 300 images, 20 to 40 of each class``.

    Classes without any are named; they occur only in groups that are drawn with rarer classes.

    Args:
        data: the images.
        used: int64 index or bool mask, the training images whose labels are used.
        percent: the percentage that was asked for.
    """
    counts = data.train.labels[used].bincount(minlength=len(data.classes)).tolist()
    missing = [name for name, count in zip(data.classes, counts, strict=True) if not count]
    each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    without = f", none of {', '.join(missing)}" if missing else ""
    share = "all labels" if percent == 100 else f"{percent} % of the labels, drawn by the trial's seed"
    return f"{share}: {sum(counts)} images, {each} of each class{without}"
