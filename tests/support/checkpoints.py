"""State dicts with the names of well-known checkpoints, drawn at random: real ones are too large for tests."""

from __future__ import annotations

import torch


def drawn(make, seed=1, **settings):
    """The state dict of ``make(**settings)``, with running statistics that a training could have left."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = make(**settings).state_dict()
        for name, value in state.items():
            if name.endswith("running_mean"):
                value.normal_(0, 0.1)
            elif name.endswith("running_var"):
                value.uniform_(0.5, 1.5)
    return state


def body(state):
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def behind(prefix, state):
    return {f"{prefix}{name}": value for name, value in state.items()}


def moco(state):
    """MoCo v2's ``checkpoint_0199.pth.tar``: two encoders behind the prefix of DataParallel, and the queue."""
    momentum = {name: value + 1 if value.is_floating_point() else value for name, value in body(state).items()}
    tensors = behind("module.encoder_q.", body(state)) | behind("module.encoder_k.", momentum)
    tensors |= {"module.encoder_q.fc.0.weight": torch.zeros(4, 4), "module.queue": torch.zeros(8, 4)}
    return {"epoch": 200, "arch": "resnet", "state_dict": tensors, "optimizer": {"state": {}}}


def lightning(state):
    """solo-learn's ``last.ckpt``."""
    tensors = behind("backbone.", body(state)) | {
        "projector.0.weight": torch.zeros(4, 4),
        "classifier.weight": torch.ones(3, 4),
    }
    return {"state_dict": tensors, "epoch": 3, "hyper_parameters": {"method": "byol"}}


def numbered(state):
    """lightly's examples: ``nn.Sequential(*list(resnet.children())[:-1])``."""
    places = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
    renamed = {}
    for name, value in body(state).items():
        first, _, rest = name.partition(".")
        renamed[f"backbone.{places[first]}.{rest}"] = value
    return renamed | {"projection_head.layers.0.weight": torch.zeros(4, 4)}
