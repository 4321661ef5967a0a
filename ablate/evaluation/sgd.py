"""The paper's linear evaluation: a linear classifier on augmented images, by SGD (app. B.6, which builds on B.5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ablate.evaluation.accuracy import SCORED, scores
from ablate.evaluation.frozen import At, Frozen, Outcome
from ablate.ops.pair import Streams, TransformPair
from ablate.rng import derive_seed, stream
from ablate.training.eager import SGD
from ablate.training.probe import ZeroLinear
from ablate.training.schedule import learning_rate

EPOCHS = 90
BATCH = 256
LR_PER_256 = 0.1
MOMENTUM = 0.9


def sgd(frozen: Frozen, at: At) -> Outcome:
    """Run the protocol ``sgd``: a linear classifier trained by SGD on cropped and flipped images.

    Training uses Nesterov momentum 0.9, lr 0.1 B/256, 90 epochs, crop and flip only, and no weight decay. The batch is
    256, or all labelled training images if there are fewer; an epoch has whole batches only. The paper's batch of 4096
    has the same ratio of rate to batch. Two details come from the official code, not from the paper's text: weights
    start at zero, and the rate decays by a cosine to zero without warm-up.
    """
    labelled, labels = frozen.labelled, frozen.data.train.labels.to(frozen.device)
    test_features, test_labels = frozen.test(at)
    classifier = ZeroLinear(test_features.shape[1], len(frozen.data.classes), device=frozen.device)
    optimiser = SGD(classifier.parameters(), lr=LR_PER_256, momentum=MOMENTUM, nesterov=True)
    batch = min(BATCH, len(labelled))
    steps, peak = len(labelled) // batch, LR_PER_256 * batch / 256
    pair = TransformPair.two_branch("crop", frozen.config.image_size)
    resident = frozen.resident(frozen.data.train)
    seed = derive_seed(frozen.seed, "evaluation/sgd")
    for epoch in range(EPOCHS):
        streams = Streams(seed, epoch, frozen.device)
        order = labelled[torch.randperm(len(labelled), generator=stream(seed, "order", epoch))]
        for step, index in enumerate(order[: steps * batch].split(batch)):
            frozen.stop_if_asked()
            images, sizes = resident.batch(index)
            features = frozen.encode(pair.first_view(images, streams, sizes), at)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(epoch * steps + step, EPOCHS * steps, 0, peak)
            optimiser.zero_grad(set_to_none=True)
            F.cross_entropy(classifier(features), labels[index.to(frozen.device)]).backward()
            optimiser.step()
    with torch.no_grad():
        predicted = classifier(test_features).argmax(1)
    return Outcome(
        metrics=scores("sgd", predicted, test_labels, len(frozen.data.classes)),
        description=(
            f"linear classifier on {frozen.called(at)} of randomly cropped and flipped images (area 0.08-1, flip 0.5), "
            f"{EPOCHS} epochs of SGD on all {len(labelled)} labelled training images (Nesterov momentum {MOMENTUM}, "
            f"batch {batch}, lr {peak:g} decaying to 0 by a cosine, no weight decay), the frozen encoder in evaluation "
            f"mode (SimCLR, app. B.6); {SCORED} on un-augmented test images"
        ),
    )
