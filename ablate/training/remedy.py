"""The setting that is the likely reason for a training that diverged."""

from __future__ import annotations

from ablate.config.objectives import kind_of
from ablate.config.trial import TrialConfig


def remedy(config: TrialConfig) -> str:
    """Name the setting that is the likely reason for a loss that is not finite."""
    optimiser = config.optimiser
    if "temperature" in kind_of(config.objective).settings and not 0.01 <= config.temperature <= 10:
        return f"the temperature is {config.temperature:g}; 0.05 to 1 are common"
    if optimiser.weight_decay > 0.1 and optimiser.lr * optimiser.weight_decay >= 1:
        return f"weight decay {optimiser.weight_decay:g} at learning rate {optimiser.lr:g} is too strong"
    return f"a learning rate below {optimiser.lr:g} may help"
