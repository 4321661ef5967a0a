"""Nearest neighbours to look at: for a few test images, the training images that lie nearest in ``h``."""

from __future__ import annotations

import torch

from ablate.evaluation.frozen import Frozen
from ablate.rng import stream

QUERIES, NEAREST = 12, 5


def neighbours(frozen: Frozen) -> tuple[tuple[int, ...], ...]:
    """Return, for twelve labelled test images, their numbers and those of the five nearest labelled training images.

    Near means cosine similarity in ``h``, as for ``knn``. The test images are the same for every trial on these images;
    of equally near images the first comes first.

    Returns:
        A row for each of the test images: its number, and the numbers of its neighbours, the nearest first.
    """
    (train_h, _, _), (test_h, _) = frozen.train("h"), frozen.test("h")
    labelled = (frozen.data.test.labels >= 0).nonzero()[:, 0]
    queries = labelled[torch.randperm(len(labelled), generator=stream(0, "neighbours"))[:QUERIES].sort().values]
    similarity = test_h[queries.to(test_h.device)] @ train_h.T / train_h.norm(dim=1)
    nearest = similarity.sort(dim=1, descending=True, stable=True).indices[:, :NEAREST].cpu()
    rows = torch.cat([queries[:, None], frozen.labelled[nearest]], dim=1)
    return tuple(tuple(row) for row in rows.tolist())
