"""The identity of a made-up data set."""

from __future__ import annotations

from ablate.config.trial import DataIdentity

DATA = DataIdentity(name="x", fingerprint="f", classes=2)
