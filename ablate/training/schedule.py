"""Linear warm-up, then cosine decay to zero without restarts (paper, section 2.2 and appendix B.6)."""

from __future__ import annotations

import math


def learning_rate(step: int, steps: int, warmup_steps: int, peak: float) -> float:
    """Return the learning rate of one step: ``peak`` at the end of the warm-up, near 0 at the end of training.

    Args:
        step: the number of the step, from 0.
        steps: the number of all steps.
        warmup_steps: the number of steps in the warm-up.
        peak: the highest learning rate.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, steps - warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
