"""Slurm's commands without a cluster: a few hundred lines over one JSON file, run as scripts by ``fake_slurm``.

Only the standard library's light modules: a call is to cost tens of milliseconds. Formats are those of Slurm 22.05;
``tests/slurm/test_fake.py`` compares them with the real commands.
"""

# Paths are plain strings, as importing pathlib takes 10 ms.
# ruff: noqa: PTH109, PTH105, PTH119, PTH123, SIM115
from __future__ import annotations

import contextlib
import fcntl
import getopt
import json
import os
import pwd
import re
import shlex
import signal
import subprocess
import sys
import time

COMMANDS = ("sbatch", "squeue", "sacct", "scontrol", "scancel", "sacctmgr", "srun", "sinfo")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL")
UNKNOWN_ID = "Invalid job id specified"
COMPACT = {
    "PENDING": "PD", "RUNNING": "R", "COMPLETING": "CG", "COMPLETED": "CD", "FAILED": "F", "CANCELLED": "CA",
    "TIMEOUT": "TO", "NODE_FAIL": "NF", "PREEMPTED": "PR", "OUT_OF_MEMORY": "OOM", "SUSPENDED": "S",
}  # fmt: skip


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


def options(arguments, short, long):
    """``{"-x": value, "--long": value}`` and what is left. Like Slurm's, options may follow arguments."""
    pairs, rest = getopt.gnu_getopt(arguments, short, long.split())
    found = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if found.get(name) else value  # submitit repeats -j: every one counts
    return found, rest


def given(found, *names, default=None):
    return next((found[name] for name in names if name in found), default)


# Jobs and their tasks


def tasks_of(job):
    return [(index, job["tasks"][index]) for index in sorted(job["tasks"], key=lambda index: int(index or 0))]


def label(job, index):
    """``12``, or ``12_3`` for a task of an array."""
    return f"{job['id']}_{index}" if index else job["id"]


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
    """``0-2,5`` or ``1-9:2``, perhaps with ``%k`` -> the indices as strings, and k or None."""
    text, _, limit = text.partition("%")
    indices = []
    for part in text.split(","):
        bounds, _, step = part.partition(":")
        first, _, last = bounds.partition("-")
        indices += range(int(first), int(last or first) + 1, int(step or 1))
    return [str(index) for index in indices], int(limit) if limit else None


def selected(state, name):
    """The (job, index) that an id such as ``12``, ``12_3``, ``12_[0-3]`` or a task's own id names; raises KeyError."""
    main, _, array = name.partition("_")
    if main in state["jobs"] and not array:
        return [(state["jobs"][main], index) for index in state["jobs"][main]["tasks"]]
    if main in state["jobs"]:
        job = state["jobs"][main]
        wanted = expanded(array.strip("[]"))[0]
        if not set(wanted) <= set(job["tasks"]):
            raise KeyError(name)
        return [(job, index) for index in wanted]
    for job in state["jobs"].values():
        for index, task in job["tasks"].items():
            if task["raw_id"] == name:
                return [(job, index)]
    raise KeyError(name)


def change(job, index, state, reason=None, node=None, sacct=None, code=None):
    """Move a task to ``state``, with the side effects that Slurm's change has."""
    task, now = job["tasks"][index], time.time()
    if state == "PENDING" and task["state"] != "PENDING":
        task.update(restarts=task["restarts"] + 1, start=None, end=None, node="", pid=None)
    if state == "RUNNING":
        task.update(start=task["start"] or now, node=node or task["node"] or "127.0.0.1", end=None)
    if state in ENDED:
        task.update(end=now)
    reason = reason or {"FAILED": "NonZeroExitCode", "TIMEOUT": "TimeLimit"}.get(state, "None")
    task.update(state=state, reason=reason, sacct=sacct, code=code or ("1:0" if state == "FAILED" else "0:0"))


# Tables


def clock(seconds):
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{seconds:02}"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def long_clock(seconds):
    text = clock(seconds)
    return text if "-" in text else f"{int(seconds) // 3600:02}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"


def moment(at, missing):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(at)) if at else missing


def minutes(text):
    """Slurm's time formats, ``5``, ``5:30``, ``1:00:00``, ``1-2``, as minutes; None is no limit."""
    if text in ("UNLIMITED", "INFINITE", "-1", "0"):
        return None
    days, _, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if days:
        hours, mins, secs = [*parts, 0, 0][:3]
    else:
        hours, mins, secs = {1: (0, *parts, 0), 2: (0, *parts), 3: tuple(parts)}[len(parts)]
    return int(days or 0) * 1440 + hours * 60 + mins + (secs > 0)


def rows(jobs, apart):
    """(job, indices) per line of a listing: tasks that wait share a line, unless ``apart``."""
    for job in jobs:
        waiting = [index for index, task in tasks_of(job) if index and task["state"] == "PENDING"]
        if waiting and not apart:
            yield job, waiting
            waiting = set(waiting)
        for index, _ in tasks_of(job):
            if apart or index not in waiting:
                yield job, [index]


def is_collapsed(job, indices):
    return len(indices) > 1 or (indices[0] and job["tasks"][indices[0]]["state"] == "PENDING")


def squeue_value(job, indices, letter, apart):
    index = indices[0]
    task = job["tasks"][index]
    together = not apart and is_collapsed(job, indices)
    throttle = f"%{job['throttle']}" if job["throttle"] else ""
    ran = (task["end"] or time.time()) - task["start"] if task["start"] else 0
    limit = job["minutes"]
    reason = "None" if task["state"] == "RUNNING" else task["reason"]
    values = {
        "A": job["id"] if index and task["state"] == "PENDING" else task["raw_id"],
        "F": job["id"],
        "i": f"{job['id']}_[{collapsed(indices)}{throttle}]" if together else label(job, index),
        "K": (collapsed(indices) + throttle if together else index) or "N/A",
        "j": job["name"],
        "T": task["state"],
        "t": COMPACT.get(task["state"], task["state"]),
        "N": task["node"],
        "r": reason,
        "R": task["node"] if task["node"] and reason == "None" else f"({reason})",
        "u": job["user"],
        "M": clock(ran),
        "l": clock(limit * 60) if limit else "UNLIMITED",
        "L": clock(max(0, limit * 60 - ran)) if limit else "UNLIMITED",
        "P": job["partition"],
        "D": str(job["nodes"]),
        "V": moment(job["submitted"], "N/A"),
        "S": moment(task["start"], "N/A"),
        "e": moment(task["end"] or (task["start"] and limit and task["start"] + limit * 60), "N/A"),
        "Z": job["directory"],
        "k": job["options"].get("comment", "(null)"),
    }
    return values.get(letter, "")


HEADERS = {
    "A": "JOBID", "F": "ARRAY_JOB_ID", "i": "JOBID", "K": "ARRAY_TASK_ID", "j": "NAME", "T": "STATE", "t": "ST",
    "N": "NODELIST", "r": "REASON", "R": "NODELIST(REASON)", "u": "USER", "M": "TIME", "l": "TIME_LIMIT",
    "L": "TIME_LEFT", "P": "PARTITION", "D": "NODES", "V": "SUBMIT_TIME", "S": "START_TIME", "e": "END_TIME",
    "Z": "WORK_DIR", "k": "COMMENT",
}  # fmt: skip


def formatted(template, value):
    """``%i``, ``%8i`` and ``%.18i`` replaced as squeue and sinfo do."""

    def field(match):
        right, width, letter = match[1], match[2], match[3]
        text = value(letter)
        if width:
            text = text[: int(width)].rjust(int(width)) if right else text[: int(width)].ljust(int(width))
        return text

    return re.sub(r"%(\.?)(\d*)([A-Za-z])", field, template)


def squeue(state, arguments):
    found, _ = options(
        arguments,
        "hro:t:j:u:n:p:aS:",
        "noheader array format= states= state= jobs= job= user= users= me name= partition= all sort=",
    )
    apart = "-r" in found or "--array" in found
    template = given(found, "-o", "--format", default="%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R")
    states = given(found, "-t", "--states", "--state", default="PENDING,RUNNING,SUSPENDED,COMPLETING").upper()
    wanted = {
        "user": user() if "--me" in found else given(found, "-u", "--user", "--users"),
        "name": given(found, "-n", "--name"),
        "partition": given(found, "-p", "--partition"),
    }
    ids = given(found, "-j", "--jobs", "--job")
    check_users(wanted["user"])
    if ids and "," not in ids:
        check_known(state, ids)
    if "-h" not in found and "--noheader" not in found:
        print(formatted(template, lambda letter: HEADERS.get(letter, "")))
    for job, indices in rows(state["jobs"].values(), apart):
        task = job["tasks"][indices[0]]
        listed = [index for index in indices if ids is None or index in asked(state, ids, job)]
        shown = (
            listed
            and not task["forgotten"]
            and (states == "ALL" or {task["state"], COMPACT.get(task["state"])} & set(states.split(",")))
            and all(values is None or job[key] in values.split(",") for key, values in wanted.items())
        )
        if shown:
            alone = apart or listed != indices  # a task that is asked for by its number has a line of its own
            print(formatted(template, lambda letter: squeue_value(job, listed, letter, alone)))  # noqa: B023


def check_users(names):
    """Of a user whom the machine does not know squeue says so, lists nothing of theirs, and exits with 0."""
    for name in (names or "").split(","):
        try:
            _ = name and not name.isdigit() and pwd.getpwnam(name)
        except KeyError:
            print(f"squeue: error: Invalid user: {name}\n", file=sys.stderr)


def check_known(state, name):
    """One unknown job is an error; of several, or of an array's tasks, those that exist are listed."""
    job = next((job for job, _ in found_or_none(state, name.partition("_")[0])), None)
    if job is None or all(task["forgotten"] for task in job["tasks"].values()):
        raise SlurmError(f"slurm_load_jobs error: {UNKNOWN_ID}")


def found_or_none(state, name):
    try:
        return selected(state, name)
    except KeyError:
        return []


def asked(state, ids, job):
    """The task indices of ``job`` that a list of ids names."""
    return {index for name in ids.split(",") for owner, index in found_or_none(state, name) if owner is job}


def sacct_value(job, indices, field, step):
    index = indices[0]
    task = job["tasks"][index]
    task_state = task["sacct"] or task["state"]
    if task_state == "CANCELLED" and not step:
        task_state = f"CANCELLED by {os.getuid()}"
    ran = (task["end"] or time.time()) - task["start"] if task["start"] else 0
    together = is_collapsed(job, indices)
    throttle = f"%{job['throttle']}" if job["throttle"] else ""
    raw = job["id"] if together else task["raw_id"]
    values = {
        "jobid": (f"{job['id']}_[{collapsed(indices)}{throttle}]" if together else label(job, index)) + step,
        "jobidraw": raw + step,
        "jobname": {".batch": "batch", ".0": "python"}.get(step, job["name"]),
        "state": task_state,
        "exitcode": "0:15" if step and task_state == "CANCELLED" else task["code"],
        "nodelist": task["node"] or "None assigned",
        "user": "" if step else job["user"],
        "partition": "" if step else job["partition"],
        "submit": moment(job["submitted"], "Unknown"),
        "start": moment(task["start"], "Unknown"),
        "end": moment(task["end"], "Unknown"),
        "elapsed": long_clock(ran),
        "elapsedraw": str(int(ran)),
        "timelimit": "" if step else (long_clock(job["minutes"] * 60) if job["minutes"] else "UNLIMITED"),
        "reason": "" if step else task["reason"],
        "nnodes": str(job["nodes"]),
        "workdir": "" if step else job["directory"],
    }
    return values[field.lower()]


def sacct(state, arguments):
    if not state["accounting"]:
        raise SlurmError("Slurm accounting storage is disabled")
    found, _ = options(
        arguments,
        "nPpXo:j:u:S:a",
        "noheader parsable2 parsable allocations format= jobs= user= starttime= allusers name= delimiter=",
    )
    fields = given(found, "-o", "--format", default="JobID,JobName,Partition,State,ExitCode").split(",")
    separator = found.get("--delimiter", "|")
    ids, names = given(found, "-j", "--jobs"), given(found, "--name")
    whole = "-X" in found or "--allocations" in found
    unknown = [field for field in fields if field.lower() not in NAMES]
    if unknown:
        raise SlurmError(f'sacct: error: Invalid field requested: "{unknown[0]}"')
    if "-n" not in found and "--noheader" not in found:
        print(separator.join(NAMES[field.lower()] for field in fields))
    for job, indices in rows(state["jobs"].values(), apart=False):
        started = job["tasks"][indices[0]]["start"]
        # What waits is listed only where its job is asked for, as a whole.
        wanted = set(indices) <= asked(state, ids, job) if ids else started
        if job["unaccounted"] or not wanted or (names and job["name"] not in names.split(",")):
            continue
        if ids and is_collapsed(job, indices) and job["id"] not in ids.split(","):
            continue
        steps = ["", ".batch", *([".0"] if "srun" in job["script"] else [])]
        for step in [""] if whole or not started else steps:
            print(separator.join(sacct_value(job, indices, field, step) for field in fields))


NAMES = {
    "jobid": "JobID", "jobidraw": "JobIDRaw", "jobname": "JobName", "state": "State", "exitcode": "ExitCode",
    "nodelist": "NodeList", "user": "User", "partition": "Partition", "submit": "Submit", "start": "Start",
    "end": "End", "elapsed": "Elapsed", "elapsedraw": "ElapsedRaw", "timelimit": "Timelimit", "reason": "Reason",
    "nnodes": "NNodes", "workdir": "WorkDir",
}  # fmt: skip


# Submission

FLAGS = """
parsable test-only hold requeue no-requeue exclusive wait quiet contiguous overcommit oversubscribe verbose
spread-job use-min-nodes get-user-env nice no-kill reboot ignore-pbs kill-on-invalid-dep
"""
VALUES = """
account acctg-freq array batch bb bbf begin chdir cluster-constraint clusters comment constraint container
core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency distribution
error exclude export export-file extra-node-info gid gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket
gpus-per-task gres gres-flags hint input job-name licenses mail-type mail-user mcs-label mem mem-bind
mem-per-cpu mem-per-gpu mincpus network nodefile nodelist nodes ntasks ntasks-per-core ntasks-per-gpu
ntasks-per-node ntasks-per-socket open-mode output partition power prefer priority profile propagate qos
reservation signal sockets-per-node switches thread-spec threads-per-core time time-min tmp uid
wait-all-nodes wckey wrap
"""
SHORT = {
    "J": "job-name", "a": "array", "p": "partition", "t": "time", "o": "output", "e": "error", "N": "nodes",
    "n": "ntasks", "c": "cpus-per-task", "A": "account", "q": "qos", "D": "chdir", "d": "dependency", "G": "gpus",
    "C": "constraint", "x": "exclude", "w": "nodelist",
}  # fmt: skip


def sbatch_options(words):
    """sbatch's options as ``{long name: value}`` and the first other word with what follows."""
    short = "".join(f"{letter}:" for letter in SHORT) + "HQvs"
    long = FLAGS.split() + [f"{name}=" for name in VALUES.split()]
    words = [re.sub(r"^(--(?:exclusive|nice|no-kill|get-user-env))=.*", r"\1", word) for word in words]
    try:
        pairs, rest = getopt.getopt(words, short, long)
    except getopt.GetoptError as error:
        wrong = next((word for word in words if word.startswith(f"--{error.opt}")), error.opt)
        text = f"sbatch: unrecognized option '{wrong}'"
        raise SlurmError(f'{text}\nTry "sbatch --help" for more information', 255) from None
    names = {flag: SHORT.get(flag[1:], flag.lstrip("-")) for flag, _ in pairs}
    return {names[flag]: value for flag, value in pairs}, rest


def directives(script):
    """The words of the #SBATCH lines before the first command."""
    words = []
    for line in script.splitlines():
        if line.startswith("#SBATCH"):
            words += shlex.split(line[len("#SBATCH") :], comments=True)
        elif line.strip() and not line.startswith("#"):
            break
    return words


def refuse(state, job):
    """What Slurm checks before it accepts a job."""
    if job["partition"] not in state["partitions"]:
        name = job["partition"]
        reason = "Invalid partition name specified"
        raise SlurmError(f"sbatch: error: invalid partition specified: {name}\n{failed(reason)}")
    if any(int(index or 0) >= state["config"]["MaxArraySize"] for index in job["tasks"]):
        raise SlurmError(failed("Invalid job array specification"))
    limit = state["assoc"][0]["MaxSubmitJobs"]
    open_tasks = [t for j in state["jobs"].values() for t in j["tasks"].values() if t["state"] not in ENDED]
    if limit and len(open_tasks) + len(job["tasks"]) > int(limit):
        reason = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
        raise SlurmError(f"sbatch: error: AssocMaxSubmitJobLimit\n{failed(reason)}")
    if state["config"]["AccountingStorageEnforce"] != "none":
        if job["options"].get("qos", "normal") not in {qos["Name"] for qos in state["qos"]}:
            raise SlurmError(failed("Invalid qos specification"))
        accounts = [row["Account"] for row in state["assoc"]]
        if job["options"].get("account", accounts[0]) not in accounts:
            raise SlurmError(failed("Invalid account or account/partition combination specified"))


def failed(reason):
    return f"sbatch: error: Batch job submission failed: {reason}"


def new_job(state, script, found, name):
    default = next(name for name, row in state["partitions"].items() if row["default"])
    indices, throttle = expanded(found["array"]) if "array" in found else ([""], None)
    number = state["next"]
    # The last task of an array to start keeps the array's own id.
    raw = [number + 1 + i for i in range(len(indices) - 1)] + [number]
    tasks = {
        index: {
            "raw_id": str(raw_id), "state": "PENDING", "reason": "None", "node": "", "start": None, "end": None,
            "restarts": 0, "sacct": None, "code": "0:0", "pid": None, "forgotten": False,
        }
        for index, raw_id in zip(indices, raw, strict=True)
    }  # fmt: skip
    return {
        "id": str(number), "name": found.get("job-name", name), "user": user(), "options": found, "tasks": tasks,
        "partition": found.get("partition", default), "throttle": throttle, "script": script,
        "minutes": time_limit(found.get("time", "5")), "nodes": int(found.get("nodes", "1").split("-")[0]),
        "directory": found.get("chdir", os.getcwd()), "submitted": time.time(), "unaccounted": False,
    }  # fmt: skip


def time_limit(text):
    try:
        return minutes(text)
    except (ValueError, KeyError):
        raise SlurmError("sbatch: error: Invalid --time specification", 255) from None


def read_script(found, rest):
    if "wrap" in found:
        return f"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{found['wrap']}\n", "wrap"
    if not rest:
        return sys.stdin.read(), "sbatch"
    try:
        with open(rest[0]) as file:
            return file.read(), os.path.basename(rest[0])
    except OSError:
        raise SlurmError(f"sbatch: error: Unable to open file {rest[0]}") from None


def sbatch(state, arguments, directory):
    typed, rest = sbatch_options(arguments)
    script, name = read_script(typed, rest)
    if not script.startswith("#!"):
        raise SlurmError(
            "sbatch: error: This does not look like a batch script.  The first\n"
            "sbatch: error: line must start with #! followed by the path to an interpreter.\n"
            "sbatch: error: For instance: #!/bin/sh"
        )
    found = {**sbatch_options(directives(script))[0], **typed}
    job = new_job(state, script, found, name)
    refuse(state, job)
    if "test-only" in found:
        when = moment(time.time(), "")
        print(
            f"sbatch: Job {job['id']} to start at {when} using 1 processors on nodes 127.0.0.1"
            f" in partition {job['partition']}",
            file=sys.stderr,
        )
        return
    if "hold" in found:
        for task in job["tasks"].values():
            task["reason"] = "JobHeldUser"
    state["jobs"][job["id"]] = job
    state["next"] += len(job["tasks"])
    with open(f"{directory}/{job['id']}.env.json", "w") as file:
        json.dump(dict(os.environ), file)
    if state["lost_answers"]:
        state["lost_answers"] -= 1
        raise SlurmError(failed("Socket timed out on send/recv operation"))
    print(job["id"] if "parsable" in found else f"Submitted batch job {job['id']}")


# The rest


def scontrol(state, arguments):
    found, words = options(arguments, "oda", "oneliner details all")
    one_line = "-o" in found or "--oneliner" in found
    verb, rest = words[0], words[1:]
    if verb == "show":
        scontrol_show(state, rest[0], rest[1:], one_line)
    elif verb in ("requeue", "hold", "release"):
        for name in ",".join(rest).split(","):
            scontrol_job(state, verb, name)
    elif verb == "ping":
        print("Slurmctld(primary) at 127.0.0.1 is UP")
    else:
        raise SlurmError(f"invalid keyword: {verb}")


def scontrol_show(state, what, names, one_line):
    if what.startswith("conf"):
        print(f"Configuration data as of {moment(time.time(), '')}")
        for key, value in sorted(state["config"].items()):
            print(f"{key:<23} = {value}")
        return
    if what.startswith("partition"):
        unknown, table = "Partition {} not found", state["partitions"]
        texts = {name: [partition_text(name, row)] for name, row in table.items()}
    elif what.startswith("job"):
        unknown = f"slurm_load_jobs error: {UNKNOWN_ID}"
        lines = [(job, indices) for job, indices in rows(state["jobs"].values(), apart=False)]
        wanted = names or list(state["jobs"])
        texts = {
            name: [job_text(job, i) for job, i in lines if set(i) & asked(state, name, job)]
            for name in wanted
            if found_or_none(state, name) and not all(j["tasks"][i]["forgotten"] for j, i in selected(state, name))
        }
    else:
        raise SlurmError(f"invalid entity:{what} for keyword:show ")
    for name in names or texts:
        if name not in texts and what.startswith("partition"):
            print(unknown.format(name))  # not to stderr
            raise SlurmError("")
        if name not in texts:
            raise SlurmError(unknown)
        for text in texts[name]:
            print(" ".join(text.split()) if one_line else text)


def partition_text(name, row):
    limit = row["max_minutes"]
    return (
        f"PartitionName={name}\n   AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL\n"
        f"   AllocNodes=ALL Default={'YES' if row['default'] else 'NO'} QoS=N/A\n"
        f"   DefaultTime=00:05:00 DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO\n"
        f"   MaxNodes=UNLIMITED MaxTime={long_clock(limit * 60) if limit else 'UNLIMITED'} MinNodes=0 LLN=NO"
        f" MaxCPUsPerNode=UNLIMITED\n   Nodes={row['nodes']}\n"
        f"   PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO OverSubscribe=NO\n"
        f"   OverTimeLimit=NONE PreemptMode={row['preempt']}\n"
        f"   State={row['state']} TotalCPUs=16 TotalNodes=2 SelectTypeParameters=NONE\n"
        f"   JobDefaults=(null)\n   DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED\n"
        f"   TRES=cpu=16,mem=8000M,node=2,billing=16\n"
    )


def job_text(job, indices):
    index = indices[0]
    task, array = job["tasks"][index], ""
    if index:
        throttle = f"%{job['throttle']}" if job["throttle"] and is_collapsed(job, indices) else ""
        array = f" ArrayJobId={job['id']} ArrayTaskId={collapsed(indices)}{throttle}"
    raw = job["id"] if is_collapsed(job, indices) else task["raw_id"]
    limit = long_clock(job["minutes"] * 60) if job["minutes"] else "UNLIMITED"
    end_time = task["end"] or (task["start"] and job["minutes"] and task["start"] + 60 * job["minutes"])
    return (
        f"JobId={raw}{array} JobName={job['name']}\n   UserId={job['user']}({os.getuid()})\n"
        f"   JobState={task['state']} Reason={task['reason']} Dependency=(null)\n"
        f"   Requeue=1 Restarts={task['restarts']} BatchFlag=1 Reboot=0 ExitCode={task['code']}\n"
        f"   TimeLimit={limit} TimeMin=N/A\n   SubmitTime={moment(job['submitted'], 'Unknown')}\n"
        f"   StartTime={moment(task['start'], 'Unknown')} EndTime={moment(end_time, 'Unknown')} Deadline=N/A\n"
        f"   Partition={job['partition']}\n   NodeList={task['node']}\n   WorkDir={job['directory']}\n"
    )


def scontrol_job(state, verb, name):
    try:
        chosen = selected(state, name)
    except KeyError:
        raise SlurmError(f"{name}: {UNKNOWN_ID}" if "_" in name else f"{UNKNOWN_ID} for job {name}") from None
    for job, index in chosen:
        task = job["tasks"][index]
        if verb == "requeue":
            if task["state"] == "PENDING":
                raise SlurmError(f"Job is pending execution for job {name}")
            end(task, signal.SIGTERM)
            change(job, index, "PENDING", "BeginTime")
        else:
            task["reason"] = "JobHeldUser" if verb == "hold" else "None"


def end(task, number):
    """Signal the processes of a task that ``fake.start`` runs."""
    if task["pid"]:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(task["pid"], number)


def scancel(state, arguments):
    found, names = options(
        arguments, "s:u:n:t:fbQvp:", "signal= user= name= state= full batch quiet verbose me partition= jobname="
    )
    number = given(found, "-s", "--signal")
    number = number and (int(number) if number.isdigit() else signal.Signals[f"SIG{number.removeprefix('SIG')}"])
    # An id that is unknown, or that of an ended job, is no error.
    chosen = [pair for name in names for pair in found_or_none(state, name)]
    if not names:
        wanted, who = (
            given(found, "-n", "--name", "--jobname"),
            user() if "--me" in found else given(found, "-u", "--user"),
        )
        if not (wanted or who):
            raise SlurmError("scancel: error: No job identification provided")
        jobs = [j for j in state["jobs"].values() if wanted in (None, j["name"]) and who in (None, j["user"])]
        chosen = [(job, index) for job in jobs for index in job["tasks"]]
    only = given(found, "-t", "--state")
    for job, index in chosen:
        task = job["tasks"][index]
        if task["state"] in ENDED or (only and task["state"] != only.upper()):
            continue
        if number is None or (number == signal.SIGKILL and "--full" not in found and "-f" not in found):
            end(task, signal.SIGTERM)
            change(job, index, "CANCELLED")
        elif task["state"] == "PENDING":
            reason = "Job can not be altered now, try again later"
            raise SlurmError(f"scancel: error: Kill job error on job id {label(job, index)}: {reason}", 228)
        else:
            end(task, number)


def sacctmgr(state, arguments):
    found, words = options(arguments, "nPprio", "noheader parsable2 parsable readonly immediate oneliner")
    if not state["accounting"]:
        raise SlurmError(
            "You are not running a supported accounting_storage plugin\n"
            "Only 'accounting_storage/slurmdbd' is supported."
        )
    if not words or words[0] not in ("show", "list"):
        raise SlurmError("sacctmgr: error: the fake only shows")
    tables = {"assoc": state["assoc"], "qos": state["qos"], "cluster": state["clusters"], "user": state["assoc"]}
    table = next((rows for name, rows in tables.items() if words[1].lower().startswith(name)), None)
    if table is None:
        raise SlurmError("No valid entity in list command")
    asked_for = dict(word.lower().split("=", 1) for word in words[2:] if "=" in word)
    names = [word.lower() for word in words[2:] if "=" not in word and word not in ("where", "withassoc")]
    if names:
        asked_for["user" if "User" in table[0] else "name"] = ",".join(names)
    columns = [column_of(name, table[0]) for name in asked_for.pop("format", ",".join(table[0])).split(",")]
    if "-n" not in found and "--noheader" not in found:
        print("|".join(TITLES.get(column, column) for column in columns))
    filters = {column_of(key, table[0]): values.split(",") for key, values in asked_for.items()}
    for row in table:
        if all(row[column].lower() in values for column, values in filters.items()):
            print("|".join(row[column] for column in columns))


TITLES = {
    "MaxSubmitJobs": "MaxSubmit", "GrpSubmitJobs": "GrpSubmit", "MaxSubmitJobsPU": "MaxSubmitPU",
    "DefaultAccount": "Def Acct", "DefaultQOS": "Def QOS",
}  # fmt: skip


def column_of(name, row):
    """A column by its name, in any case, or by the shorter form that is its title; ``names=`` filters by Name."""
    wanted = name.lower().partition("%")[0]
    for column in row:
        if wanted in (column.lower(), f"{column.lower()}s", TITLES.get(column, column).lower()):
            return column
    raise SlurmError(f"Unknown field '{name}'")


def sinfo(state, arguments):
    found, _ = options(arguments, "hNo:p:t:s", "noheader Node format= partition= states= summarize")
    template = given(found, "-o", "--format", default="%9P %.5a %.10l %.6D %.6t %N")
    headers = {"P": "PARTITION", "R": "PARTITION", "a": "AVAIL", "l": "TIMELIMIT", "D": "NODES", "t": "STATE"}
    headers |= {"T": "STATE", "N": "NODELIST", "G": "GRES", "c": "CPUS", "m": "MEMORY"}
    if "-h" not in found and "--noheader" not in found:
        print(formatted(template, lambda letter: headers.get(letter, "")))
    only = given(found, "-p", "--partition")
    for name, row in state["partitions"].items():
        if only and name not in only.split(","):
            continue
        limit = long_clock(row["max_minutes"] * 60) if row["max_minutes"] else "infinite"
        values = {"P": name + "*" * row["default"], "R": name, "a": row["state"].lower(), "l": limit, "t": "idle"}
        values |= {"T": "idle", "G": "gpu:2", "c": "8", "m": "4000"}
        nodes = ["127.0.0.1", "127.0.0.2"] if "-N" in found or "--Node" in found else [row["nodes"]]
        for node in nodes:
            count = "1" if len(nodes) > 1 else "2"
            print(formatted(template, lambda letter: {**values, "N": node, "D": count}.get(letter, "")))  # noqa: B023


# srun: of the job's own environment, so without the state

SRUN_FLAGS = """
unbuffered label overlap exact exclusive oversubscribe overcommit quiet verbose kill-on-bad-exit multi-prog
pty no-kill preserve-env wait-all-nodes contiguous disable-status
"""


def srun_options(words):
    """srun's own options as ``{name: value}`` and the command after them."""
    found, letters = {}, {"n": "ntasks", "N": "nodes", "o": "output", "e": "error", "K": "kill-on-bad-exit"}
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "--":
            break
        if not word.startswith("--"):
            name, value = letters.get(word[1], word[1]), word[2:]
            found[name] = value or (words.pop(0) if word[1] not in "lKusOQqvkE" else "")
            continue
        name, separator, value = word[2:].partition("=")
        found[name] = value if separator or name in SRUN_FLAGS.split() else words.pop(0)
    return found, words


def log_path(template, rank, environment):
    """A file name with Slurm's %-patterns replaced from a job's environment."""
    job = environment.get("SLURM_JOB_ID", "")
    values = {
        "j": job, "J": f"{job}.0", "s": "0", "A": environment.get("SLURM_ARRAY_JOB_ID", job), "u": user(),
        "a": environment.get("SLURM_ARRAY_TASK_ID", "4294967294"), "t": str(rank),
        "x": environment.get("SLURM_JOB_NAME", ""), "N": os.uname().nodename.split(".")[0],
        "n": environment.get("SLURM_NODEID", "0"), "%": "%",
    }  # fmt: skip
    return re.sub(r"%(\d*)([A-Za-z%])", lambda m: values.get(m[2], m[0]).rjust(int(m[1] or 0), "0"), template)


def srun(arguments):
    found, command = srun_options(list(arguments))
    nodes = int(found.get("nodes") or os.environ.get("SLURM_JOB_NUM_NODES", "1"))
    count = int(found.get("ntasks") or os.environ.get("SLURM_NTASKS", str(nodes)))
    per_node = -(-count // nodes)
    processes = [start_task(command, found, rank, step_environment(rank, count, per_node)) for rank in range(count)]
    # Like srun's own, a signal to it goes to every task.
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda received, _: [p.send_signal(received) for p in processes if p.poll() is None])
    kill = "kill-on-bad-exit" in found and found["kill-on-bad-exit"] != "0"
    while kill and any(p.poll() is None for p in processes):
        if any(p.poll() for p in processes):
            for process in processes:
                process.kill()
        time.sleep(0.02)
    codes = [process.wait() for process in processes]
    for rank, code in enumerate(codes):
        if code:
            what = f"Exited with exit code {code}" if code > 0 else signal.strsignal(-code)
            print(f"srun: error: {os.environ.get('SLURMD_NODENAME')}: task {rank}: {what}", file=sys.stderr)
    return max((code if code >= 0 else 128 - code for code in codes), default=0)


def step_environment(rank, count, per_node):
    node, prefix, listed = rank // per_node, *os.environ["SLURM_JOB_NODELIST"].partition("[")[::2]
    name = prefix + expanded(listed.rstrip("]"))[0][node] if listed else prefix
    return {
        **os.environ,
        "SLURMD_NODENAME": name,
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank % per_node),
        "SLURM_NODEID": str(node),
        "SLURM_NTASKS": str(count),
        "SLURM_NPROCS": str(count),
        "SLURM_STEP_ID": "0",
        "SLURM_STEPID": "0",
    }


def start_task(command, found, rank, environment):
    mode = "ab" if found.get("open-mode", environment.get("SLURM_OPEN_MODE", "t"))[0] == "a" or rank else "wb"
    files = {"stderr": subprocess.STDOUT} if "output" in found else {}
    for option, stream in (("output", "stdout"), ("error", "stderr")):
        if option in found:
            files[stream] = open(log_path(found[option], rank, environment), mode)
    return subprocess.Popen(command, env=environment, **files)


def pretend(state, name):
    """The fault that a call is to meet: (seconds, message or None, code)."""
    seconds = state["slow"].get(name, 0)
    fault = state["faults"].get(name)
    if fault and fault["times"] > 0:
        fault["times"] -= 1
        return seconds, fault["stderr"], fault["code"]
    return seconds, None, 0


def main(name, directory, arguments):
    with locked(directory) as state:
        state["calls"].append([name, *arguments])
        seconds, message, code = pretend(state, name)
    time.sleep(seconds)
    if message is not None:
        print(message, file=sys.stderr)
        return code
    if name == "srun":
        return srun(arguments)
    error, code = None, 0
    with locked(directory) as state:
        try:
            run = {"squeue": squeue, "sacct": sacct, "scontrol": scontrol, "scancel": scancel}
            run |= {"sacctmgr": sacctmgr, "sinfo": sinfo}
            if name == "sbatch":
                sbatch(state, arguments, directory)
            else:
                run[name](state, arguments)
        except (SlurmError, getopt.GetoptError) as problem:
            error = problem  # outside of the lock's context, so that what was done before is kept
            code = getattr(problem, "code", 1)
    if error is not None and str(error):
        print(error, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
