"""Match the tensors of a file to those of an encoder, by their names and shapes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from ablate.training.body import WRAPPER
from ablate.training.reshaping import Adapted, adapted, unfit
from ablate.training.resnets import TorchvisionResNet

COUNTERS = "num_batches_tracked"
"""The counters of batch norms. Their momentum is fixed, so nothing depends on these."""
NUMBERED = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""The parts of torchvision's ResNets in ``nn.Sequential(*resnet.children())``, as lightly's examples keep them."""
FIRST, LAST = ("teacher",), ("momentum", "target", "ema", "encoder_k", "_k.")
"""Of places that fit equally well, a teacher is taken first, and a moving average of another encoder last."""
Shape = tuple[int, ...]


@dataclass
class Match:
    """The tensors of a file that fit an encoder, and those that do not.

    Args:
        place: the dictionary of the file and the prefix of the names, such as ``state_dict`` and ``module.encoder_q.``.
        also: other places that fit equally well.
        tensors: what is loaded, by the encoder's names, in its shapes and types.
        changes: sentences on tensors that were changed to fit.
        missing: names of the encoder that the file lacks.
        unexpected: names of the file, without the prefix, in parts that the encoder has too.
        shapes: by name, the shape in the file and in the encoder where they differ.
        kinds: by name, the kind of a tensor of the file that cannot be loaded, such as ``int64`` or ``sparse``.
        unused: names of the file in other parts, such as a classifier.
        classes: the outputs of the classifier among these; None without one.
    """

    place: tuple[str, str] = ("", "")
    also: list[str] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    shapes: dict[str, tuple[Shape, Shape]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    classes: int | None = None

    @property
    def is_whole(self) -> bool:
        """True if every tensor of the encoder is loaded, and no part of the encoder in the file is left out."""
        return not (self.missing or self.unexpected or self.shapes or self.kinds)


def tensors_of(encoder: nn.Module) -> dict[str, Tensor]:
    """Return the encoder's tensors by the names that files have for them; without the counters of batch norms."""
    state: Mapping[str, Tensor] = encoder.state_dict()
    return {name.removeprefix(WRAPPER): value for name, value in _without_counters(state).items()}


def _without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if not name.endswith(COUNTERS)}


def best_match(groups: Mapping[str, Mapping[str, Tensor]], encoder: nn.Module) -> Match:
    """Return the match of the dictionary and prefix by which the most tensors fit; empty if not one name does.

    Args:
        groups: the tensors of a file, see :class:`~ablate.training.weight_file.Weights`.
        encoder: the encoder; its tensors may be on the meta device.
    """
    wanted = tensors_of(encoder)
    groups = {place: _without_counters(tensors) for place, tensors in groups.items()}
    aliases: list[dict[str, str]] = [{}]
    if isinstance(encoder, TorchvisionResNet):
        aliases.append(NUMBERED)
    scores = {
        (place, prefix, number): score
        for place, tensors in groups.items()
        for number, alias in enumerate(aliases)
        for prefix, score in _prefixes(tensors, wanted, alias).items()
    }
    if not scores:
        return Match(missing=list(wanted), unused=[name for tensors in groups.values() for name in tensors])
    top = max(scores.values())
    equal = sorted((key for key, score in scores.items() if score == top), key=lambda key: _order(*key[:2]))
    place, prefix, number = equal[0]
    others = dict.fromkeys(key[:2] for key in equal[1:] if key[:2] != equal[0][:2])
    match = _matched(groups[place], prefix, aliases[number], wanted, encoder)
    match.place, match.also = (place, prefix), [f"{a}: {b}" if a and b else a or b for a, b in others]
    return match


def _prefixes(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], alias: Mapping[str, str]
) -> dict[str, tuple[int, int]]:
    """Return, for every prefix of names in the file, how many tensors fit behind it, and how many names.

    Left out are prefixes that lead into a part of the encoder, such as ``layer2.0.``: more names fit behind a shorter
    one.
    """
    fit, named = Counter[str](), Counter[str]()
    for name, value in tensors.items():
        parts = name.split(".")
        for cut in range(len(parts)):
            rest = _renamed(".".join(parts[cut:]), alias)
            if rest in wanted:
                prefix = "".join(f"{part}." for part in parts[:cut])
                named[prefix] += 1
                fit[prefix] += value.shape == wanted[rest].shape and not unfit(value, wanted[rest])
    return {
        prefix: (fit[prefix], count)
        for prefix, count in named.items()
        if not any(prefix.startswith(other) and more > count for other, more in named.items())
    }


def _renamed(name: str, alias: Mapping[str, str]) -> str:
    first, dot, rest = name.partition(".")
    return f"{alias[first]}{dot}{rest}" if first in alias else name


def _order(place: str, prefix: str) -> tuple[bool, bool]:
    """Return the sort key of a place among those that fit equally well; further ones keep the file's order."""
    words = f"{place}.{prefix}".lower()
    return not any(word in words for word in FIRST), any(word in words for word in LAST)


def _matched(
    tensors: Mapping[str, Tensor], prefix: str, alias: Mapping[str, str], wanted: Mapping[str, Tensor], net: nn.Module
) -> Match:
    match, parts = Match(), {name.partition(".")[0] for name in wanted}
    classifiers = _classifiers(net, wanted)
    found = {
        _renamed(name.removeprefix(prefix), alias): value for name, value in tensors.items() if name.startswith(prefix)
    }
    for name, value in wanted.items():
        if name not in found:
            match.missing.append(name)
            continue
        if kind := unfit(found[name], value):
            match.kinds[name] = kind
            continue
        fitted = adapted(name, found[name], value, net)
        if isinstance(fitted, Adapted):
            match.tensors[name] = fitted.tensor
            match.changes += [fitted.change] if fitted.change else []
        else:
            match.shapes[name] = tuple(found[name].shape), tuple(value.shape)
    for name in found.keys() - wanted.keys():
        is_left_out = name.partition(".")[0] not in parts or name.startswith(tuple(classifiers.values()))
        (match.unused if is_left_out else match.unexpected).append(name)
    match.unexpected.sort()
    match.unused = sorted((*match.unused, *(name for name in tensors if not name.startswith(prefix))))
    match.classes = _classes({name: found[name] for name in match.unused if name in found}, classifiers)
    return match


def _classifiers(net: nn.Module, wanted: Iterable[str]) -> dict[str, str]:
    """Return the classifiers that timm's model has and the encoder has not; empty for other encoders.

    By timm's name, such as ``head.fc.fc2``, it is the start of all names of the part that is left out with it, such as
    ``head.fc.``. Other parts of a head may stay in the encoder, as ConvNeXt's ``head.norm`` does.
    """
    about = getattr(getattr(net, "net", net), "default_cfg", None)
    named = (about.get("classifier") if isinstance(about, Mapping) else None) or ()
    starts: dict[str, str] = {}
    for name in [named] if isinstance(named, str) else named:
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            start = ".".join(parts[:end]) + "."
            if not any(own.startswith(start) for own in wanted):
                starts[name] = start
                break
    return starts


def _classes(unused: Mapping[str, Tensor], classifiers: Iterable[str]) -> int | None:
    """Return the outputs of the classifier in the file: the matrix of timm's, or of a part called fc, head and alike.

    Args:
        unused: the tensors of the file that the encoder has not.
        classifiers: the names that timm has for the classifiers of the encoder.
    """
    for name in (*classifiers, "fc", "head", "head.fc", "classifier", "heads.head"):
        if (weight := unused.get(f"{name}.weight")) is not None and weight.ndim == 2:
            return len(weight)
    return None


def examples(names: Iterable[str], most: int = 3) -> str:
    """Return the first names, each part of a file once, and how many others there are."""
    by_part: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_part[name.partition(".")[0]].append(name)
    shown = [group[0] for group in by_part.values()][:most]
    total = sum(map(len, by_part.values()))
    return ", ".join(shown) + (f" and {total - len(shown)} more" if total > len(shown) else "")
