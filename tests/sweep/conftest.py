from __future__ import annotations

from tests.sweep.stub_worker import stub_worker  # noqa: F401  # a fixture
