"""Transform pairs: compositions of ops that turn a stored batch into two float views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ablate.compiled import compiled
from ablate.config.trial import Base, TrialConfig
from ablate.errors import UsageError
from ablate.ops import (
    Crop,
    Op,
    Params,
    center_crop,
    cpu,
    resized_crop,
)
from ablate.ops.composition import Composition, _composition
from ablate.pixels import FULL_SCALE, MOST_CHANNELS
from ablate.rng import derive_seed, stream

Words = list[tuple[str, str]]
"""The draws for one view of one image, in words: the name of every op, and its phrases."""


class Streams:
    """The generators of one epoch, by purpose; each keeps its state from batch to batch (see :mod:`ablate.rng`)."""

    def __init__(self, seed: int, epoch: int, device: torch.device | str) -> None:
        self.seed, self.epoch, self.device = seed, epoch, torch.device(device)
        self.generators: dict[str, torch.Generator] = {}

    def restart(self, epoch: int, states: Mapping[str, Tensor]) -> None:
        """Set these generators, which a CUDA graph may hold, to the state of new ones for that epoch.

        Args:
            epoch: the epoch.
            states: the states from which they continue, as :meth:`states` returned them for the same seed, epoch and
                kind of device.
        """
        self.epoch = epoch
        for purpose, generator in self.generators.items():
            generator.manual_seed(derive_seed(self.seed, purpose, epoch))
        for purpose, state in states.items():
            self[purpose].set_state(state)

    def states(self) -> dict[str, Tensor]:
        """Return every generator's state, by purpose: uint8 on the CPU (5 KB; 16 bytes for a CUDA generator)."""
        return {purpose: generator.get_state() for purpose, generator in self.generators.items()}

    @classmethod
    def fork(cls, generator: torch.Generator) -> Streams:
        """Return streams seeded by one draw from ``generator``, on its device (on CUDA this waits for the draw)."""
        drawn = torch.randint(2**62, (), generator=generator, device=generator.device)
        return cls(int(drawn), 0, generator.device)

    def __getitem__(self, purpose: str) -> torch.Generator:
        if purpose not in self.generators:
            self.generators[purpose] = stream(self.seed, purpose, self.epoch, self.device)
        return self.generators[purpose]


@dataclass(frozen=True)
class PairParams:
    """All draws for one batch: the boxes of the base crop, if views share one, and, per branch, one entry per op."""

    base: Params | None
    branches: tuple[tuple[Params, ...], ...]

    def part(self, rows: slice) -> PairParams:
        """Return the draws for some of the images; an image gets the same pixels alone or in any batch."""

        def cut(params: Params) -> Params:
            return {name: value[rows] for name, value in params.items()}

        base = None if self.base is None else cut(self.base)
        return PairParams(base, tuple(tuple(cut(params) for params in branch) for branch in self.branches))


@dataclass(frozen=True)
class TransformPair:
    """A pair of transforms that make two views: a base, then branch 1 and branch 2.

    One-branch: one random resized crop per image is *shared by both views*; branch 1 applies the composition, branch 2
    is the identity. Two-branch: both branches draw independently, and apply the same ops, or of ``A|B`` the first A and
    the second B. There is usually no base: a branch's leading crop is then taken straight from the stored image in one
    interpolation, and a branch without one starts from the centre square. With a base, both branches start from that
    shared crop. With ``compile``, each crop and op goes through torch.compile, except those that wait for the device.
    """

    composition: Composition
    branches: Literal["one", "two"]
    size: int
    base: Crop | None
    compile: bool = False

    def __post_init__(self) -> None:
        if self.base is None and self.branches == "one":
            raise UsageError("one-branch pairs need a base crop")
        if self.composition.second is not None and self.branches == "one":
            raise UsageError(
                f"{self.composition} has two branches, but one-branch pairs augment only the first view: "
                "make a two-branch pair"
            )
        if self.size < 1:
            raise UsageError(f"the size of views must be at least one pixel, not {self.size}")

    @classmethod
    def one_branch(cls, composition: str | Composition, size: int, base: Base | None = None) -> TransformPair:
        """Return the pair of Figure 5: both views share ``base`` (default: area 0.08-1), only the first is augmented.

        Args:
            composition: the composition of the first view.
            size: side of the views in pixels.
            base: the shared crop.
        """
        return cls(_composition(composition), "one", size, _base_crop(base or Base()))

    @classmethod
    def two_branch(cls, composition: str | Composition, size: int, base: Base | None = None) -> TransformPair:
        """Return the pair of ordinary SimCLR: both views go through the composition, independently.

        Args:
            composition: the composition; of ``A|B`` the first view goes through A, the second through B.
            size: side of the views in pixels.
            base: a crop that both views share; None for views that share none.
        """
        return cls(_composition(composition), "two", size, None if base is None else _base_crop(base))

    @classmethod
    def from_config(cls, config: TrialConfig) -> TransformPair:
        """Return the pair that a trial trains with."""
        if config.base is not None and config.branches == "two" and not config.share_crop:
            raise UsageError("two-branch pairs of an earlier version had a base crop that did nothing: run them again")
        base = None if config.base is None else _base_crop(config.base)
        composition = Composition.from_specs(config.composition, config.second)
        compile = config.compile and config.device == "cuda"  # on a CPU the ops are compiled already
        return cls(composition, config.branches, config.image_size, base, compile)

    def sample(
        self, n: int, stored: tuple[int, int] | Tensor, streams: Streams, *, first_only: bool = False
    ) -> PairParams:
        """Draw everything for ``n`` images.

        Args:
            n: the number of images.
            stored: their stored size (h, w), or int ``[n, 2]`` where images are padded.
            streams: the generators.
            first_only: leave out the second view's draws; they come from other streams than the first's.
        """
        base = None if self.base is None else self.base.sample_boxes(n, stored, streams["base"])
        active = (1,) if self.branches == "one" or first_only else (1, 2)
        return PairParams(base, tuple(self._sample_branch(n, stored, streams, b) for b in active))

    def apply(self, images: Tensor, params: PairParams, sizes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the two views, float32 ``[n, c, size, size]`` in [0, 1].

        Args:
            images: uint8, uint16 or float32 ``[n, c, h, w]``, see :data:`ablate.pixels.FULL_SCALE`.
            params: the drawn parameters.
            sizes: int ``[n, 2]``, each image's real height and width, where images are padded.

        Raises:
            ValueError: ``images`` have another dtype or shape, or a number of channels that an op does not take.
        """
        self._check(images)
        if self.base is not None:
            shared = self._base(images, params)
            first = self._run(shared, params.branches[0], 1)
            return first, shared if self.branches == "one" else self._run(shared, params.branches[1], 2)
        first, second = (
            self._from_stored(images, drawn, number, sizes) for number, drawn in enumerate(params.branches, start=1)
        )
        return first, second

    def apply_first(self, images: Tensor, params: PairParams, sizes: Tensor | None = None) -> Tensor:
        """Return only the first of :meth:`apply`'s views, for supervised training."""
        self._check(images)
        if self.base is None:
            return self._from_stored(images, params.branches[0], 1, sizes)
        return self._run(self._base(images, params), params.branches[0], 1, own=True)

    def in_words(self, params: PairParams, view: int, stored: Sequence[tuple[int, int]], channels: int) -> list[Words]:
        """Return the draws in words: per image, the words of every op.

        Args:
            params: the drawn parameters.
            view: 0 or 1. For view 1 of a one-branch pair, the words are those of the ``base`` crop, which both views
                share; two-branch views that share one begin with it.
            stored: the images' stored sizes, (h, w).
            channels: the images' number of channels.
        """
        said = []
        if self.base is not None and (view == 1 or self.branches == "two"):
            said.append(("base", self.base.each_in_words(_drawn(params.base), stored, channels)))
        if view == 0 or self.branches == "two":
            here = [(self.size, self.size)] * len(stored)
            ops = self.composition.branch(view + 1)
            for slot, (op, drawn) in enumerate(zip(ops, params.branches[view], strict=True)):
                sizes = stored if slot == 0 and self._stored_crop(view + 1) is not None else here
                said.append((op.name, op.each_in_words(drawn, sizes, channels)))
        return [[(name, words[image]) for name, words in said] for image in range(len(stored))]

    def first_view(self, images: Tensor, streams: Streams, sizes: Tensor | None = None) -> Tensor:
        """Return the first view alone, with the same draws as ``__call__`` makes for it."""
        params = self.sample(len(images), _stored(images, sizes), streams, first_only=True)
        return self.apply_first(images, params, sizes)

    def __call__(
        self, images: Tensor, generator: torch.Generator | Streams, sizes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return two views of a batch.

        Args:
            images: uint8, uint16 or float32 ``[n, c, h, w]``; padded to a common size if ``sizes`` is given.
            generator: a generator on the images' device, or the epoch's streams.
            sizes: int ``[n, 2]``, each image's real height and width.

        Returns:
            Two float32 ``[n, c, size, size]`` in [0, 1] on the same device.
        """
        streams = generator if isinstance(generator, Streams) else Streams.fork(generator)
        return self.apply(images, self.sample(len(images), _stored(images, sizes), streams), sizes)

    def _check(self, images: Tensor) -> None:
        """Raise an error unless ``images`` are stored images that every op takes, before an op sees another shape."""
        _check_stored(images)
        for op in self.composition.every_op:
            op.check_channels(images)

    def _stored_crop(self, branch: int) -> Crop | None:
        """Return the branch's first op if it is a crop of every image that is taken from the stored image itself."""
        ops = self.composition.branch(branch)
        first = ops[0] if ops and self.base is None else None
        return first if isinstance(first, Crop) and first.p == 1 else None

    def _sample_branch(
        self, n: int, stored: tuple[int, int] | Tensor, streams: Streams, branch: int
    ) -> tuple[Params, ...]:
        drawn = []
        for slot, op in enumerate(self.composition.branch(branch)):
            generator = streams[f"branch{branch}/slot{slot}"]
            if slot == 0 and (crop := self._stored_crop(branch)) is not None:
                drawn.append(crop.sample_boxes(n, stored, generator))
            else:
                drawn.append(op.sample(n, (self.size, self.size), generator))
        return tuple(drawn)

    def _from_stored(self, images: Tensor, drawn: tuple[Params, ...], branch: int, sizes: Tensor | None) -> Tensor:
        out = (self.size, self.size)
        if (crop := self._stored_crop(branch)) is not None:
            cropped = self._stage(resized_crop)(images, drawn[0], out, crop.resize)
            return self._run(cropped, drawn[1:], branch, start=1, own=True)
        whole = self._stage(center_crop)(images, out, 1.0, sizes)
        return self._run(whole, drawn, branch, own=whole is not images)

    def _base(self, images: Tensor, params: PairParams) -> Tensor:
        assert self.base is not None
        return self._stage(resized_crop)(images, _drawn(params.base), (self.size, self.size), self.base.resize)

    def _run(self, images: Tensor, drawn: tuple[Params, ...], branch: int, start: int = 0, own: bool = False) -> Tensor:
        """Apply the branch's ops from ``start`` on; ``own`` says that nobody else holds ``images``."""
        own = own and cpu.serves(images)
        for op, params in zip(self.composition.branch(branch)[start:], drawn, strict=True):
            before = images
            images = op.apply(images, params) if op.syncs else self._stage(_apply)(op, images, params, own)
            if images is not before:  # our passes return new memory, an op of a user may keep what it returns
                own = op.has_pass and cpu.serves(images)
        return images

    def _stage(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return compiled(function) if self.compile else function


def _apply(op: Op, images: Tensor, params: Params, own: bool) -> Tensor:
    return op.apply(images, params, in_place=own)


def _check_stored(images: Tensor) -> None:
    if str(images.dtype).removeprefix("torch.") not in FULL_SCALE or images.ndim != 4:
        stored = ", ".join(FULL_SCALE)
        raise ValueError(f"images must be [n, c, h, w] of {stored}, not {images.dtype} {list(images.shape)}")
    if not 1 <= images.shape[1] <= MOST_CHANNELS:
        last = "; for images [n, h, w, c]: images.permute(0, 3, 1, 2)" if images.shape[3] <= MOST_CHANNELS else ""
        raise ValueError(
            f"images must have 1 to {MOST_CHANNELS} channels, [n, c, h, w], not {list(images.shape)}{last}"
        )


def _base_crop(base: Base) -> Crop:
    return Crop(area=base.area, ratio=base.ratio, flip_p=0.0, sampling=base.sampling, resize=base.resize)


def _stored(images: Tensor, sizes: Tensor | None) -> tuple[int, int] | Tensor:
    return sizes if sizes is not None else (images.shape[-2], images.shape[-1])


def _drawn(params: Params | None) -> Params:
    if params is None:
        raise ValueError("these parameters were drawn for a pair without a base crop")
    return params
