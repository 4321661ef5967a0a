"""Fine-tuning: a copy of the encoder and a new classifier, trained together on labelled images (SimCLR, app. B.5)."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.config.objectives import kind_of
from ablate.config.protocols import stem
from ablate.config.trial import SMALL_IMAGE, TrialConfig
from ablate.data import Split
from ablate.evaluation.accuracy import SCORED, scores
from ablate.evaluation.few_labels import few_labels, in_words
from ablate.evaluation.frozen import At, Frozen, Outcome
from ablate.ops.pair import Streams, TransformPair
from ablate.rng import derive_seed, stream
from ablate.training.eager import SGD
from ablate.training.global_bn import alone
from ablate.training.probe import ZeroLinear
from ablate.training.schedule import learning_rate

MOMENTUM = 0.9
LR_PER_256, BATCH = 0.05, 256
EPOCHS = {1: 60, 10: 30, 100: 30}
"""The epochs by percentage of the labels; those of all labels are SimCLRv2's, since SimCLR's paper names none."""
SMALL_LR, SMALL_BATCH = 0.05, 64
SMALL_EPOCHS = {1: 60, 10: 30, 100: 10}
FEWEST_STEPS = 30


@dataclass(frozen=True)
class Plan:
    """The number of steps, images per step, peak learning rate, and the source of these in words."""

    steps: int
    batch: int
    lr: float
    source: str


def plan_for(config: TrialConfig, images: int, percent: int) -> Plan:
    """Return the settings of fine-tuning.

    Above 64 px they are the paper's: 60 epochs with 1 % of the labels and 30 with 10 %, rate 0.05 B/256. The batch has
    256 images in place of 4096, at the same ratio of rate to batch, or as many as training encoded at a time, for which
    the memory suffices. Up to 64 px, which a CPU can train, the batch has 64 images, the rate is 0.05, and all labels
    have 10 epochs; sets of some hundred images need these more and larger steps. Either takes 30 steps or more.

    Args:
        config: the trial's configuration.
        images: the number of labelled images.
        percent: the percentage of the labels that they are.
    """
    if config.image_size <= SMALL_IMAGE:
        batch, epochs, lr = SMALL_BATCH, SMALL_EPOCHS[percent], SMALL_LR
        source = f"ablate's settings for images of up to {SMALL_IMAGE} px"
    else:
        views = kind_of(config.objective).views * (config.micro_batch or config.batch_size) // config.world_size
        batch, epochs = max(2, min(BATCH, views)), EPOCHS[percent]
        lr, source = LR_PER_256 * batch / 256, "SimCLR, app. B.5" + ", with SimCLRv2's epochs" * (percent == 100)
    return Plan(max(FEWEST_STEPS, epochs * images // batch), batch, lr, source)


def diverged(percent: int) -> str:
    """Return the flag of fine-tuning that ended in numbers that are not finite: ``finetune-10pct-diverged``."""
    return f"{stem('finetune', percent)}-diverged".replace("_", "-")


def finetune(frozen: Frozen, at: At, percent: int = 100) -> Outcome:
    """Run the protocol ``finetune``: train a copy of the encoder with a new classifier, and score it.

    Training uses random crops and flips only, Nesterov momentum 0.9, and neither weight decay nor warm-up, with the
    settings of :func:`plan_for`. Two details come from the official code, not from the paper's text: the classifier
    starts at zero, and the rate decays by a cosine to zero. Images of the validation split are not trained on, and
    nothing is chosen by them. The outcome is the same whenever it is evaluated, bit for bit on the CPU.

    Args:
        frozen: the encoder to evaluate, which stays as it is.
        at: ``h``, on which the classifier stands.
        percent: the percentage of the labels to use, see :mod:`ablate.evaluation.few_labels`.
    """
    data, classes, name = frozen.data, len(frozen.data.classes), stem("finetune", percent)
    pool = (few_labels(data, percent, frozen.seed) & ~data.val_mask).nonzero()[:, 0]
    plan = plan_for(frozen.config, len(pool), percent)
    validation = data.labelled[data.val_mask[data.labelled]]
    on_test, on_validation = _logits(frozen, pool, validation, plan)
    finite = bool(torch.isfinite(on_test).all() and torch.isfinite(on_validation).all())
    test_y, val_y = (y.to(frozen.device) for y in (data.test.labels, data.train.labels[validation]))
    metrics = {
        **scores(name, on_test.argmax(1), test_y, classes),
        **scores(f"{name}_val", on_validation.argmax(1), val_y, classes),
    }
    return Outcome(
        metrics=metrics if finite else {},
        description=(
            f"a copy of the encoder and a linear classifier on its h, trained together on randomly cropped and flipped "
            f"images (area 0.08-1, flip 0.5) outside the validation split, with {in_words(data, pool, percent)}; "
            f"{plan.steps} steps of SGD with Nesterov momentum {MOMENTUM}, batch {plan.batch}, lr {plan.lr:g} decaying "
            f"to 0 by a cosine, no weight decay ({plan.source}); {SCORED} on un-augmented test images, and on the "
            "validation split"
        ),
        flags=() if finite else (diverged(percent),),
    )


def _logits(frozen: Frozen, pool: Tensor, validation: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """Fine-tune on the training images ``pool``, and return the logits of the test and of the validation images."""
    data, seed = frozen.data, derive_seed(frozen.seed, "evaluation/finetune")
    encoder, dim = alone(frozen.encoder), frozen.test()[0].shape[1]
    classifier = ZeroLinear(dim, len(data.classes), device=frozen.device)
    devices = [frozen.device] if frozen.device.type == "cuda" else []
    with closing(_batches(frozen, pool, plan, seed)) as batches, torch.random.fork_rng(devices=devices):
        tune(encoder, classifier, plan, batches, seed, frozen.autocast())
    tuned = replace(frozen, encoder=encoder, _cached={})  # the images on the device are shared

    def predicted(split: Split, index: Tensor) -> Tensor:
        with torch.no_grad():
            return classifier(tuned.features(split, index)) if len(index) else torch.zeros(0, len(data.classes))

    return predicted(data.test, torch.arange(len(data.test.labels))), predicted(data.train, validation)


def tune(
    encoder: nn.Module,
    classifier: nn.Module,
    plan: Plan,
    batches: Iterable[tuple[Tensor, Tensor]],
    seed: int,
    autocast: torch.autocast,
) -> None:
    """Train ``classifier(encoder(views))`` by cross-entropy, in place.

    Args:
        encoder: views ``[n, c, size, size]`` -> ``h [n, dim]``; parameters that are frozen in training stay so.
        classifier: ``h`` -> logits ``[n, classes]``.
        plan: the settings; there are as many ``batches`` as it has steps.
        batches: views and labels, int64 ``[n]``, of each step.
        seed: names the random numbers that an encoder draws, such as for dropout.
        autocast: the precision of the encoder.
    """
    encoder.train()
    trained = [p for module in (encoder, classifier) for p in module.parameters() if p.requires_grad]
    optimiser = SGD(trained, lr=plan.lr, momentum=MOMENTUM, nesterov=True)
    for step, (views, labels) in enumerate(batches):
        torch.manual_seed(derive_seed(seed, "encoder", step))
        with autocast:
            h = encoder(views)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, plan.steps, 0, plan.lr)
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(classifier(h if h.dtype == torch.float64 else h.float()), labels).backward()
        optimiser.step()


def _batches(frozen: Frozen, pool: Tensor, plan: Plan, seed: int) -> Generator[tuple[Tensor, Tensor]]:
    """Yield cropped and flipped views of each step's images, with their labels.

    Batches are whole, from as many permutations of the pool as they need, so the rate suits small pools too.
    """
    needed = plan.steps * plan.batch
    passes = range(math.ceil(needed / len(pool)))
    order = torch.cat([pool[torch.randperm(len(pool), generator=stream(seed, "order", each))] for each in passes])
    parts = order[:needed].split(plan.batch)
    pair, streams = TransformPair.two_branch("crop", frozen.config.image_size), Streams(seed, 0, frozen.device)
    with closing(frozen.resident(frozen.data.train).stream(parts)) as pixels:
        for part, (images, sizes) in zip(parts, pixels, strict=True):
            frozen.stop_if_asked()
            views = pair.first_view(images, streams, sizes).contiguous(memory_format=frozen.memory_format)
            yield views, frozen.data.train.labels[part].to(frozen.device)
