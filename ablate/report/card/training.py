"""How an encoder was trained, in sentences for a paper: the network, the objective, the views, the optimiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ablate.config.encoder import WIDTHS
from ablate.config.objectives import kind_of
from ablate.config.trial import SMALL_IMAGE, TrialConfig
from ablate.planning.outline import OPTIMISERS as OPTIMISER_NAMES
from ablate.report.card.references import OBJECTIVES, OPTIMISERS, cite


def training(configs: Sequence[TrialConfig]) -> list[str]:
    """Return the sentences on how encoders were trained.

    Args:
        configs: the configuration that all cells share, or one for each point of the axes; where they differ, all
            values are listed.
    """
    head, warm = each(configs, _head), each(configs, lambda c: f"{c.warmup_epochs:.3g}")
    epochs = each(configs, lambda c: str(c.epochs))
    return [
        f"The encoder, {each(configs, network)}, with {head}, was trained {each(configs, _start)} by "
        f"{objectives(configs)}.",
        f"Training took {epochs} epoch{'s' * (epochs != '1')} in batches of "
        f"{each(configs, lambda c: str(c.batch_size))} images, with {each(configs, _optimiser)}, peak learning rate "
        f"{each(configs, lambda c: f'{c.optimiser.lr:.4g}')}, weight decay "
        f"{each(configs, lambda c: f'{c.optimiser.weight_decay:g}')}, linear warm-up over {warm} "
        f"epoch{'s' * (warm != '1')} and cosine decay.",
        *dict.fromkeys(map(views, configs)),
    ]


def each(configs: Sequence[TrialConfig], value: Callable[[TrialConfig], str]) -> str:
    """Return a value of the configurations; if they differ, all of them: ``0.1, 0.2 or 0.5``."""
    return each_of(list(map(value, configs)))


def each_of(values: Sequence[str]) -> str:
    """Return the different ones of ``values`` as :func:`each` does."""
    *others, last = dict.fromkeys(values)
    return f"{', '.join(others)} or {last}" if others else last


def network(config: TrialConfig) -> str:
    """Return the encoder's architecture with its source, such as ``a ResNet-18 [@he2016resnet]``."""
    encoder, timm = config.encoder, config.encoder.name.removeprefix("timm:")
    if encoder.name == "resnet8":
        w = encoder.width
        blocks = f"three basic blocks of {w}, {2 * w} and {4 * w} channels"
        return f"a ResNet-8{cite('he2016resnet')} (a 3x3 convolution of stride 2 and {blocks})"
    if encoder.is_foreign:
        return f"{timm} of {encoder.code}{cite('wightman2019timm')}" if timm != encoder.name else f"{encoder.name}"
    times = encoder.width // WIDTHS[1]
    wide = f", every layer {times} times as wide" * (times > 1)
    stem = ", its first convolution 3x3 with stride 1 and no max pooling" * (config.image_size <= SMALL_IMAGE)
    start = ", its residual blocks beginning as their shortcuts" * encoder.zero_init_residual
    return f"a ResNet-{encoder.name.removeprefix('resnet')}{cite('he2016resnet')}{wide}{stem}{start}"


def objectives(configs: Sequence[TrialConfig]) -> str:
    """Return the objectives with sources and settings: ``SimCLR [@chen2020simclr] (temperature 0.1 or 0.5)``."""
    names = list(dict.fromkeys(config.objective for config in configs))
    return " or ".join(_objective([config for config in configs if config.objective == name]) for name in names)


def _objective(configs: Sequence[TrialConfig]) -> str:
    kind, values = kind_of(configs[0].objective), [_settings(config) for config in configs]
    named = dict.fromkeys(name for one in values for name in one)
    shown = ", ".join(f"{name} {each_of([f'{one[name]:g}' for one in values if name in one])}" for name in named)
    return f"{kind.title}{cite(OBJECTIVES.get(kind.name))}{f' ({shown})' * bool(shown)}"


def _settings(config: TrialConfig) -> dict[str, float]:
    own = {name.replace("_", " "): value for name, value in config.method.model_dump(exclude_none=True).items()}
    shared = {"temperature": config.temperature} if "temperature" in kind_of(config.objective).settings else {}
    return shared | ({"loss times": config.loss_scale} if config.loss_scale != 1 else {}) | own


def views(config: TrialConfig) -> str:
    """Return the sentence on what goes through the composition, and on the crop that views share."""
    crop = ""
    if config.base is not None:
        area, ratio = (f"{low:.3g} to {high:.3g}" for low, high in (config.base.area, config.base.ratio))
        crop = f"random resized crop (area {area}, aspect ratio {ratio})"
    if kind_of(config.objective).views == 1:
        return f"Each image{f', after a {crop},' * bool(crop)} goes through the composition once."
    start = f"The two views of an image start from the same {crop}. " if crop else ""
    if config.branches == "two":
        return f"{start}Both views of an image go through the composition, with draws of their own."
    return f"{start}One of the two views goes through the composition, the other does not."


def _head(config: TrialConfig) -> str:
    head, kind = config.head, kind_of(config.objective)
    if kind.name == "supervised":
        return "a linear classifier"
    if head.kind == "none":
        return "no head"
    if head.kind == "linear":
        return f"a linear head of {head.output} outputs"
    norms = " and batch norms" * (head.batch_norm or kind.has_own_head)
    return f"a head of {head.layers} layers ({head.hidden} hidden units, {head.output} outputs{norms})"


def _start(config: TrialConfig) -> str:
    encoder = config.encoder
    if not encoder.starts_given:
        return "from random weights"
    frozen = f", the first {encoder.frozen_stages} stages frozen" * bool(encoder.frozen_stages)
    kept = ", its batch-norm statistics kept" * encoder.frozen_statistics
    slower = f", its learning rate times {config.optimiser.init_lr_scale:g}" * (config.optimiser.init_lr_scale != 1)
    return f"from given weights ({encoder.init or encoder.weights}{frozen}{kept}{slower})"


def _optimiser(config: TrialConfig) -> str:
    optimiser = config.optimiser
    momentum = f" with momentum {optimiser.momentum:g}" * (optimiser.name != "adamw")
    return f"{OPTIMISER_NAMES[optimiser.name]}{cite(OPTIMISERS.get(optimiser.name))}{momentum}"
