"""Encoders that are not ours: ``timm:NAME``, and ``module:function`` for one's own.

A trial's key holds a name only, so the code behind it is named too: :func:`code_version`.
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

from ablate.config import Encoder
from ablate.errors import UsageError, first_line, nearest


class ForeignEncoder(nn.Module):
    """A module that maps float ``[N, 3, s, s]`` to ``h [N, dim]``; ``dim`` is found by running it once.

    Raises:
        UsageError: it cannot be made, does not take images of this size or gives something else; or its code is not
            what it was when the trial was planned.
    """

    def __init__(self, config: Encoder, image_size: int) -> None:
        super().__init__()
        found = code_version(config.name)
        if config.code not in {"", found}:
            raise UsageError(f"encoder {config.name}: the trial was planned with {config.code}, here is {found}")
        try:
            self.net = _timm(config.name, image_size) if config.name.startswith("timm:") else _own(config.name)()
            if not isinstance(self.net, nn.Module):
                raise TypeError(f"gave {type(self.net).__name__}, not a torch.nn.Module")
            self.dim = _dim(self.net, image_size)
        except UsageError:
            raise
        except Exception as error:  # whatever code that is not ours raises
            raise UsageError(f"encoder {config.name} at {image_size} px: {first_line(error)}") from error

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
