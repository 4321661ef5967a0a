"""torch's optimisers without what prepares them for torch.compile: its import takes a second of CPU in each process.

torch wraps these methods so that a compiled caller leaves them out, and the first call of one imports
``torch._dynamo``. No optimiser of ours is called from compiled code. The updates are torch's own, to the bit.
"""

from __future__ import annotations

from inspect import unwrap

import torch


class EagerOptimizer(torch.optim.Optimizer):
    """The base of our optimisers, and in front of one of torch's the class that takes its wrappers off."""

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)


class SGD(EagerOptimizer, torch.optim.SGD):
    """SGD with momentum."""

    step = torch.no_grad()(unwrap(torch.optim.SGD.step))


class AdamW(EagerOptimizer, torch.optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


class LBFGS(EagerOptimizer, torch.optim.LBFGS):
    """Limited-memory BFGS."""

    step = torch.no_grad()(unwrap(torch.optim.LBFGS.step))
