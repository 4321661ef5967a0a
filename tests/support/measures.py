"""Sentences that speak of accuracy, where another measure may have chosen."""

from __future__ import annotations

ONE_MEASURE = r"\b(validation|test|linear|final|full|its|the) accuracy\b|\baccuracy (rises|falls)\b|^Accuracy by\b"
