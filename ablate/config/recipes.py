"""Published recipes of augmentations, as compositions with their sources: ``recipe:NAME``. Needs no torch.

Flip and grayscale are ops of their own, so that each can be left out: ``crop(flip_p=0.0)+flip`` does what ``crop``
does, and ``jitter+gray`` what ``color`` does. What a preset may replace is written out, so that a recipe means the same
with every preset. The recipes were made for images of 224 pixels; a blur is as wide as a tenth of any image.
"""

from __future__ import annotations

from dataclasses import dataclass

from ablate.errors import UsageError, unknown

PREFIX = "recipe:"


@dataclass(frozen=True)
class Recipe:
    """A recipe.

    Args:
        name: what follows ``recipe:``.
        composition: its text, ``A`` or ``A|B``.
        source: where the values are from: a paper with its section, or a public file.
        differs: what the source does otherwise, if anything is known.
    """

    name: str
    composition: str
    source: str
    differs: str = ""


def _crop(least: float = 0.08) -> str:
    return f"crop(area=({least}, 1.0), flip_p=0.0)"


WEAK = "jitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)"
STRONG_SYMMETRIC = "jitter+gray+blur"


def _asymmetric(start: str, end: str = "") -> str:
    """Return BYOL's two branches, which others took over, between what both begin with and what both end with."""
    first, second = "blur(p=1.0)", "blur(p=0.1)+solarize(p=0.2)"
    return "|".join("+".join(filter(None, (start, WEAK, "gray", own, end))) for own in (first, second))


BICUBIC = "resizes bicubically"
PIL = "blurs with PIL, whose kernel does not end at a tenth of the side"
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "simclr",
            f"{_crop()}+flip+{STRONG_SYMMETRIC}",
            "Chen et al. 2020, A Simple Framework for Contrastive Learning, appendix A",
        ),
        Recipe(
            "simclr-cifar10",
            f"{_crop()}+flip+jitter(strength=0.5)+gray",
            "Chen et al. 2020, A Simple Framework for Contrastive Learning, appendix B.9",
        ),
        Recipe(
            "moco-v2",
            f"{_crop(0.2)}+jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)+gray+blur+flip",
            "github.com/facebookresearch/moco, main_moco.py with --aug-plus",
            PIL,
        ),
        Recipe(
            "moco-v3",
            _asymmetric(_crop(), "flip"),
            "github.com/facebookresearch/moco-v3, main_moco.py",
            f"{PIL}; its commands for ResNet-50 crop from an area of 0.2",
        ),
        Recipe(
            "byol",
            _asymmetric(f"{_crop()}+flip"),
            "Grill et al. 2020, Bootstrap Your Own Latent, appendix B and table 6",
            BICUBIC,
        ),
        Recipe(
            "vicreg",
            _asymmetric(f"{_crop()}+flip"),
            "github.com/facebookresearch/vicreg, augmentations.py",
            f"{BICUBIC}; {PIL}",
        ),
        Recipe(
            "dino",
            _asymmetric(f"{_crop(0.4)}+flip"),
            "github.com/facebookresearch/dino, main_dino.py: the two global views, with the default scale",
            f"adds local views; {BICUBIC}; {PIL}",
        ),
        Recipe(
            "solo-learn",
            f"{_crop()}+{STRONG_SYMMETRIC}+flip",
            "github.com/vturrisi/solo-learn, scripts/pretrain/imagenet-100/augmentations/symmetric.yaml",
            f"{BICUBIC}; {PIL}",
        ),
        Recipe(
            "solo-learn-asymmetric",
            _asymmetric(_crop(), "flip"),
            "github.com/vturrisi/solo-learn, scripts/pretrain/imagenet-100/augmentations/asymmetric.yaml",
            f"{BICUBIC}; {PIL}",
        ),
        Recipe(
            "lightly-train-simclr",
            f"{_crop()}+flip+{STRONG_SYMMETRIC}",
            "github.com/lightly-ai/lightly-train, src/lightly_train/_methods/simclr/simclr_transform.py",
            "resizes by areas; the kernel of the blur does not end at a tenth of the side",
        ),
        Recipe(
            "lightly-train-dino",
            _asymmetric(f"{_crop(0.14)}+flip"),
            "github.com/lightly-ai/lightly-train, src/lightly_train/_methods/dino/dino_transform.py: the global views",
            "adds local views; resizes by areas; the kernel of the blur does not end at a tenth of the side",
        ),
    )
}


def with_recipes(text: str) -> str:
    """Return a composition in which every ``recipe:NAME`` is replaced by what it stands for.

    Args:
        text: ``recipe:simclr``, ``recipe:simclr+rotate`` or a composition without recipes.

    Raises:
        UsageError: an unknown recipe, or one of two branches that does not stand alone.
    """
    branches = [branch.split("+") for branch in text.split("|")]
    for ops in branches:
        for position, op in enumerate(ops):
            if not op.strip().startswith(PREFIX):
                continue
            recipe = named(op.strip().removeprefix(PREFIX))
            if "|" in recipe.composition and text.strip() != op.strip():
                raise UsageError(
                    f"{PREFIX}{recipe.name} has two branches, so it stands alone, not in {text!r}; "
                    f"to change it, copy {recipe.composition!r}"
                )
            ops[position] = recipe.composition
    return "|".join("+".join(ops) for ops in branches)


def is_recipe(text: str) -> bool:
    """Return True if a composition is a single recipe, as it was published."""
    return text.strip().startswith(PREFIX) and text.strip().removeprefix(PREFIX) in RECIPES


def refuse_bare(name: str) -> None:
    """Raise UsageError if a word that should name an op names a recipe, which is written with its prefix."""
    if name in RECIPES:
        raise UsageError(f"{name!r} is a recipe, not an op: write {PREFIX}{name}")


def named(name: str) -> Recipe:
    """Return the recipe of that name; raise UsageError if there is none."""
    if name not in RECIPES:
        raise unknown("recipe", name, list(RECIPES))
    return RECIPES[name]
