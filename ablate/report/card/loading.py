"""Python code that loads an encoder from ``model.safetensors`` without ablate, for its model card."""

from __future__ import annotations

from ablate.config.encoder import WIDTHS
from ablate.config.trial import SMALL_IMAGE, TrialConfig

RESNET8 = """\
import torch
from safetensors.torch import load_file
from torch import nn
from torchvision.models.resnet import BasicBlock


def block(inputs, outputs, stride):
    shortcut = None
    if stride > 1:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride, shortcut)


class ResNet8(nn.Module):
    def __init__(self, channels, width):
        super().__init__()
        first = nn.Conv2d(channels, width, 3, 2, 1, bias=False)
        self.stem = nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.Sequential(
            block(width, width, 1), block(width, 2 * width, 2), block(2 * width, 4 * width, 2)
        )

    def forward(self, images):
        return self.blocks(self.stem(images)).mean((2, 3))


net = ResNet8({channels}, {width})
"""
TORCHVISION = """\
import torch
import torchvision
from safetensors.torch import load_file

net = torchvision.models.{name}()
net.fc = torch.nn.Identity()
"""
WIDE = """\
net.inplanes = {width}  # every layer has {times} times the channels of torchvision's
net.bn1 = torch.nn.BatchNorm2d({width})
for number, blocks in enumerate([net.layer1, net.layer2, net.layer3, net.layer4]):
    wide = net._make_layer(type(blocks[0]), {width} * 2**number, len(blocks), stride=2 if number else 1)
    setattr(net, f"layer{{number + 1}}", wide)
"""
STEM = """\
net.conv1 = torch.nn.Conv2d({channels}, {width}, {kernel}, {stride}, {padding}, bias=False)
"""
NO_POOL = "net.maxpool = torch.nn.Identity()\n"
TIMM = """\
import timm
import torch
from safetensors.torch import load_file

settings = {{"num_classes": 0, "in_chans": {channels}}}
try:
    net = timm.create_model({name!r}, img_size={size}, **settings)  # transformers are made for one size
except TypeError:
    net = timm.create_model({name!r}, **settings)
"""
OWN = """\
import torch
from {module} import {function}
from safetensors.torch import load_file

net = {function}()
"""
WEIGHTS = """\
net.load_state_dict(load_file("model.safetensors"))
net.eval()

images = torch.rand(2, {channels}, {size}, {size})  # yours, in [0, 1]
"""
NORMALISED = """\
mean = torch.tensor({mean}).view(1, -1, 1, 1)
std = torch.tensor({std}).view(1, -1, 1, 1)
images = (images - mean) / std
"""
FEATURES = """\
with torch.no_grad():
    h = net(images)  # one row per image
"""


def code(config: TrialConfig) -> str:
    """Return a script that loads the encoder of a trial, in the directory of ``model.safetensors``, and runs it.

    It leaves the encoder in ``net`` and the representations of two random images in ``h``.
    """
    encoder, size, channels = config.encoder, config.image_size, config.data.channels
    width, times = encoder.width, encoder.width // WIDTHS[1]
    if encoder.name == "resnet8":
        built = RESNET8.replace("{channels}", str(channels)).replace("{width}", str(width))
    elif encoder.name.startswith("timm:"):
        built = TIMM.format(name=encoder.name.removeprefix("timm:"), size=size, channels=channels)
    elif encoder.is_foreign:
        module, _, function = encoder.name.partition(":")
        built = OWN.format(module=module, function=function)
    else:
        small = size <= SMALL_IMAGE
        kernel, stride, padding = (3, 1, 1) if small else (7, 2, 3)
        built = TORCHVISION.format(name=encoder.name) + WIDE.format(width=width, times=times) * (times > 1)
        if small or channels != 3 or times > 1:
            built += STEM.format(channels=channels, width=width, kernel=kernel, stride=stride, padding=padding)
        built += NO_POOL * small
    normalised = ""
    if encoder.normalize:
        normalised = NORMALISED.format(mean=list(encoder.normalize.mean), std=list(encoder.normalize.std))
    return built + WEIGHTS.format(channels=channels, size=size) + normalised + FEATURES
