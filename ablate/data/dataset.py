"""Data sets in memory: splits of images, labels and groups, over memory-mapped arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ablate.config.measure import Accuracy, measure_for
from ablate.config.reading import WHITE, Colour, Range
from ablate.config.sweep import ClassCounts, Task
from ablate.config.trial import DataIdentity
from ablate.data.duplicates import Alike
from ablate.data.tasks import TaskLabels, numbers_of

ONE_CLASS = "there is only one class"
"""The start of the note on a set with a single class folder or label, which tells no images apart."""


@dataclass(frozen=True, repr=False)
class Images:
    """Images of one dtype and ``channels`` channels, either all of one size (uniform) or of several sizes (ragged).

    The dtype is uint8, uint16 or float32; :data:`ablate.pixels.FULL_SCALE` says which value is white. Uniform:
    ``pixels`` has shape ``[N, c, h, w]``. Ragged: ``pixels`` are flat shards; image i has shape ``[c, h, w]`` with
    ``(h, w) = sizes[i]`` and starts at element ``addresses[i, 1]`` of shard ``addresses[i, 0]``.

    Raises:
        ValueError: images of several sizes without their number of channels, which no shape tells.
    """

    pixels: Tensor | tuple[Tensor, ...]
    sizes: Tensor | None = None  # int64 [N, 2]: height, width
    addresses: Tensor | None = None  # int64 [N, 2]: shard, offset
    ragged_channels: int | None = None  # required for ragged images; the shape of uniform ones tells theirs

    def __post_init__(self) -> None:
        if isinstance(self.pixels, tuple) and self.ragged_channels is None:
            raise ValueError("images of several sizes need their number of channels")

    def __len__(self) -> int:
        return len(self.pixels) if self.sizes is None else len(self.sizes)

    def __repr__(self) -> str:
        shape = f"all {list(self.pixels.shape[2:])}" if isinstance(self.pixels, Tensor) else "of several sizes"
        return f"<{len(self)} images, {shape}>"

    @property
    def channels(self) -> int:
        """The number of channels."""
        if isinstance(self.pixels, Tensor):
            return self.pixels.shape[1]
        assert self.ragged_channels is not None
        return self.ragged_channels

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which the pixels are stored."""
        return self.pixels.dtype if isinstance(self.pixels, Tensor) else self.pixels[0].dtype

    def subset(self, index: Tensor) -> Images:
        """Return the images of ``index``, int64 ``[n]``; the pixels of images of several sizes are not copied."""
        if isinstance(self.pixels, Tensor):
            return Images(self.pixels[index])
        assert self.sizes is not None
        assert self.addresses is not None
        return replace(self, sizes=self.sizes[index], addresses=self.addresses[index])

    @property
    def square(self) -> float:
        """The median share of an image that its largest square covers, above 0 and at most 1."""
        if self.sizes is None:
            assert isinstance(self.pixels, Tensor)
            height, width = self.pixels.shape[2:]
            return min(height, width) / max(height, width)
        return float((self.sizes.amin(1) / self.sizes.amax(1)).median())

    @property
    def nbytes(self) -> int:
        """The number of bytes that the pixels take."""
        shards = (self.pixels,) if isinstance(self.pixels, Tensor) else self.pixels
        return sum(shard.nbytes for shard in shards)


@dataclass(frozen=True, repr=False)
class Split:
    """Images with their ``labels`` and ``groups``, each int64 ``[N]``.

    A label is -1 where an image has none. Images of one group come from the same source.
    """

    images: Images
    labels: Tensor
    groups: Tensor

    def subset(self, index: Tensor) -> Split:
        """Return the images of ``index``, int64 ``[n]``, with their labels and groups."""
        return Split(self.images.subset(index), self.labels[index], self.groups[index])

    def __repr__(self) -> str:
        return f"<Split of {len(self.labels)} images>"


@dataclass(frozen=True, repr=False)
class DataSet:
    """Images to pre-train on, training images with labels and their validation part, and test images.

    ``fingerprint`` identifies the content, the split and the preparation, not the location of the files. ``classes``
    is empty if the images have no labels; then all labels are -1. ``val_mask`` is bool ``[len(train)]``; no group is on
    both sides of it. ``corrupt`` and ``refused`` (with reasons) name the files that were left out: damaged files, and
    files of kinds that decoding would damage. ``carved`` is True if the test split was drawn by seed rather than given.
    ``notes`` are sentences about the processing of the images beyond resizing, and about files that were left out.
    ``ranges`` are, for each channel of the images to pre-train on or for all of them, the values that became 0 and full
    scale; None for images of 8 bits. ``background`` is the colour that transparent ones were laid over.
    ``alike`` are the sets of equal images of several splits or classes. ``tasks`` are labels of further tasks, and
    ``further`` the labelled sets of further tasks; with these, ``main`` is the name of the main task.
    """

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    pretrain: Split
    train: Split
    val_mask: Tensor
    test: Split
    corrupt: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    carved: bool = False
    notes: tuple[str, ...] = ()
    ranges: tuple[Range, ...] | None = None
    background: Colour = WHITE
    alike: tuple[Alike, ...] = ()
    tasks: tuple[TaskLabels, ...] = ()
    further: tuple[DataSet, ...] = ()
    main: str = ""

    @property
    def identity(self) -> DataIdentity:
        """The description of the data in a trial's configuration."""
        channels = self.pretrain.images.channels
        return DataIdentity(name=self.name, fingerprint=self.fingerprint, classes=len(self.classes), channels=channels)

    @property
    def labelled(self) -> Tensor:
        """The indices of the training images that have a label, int64, ascending; they include the validation part."""
        return (self.train.labels >= 0).nonzero()[:, 0]

    @property
    def evaluated(self) -> int:
        """The number of training and test images of all labelled sets, whose features evaluation keeps."""
        return sum(len(each.train.labels) + len(each.test.labels) for each in (self, *self.further))

    @property
    def class_counts(self) -> tuple[int, ...]:
        """The number of labelled training images of every class, in the order of ``classes``; empty without classes."""
        return self._counts(self.train.labels)

    @property
    def all_class_counts(self) -> ClassCounts | None:
        """The numbers of labelled training, validation and test images of every class; None without classes."""
        if not self.classes:
            return None
        labels = (self.train.labels, self.train.labels[self.val_mask], self.test.labels)
        return ClassCounts(**dict(zip(("train", "validation", "test"), map(self._counts, labels), strict=True)))

    def every_task(self, main: str) -> tuple[Task, ...]:
        """Return all tasks for reports, the main one first; none if there is no other.

        Args:
            main: the name of the main task where a column of labels makes it.
        """
        if not self.tasks and not self.further:
            return ()
        further = [task.described(self.val_mask) for task in self.tasks]
        further += [each.as_task(each.name) for each in self.further]
        return (self.as_task(self.main or main), *further)

    def as_task(self, name: str) -> Task:
        """Return the task of telling the classes apart, under that name, for reports."""
        known, tested = (split.labels >= 0 for split in (self.train, self.test))
        images = numbers_of(known, self.val_mask, tested)
        return Task(name=name, images=images, class_counts=self.all_class_counts)

    def _counts(self, labels: Tensor) -> tuple[int, ...]:
        return tuple(labels[labels >= 0].bincount(minlength=len(self.classes)).tolist())

    @property
    def measure(self) -> Accuracy:
        """The accuracy used for choices on these images, given by :func:`ablate.config.measure.measure_for`."""
        return measure_for(self.class_counts)

    @property
    def class_sizes(self) -> str:
        """The classes in words, like ``9 classes of 40 to 3640 images (60 % in the largest)`` or ``no classes``."""
        counts = self.class_counts
        if not counts:
            return "no classes"
        if min(counts) == max(counts):
            return f"{len(counts)} classes of {counts[0]} images"
        percent = 100 * max(counts) / sum(counts)
        return f"{len(counts)} classes of {min(counts)} to {max(counts)} images ({percent:.0f} % in the largest)"

    @property
    def lacks(self) -> str:
        """Words on why nothing can be learned from labels, of a set without classes: ``has no labels``."""
        return "has only one class" if any(ONE_CLASS in note for note in self.notes) else "has no labels"

    @property
    def _grouped(self) -> str:
        """Return `` in 40 groups`` if training images share groups, else an empty text."""
        count = len(self.train.groups.unique())
        return f" in {count} groups" if count < len(self.train.groups) else ""

    def __repr__(self) -> str:
        return f"<DataSet {self}>"

    def __str__(self) -> str:
        total, labelled, validation = len(self.train.labels), len(self.labelled), int(self.val_mask.sum())
        part = f"{labelled} labelled, {validation}" if 0 < labelled < total else f"{validation}"
        extra = "" if self.pretrain is self.train else f", {len(self.pretrain.labels)} images to pre-train on"
        classes = f"{self.class_sizes}{',' if self.classes else ':'}"
        return (
            f"{self.name}: {classes} {total} training images{self._grouped} ({part} of them for validation), "
            f"{len(self.test.labels)} test images{extra}"
        )


def split_by_group(labels: Tensor, groups: Tensor, fraction: float, seed: int) -> Tensor:
    """Draw a bool mask ``[N]`` of about ``fraction`` of every class, in whole groups.

    At least one group of a class is inside the mask and at least one is outside. A class with a single group stays
    outside. A group with images of several classes is drawn with those of its rarest class, see :func:`homes`.

    Args:
        labels: int64 ``[N]``.
        groups: int64 ``[N]``.
        fraction: the share of images wanted inside the mask.
        seed: the seed of the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(len(labels), dtype=torch.bool)
    drawn_with = homes(labels, groups)
    for label in drawn_with.unique().tolist():
        members = (drawn_with == label).nonzero()[:, 0]
        count = len(groups[members].unique())
        if count > 1:
            mask[members[whole_groups(groups[members], fraction, generator, at_most=count - 1)]] = True
    return mask


def homes(labels: Tensor, groups: Tensor) -> Tensor:
    """Return the class with which each image is drawn, int64 ``[N]``, the same for all images of a group.

    It is the class, among those of the group's images, of which the fewest groups hold an image. So the whole group is
    drawn at once, and rare classes reach both sides of a split. Where no group holds several classes, it is the label.

    Args:
        labels: int64 ``[N]``.
        groups: int64 ``[N]``.
    """
    names, label = labels.unique(return_inverse=True)
    _, group = groups.unique(return_inverse=True)
    count = len(names)
    pairs = (group * count + label).unique()
    spread = (pairs % count).bincount(minlength=count)  # groups that hold an image of the class
    rank = spread * count + torch.arange(count)  # unique, so that ties are settled by the order of the classes
    rarest = torch.full((int(group.max()) + 1,), int(rank.max())).scatter_reduce(
        0, pairs // count, rank[pairs % count], "amin"
    )
    home: Tensor = names[(rarest % count)[group]]
    return home


def whole_groups(groups: Tensor, fraction: float, generator: torch.Generator, at_most: int | None = None) -> Tensor:
    """Draw a bool mask ``[n]`` of about ``fraction`` of the images, in whole groups, at least one.

    Args:
        groups: the group of each image, int64 ``[n]``, n > 0.
        fraction: the share of images wanted inside the mask.
        generator: the generator to draw from.
        at_most: the largest number of groups to choose; no limit by default.
    """
    names, inverse, counts = groups.unique(return_inverse=True, return_counts=True)
    order = torch.randperm(len(names), generator=generator)
    reached = counts[order].cumsum(0)
    wanted = max(1, int((reached <= fraction * len(groups)).sum()))
    chosen = torch.zeros(len(names), dtype=torch.bool)
    chosen[order[:wanted][:at_most]] = True
    return chosen[inverse]
