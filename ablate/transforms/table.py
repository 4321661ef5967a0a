"""The table of equals: by library and class, the op that does the same; the classes left out; and the nearest ops."""

from __future__ import annotations

from ablate.transforms import equals as to
from ablate.transforms.equals import Equal

EQUALS: dict[str, dict[str, tuple[str, Equal]]] = {
    "torchvision": {
        "RandomResizedCrop": ("crop", to.crop),
        "RandomHorizontalFlip": ("flip", to.chance),
        "RandomVerticalFlip": ("vflip", to.chance),
        "ColorJitter": ("jitter", to.jitter),
        "RandomGrayscale": ("gray", to.chance),
        "Grayscale": ("gray", to.gray),
        "GaussianBlur": ("blur", to.blur),
        "RandomSolarize": ("solarize", to.solarize),
        "RandomInvert": ("invert", to.chance),
        "RandomPosterize": ("posterize", to.posterize),
        "RandomEqualize": ("equalize", to.chance),
        "RandomChannelPermutation": ("channel_shuffle", to.chance),
        "RandomErasing": ("erase", to.erase),
        "RandomRotation": ("affine", to.rotation),
        "RandomAffine": ("affine", to.affine),
        "RandomPerspective": ("perspective", to.perspective),
        "GaussianNoise": ("noise", to.noise),
        "JPEG": ("jpeg", to.jpeg),
    },
    "kornia": {
        "RandomResizedCrop": ("crop", to.crop),
        "RandomHorizontalFlip": ("flip", to.chance),
        "RandomVerticalFlip": ("vflip", to.chance),
        "ColorJitter": ("jitter", to.jitter),
        "RandomGrayscale": ("gray", to.chance),
        "RandomGaussianBlur": ("blur", to.blur),
        "RandomSolarize": ("solarize", to.solarize),
        "RandomInvert": ("invert", to.chance),
        "RandomEqualize": ("equalize", to.chance),
        "RandomSharpness": ("sharpen", to.sharpen),
        "RandomChannelShuffle": ("channel_shuffle", to.chance),
        "RandomChannelDropout": ("channel_drop", to.channel_drop),
        "RandomErasing": ("erase", to.erase),
        "RandomRotation": ("affine", to.rotation),
        "RandomAffine": ("affine", to.affine),
        "RandomGaussianNoise": ("noise", to.noise),
        "RandomClahe": ("clahe", to.clahe),
    },
    "albumentations": {
        "RandomResizedCrop": ("crop", to.crop),
        "HorizontalFlip": ("flip", to.chance),
        "VerticalFlip": ("vflip", to.chance),
        "ColorJitter": ("jitter", to.jitter),
        "ToGray": ("gray", to.gray),
        "GaussianBlur": ("blur", to.blur_by_limits),
        "Solarize": ("solarize", to.solarize),
        "InvertImg": ("invert", to.chance),
        "Posterize": ("posterize", to.posterize),
        "Equalize": ("equalize", to.equalize),
        "ChannelShuffle": ("channel_shuffle", to.chance),
        "ChannelDropout": ("channel_drop", to.channel_drop),
        "Erasing": ("erase", to.erase),
        "CoarseDropout": ("cutout", to.cutout),
        "Rotate": ("affine", to.rotation),
        "RandomRotate90": ("rotate", to.quarter_turns),
        "D4": ("d4", to.square_symmetries),
        "GaussNoise": ("noise", to.noise_by_range),
        "ImageCompression": ("jpeg", to.jpeg),
    },
}
"""By library and class: the op, and the function that returns its parameters. Any other class of kornia becomes the op
``kornia.CLASS``."""

SKIPPED: dict[str, tuple[str, ...]] = {
    "torchvision": (
        *("ToTensor", "ToImage", "PILToTensor", "ToPILImage", "ToPureTensor", "ToDtype", "ConvertImageDtype"),
        *("Normalize", "Resize", "CenterCrop", "RGB", "Identity"),
    ),
    "kornia": ("Normalize", "Resize", "CenterCrop", "SmallestMaxSize"),
    "albumentations": (*("Normalize", "ToFloat", "ToTensorV2", "Resize", "CenterCrop", "SmallestMaxSize", "NoOp"),),
}
"""The classes that augment nothing: loading, scaling and normalising are not part of a composition."""

NEAR = {
    "RandomCrop": "crop",
    "RandomSizedCrop": "crop",
    "ScaleJitter": "crop",
    "RandomAdjustSharpness": "sharpen",
    "RandomSharpness": "sharpen",
    "Sharpen": "sharpen",
    "ElasticTransform": "elastic",
    "GridDistortion": "elastic",
    "Perspective": "perspective",
    "RandomPerspective": "perspective",
    "Affine": "affine",
    "ShiftScaleRotate": "affine",
    "RandomZoomOut": "zoom_out",
    "RandomScale": "zoom_out",
    "RandomAutocontrast": "intensity",
    "RandomBrightnessContrast": "jitter",
    "RandomPhotometricDistort": "jitter",
    "HueSaturationValue": "jitter",
    "RandomGamma": "intensity",
    "CLAHE": "clahe",
    "Cutout": "cutout",
    "Transpose": "d4",
    "Flip": "d4",
    "Blur": "blur",
    "MotionBlur": "blur",
    "MedianBlur": "blur",
    "ISONoise": "noise",
    "RandomPosterize": "posterize",
    "RandomJPEG": "jpeg",
}
"""The op that is nearest to a class without an equal."""


def markdown_table() -> str:
    """Return the table of docs/ops.md: a row per op, with the classes of each library that become it."""
    libraries = list(EQUALS)
    lines = [f"| op | {' | '.join(libraries)} |", f"| --- |{' --- |' * len(libraries)}"]
    for op in sorted({op for classes in EQUALS.values() for op, _ in classes.values()}):
        cells = [
            ", ".join(f"`{name}`" for name, (own, _) in EQUALS[library].items() if own == op) for library in libraries
        ]
        lines.append(f"| `{op}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
