"""Exported pipelines as their users run them, and the views of the ops that they stand for."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from ablate import Composition, TransformPair
from ablate.config.trial import Base
from ablate.pipelines.code import kornia_code, torchvision_code
from tests.support.pictures import generator, pictures

SIZE = 16
STORED = (28, 22)  # neither square nor as large as the views: the crop both shrinks and enlarges
LIBRARIES = {"kornia": kornia_code, "torchvision": torchvision_code}


def code(library, text, branches="two", size=SIZE):
    made = Composition.parse(text)
    base = Base() if branches in {"one", "shared"} else None
    return LIBRARIES[library](
        made.specs(), size, "one" if branches == "one" else "two", base, second=made.second_specs()
    )


def loaded(source):
    namespace = {"__name__": "pipeline"}
    exec(compile(source, "pipeline.py", "exec"), namespace)
    return SimpleNamespace(**namespace)


def exported_views(library, source, images, seed=0):
    """Both views of uint8 images, as a user of the file makes them."""
    pipeline = loaded(source)
    torch.manual_seed(seed)
    if library == "kornia":
        return pipeline.views(images.float() / 255)
    first, second = zip(*(pipeline.views(image) for image in images), strict=True)
    return torch.stack(first), torch.stack(second)


def own_views(text, images, branches, size=SIZE):
    base = Base() if branches == "shared" else None
    pair = TransformPair.one_branch(text, size) if branches == "one" else TransformPair.two_branch(text, size, base)
    return pair(images, generator(9))


def stored(n, size=STORED):
    return (pictures(n, 3, size) * 255).round().to(torch.uint8)
