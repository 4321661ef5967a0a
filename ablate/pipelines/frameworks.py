"""The pipelines of torchvision and kornia in the form that lightly and stable-pretraining take; needs no torch."""

from __future__ import annotations

from ablate.errors import NotExportable
from ablate.pipelines.about import Files, Pair
from ablate.pipelines.code import Framework, pipeline_file

ON_IMAGES = '''class OnImages(nn.Module):
    """A step of GPUCompose: a module that changes the images of a batch [N, C, H, W] in [0, 1]."""

    def __init__(self, step: nn.Module) -> None:
        super().__init__()
        self.step = step

    def forward(self, batch: dict[str, object]) -> dict[str, object]:
        """The batch, with its images changed."""
        return {**batch, "image": self.step(batch["image"])}


'''


def lightly_code(pair: Pair, files: Files) -> str:
    """Return a file whose ``transform`` is lightly's ``MultiViewTransform`` of both views, with torchvision.

    Args:
        pair: what the file does.
        files: how the files of the sweep's images were read.

    Raises:
        NotExportable: both views share a crop; and as in :func:`ablate.pipelines.code.torchvision_code`.
    """
    _apart(pair, "lightly's MultiViewTransform")
    views = [f"v2.Compose([{', '.join(_steps(suffix, files))}])" for suffix in pair.suffixes]
    made = f"view = {views[0]}\ntransform = MultiViewTransform([view, view])\n"
    if len(views) == 2:
        made = f"first = {views[0]}\nsecond = {views[1]}\ntransform = MultiViewTransform([first, second])\n"
    use = 'data = torchvision.datasets.ImageFolder("images", transform=transform, loader=load)  # -> two views, a label'
    imports = (
        "from lightly.transforms.multi_view_transform import MultiViewTransform",
        "from torchvision.transforms import v2",
    )
    return pipeline_file("torchvision", pair, files, Framework("lightly", imports, use, made))


def stable_pretraining_code(pair: Pair, files: Files) -> str:
    """Return a file whose ``gpu_transform`` is stable-pretraining's batched chain for both views, with kornia.

    Its steps are those of the kornia file: the classes of stable-pretraining's own draw jitter's order once per batch.

    Args:
        pair: what the file does.
        files: how the files of the sweep's images were read.

    Raises:
        NotExportable: both views share a crop; and as in :func:`ablate.pipelines.code.kornia_code`.
    """
    _apart(pair, "stable-pretraining's MultiView")
    chains = []
    for suffix in pair.suffixes:
        steps = [f"OnImages({step})" for step in _steps(suffix, files)]
        chains.append(f"chain{suffix} = GPUCompose([{', '.join(steps)}], compile=False)")
    several = len(chains) == 2
    end = "MultiView([chain_first, chain_second])" if several else "StackedMultiView(chain)"
    made = "\n".join([*chains, f"gpu_transform = {end}"]) + "\n"
    names = f"GPUCompose, {'MultiView' if several else 'StackedMultiView'}"
    imports = (f"from stable_pretraining.data.gpu_transforms import {names}", "from torch import nn")
    use = "data = spt.data.HFDataset(..., gpu_transform=gpu_transform)  # images of one size, float in [0, 1]"
    return pipeline_file("kornia", pair, files, Framework("stable-pretraining", imports, use, ON_IMAGES + made))


def _steps(suffix: str, files: Files) -> list[str]:
    """Return the names of a view's pipelines, first to last."""
    return [f"start{suffix}", f"augment{suffix}", *["normalize"] * bool(files.normalize)]


def _apart(pair: Pair, what: str) -> None:
    """Raise NotExportable if both views start from one crop."""
    if pair.base is not None:
        raise NotExportable(f"both views start from one crop, and {what} makes each view by itself")
