"""The kernel's count of processes that it killed for lack of memory, in made-up trees of control groups."""

from __future__ import annotations

import pytest

from ablate.launch import oom as memory
from ablate.launch.oom import oom_kills


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Once called, this process is a member of groups as ``/proc/self/cgroup`` says; ``files`` are what those say."""

    def install(membership, files):
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "membership")
        monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
        return tmp_path / "cgroup"

    return install


def events(kills):
    return f"low 0\nhigh 0\nmax 60\noom 70\noom_kill {kills}\noom_group_kill 80\n"


TASK = "system.slice/slurmstepd.scope/job_17/step_0/user/task_0"


def test_version_2_counts_a_kill_once_and_no_other_jobs(kernel):
    """``memory.events`` also counts what happens below, so that every level would repeat it; its like does not."""
    job = "system.slice/slurmstepd.scope/job_17"
    root = kernel(
        f"0::/{TASK}\n",
        {
            f"{TASK}/memory.events.local": events(2),
            f"{TASK}/memory.events": events(2),
            f"{job}/memory.events.local": events(0),
            f"{job}/memory.events": events(2),
            "system.slice/slurmstepd.scope/memory.events": events(9),
            "system.slice/slurmstepd.scope/job_18/memory.events.local": events(7),
        },
    )
    assert oom_kills() == 2
    (root / job / "memory.events.local").write_text(events(1))
    assert oom_kills() == 3


def test_version_1_counts_in_the_memory_groups_alone(kernel):
    step, text = "slurm/uid_0/job_17/step_0", "oom_kill_disable 0\nunder_oom 1\noom_kill {}\n"
    kernel(
        f"12:pids:/other\n5:cpu,memory:/{step}\n1:name=systemd:/a:b\n0::/\n",
        {
            f"memory/{step}/memory.oom_control": text.format(1),
            "memory/slurm/uid_0/job_17/memory.oom_control": text.format(3),
            "memory/slurm/uid_0/job_18/memory.oom_control": text.format(100),
            "memory/other/memory.oom_control": text.format(100),
            "memory.oom_control": text.format(100),
        },
    )
    assert oom_kills() == 4


@pytest.mark.parametrize("membership", ["", "0::/gone\n", "5:memory:/gone\n", "0::/odd\n"])
def test_nothing_is_counted_where_the_kernel_does_not_say(kernel, membership):
    kernel(membership, {"odd/memory.events.local": "oom_kill many\nand more words\n"})
    assert oom_kills() == 0


def test_nothing_is_counted_without_control_groups(kernel, tmp_path):
    kernel("", {})
    (tmp_path / "membership").unlink()
    assert oom_kills() == 0


def test_in_a_container_its_own_root_counts(kernel):
    kernel("0::/\n", {"memory.events.local": events(4)})
    assert oom_kills() == 4
