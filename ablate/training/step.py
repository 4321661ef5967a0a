"""One training step: views, representations, loss, backward, and the update that follows.

There are three kinds of step: a batch at once, a batch in parts that fit into memory, and a batch as one CUDA graph.
All three compute the same gradients. :func:`choose_step` takes one of them when a trainer is made, so nothing is
decided within the loop over batches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ablate.compiled import compiled
from ablate.config.trial import TrialConfig
from ablate.data import Resident
from ablate.data.resident import Batch
from ablate.distributed import World
from ablate.ops.pair import PairParams, Streams, TransformPair
from ablate.rng import derive_seed
from ablate.training.foreign import ForeignEncoder
from ablate.training.global_bn import frozen_statistics
from ablate.training.graph import Graph, aside, is_captured
from ablate.training.layout import joined, memory_format, view_dtype
from ablate.training.objectives.objective import Projections
from ablate.training.objectives.registry import objective_of

WARM_STEPS = 3  # steps before the capture; they initialise and compile everything outside of the graph


class Result(NamedTuple):
    """The result of a step, beside the gradients.

    Args:
        h: float ``[views * n, d]``, detached: the representations of this process's ``n`` images, all first views
            before all second ones, by the encoder that is evaluated.
        labels: int64 ``[n]``; -1 where the label is hidden.
        share: float ``[2]``: this process's share of loss and metric. The sum over the processes is the whole batch's.
    """

    h: Tensor
    labels: Tensor
    share: Tensor


class EagerStep:
    """The step on a batch that fits into memory, and the base of the other kinds of step.

    A background thread reads the pixels of batches ahead, so the order in which they will be needed must be known in
    advance. This order is stored once, in :attr:`visits`: :meth:`pixels` reads in this order, and :meth:`_encoded`, the
    only consumer of the pixels, follows the same order. So the two always agree.

    Args:
        config: the trial's configuration.
        model: ``encoder`` and ``head``, on the device of ``images``.
        images: the images that batches are taken from.
        labels: int64, one per image, on the same device.
        streams: the epoch's random streams. Their owner restarts them for every epoch.
        world: the processes that train together.
        target: the momentum copy of encoder and head, if the objective has one.
        update: updates everything from the gradients and the result of the step.
    """

    passes = 1  # number of times that every part of a batch is encoded

    def __init__(
        self,
        config: TrialConfig,
        model: nn.ModuleDict,
        images: Resident,
        labels: Tensor,
        streams: Streams,
        world: World,
        target: nn.ModuleDict | None,
        update: Callable[[Result], None],
    ) -> None:
        self.config, self.model, self.images, self.labels = config, model, images, labels
        self.target, self.update = target, update
        self.streams, self.world, self.device = streams, world, images.device
        self.pair, self.objective = TransformPair.from_config(config), objective_of(config)
        self.encode = compiled(_encode) if config.compile else _encode
        size = config.micro_batch or config.batch_size
        # Batch norm spans a micro-batch over all processes, so each process takes its share of every micro-batch
        # instead of taking some of them whole.
        self.parts = [world.share(size, start) for start in range(0, config.batch_size, size)]
        self.visits = [*enumerate(self.parts)] * self.passes

    def pixels(self, batches: Sequence[Tensor]) -> contextlib.closing[Generator[Batch]]:
        """Open the images of ``batches`` (int64 ``[batch_size]`` each), in the order in which the step takes them."""
        # Closing ends the thread that reads ahead, also if a pause or an error leaves the loop before the last batch.
        return contextlib.closing(self.images.stream(index[part] for index in batches for _, part in self.visits))

    def take(self, number: int, index: Tensor, pixels: Iterator[Batch]) -> Tensor:
        """Take the step: set the gradients, then update; the arguments are those of :meth:`gradients`.

        Returns:
            ``share`` of the :class:`Result`; the next step may overwrite its memory.
        """
        result = self.gradients(number, index, pixels)
        self.update(result)
        return result.share

    def gradients(self, number: int, index: Tensor, pixels: Iterator[Batch]) -> Result:
        """Set ``.grad`` of all parameters to this process's share of the gradient.

        Args:
            number: the number of the step within its epoch, from 0; it names the random draws of the encoder.
            index: int64 ``[batch_size]``: the images of the whole batch, on every process.
            pixels: the iterator from :meth:`pixels`, opened for batches of which ``index`` is the next.
        """
        labels, encoded = self._labels(index), self._encoded(number, index, pixels)
        # Without old gradients, backward writes new ones instead of adding to zeros.
        self.model.zero_grad(set_to_none=True)
        ((h, target_h),) = encoded
        loss, metric = self._loss(h, target_h, labels)
        # Only the gradient is scaled: the loss that is reported stays comparable between presets.
        (self.config.loss_scale * loss).backward()
        return self._result(h, target_h, labels, loss, metric)

    def forget(self) -> None:
        """Free the memory that is kept between steps for speed; it is built again when it is needed."""

    def _result(self, h: Tensor, target_h: Tensor | None, labels: Tensor, loss: Tensor, metric: Tensor) -> Result:
        # Detached, so that the online probe cannot change the encoder that it measures. Loss and metric stay on the
        # device, since reading them would make every step wait for it.
        evaluated = target_h if self.objective.evaluates_target and target_h is not None else h.detach()
        return Result(evaluated, labels, torch.stack([loss.detach(), metric]))

    def _labels(self, index: Tensor) -> Tensor:
        # In the order of the parts, in which the representations come.
        own = torch.cat([index[part] for part in self.parts])
        return self.labels[own.to(self.device, non_blocking=True)]

    def _encoded(self, number: int, index: Tensor, pixels: Iterator[Batch]) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield ``h`` of every visit, with or without gradient, depending on the caller's mode at that moment.

        Beside it comes the target's ``h``, without gradient, in the first pass; None in others and without a target.
        """
        # Every process draws for the whole batch and then keeps the rows of its own part. So views do not depend on
        # the number of processes or micro-batches, and the streams have the same states on all processes.
        # Where the objective sees the first view alone, the second would be made for nothing.
        first_only = self.objective.kind.views == 1
        params = self.pair.sample(len(index), self.images.extents(index), self.streams, first_only=first_only)
        for visit, (part_number, part) in enumerate(self.visits):
            views = self._views(params.part(part), next(pixels))
            purpose = f"rank{self.world.rank}/step{number}/part{part_number}"
            h, target_h = self._h(self.model, views, f"encoder/{purpose}"), None
            # Once for every part: batch norms of the target update their statistics whenever it encodes.
            if self.target is not None and visit < len(self.parts):
                with torch.no_grad():
                    target_h = self._h(self.target, views, f"target/{purpose}")
            yield h, target_h

    def _views(self, params: PairParams, pixels: Batch) -> Tensor:
        """Return the views of one part, all first ones before all second ones."""
        images, sizes = pixels
        if self.objective.kind.views == 1:
            views: tuple[Tensor, ...] = (self.pair.apply_first(images, params, sizes),)
        else:
            views = self.pair.apply(images, params, sizes)
        # One batch of both views, as in the official code, so that batch norm normalises them together.
        return joined(views, view_dtype(self.config, self.model["encoder"]), memory_format(self.config))

    def _h(self, model: nn.ModuleDict, views: Tensor, purpose: str) -> Tensor:
        """Return ``h`` of ``views`` by the encoder of ``model``.

        Two calls for the same views and purpose give the same result, regardless of other calls in between.
        """
        if not is_captured(self.device):  # seeding happens on the host; encoders that are captured draw nothing
            # An encoder with dropout draws from torch's global generator. The seed depends on step and part, so a
            # second pass repeats the first one, and a resumed trial continues as if it had not been stopped. It
            # depends on the rank too, since every process has other images.
            torch.manual_seed(derive_seed(self.streams.seed, purpose, self.streams.epoch))
        with autocast(self.config, self.device):
            return self.encode(model["encoder"], views)

    def _loss(self, h: Tensor, target_h: Tensor | None, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return this process's shares of the loss and of the objective's metric, for its part of the batch.

        The loss is a share, so gradients can be summed over the processes, whatever the loss divides by.
        """
        with autocast(self.config, self.device):
            z = self.model["head"](h)
            predicted = self.model["predictor"](z) if "predictor" in self.model else None
            with torch.no_grad():
                target = self.target["head"](target_h) if self.target is not None else None
        return self.objective.loss(Projections(z, labels, predicted, target), self.world)


class CachedStep(EagerStep):
    """The step on a batch whose activations do not fit into memory: first representations, then each part's gradient.

    The loss of the whole batch needs every ``h``, but its gradient reaches the encoder through ``h`` alone. So the step
    encodes without gradient, differentiates the loss with respect to ``h``, encodes each part again, and propagates
    that part's share of the gradient back (Gao et al. 2021, who cache at z). The gradient is exact; the encoder needs
    memory for one part only.
    """

    passes = 2

    def gradients(self, number: int, index: Tensor, pixels: Iterator[Batch]) -> Result:
        """Set the gradients as :meth:`EagerStep.gradients` does, in two passes over the parts."""
        labels, encoded = self._labels(index), self._encoded(number, index, pixels)
        self.model.zero_grad(set_to_none=True)
        with torch.no_grad():  # only h is kept, so the activations of one part exist at a time
            parts, targets = zip(*islice(encoded, len(self.parts)), strict=True)
        h, target_h = self._joined(parts).requires_grad_(), None if targets[0] is None else self._joined(targets)
        loss, metric = self._loss(h, target_h, labels)
        (self.config.loss_scale * loss).backward()
        assert h.grad is not None
        # Cut as the parts were joined, so that every part gets the gradient of its own rows.
        views = self.objective.kind.views
        gradients = h.grad.unflatten(0, (views, -1)).split([len(part) // views for part in parts], dim=1)
        with frozen_statistics(self.model["encoder"]):  # updated by the first pass; a second update would be wrong
            for gradient, (part, _) in zip(gradients, encoded, strict=True):
                part.backward(gradient.flatten(0, 1))  # the gradients of all parts add up
        return self._result(h, target_h, labels, loss, metric)

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the rows of all parts, all first views before all second ones, as without parts."""
        return torch.cat([part.unflatten(0, (self.objective.kind.views, -1)) for part in parts], dim=1).flatten(0, 1)


class GraphStep(EagerStep):
    """The step of a small network on a GPU, as one CUDA graph from the draws to the updated weights.

    Launching the kernels of such a network one by one takes longer than running them.
    """

    warm_steps = 0
    graph: Graph[Tensor] | None = None

    def take(self, number: int, index: Tensor, pixels: Iterator[Batch]) -> Tensor:
        """Take the step as :meth:`EagerStep.take` does, after a few steps by replaying them."""
        if self.graph is None and self.warm_steps < WARM_STEPS:
            self.warm_steps += 1
            # On the stream of the graph's capture, or autograd would remember the default stream and wait for it.
            with aside(self.device):
                return super().take(number, index, pixels)
        if self.graph is None:
            # Gradients are captured as new tensors in the graph's own memory, so old ones must be freed first.
            self.model.zero_grad(set_to_none=True)
            self.graph = Graph(self._captured, index.to(self.device), self.streams.generators.values())
        return self.graph(index)  # ``pixels`` is not used: the graph gathers the images itself

    def forget(self) -> None:
        """Free the graph and its memory; a graph holds one batch size, one pair and one state of the optimiser."""
        self.graph = None
        self.warm_steps = 0  # what comes next may have to be compiled, or lack the optimiser's buffers

    def _captured(self, index: Tensor) -> Tensor:
        # The number of a step names only draws of encoders, and encoders that draw are not captured.
        return super().take(0, index, iter([self.images.batch(index)]))


def choose_step(
    config: TrialConfig,
    model: nn.ModuleDict,
    images: Resident,
    labels: Tensor,
    streams: Streams,
    world: World,
    target: nn.ModuleDict | None,
    update: Callable[[Result], None],
) -> EagerStep:
    """Make the kind of step that suits the trial; the arguments are those of :class:`EagerStep`."""
    kind = EagerStep
    # Parts come first: a batch that needs them does not fit into memory, whether it is captured or not.
    if config.micro_batch not in {None, config.batch_size}:
        kind = CachedStep
    elif can_capture(config, model, images, world):
        kind = GraphStep
    return kind(config, model, images, labels, streams, world, target, update)


def can_capture(config: TrialConfig, model: nn.ModuleDict, images: Resident, world: World) -> bool:
    """Return True if a step never waits, and its work on the host is the same at every step.

    This is known only for our encoders, not for foreign ones, and for the ops that declare it (``Op.capturable``).

    Args:
        config: the trial's configuration.
        model: ``encoder`` and ``head``.
        images: the images to train on.
        world: the processes that train together.
    """
    ops = TransformPair.from_config(config).composition.every_op
    return (
        images.device.type == "cuda"
        and world.size == 1  # sums over processes wait for each other
        and images.fits  # otherwise the host gathers batches
        and images.images.sizes is None  # otherwise the padded shape changes from batch to batch
        and not isinstance(model["encoder"], ForeignEncoder)  # it may draw, or decide something on the host
        and all(op.capturable and not op.syncs for op in ops)
    )


def autocast(config: TrialConfig, device: torch.device) -> torch.autocast:
    """Return bfloat16 autocast if the configuration asks for it, else one that does nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")


def _encode(encoder: nn.Module, views: Tensor) -> Tensor:
    """Call the encoder; it is an argument, so the code compiled for one trial serves the others."""
    h: Tensor = encoder(views)
    return h
