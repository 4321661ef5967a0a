from __future__ import annotations

from ablate.evaluation.collapse import COLLAPSED, COLLAPSED_Z
from ablate.evaluation.protocols import PROTOCOLS
from ablate.report.data.flags import explained


def test_every_flag_is_explained():
    flags = {flag for protocol in PROTOCOLS.values() for flag in protocol.flags} | {COLLAPSED, COLLAPSED_Z}
    assert {COLLAPSED, COLLAPSED_Z, "l2-at-edge"} <= flags
    assert all(explained(flag) and explained(f"z-{flag}") == explained(flag) for flag in flags)
    assert explained("unheard-of") == ""
