from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import submitit

from tests.slurm.cluster import Cluster
from tests.slurm.ops import announce, register_here
from tests.slurm.sweeps import Held, Sweeps


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One for all tests, so each leaves its nodes up and its jobs ended. Without Slurm it fails rather than skips."""
    with Cluster() as started:
        yield started


@pytest.fixture
def on_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """This process is one that uses the cluster, for submitit; jobs that the test leaves are cancelled."""
    for name in set(os.environ) - set(cluster.env):
        monkeypatch.delenv(name)
    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)
    # submitit asks sacct after 2, 4, 8 ... up to 600 s.
    monkeypatch.setattr(submitit.SlurmJob.watcher, "_delay_s", 2)
    yield cluster
    cluster.repair()


@pytest.fixture(scope="module")
def sweeps(
    cluster: Cluster, tiny_folder: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sweeps]:
    with pytest.MonkeyPatch.context() as patch:
        register_here(patch)
        yield Sweeps(cluster, tiny_folder, cache, announce(tmp_path_factory.mktemp("plugins")))


@pytest.fixture
def held(sweeps: Sweeps, tmp_path: Path) -> Held:
    return Held(sweeps, tmp_path)


@pytest.fixture
def leave_it_in_order(cluster: Cluster) -> Iterator[None]:
    """Start what a test has killed, and end its jobs."""
    yield
    cluster.repair()
