"""Foreign encoders: ``timm:NAME``, and ``module:function`` for the user's own.

A trial's key contains only the encoder's name, so the code (:func:`code_version`) and the weights that the code loads
(:func:`loaded_weights`) are recorded too.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ablate.config.encoder import Encoder
from ablate.errors import UsageError, first_line, nearest
from ablate.training.body import Body
from ablate.training.weight_file import digest


class ForeignEncoder(Body):
    """A module that maps float ``[N, channels, s, s]`` to ``h [N, dim]``; ``dim`` is found by running it once.

    Raises:
        UsageError: the encoder cannot be made, does not take images of this size or gives something else; or its code,
            or the weights that it loads, are not the same as when the trial was planned.
    """

    def __init__(self, config: Encoder, image_size: int, channels: int = 3) -> None:
        super().__init__(config)
        version = code_version(config.name)
        if config.code not in {"", version}:
            raise UsageError(
                f"encoder {config.name}: the trial was planned with {config.code}, but this machine has {version}"
            )
        self.net, self.dim = _made(config.name, image_size, channels)
        if config.weights and (here := loaded_weights(self.net, config.name, image_size, channels)) != config.weights:
            raise UsageError(
                f"encoder {config.name}: the trial was planned with the weights {config.weights}, "
                f"but here it loads {here or 'none'}"
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``h = f(x)``."""
        h: Tensor = self.net(self.normalise(x))
        return h


def code_version(name: str) -> str:
    """Return the version of the encoder's code.

    It is ``timm 1.0.19``, for example, or ``sha256`` and the first 16 hex digits of SHA-256 of the file of the module
    in ``module:function``.

    Raises:
        UsageError: there is no such code, or it has no file.
    """
    if name.startswith("timm:"):
        return f"timm {_import_timm().__version__}"
    file = _import_own(name).__file__
    if file is None:
        raise UsageError(f"encoder {name}: its module has no file, so the version of its code is unknown")
    return f"sha256 {hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]}"


def loaded_weights(net: nn.Module, name: str, image_size: int, channels: int = 3) -> str:
    """Return a hash of the weights that the encoder's code loads; an empty text if it loads none.

    The hash is ``sha256 `` and 16 hex digits. Weights that are drawn differ between two seeds, so ``net`` is compared
    with a second module, made with another seed. Weights count as loaded if a parameter is equal in both and is not one
    constant throughout, like a batch norm's scale; the hash then covers everything in ``state_dict`` that is equal.
    Equal buffers alone do not count: the code may compute them, like a mean to subtract or a table of positions, and
    then the code's hash covers them. timm's encoders are made without weights.

    Args:
        net: the encoder's module.
        name: the encoder's name, ``timm:NAME`` or ``module:function``.
        image_size: the side of its images in pixels.
        channels: the number of their channels.

    Raises:
        UsageError: the second module cannot be made, or is the same object as the first.
    """
    if name.startswith("timm:"):
        return ""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed((torch.initial_seed() + 1) % 2**63)
        other, _ = _made(name, image_size, channels)
    if other is net:
        raise UsageError(
            f"encoder {name}: the function returns the same module at every call; it must return a new one"
        )
    drawn = other.state_dict()
    fixed = {
        key: value.detach().cpu()
        for key, value in net.state_dict().items()
        if isinstance(value, Tensor) and key in drawn and torch.equal(value, drawn[key])
    }
    parameters = {key for key, _ in net.named_parameters(remove_duplicate=False)} & fixed.keys()
    if not any(bool((fixed[key] != fixed[key].flatten()[:1]).any()) for key in parameters):
        return ""
    return digest(fixed)


def _made(name: str, image_size: int, channels: int) -> tuple[nn.Module, int]:
    """Return the module and the dimension of its output."""
    try:
        net = _timm(name, image_size, channels) if name.startswith("timm:") else _own(name)()
        if not isinstance(net, nn.Module):
            raise TypeError(f"returned {type(net).__name__}, not a torch.nn.Module")
        return net, _dim(net, image_size, channels)
    except UsageError:
        raise
    except Exception as error:  # foreign code may raise anything
        of = "" if channels == 3 else f" with {channels} channel{'s' * (channels > 1)}"
        raise UsageError(f"encoder {name} at {image_size} px{of}: {first_line(error)}") from error


def _import_timm() -> ModuleType:
    try:
        return importlib.import_module("timm")
    except ImportError:
        raise UsageError("timm:NAME needs the timm package: pip install timm") from None


def _timm(name: str, image_size: int, channels: int) -> nn.Module:
    timm = _import_timm()
    model = name.removeprefix("timm:")
    if not timm.is_model(model):
        raise UsageError(f"timm has no model {model!r}{nearest(model, timm.list_models())}")
    make = functools.partial(timm.create_model, model, pretrained=False, num_classes=0, in_chans=channels)
    try:
        made: nn.Module = make(img_size=image_size)  # transformers are made for one image size
    except TypeError:
        made = make()  # convolutional networks take any image size
    return made


def timm_stages(net: nn.Module) -> list[list[str]]:
    """Return the names of a timm encoder's parameters by stage, first to last, as timm itself groups them.

    The list is empty if timm does not say how they are grouped.
    """
    if not hasattr(net, "group_matcher"):
        return []
    _import_timm()
    group_parameters = importlib.import_module("timm.models._manipulate").group_parameters
    groups = group_parameters(net, net.group_matcher(coarse=True))  # type: ignore[operator]
    return [names for _, names in sorted(groups.items())]


def _own(name: str) -> Any:
    """Return the function that ``module:function`` names; the module may also lie in the working directory."""
    attribute, module = name.partition(":")[2], _import_own(name)
    function = getattr(module, attribute, None)
    if not callable(function):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UsageError(f"encoder {name}: {module.__name__} has no function {attribute!r}{nearest(attribute, public)}")
    return function


def _import_own(name: str) -> ModuleType:
    module = name.partition(":")[0]
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        return importlib.import_module(module)
    except Exception as error:  # foreign code may raise anything
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UsageError(f"encoder {name}: cannot import {module} ({reason})") from error


@torch.no_grad()
def _dim(net: nn.Module, image_size: int, channels: int) -> int:
    was_training = net.training
    h = net.eval()(torch.zeros(2, channels, image_size, image_size))
    net.train(was_training)
    if not isinstance(h, Tensor) or h.ndim != 2 or len(h) != 2:
        shape = list(h.shape) if isinstance(h, Tensor) else type(h).__name__
        raise TypeError(f"returned {shape} for two images, not [2, dim]")
    return h.shape[1]
