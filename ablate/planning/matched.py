"""Say in words how the tensors of a file fit an encoder."""

from __future__ import annotations

from pathlib import Path

from ablate.config.at_hand import as_option
from ablate.config.encoder import IMAGENET
from ablate.config.trial import SMALL_IMAGE, TrialConfig
from ablate.console import counted
from ablate.training.architectures import called
from ablate.training.matching import Match, Shape, examples
from ablate.training.reshaping import RGB

IMAGENET_CLASSES = {1000, 21841, 21843}
"""The outputs of classifiers for ImageNet and for ImageNet-21k."""
MOST = 3  # examples


def in_words(file: str, encoder: str, match: Match, total: int) -> list[str]:
    """Return lines on what is loaded, what was changed to fit, and what is not used.

    Args:
        file: the file, as it was given.
        encoder: the encoder's name.
        match: the match.
        total: the number of tensors of the encoder.
    """
    count = f"all {total}" if match.is_whole else f"{len(match.tensors)} of {total}"
    also = f"; {', '.join(match.also)} would fit equally well" if match.also else ""
    lines = [f"start: {count} tensors of {encoder} from {Path(file).name}{_place(match)}{also}", *match.changes]
    if match.missing or match.shapes or match.kinds:
        lines.append(f"drawn by the seed instead: {_left(match)}")
    unused = [*match.unexpected, *match.unused]
    if unused:
        classes = f", with a classifier of {match.classes} classes" if match.classes else ""
        lines.append(f"not used: {examples(unused)}{classes}")
    return lines


def _place(match: Match) -> str:
    place, prefix = match.place
    parts = [f"in its {place!r}"] * bool(place) + [f"under the prefix {prefix!r}"] * bool(prefix)
    return f" ({', '.join(parts)})" if parts else ""


def _left(match: Match) -> str:
    """Return the names of the encoder that the file has not, or has in another shape or kind."""
    shown = [
        f"{name}, {_shape(given)} in the file and {_shape(wanted)} here"
        for name, (given, wanted) in list(match.shapes.items())[:MOST]
    ]
    shown += [f"{len(match.shapes) - MOST} more of another shape"] if len(match.shapes) > MOST else []
    shown += [f"{name}, {kind} in the file" for name, kind in list(match.kinds.items())[:MOST]]
    shown += [f"{len(match.kinds) - MOST} more of a kind that cannot be loaded"] if len(match.kinds) > MOST else []
    shown += [f"{examples(match.missing)}, which the file lacks"] if match.missing else []
    return "; ".join(shown)


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "a number"


def hint(match: Match, channels: int) -> list[str]:
    """Return the line that an encoder was trained with normalised input, as far as the file tells."""
    if match.classes not in IMAGENET_CLASSES or channels != len(IMAGENET.mean):
        return []
    return [
        f"the file has a classifier of {match.classes} classes, as encoders for ImageNet do: most of them expect "
        f"{as_option('normalize', 'imagenet')}, and here the input is not normalised"
    ]


def objection(match: Match, total: int, config: TrialConfig, other: str) -> str:
    """Return why a match is refused, and what to do.

    Args:
        match: a match that is empty or not whole.
        total: the number of tensors of the encoder.
        config: the trial's configuration.
        other: the encoder whose weights the file holds, if that is known and another one.
    """
    # The width of a ResNet-8 is a setting of its own, that of the others is in their name.
    encoder = config.encoder.name if config.encoder.name == "resnet8" else called(config.encoder)
    takes = f"{as_option('encoder.name', other)} takes this file" if other else ""
    if not match.tensors:
        one = examples([*match.unexpected, *match.unused], 1).partition(" and ")[0]
        names = _left(match) if match.shapes or match.kinds else f"its names are like {one}"
        return f"no tensor of this file fits {encoder}" + (f"; {takes}" if takes else f": {names}")
    whole = len(match.tensors) == total
    count = f"{'all' if whole else f'only {len(match.tensors)} of'} {total} tensors of {encoder} match"
    left = f": {_left(match)}" if match.shapes or match.missing or match.kinds else ""
    parts = [f"{count}{left}"]
    parts += [f"the file has further layers: {examples(match.unexpected)}"] if match.unexpected else []
    parts += [takes or _about_stem(match, config)]
    partly = f"{as_option('init_partial', True)} starts from those that match"
    return "; ".join(part for part in (*parts, partly) if part)


def _about_stem(match: Match, config: TrialConfig) -> str:
    """Return the advice for a first convolution of another size or of other channels."""
    if match.missing or match.unexpected or match.kinds or len(match.shapes) != 1:
        return ""
    name, (given, wanted) = next(iter(match.shapes.items()))
    if len(given) != 4 or len(wanted) != 4:
        return ""
    if given[1] not in {RGB, wanted[1]}:
        these = counted(wanted[1], "channel")
        return f"the file is for images of {counted(given[1], 'channel')}, and these have {these}: only RGB is adapted"
    if name != "conv1.weight" or config.encoder.is_foreign:
        return ""
    if given[2] > 3 and config.image_size <= SMALL_IMAGE:
        return (
            f"up to {SMALL_IMAGE} px, ResNets have a 3x3 stem: from {as_option('image_size', SMALL_IMAGE + 1)} on "
            "all of it fits"
        )
    return f"up to {as_option('image_size', SMALL_IMAGE)}, all of it fits" if given[2] == 3 else ""
