"""Files that hold pipelines of other libraries, and the compositions that they stand for."""

from __future__ import annotations

from ablate import Composition

IMPORTS = "import kornia.augmentation as K; import torch.nn as nn\nfrom torchvision.transforms import v2\n"
SIMCLR = """
from torchvision import transforms
from torchvision.transforms import InterpolationMode as Mode

SIZE, MEAN = 224, [0.485, 0.456, 0.406]
strength = 1.0
side = SIDE = 224


def loader(path):
    jitter = transforms.ColorJitter(0.8 * strength, 0.8 * strength, 0.8 * strength, hue=0.2 * strength)
    blur = transforms.GaussianBlur(kernel_size=int(0.1 * side) + 1, sigma=(0.1, 2.0))
    train_transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(side, interpolation=Mode.BILINEAR),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([jitter], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.RandomApply([blur], 0.5),
            transforms.ToTensor(),
            transforms.Normalize(mean=path.mean, std=[0.229, 0.224, 0.225]),
        ]
    )
    return dataset(path, transform=train_transform)
"""


def composition(tmp_path, content, name="", ending=".py"):
    """The composition that a file with this content stands for."""
    path = tmp_path / f"transforms{ending}"
    path.write_text(content)
    return Composition.parse(f"recipe:{path}{name}")


def one_step(tmp_path, call):
    """The composition of a Python file with a pipeline of this step."""
    library = "K.AugmentationSequential({})" if call.startswith("K.") else "v2.Compose([{}])"
    return composition(tmp_path, f"{IMPORTS}t = {library.format(call)}\n")
