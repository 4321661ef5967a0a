"""Slurm's commands without a cluster, over one JSON file: each of them is one that ablate issues. Add both or neither.

``tests/sweep/test_fake_slurm.py`` compares the command lines and the batch script's options with those of ablate,
``tests/slurm/test_fake.py`` compares the answers with those of a real Slurm. ``fake_slurm`` runs this file as a script;
it imports light modules only, so that a call costs tens of milliseconds.
"""

# Paths are plain strings, as importing pathlib takes 10 ms.
# ruff: noqa: PTH105, PTH123
from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import re
import shlex
import signal
import sys
import time

OPTIONS = """
account array constraint cpus-per-task error exclusive gpus-per-node job-name mem nice nodes ntasks-per-node open-mode
output partition qos requeue signal time
"""
"""The options that a batch script may have in its #SBATCH lines: those that ablate writes, and users' own in tests."""
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL")
NODE = "127.0.0.1"
UNKNOWN_ID = "Invalid job id specified"


class SlurmError(Exception):
    """What a command prints before it exits with ``code``."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code


@contextlib.contextmanager
def locked(directory):
    """The fake's state as a dictionary, written back at the end; one process at a time."""
    with open(f"{directory}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open(f"{directory}/state.json") as file:
            before = file.read()
        state = json.loads(before)
        yield state
        after = json.dumps(state)
        if after != before:
            with open(f"{directory}/state.json.new", "w") as file:
                file.write(after)
            os.replace(f"{directory}/state.json.new", f"{directory}/state.json")


def user():
    return pwd.getpwuid(os.getuid()).pw_name


# Jobs and their tasks. A job that is no array has one task, with an empty index.


def selected(state, name):
    """The (job, index) that an id names: ``12`` or ``12_3``, or a task's own, by which submitit requeues it.

    Raises KeyError.
    """
    main, _, index = name.partition("_")
    for job in state["jobs"].values():
        for each, task in job["tasks"].items():
            if task["raw_id"] == name and name not in state["jobs"]:
                return [(job, each)]
    job = state["jobs"][main]
    if index and index not in job["tasks"]:
        raise KeyError(name)
    return [(job, index)] if index else [(job, each) for each in job["tasks"]]


def change(job, index, state, reason=None, sacct=None):
    """Move a task to ``state``, with the side effects that Slurm's change has."""
    task = job["tasks"][index]
    if state == "PENDING" and task["state"] != "PENDING":
        task.update(restarts=task["restarts"] + 1, pid=None)
    reason = reason or {"FAILED": "NonZeroExitCode", "TIMEOUT": "TimeLimit"}.get(state, "None")
    task.update(state=state, reason=reason, sacct=sacct)


def end(task):
    """Send SIGTERM to the processes of a task that ``fake.start`` runs."""
    if task["pid"]:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(task["pid"], signal.SIGTERM)


def collapsed(indices):
    """``["0", "1", "2", "5"]`` -> ``0-2,5``."""
    runs = []
    for number in map(int, indices):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def expanded(text):
    """``0-2,5%k`` -> ``["0", "1", "2", "5"]`` and ``%k``, which may be missing."""
    ranges, percent, limit = text.partition("%")
    bounds = [part.partition("-") for part in ranges.split(",")]
    return [str(i) for first, _, last in bounds for i in range(int(first), int(last or first) + 1)], percent + limit


# squeue and sacct


def jobs_of(state, users):
    """A line for each task of the jobs of ``users``."""
    for job in state["jobs"].values():
        for index, task in job["tasks"].items():
            if job["user"] in users.split(","):
                columns = (job["id"], index or "N/A", task["state"], job["user"], task["reason"], job["name"])
                print("|".join(columns))


def jobs_named(state, name):
    """The id of each job called ``name``: one line for the tasks that wait, and one for each of the others."""
    for job in state["jobs"].values():
        if job["name"] == name:
            print("\n".join(job["id"] for _ in rows(job)))


def rows(job):
    """The indices in each line of a listing: tasks of an array that wait share a line."""
    waiting = [index for index, task in job["tasks"].items() if index and task["state"] == "PENDING"]
    return [waiting] * bool(waiting) + [[index] for index in job["tasks"] if index not in waiting]


def endings(state, job_ids):
    if not state["accounting"]:
        raise SlurmError("Slurm accounting storage is disabled")
    for job in state["jobs"].values():
        if job["id"] in job_ids.split(","):
            for indices in rows(job):
                task = job["tasks"][indices[0]]
                name = job["id"]
                if indices[0]:
                    waits = task["state"] == "PENDING"
                    name += f"_[{collapsed(indices)}{job['throttle']}]" if waits else f"_{indices[0]}"
                ended = task["sacct"] or task["state"]
                print(f"{name}|{f'CANCELLED by {os.getuid()}' if ended == 'CANCELLED' else ended}")


# sbatch


def submit(state, script):
    try:
        with open(script) as file:
            text = file.read()
    except OSError:
        raise SlurmError(f"sbatch: error: Unable to open file {script}") from None
    job = new_job(state, text)
    refuse(state, job)
    state["jobs"][job["id"]] = job
    state["next"] += len(job["tasks"])
    if state["lost_answers"]:
        state["lost_answers"] -= 1
        raise SlurmError(failed("Socket timed out on send/recv operation"))
    print(job["id"])


def options_in(script):
    """The #SBATCH lines before the first command, as a dictionary."""
    found = {}
    for line in script.splitlines():
        if line.startswith("#SBATCH "):
            for word in shlex.split(line.removeprefix("#SBATCH ")):
                name, _, value = word.removeprefix("--").partition("=")
                if name not in OPTIONS.split():
                    text = f"sbatch: unrecognized option '{word}'\nTry \"sbatch --help\" for more information"
                    raise SlurmError(text, 255)
                found[name] = value
        elif line and not line.startswith("#"):
            break
    return found


def new_job(state, script):
    options, number = options_in(script), state["next"]
    indices, throttle = expanded(options["array"]) if "array" in options else ([""], "")
    # The last task of an array to start keeps the array's own id.
    raw = [number + 1 + i for i in range(len(indices) - 1)] + [number]
    task = {"state": "PENDING", "reason": "None", "restarts": 0, "sacct": None, "pid": None}
    return {
        "id": str(number),
        "name": options["job-name"],
        "user": user(),
        "options": options,
        "tasks": {index: {"raw_id": str(raw_id), **task} for index, raw_id in zip(indices, raw, strict=True)},
        "throttle": throttle,
        "script": script,
        "directory": os.getcwd(),  # noqa: PTH109
        "environment": dict(os.environ),
    }


def refuse(state, job):
    """What Slurm checks before it accepts a job."""
    options = job["options"]
    if options.get("partition", "main") not in state["partitions"]:
        text = f"sbatch: error: invalid partition specified: {options['partition']}"
        raise SlurmError(f"{text}\n{failed('Invalid partition name specified')}")
    if any(int(index or 0) >= state["config"]["MaxArraySize"] for index in job["tasks"]):
        raise SlurmError(failed("Invalid job array specification"))
    limit = state["assoc"][0]["MaxSubmitJobs"]
    open_tasks = [t for j in state["jobs"].values() for t in j["tasks"].values() if t["state"] not in ENDED]
    if limit and len(open_tasks) + len(job["tasks"]) > int(limit):
        reason = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
        raise SlurmError(f"sbatch: error: AssocMaxSubmitJobLimit\n{failed(reason)}")
    if options.get("qos", "normal") not in {qos["Name"] for qos in state["qos"]}:
        raise SlurmError(failed("Invalid qos specification"))
    accounts = [row["Account"] for row in state["assoc"]]
    if options.get("account", accounts[0]) not in accounts:
        raise SlurmError(failed("Invalid account or account/partition combination specified"))


def failed(reason):
    return f"sbatch: error: Batch job submission failed: {reason}"


# scontrol and scancel


def configuration(state):
    for key, value in state["config"].items():
        print(f"{key:<23} = {value}")


def partitions(state):
    for name, row in state["partitions"].items():
        minutes = row["max_minutes"]
        limit = f"{minutes // 60:02}:{minutes % 60:02}:00" if minutes else "UNLIMITED"
        print(f"PartitionName={name} Default={'YES' if row['default'] else 'NO'} QoS=N/A MaxTime={limit} ")


def requeue(state, job_id):
    try:
        chosen = selected(state, job_id)
    except KeyError:
        raise SlurmError(f"{job_id}: {UNKNOWN_ID}" if "_" in job_id else f"{UNKNOWN_ID} for job {job_id}") from None
    for job, index in chosen:
        if job["tasks"][index]["state"] == "PENDING":
            raise SlurmError(f"Job is pending execution for job {job_id}")
        end(job["tasks"][index])
        change(job, index, "PENDING", "BeginTime")


def cancel(state, job_ids):
    """An id that is unknown, or that of an ended job, is no error."""
    for name in job_ids.split("\0"):
        with contextlib.suppress(KeyError):
            for job, index in selected(state, name):
                if job["tasks"][index]["state"] not in ENDED:
                    end(job["tasks"][index])
                    change(job, index, "CANCELLED")


# sacctmgr


def limits_of_user(state, name):
    check_accounting(state)
    for row in state["assoc"]:
        if row["User"] == name:
            columns = ("DefaultAccount", "Account", "Partition", "MaxSubmitJobs", "DefaultQOS")
            print("|".join(row[column] for column in columns))


def limits_of_qos(state, names):
    check_accounting(state)
    for row in state["qos"]:
        if row["Name"] in names.split(","):
            print(row["MaxSubmitJobsPU"])


def check_accounting(state):
    if not state["accounting"]:
        raise SlurmError(
            "You are not running a supported accounting_storage plugin\n"
            "Only 'accounting_storage/slurmdbd' is supported."
        )


# srun


def run_step(output, error, _, command):
    """Become ``command``, the only task of the step, with its output in files."""
    for name, stream in ((output, sys.stdout), (error, sys.stderr)):
        with open(log_path(name, os.environ), "ab") as file:
            os.dup2(file.fileno(), stream.fileno())
    words = command.split("\0")
    os.execvp(words[0], words)


def log_path(template, environment):
    """A file name with Slurm's %-patterns replaced from a job's environment."""
    job = environment["SLURM_JOB_ID"]
    array, task = (environment.get(f"SLURM_ARRAY_{name}", "") for name in ("JOB_ID", "TASK_ID"))
    values = {"%j": job, "%A": array, "%a": task, "%t": "0"}
    return re.sub("%.", lambda pattern: values[pattern[0]], template)


ANSWERS = {
    "squeue --noheader --array --states=all --user=<users> --format=%F|%K|%T|%u|%r|%j": jobs_of,
    "squeue --noheader --states=all --name=<name> --format=%F": jobs_named,
    "sacct -nPX --jobs=<job_ids> --format=JobID,State": endings,
    "sbatch --parsable <script>": submit,
    "scontrol show config": configuration,
    "scontrol --all --oneliner show partition": partitions,
    "scontrol requeue <job_id>": requeue,
    "scancel <job_ids>": cancel,
    "sacctmgr -nP show user <user> withassoc format=DefaultAccount,Account,Partition,MaxSubmitJobs,DefaultQOS": (
        limits_of_user
    ),
    "sacctmgr -nP show qos names=<names> format=MaxSubmitJobsPU": limits_of_qos,
    "srun --unbuffered --output <output> --error <error> --kill-on-bad-exit=1 --cpus-per-task=<cpus> <command>": (
        run_step
    ),
}
"""What answers each command line; a name in brackets stands for one value, and at the end for all words that follow."""


def answer_to(words):
    """The function that answers a command line, and the values in it."""
    for line, function in ANSWERS.items():
        pattern = re.sub("<[a-z_]+>$", "(.*)", re.escape(line).replace(r"\ ", "\0"))
        found = re.fullmatch(re.sub("<[a-z_]+>", "([^\0]*)", pattern), "\0".join(words), re.DOTALL)
        if found:
            return function, found.groups()
    raise SlurmError(f"the fake Slurm does not know this command: {shlex.join(words)}", 2)


def fault(state, name):
    """The fault that a call is to meet: (seconds, message or None, code)."""
    seconds, planned = state["slow"].get(name, 0), state["faults"].get(name)
    if planned and planned["times"] > 0:
        planned["times"] -= 1
        return seconds, planned["stderr"], planned["code"]
    return seconds, None, 0


def main(directory, words):
    with locked(directory) as state:
        state["calls"].append(words)
        seconds, message, code = fault(state, words[0])
    time.sleep(seconds)
    if message is not None:
        print(message, file=sys.stderr)
        return code
    function, values = answer_to(words)
    if function is run_step:
        run_step(*values)
    refusal = None
    with locked(directory) as state:
        try:
            function(state, *values)
        except SlurmError as error:
            refusal = error  # raised below, so that what was done before is kept
    if refusal is not None:
        raise refusal
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except SlurmError as error:
        print(error, file=sys.stderr)
        sys.exit(error.code)
