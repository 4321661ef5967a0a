"""Linear warm-up, then cosine decay to zero without restarts (paper, section 2.2 and appendix B.6)."""

from __future__ import annotations

import math


def learning_rate(step: int, steps: int, warmup_steps: int, peak: float) -> float:
    """The learning rate of ``step`` (from 0) of ``steps``: ``peak`` at the end of the warm-up, near 0 at the end."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, steps - warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
