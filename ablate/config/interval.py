"""What intervals hold: other seeds, other images of the kind, or both."""

from __future__ import annotations

from typing import Literal

Interval = Literal["both", "seeds", "images"]
"""``seeds``: other seeds, these images; ``images``: other images, these encoders; ``both``: other seeds and images."""
