"""Look for no cycles of objects while tests are imported and collected: that would take half of the time.

Hardly any of these objects ever become garbage, and the more there are, the longer each look takes.
"""

from __future__ import annotations

import gc

gc.disable()


def look_again() -> None:
    """Look for cycles among what is made from here on: the rest stays to the end."""
    gc.collect()
    gc.freeze()
    gc.enable()
