"""Submitting to a fake Slurm: what sbatch is given, what is repaired, how little the scheduler is asked."""

from __future__ import annotations

import pickle
import subprocess
import time

import pytest

from ablate.errors import ClusterError, UsageError
from ablate.launch.slurm import cluster, submit
from ablate.launch.slurm.answers import job_id_in
from ablate.sweep.attempts import Attempt
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import claim
from ablate.sweep.plan import load_plan

COMMANDS = ("sbatch", "squeue", "sacct", "scontrol", "scancel", "sacctmgr", "srun")


def calls(fake_slurm):
    return {command: count for command in COMMANDS if (count := fake_slurm.calls(command))}


def test_one_array_holds_every_trial_and_says_so(sweep, fake_slurm):
    assert sweep.submit(partition="urgent", memory="4G", cpus=2) == 0
    (job,) = fake_slurm.jobs()
    assert "submitted 10 jobs for 10 trials: 4001 (partition urgent, CPUs only, 2 cores, 4G" in sweep.said
    assert "ablate cancel" in sweep.said
    (submission,) = sweep.submissions()
    assert [trial for pack in submission.packs for trial in pack] == sweep.trials
    assert [(array.first, array.count, array.job_id) for array in submission.arrays] == [(0, 10, "4001")]
    assert job["name"] == submission.arrays[0].name == f"ablate-my_sweep-{submission.token}-0"
    assert load_plan(sweep.directory).slurm == sweep.experiment.slurm
    assert sweep.pickles() == sorted(f"4001_{n}_submitted.pkl" for n in range(10))


def test_a_pickle_carries_a_directory_and_a_number(sweep, fake_slurm):
    sweep.submit(trials_per_job=5)
    (submission,) = sweep.submissions()
    path = sweep.directory / "jobs" / submission.token / "4001_1_submitted.pkl"
    job = pickle.loads(path.read_bytes()).function
    assert vars(job) == {"directory": str(sweep.directory), "token": submission.token, "number": 1}
    assert path.stat().st_size < 1000


def test_what_sbatch_is_given(sweep, fake_slurm):
    with fake_slurm.state() as state:
        state["assoc"][0]["Account"] = "lab"
    sweep.submit(
        gpus=2,
        cpus=4,
        nodes=3,
        time=90,
        grace=120,
        max_parallel=4,
        account="lab",
        qos="normal",
        constraint="a100|h100",
        setup=("module load cuda",),
        container="apptainer exec --nv image.sif",
        extra={"nice": 5, "exclusive": True},
    )
    script = fake_slurm.jobs()[0]["script"]
    options = ["--time=90", "--nodes=3", "--ntasks-per-node=1", "--cpus-per-task=4", "--gpus-per-node=2", "--requeue"]
    options += ["--account=lab", "--qos=normal", "--constraint='a100|h100'", "--signal=USR2@120", "--array=0-9%4"]
    for line in [*options, "--open-mode=append", "--nice=5", "--exclusive"]:
        assert f"#SBATCH {line}\n" in script
    for word in ("wckey", "--mem", "partition"):
        assert word not in script
    command = script.splitlines()[-1]
    assert "module load cuda\n" in script
    assert command.startswith("srun --unbuffered ")
    assert " --kill-on-bad-exit=1 --cpus-per-task=4 " in command
    assert """ sh -c 'trap "" USR2; exec "$0" "$@"' apptainer exec --nv image.sif """ in command


def test_a_signal_before_python_listens_does_not_end_it():
    from ablate.launch.slurm.script import DEAF

    python = "import os, signal; os.kill(os.getpid(), signal.SIGUSR2); print('alive')"
    done = subprocess.run(["sh", "-c", DEAF, "python3", "-c", python], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_one_job_is_no_array(sweep, fake_slurm):
    sweep.submit(trials_per_job=10)
    assert "--array" not in fake_slurm.jobs()[0]["script"]
    assert sweep.pickles() == ["4001_submitted.pkl"]
    assert sweep.submit() == 0
    assert len(fake_slurm.jobs()) == 1


def test_variables_of_sbatch_do_not_overrule_what_was_asked_for(sweep, fake_slurm, monkeypatch):
    for name in ("SBATCH_PARTITION", "SBATCH_TIMELIMIT", "SBATCH_ACCOUNT", "SBATCH_ARRAY_INX", "SBATCH_WAIT"):
        monkeypatch.setenv(name, "other")
    sweep.submit(partition="main")
    environment = fake_slurm.jobs()[0]["environment"]
    assert {name for name in environment if name.startswith("SBATCH_")} == {"SBATCH_ACCOUNT"}


def test_a_job_that_is_submitted_from_a_job_has_nothing_of_that_one(sweep, fake_slurm, monkeypatch):
    leaked = ["SLURM_CPU_BIND", "SLURM_CPUS_PER_TASK", "SLURM_MEM_PER_NODE", "SLURM_JOB_ID", "PMIX_RANK", "SRUN_DEBUG"]
    for name in leaked:
        monkeypatch.setenv(name, "3")
    monkeypatch.setenv("SLURM_CONF", "/site/slurm.conf")
    sweep.submit()
    environment = fake_slurm.jobs()[0]["environment"]
    assert not set(leaked) & set(environment)
    assert environment["SLURM_CONF"] == "/site/slurm.conf"


@pytest.mark.parametrize(
    "answer",
    [
        "4001\n",
        "4001;big\n",
        "*** Welcome to the cluster; 3 jobs of yours are queued ***\n4001;big\n",
        "Project p12 has 100 hours left\n\n4001\n",
        "Submitted batch job 4001\n",
        "Submitted batch job 4001 on cluster big\n",
    ],
)
def test_a_job_id_is_found_below_what_a_site_prints(answer):
    assert job_id_in(answer) == "4001"


@pytest.mark.parametrize("answer", ["", "\n", "queue is full", "job 12 is held", "12 jobs"])
def test_what_is_no_job_id_is_not_taken_for_one(answer):
    with pytest.raises(ClusterError, match="not a job id"):
        job_id_in(answer)


def test_ten_thousand_trials_take_a_handful_of_calls(sweep, fake_slurm, monkeypatch):
    monkeypatch.setattr(submit, "hand_over", lambda *_: None)
    many = sweep.experiment.model_copy(update={"seeds": tuple(range(2000))})
    sweep.experiment = many
    assert sweep.submit() == 0
    assert len(sweep.trials) == 10_000
    assert calls(fake_slurm) == {"sbatch": 10, "squeue": 1, "scontrol": 2, "sacctmgr": 1}
    assert sum(len(job["tasks"]) for job in fake_slurm.jobs()) == 10_000
    assert sorted(sweep.placed()) == sorted(sweep.trials)


def test_the_same_command_again_submits_nothing(sweep, fake_slurm):
    sweep.submit()
    assert sweep.submit() == 0
    assert "nothing to submit" in sweep.said
    assert "of these, 10 queued or running already" in sweep.said
    assert fake_slurm.calls("sbatch") == 1


def test_only_what_is_missing_is_submitted(sweep, fake_slurm):
    sweep.submit()
    fake_slurm.set_state("4001", "COMPLETED")
    for trial in sweep.trials[:6]:
        sweep.record(trial)
    sweep.record(sweep.trials[6], "failed")
    fake_slurm.set_state("4001", "RUNNING", 7)
    fake_slurm.set_state("4001", "NODE_FAIL", 8, sacct="NODE_FAIL")
    assert sweep.submit() == 0
    assert list(sweep.submissions()[1].packs) == [(sweep.trials[9],)]
    fake_slurm.set_state("4011", "COMPLETED")
    sweep.record(sweep.trials[9])
    fake_slurm.set_state("4001", "CANCELLED")
    assert sweep.submit(retry_failed=True) == 0
    assert list(sweep.submissions()[2].packs) == [(trial,) for trial in sweep.trials[6:9]]


def test_when_all_is_done_nothing_is_submitted(sweep, fake_slurm):
    sweep.submit()
    fake_slurm.set_state("4001", "COMPLETED")
    for trial in sweep.trials:
        sweep.record(trial)
    assert sweep.submit() == 0
    assert "nothing to submit" in sweep.said
    sweep.record(sweep.trials[0], "failed")
    assert sweep.submit() == 1
    assert fake_slurm.calls("sbatch") == 1


def test_a_job_id_that_was_given_to_another_job_is_not_believed(sweep, fake_slurm):
    sweep.submit()
    with fake_slurm.state() as state:
        state["jobs"]["4001"]["name"] = "somebody-elses"
    sweep.submit()
    assert fake_slurm.calls("sbatch") == 2


def test_a_trial_that_somebody_is_at_work_on_is_left_to_them(sweep, fake_slurm):
    sweep.submit()
    fake_slurm.set_state("4001", "CANCELLED")
    with claim(sweep.directory, sweep.trials[3]):
        sweep.submit()
    assert list(sweep.submissions()[1].packs) == [(t,) for t in sweep.trials if t != sweep.trials[3]]


def hold(sweep, number, job):
    """As a job on another machine leaves it that was killed a moment ago."""
    folder = SweepDir(sweep.directory).begun(sweep.trials[number])
    folder.mkdir(parents=True)
    attempt = Attempt(number=2, host="node", user="me", machine="elsewhere", pid=7, born=7, job=job, began=time.time())
    (folder / "attempt-2.json").write_text(attempt.model_dump_json())


def test_a_killed_jobs_trials_are_free_at_once(sweep, fake_slurm):
    sweep.submit()
    fake_slurm.set_state("4001", "CANCELLED")
    hold(sweep, 3, "4001_3")
    sweep.submit()
    assert len(sweep.submissions()[1].packs) == 10


def test_a_job_that_had_too_little_memory_is_a_failure_with_advice(sweep, fake_slurm):
    sweep.submit(memory="4G")
    fake_slurm.set_state("4001", "OUT_OF_MEMORY", 3)
    fake_slurm.set_state("4001", "CANCELLED", 4)
    hold(sweep, 3, "4001_3")
    hold(sweep, 4, "4001_4")
    assert sweep.submit() == 0
    record = sweep.result(sweep.trials[3])
    assert (record.status, record.attempts, record.error.type) == ("failed", 2, "OutOfMemory")
    for word in ("4001_3", "4G", "--mem", "batch_size", "micro_batch", "side by side"):
        assert word in record.error.message
    assert sweep.submissions()[1].packs == ((sweep.trials[4],),)
    assert fake_slurm.calls("sacct") == 1


def test_without_accounting_a_killed_job_runs_again(sweep, fake_slurm):
    sweep.submit()
    fake_slurm.set_state("4001", "OUT_OF_MEMORY", 3)
    hold(sweep, 3, "4001_3")
    with fake_slurm.state() as state:
        state["accounting"] = False
    assert sweep.submit() == 0
    assert sweep.submissions()[1].packs == ((sweep.trials[3],),)


def test_without_accounting_the_jobs_own_log_tells_of_memory(sweep, fake_slurm):
    sweep.submit()
    fake_slurm.set_state("4001", "OUT_OF_MEMORY", 3)
    hold(sweep, 3, "4001_3")
    fake_slurm.remove("sacct")
    folder = sweep.directory / "jobs" / sweep.submissions()[0].token
    words = "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=4001.0.\n"
    (folder / "4001_3_0_log.err").write_text(words)
    assert sweep.submit() == 0
    assert sweep.result(sweep.trials[3]).error.type == "OutOfMemory"
    assert len(sweep.submissions()) == 1


class Crash(BaseException):
    pass


def crash(*_, **__):
    raise Crash


@pytest.mark.parametrize("where", ["batch_script", "_with_id", "hand_over"])
def test_a_crash_on_the_way_is_repaired_by_the_same_command(sweep, fake_slurm, monkeypatch, where):
    """Between token and sbatch; between sbatch and the id; between the id and the pickles."""
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(submit, where, crash)
        sweep.submit()
    jobs = len(fake_slurm.jobs())
    assert jobs == (0 if where == "batch_script" else 1)
    assert sweep.submit() == 0
    assert len(fake_slurm.jobs()) == 1
    assert [array.job_id for submission in sweep.submissions() for array in submission.arrays] == ["4001"]
    assert sorted(sweep.placed()) == sorted(sweep.trials)
    assert len(sweep.pickles()) == 10


def test_a_crash_between_two_arrays_leaves_nothing_out_and_nothing_twice(sweep, fake_slurm, monkeypatch):
    with fake_slurm.state() as state:
        state["config"]["MaxArraySize"] = 4
    real, taken = cluster.submit, []

    def once(*args, **kwargs):
        if taken:
            raise Crash
        taken.append(1)
        return real(*args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(cluster, "submit", once)
        sweep.submit()
    assert sweep.submit() == 0
    assert sorted(sweep.placed()) == sorted(sweep.trials)
    assert [len(job["tasks"]) for job in fake_slurm.jobs()] == [3, 3, 4]


def test_an_answer_that_was_lost_submits_nothing_twice(sweep, fake_slurm, hasty):
    fake_slurm.lose_answer()
    assert sweep.submit() == 0
    assert "the Slurm controller does not answer (Batch job submission failed: Socket timed out" in sweep.said
    assert fake_slurm.calls("sbatch") == 1
    assert [array.job_id for array in sweep.submissions()[0].arrays] == ["4001"]


def test_a_controller_that_is_away_for_a_while_is_waited_for_with_one_word(sweep, fake_slurm, hasty):
    fake_slurm.fail("squeue", times=2)
    fake_slurm.fail(
        "sbatch",
        times=2,
        stderr="sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
    )
    assert sweep.submit() == 0
    assert sweep.said.count("trying again for up to 3 minutes") == 2
    assert len(fake_slurm.jobs()) == 1


def test_a_controller_that_stays_away_is_one_sentence_and_leaves_nothing(sweep, fake_slurm, hasty, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    fake_slurm.fail("squeue", times=99)
    with pytest.raises(ClusterError, match=r"does not answer .*; try again later"):
        sweep.submit()
    assert [path.name for path in sweep.directory.iterdir()] == [".lock"]


def test_a_command_that_hangs_counts_as_no_answer(fake_slurm, hasty, monkeypatch):
    monkeypatch.setattr(cluster, "TIMEOUT", 0.2)
    fake_slurm.slow("squeue", 3)
    with pytest.raises(ClusterError, match=r"squeue took more than 0\.2 s"):
        cluster.queue(["me"], patience=0)


@pytest.mark.parametrize(
    ("slurm", "words"),
    [
        ({"qos": "gold"}, ["sbatch refused", "Invalid qos specification"]),
        ({"account": "nobody"}, ["sbatch refused", "Invalid account"]),
        ({"extra": {"colour": "blue"}}, ["sbatch refused", "unrecognized option '--colour"]),
    ],
)
def test_what_sbatch_refuses_is_said_in_its_words_and_leaves_nothing(sweep, fake_slurm, slurm, words):
    with pytest.raises(UsageError) as error:
        sweep.submit(**slurm)
    assert "\n" not in str(error.value)
    for word in [*words, "nothing was submitted"]:
        assert word in str(error.value)
    assert not list(sweep.directory.glob("jobs/*"))
    assert load_plan(sweep.directory).slurm is None


def test_a_partition_that_there_is_not_and_a_time_that_it_does_not_allow(sweep, fake_slurm):
    with pytest.raises(UsageError, match="unknown partition 'man'; allowed: main, urgent; did you mean 'main'"):
        sweep.submit(partition="man")
    with fake_slurm.state() as state:
        state["partitions"]["main"]["max_minutes"] = 120
    with pytest.raises(UsageError, match=r"jobs in the default partition may run 2 h 00 min at most \(--time 120\)"):
        sweep.submit(partition=None)
    assert not fake_slurm.calls("sbatch")


def test_jobs_grow_until_they_fit_the_users_limit(sweep, fake_slurm):
    with fake_slurm.state() as state:
        state["assoc"][0]["MaxSubmitJobs"] = "4"
    sweep.submit()
    assert [len(pack) for pack in sweep.submissions()[0].packs] == [3, 3, 3, 1]


def test_a_limit_of_the_qos_counts(sweep, fake_slurm):
    with fake_slurm.state() as state:
        state["qos"][0]["MaxSubmitJobsPU"] = "2"
    sweep.submit(qos="normal")
    assert [len(pack) for pack in sweep.submissions()[0].packs] == [5, 5]


def test_what_does_not_fit_is_left_for_later(sweep, fake_slurm):
    with fake_slurm.state() as state:
        state["assoc"][0]["MaxSubmitJobs"] = "4"
    assert sweep.submit(trials_per_job=1) == 0
    assert "6 trials are left" in sweep.said
    assert "--trials-per-job" in sweep.said
    with pytest.raises(UsageError, match="as many jobs in the queue as the cluster allows; 6 trials are left"):
        sweep.submit()
    fake_slurm.set_state("4001", "COMPLETED")
    for trial in sweep.trials[:4]:
        sweep.record(trial)
    sweep.submit()
    assert sweep.submissions()[1].packs == tuple((trial,) for trial in sweep.trials[4:8])


def test_a_limit_that_is_met_on_the_way_keeps_what_was_taken(sweep, fake_slurm):
    with fake_slurm.state() as state:
        state["config"]["MaxArraySize"] = 4
    fake_slurm.remove("sacctmgr")
    with fake_slurm.state() as state:
        state["assoc"][0]["MaxSubmitJobs"] = "4"
    assert sweep.submit() == 1
    assert "submitted 3 jobs for 3 trials" in sweep.said
    assert "AssocMaxSubmitJobLimit" in sweep.said
    assert "7 trials are left" in sweep.said
    assert sorted(sweep.placed()) == sorted(sweep.trials[:3])


def test_a_directory_that_slurm_would_take_for_a_pattern(sweep):
    sweep.directory = sweep.directory.parent / "100%j"
    with pytest.raises(UsageError, match="%"):
        sweep.submit()
    assert not sweep.directory.exists()


def test_two_commands_at_once(sweep, fake_slurm):
    from ablate.sweep.lock import sole_user

    sweep.directory.mkdir()
    with sole_user(sweep.directory), pytest.raises(UsageError, match="another ablate command is at work"):
        sweep.submit()


def test_what_narrows_a_users_own_squeue_does_not_narrow_ours(sweep, fake_slurm, monkeypatch):
    sweep.submit()
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    seen = []
    real = cluster.subprocess.run
    monkeypatch.setattr(cluster.subprocess, "run", lambda *args, **kw: seen.append(kw["env"]) or real(*args, **kw))
    assert len(cluster.queue([cluster.me(), "a-user-of-another-cluster"])) == 10
    assert "SQUEUE_STATES" not in seen[0]


def test_a_disk_that_is_full_is_one_sentence(sweep, fake_slurm, monkeypatch):
    from ablate.errors import DiskError
    from ablate.launch.slurm import script

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(DiskError, match="No space left"):
        patch.setattr(script, "_pickle", full)
        sweep.submit()
    assert sweep.submit() == 0
    assert len(fake_slurm.jobs()) == 1
    assert len(sweep.pickles()) == 10
