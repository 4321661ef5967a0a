"""Encoders that are not ours: ``timm:NAME``, and ``module:function`` for one's own.

A trial's key holds a name only, so what is behind it is named too: the code (:func:`code_version`), and the weights
that the code loads (:func:`loaded_weights`).
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

from ablate.config.trial import Encoder
from ablate.errors import UsageError, first_line, nearest


class ForeignEncoder(nn.Module):
    """A module that maps float ``[N, 3, s, s]`` to ``h [N, dim]``; ``dim`` is found by running it once.

    Raises:
        UsageError: it cannot be made, does not take images of this size or gives something else; or its code, or the
            weights that it loads, are not what they were when the trial was planned.
    """

    def __init__(self, config: Encoder, image_size: int) -> None:
        super().__init__()
        found = code_version(config.name)
        if config.code not in {"", found}:
            raise UsageError(f"encoder {config.name}: the trial was planned with {config.code}, here is {found}")
        self.net, self.dim = _made(config.name, image_size)
        if config.weights and (here := loaded_weights(self.net, config.name, image_size)) != config.weights:
            raise UsageError(
                f"encoder {config.name}: the trial was planned with the weights {config.weights}, "
                f"here it loads {here or 'none'}"
            )

    def forward(self, x: Tensor) -> Tensor:
        """``h = f(x)``."""
        h: Tensor = self.net(x)
        return h


def code_version(name: str) -> str:
    """``timm 1.0.19``, or the first 16 hex digits of SHA-256 of the file of ``module:function``'s module.

    Raises:
        UsageError: there is no such code, or it has no file.
    """
    if name.startswith("timm:"):
        return f"timm {_import_timm().__version__}"
    file = _import_own(name).__file__
    if file is None:
        raise UsageError(f"encoder {name}: its module has no file that would name the code")
    return f"sha256 {hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]}"


def loaded_weights(net: nn.Module, name: str, image_size: int) -> str:
    """``sha256 `` and 16 hex digits of what the encoder ``name`` loads into ``net``; nothing where it loads nothing.

    What is drawn differs between two seeds: ``net`` is compared with a second one, made with another. Weights count as
    loaded where a parameter is equal in both and is not one number throughout, as a batch norm's scale is; the hash is
    then of everything in ``state_dict`` that is equal. Buffers alone do not count: those that code computes, a mean to
    subtract or a table of positions, are equal too, and the code's hash covers them. timm's are made without weights.

    Raises:
        UsageError: the second one cannot be made, or is the first one again.
    """
    if name.startswith("timm:"):
        return ""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed((torch.initial_seed() + 1) % 2**63)
        other, _ = _made(name, image_size)
    if other is net:
        raise UsageError(f"encoder {name}: gives the same module at every call; it must make a new one")
    drawn = other.state_dict()
    fixed = {
        key: value.detach().cpu()
        for key, value in net.state_dict().items()
        if isinstance(value, Tensor) and key in drawn and torch.equal(value, drawn[key])
    }
    parameters = {key for key, _ in net.named_parameters(remove_duplicate=False)} & fixed.keys()
    if not any(bool((fixed[key] != fixed[key].flatten()[:1]).any()) for key in parameters):
        return ""
    digest = hashlib.sha256()
    for key, value in sorted(fixed.items()):
        digest.update(f"{key} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return f"sha256 {digest.hexdigest()[:16]}"


def _made(name: str, image_size: int) -> tuple[nn.Module, int]:
    """The module, and the dimension of what it gives."""
    try:
        net = _timm(name, image_size) if name.startswith("timm:") else _own(name)()
        if not isinstance(net, nn.Module):
            raise TypeError(f"gave {type(net).__name__}, not a torch.nn.Module")
        return net, _dim(net, image_size)
    except UsageError:
        raise
    except Exception as error:  # whatever code that is not ours raises
        raise UsageError(f"encoder {name} at {image_size} px: {first_line(error)}") from error


def _import_timm() -> ModuleType:
    try:
        return importlib.import_module("timm")
    except ImportError:
        raise UsageError("timm:NAME needs the timm package: pip install timm") from None


def _timm(name: str, image_size: int) -> nn.Module:
    timm = _import_timm()
    model = name.removeprefix("timm:")
    if not timm.is_model(model):
        raise UsageError(f"timm has no model {model!r}{nearest(model, timm.list_models())}")
    make = functools.partial(timm.create_model, model, pretrained=False, num_classes=0)
    try:
        made: nn.Module = make(img_size=image_size)  # transformers are made for a size
    except TypeError:
        made = make()  # convolutional networks take any
    return made


def _own(name: str) -> Any:
    """The function that ``module:function`` names, from the working directory too, whatever command runs."""
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
    except Exception as error:  # whatever code that is not ours raises
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UsageError(f"encoder {name}: cannot import {module} ({reason})") from error


@torch.no_grad()
def _dim(net: nn.Module, image_size: int) -> int:
    was_training = net.training
    h = net.eval()(torch.zeros(2, 3, image_size, image_size))
    net.train(was_training)
    if not isinstance(h, Tensor) or h.ndim != 2 or len(h) != 2:
        shape = list(h.shape) if isinstance(h, Tensor) else type(h).__name__
        raise TypeError(f"gives {shape} for two images, not [2, dim]")
    return h.shape[1]
