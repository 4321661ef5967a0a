from __future__ import annotations

from tests.support.fake_slurm import fake_slurm  # noqa: F401  # a fixture
from tests.sweep.stub_worker import stub_worker  # noqa: F401  # a fixture
