"""A real Slurm on this machine for as long as a test session: munge, MariaDB, slurmdbd, slurmctld and two slurmd.

Needs root and the packages that ``tests/slurm/install`` installs; uses nothing of theirs in /etc, /run and /var. Every
daemon, and every job through the environment of the command that submitted it, carries a token, by which all of them
are found and killed at the end.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.slurm import configuration, processes

TOKEN = "ABLATE_TEST_CLUSTER"
NODE = "ABLATE_TEST_NODE"
DATABASE_BYTES = 200 << 20
PATIENCE = 120.0  # seconds that anything may take: a slow machine fails no test
SCHEDULER = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo", "scontrol", "scancel")
ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db", "sacct", "sacctmgr")
JOB_FIELDS = {
    "id": "%i", "raw_id": "%A", "array": "%F", "task": "%K", "name": "%j", "state": "%T", "nodes": "%N",
    "reason": "%r", "partition": "%P",
}  # fmt: skip
SACCT_FIELDS = {"id": "JobID", "state": "State", "exit_code": "ExitCode", "nodes": "NodeList", "elapsed": "ElapsedRaw"}


class ClusterError(Exception):
    """A cluster that cannot start, or does not do what was waited for."""


@dataclass(frozen=True)
class Ports:
    controller: int
    database: int
    first_node: int
    last_node: int

    @classmethod
    def free(cls) -> Ports:
        """Four in a row that nobody listens on, below those that the kernel hands out."""
        for first in random.sample(range(20000, 32000, 4), 100):
            if all(is_free(first + i) for i in range(4)):
                return cls(first, first + 1, first + 2, first + 3)
        raise ClusterError("no four free ports in a row between 20000 and 32000")


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind(("", port))
        except OSError:
            return False
    return True


def host() -> str:
    return socket.gethostname().split(".")[0]


def host_is_loopback() -> bool:
    try:
        return socket.gethostbyname(host()) == "127.0.0.1"
    except OSError:
        return False


def gpu_devices(directory: Path) -> list[Path]:
    """Two character devices of our own, or two that every machine has where we may not make any."""
    directory.mkdir()
    devices = [directory / "gpu0", directory / "gpu1"]
    try:
        for device in devices:
            os.mknod(device, 0o20666, os.makedev(1, 3))
    except PermissionError:
        return [Path("/dev/null"), Path("/dev/zero")]
    return devices


def database_directory(state: Path) -> Path:
    """In memory, where a database is made in a third of the time; beside the rest where there is no room."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > DATABASE_BYTES:
        return Path(tempfile.mkdtemp(prefix="ablate-slurm-", dir=memory))
    return state


class Cluster:
    """``with Cluster() as cluster:``, or ``start`` and ``stop``.

    ``env`` is for a subprocess that is to use the cluster. ``accounting=False``: without slurmdbd, so sacct fails.
    """

    nodes = configuration.NODES

    def __init__(self, *, accounting: bool = True, max_array_size: int = 1001) -> None:
        self.accounting = accounting
        self.max_array_size = max_array_size
        self.directory = Path(tempfile.mkdtemp(prefix="ablate-slurm-"))
        self.token = secrets.token_hex(8)
        self.env = self._environment()
        self._data = self.directory
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "SRUN"))}
        path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
        return kept | {"PATH": path, "SLURM_CONF": str(self.directory / "slurm.conf"), TOKEN: self.token}

    # Start and stop

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Raises ClusterError, with the daemons' last words, which stay in ``directory``; nothing is left running."""
        try:
            self._check()
            self._write_files()
            if self.accounting:
                self._data = database_directory(self.directory)
            self._start_watchdog()
            self._start_munge()
            if self.accounting:
                self._start_accounting()
            self._spawn("slurmctld", ["slurmctld", "-D"])
            for node in self.nodes:
                self._start_slurmd(node)
            self.wait(self._is_ready, what="both nodes to be idle")
        except BaseException as error:
            self._clean_up()
            logs = self.logs()
            if not isinstance(error, Exception):
                shutil.rmtree(self.directory)
                raise
            raise ClusterError(f"{error}\n\nThe logs are kept in {self.directory}.\n{logs}") from error

    def stop(self) -> None:
        """Kill everything and remove the files. A throw-away cluster has nothing to save, so nobody is asked to end."""
        self._clean_up()
        shutil.rmtree(self.directory)

    def _clean_up(self) -> None:
        try:
            processes.kill_all(f"{TOKEN}={self.token}")
        finally:
            for daemon in self._daemons.values():
                daemon.wait(PATIENCE)
            if self._watchdog and self._watchdog.stdin:
                self._watchdog.stdin.close()
                self._watchdog.wait(PATIENCE)
            if self._data != self.directory:
                shutil.rmtree(self._data, ignore_errors=True)

    def _check(self) -> None:
        wanted = SCHEDULER + (ACCOUNTING if self.accounting else ())
        missing = [name for name in wanted if shutil.which(name, path=self.env["PATH"]) is None]
        if missing:
            raise ClusterError(f"not installed: {', '.join(missing)} (tests/slurm/install installs them on Debian)")
        if os.geteuid() != 0:
            raise ClusterError("a Slurm cluster needs root: it starts jobs as the user who submits them")

    def _write_files(self) -> None:
        self.directory.chmod(0o755)
        for name in ("state", "spool", "log", "munge"):
            (self.directory / name).mkdir()
        # munged insists that others can reach its socket; they must not read its key.
        (self.directory / "munge").chmod(0o711)
        self._write("munge/key", secrets.token_bytes(128), 0o600)
        ports, loopback = Ports.free(), host_is_loopback()
        values = {"state": self.directory, "database": ports.database}
        accounting = configuration.ACCOUNTING.format(**values) if self.accounting else ""
        slurm = configuration.SLURM.format(
            **values,
            host=host(),
            port=ports.controller,
            first_node=ports.first_node,
            last_node=ports.last_node,
            first_job=random.randrange(100000, 900000),
            max_array_size=self.max_array_size,
            binding=configuration.LOOPBACK_ONLY if loopback else "",
            accounting=accounting,
        )
        self._write("slurm.conf", slurm.encode())
        devices = gpu_devices(self.directory / "dev")
        self._write("gres.conf", "".join(configuration.GPU.format(device=device) for device in devices).encode())
        binding = configuration.LOOPBACK_ONLY_DATABASE if loopback else ""
        self._write("slurmdbd.conf", configuration.DATABASE.format(**values, binding=binding).encode(), 0o600)

    def _write(self, name: str, content: bytes, mode: int = 0o644) -> None:
        path = self.directory / name
        path.touch(mode)
        path.write_bytes(content)

    def _start_watchdog(self) -> None:
        """It holds the other end of a pipe of ours, so that it cleans up even after a killed session."""
        folders = [str(folder) for folder in {self.directory, self._data}]
        command = [sys.executable, processes.__file__, f"{TOKEN}={self.token}", *folders]
        self._watchdog = subprocess.Popen(command, env=self.env, stdin=subprocess.PIPE, start_new_session=True)

    def _start_munge(self) -> None:
        self._spawn("munged", configuration.MUNGE.format(state=self.directory).split())
        self.wait((self.directory / "munge/sock").exists, what="munged")

    def _start_accounting(self) -> None:
        places = {"data": self._data, "state": self.directory}
        self.run(*configuration.INSTALL_MARIADB.format(**places).split(), timeout=120)
        self._spawn("mariadbd", configuration.MARIADB.format(**places).split())
        self.wait((self.directory / "db.sock").exists, what="MariaDB")
        # How slurmdbd finds a private socket; it makes its tables itself.
        self._spawn("slurmdbd", ["slurmdbd", "-D"], MYSQL_UNIX_PORT=str(self.directory / "db.sock"))
        self.wait(lambda: self._succeeds("sacctmgr", "-n", "show", "cluster"), what="slurmdbd")

    def _start_slurmd(self, node: str) -> None:
        (self.directory / "spool" / node).mkdir(exist_ok=True)
        self._spawn(f"slurmd-{node}", ["slurmd", "-D", "-N", node], **{NODE: node})

    def _spawn(self, name: str, command: list[str], **env: str) -> None:
        """Start a daemon in a session of its own, so that Ctrl-C at the tests does not reach it."""
        with (self.directory / "log" / f"{name}.out").open("ab") as output:
            self._daemons[name] = subprocess.Popen(
                command,
                env=self.env | env,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _is_ready(self) -> bool:
        if not all(self.node_state(node) == "idle" for node in self.nodes):
            return False
        # Jobs that start before the controller is known to the database are not accounted for.
        registered = ["sacctmgr", "-nP", "show", "cluster", "lab", "format=ControlPort"]
        return not self.accounting or self.run(*registered, timeout=5).strip() not in ("", "0")

    def logs(self, lines: int = 15) -> str:
        """The last lines of every log."""
        texts = []
        for path in sorted([*self.directory.glob("log/*"), self.directory / "munge/log"]):
            if path.exists() and path.stat().st_size:
                tail = path.read_text(errors="replace").splitlines()[-lines:]
                texts.append("\n".join([f"--- {path.name}", *tail]))
        return "\n".join(texts)

    # Use

    def run(self, *command: str | Path, timeout: float = 60, **options: Any) -> str:
        """What a command prints; raises CalledProcessError, with all output as a note. ``options``: of Popen."""
        done = subprocess.run(
            command,
            **{"env": self.env, "cwd": self.directory, **options},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
            error.add_note(done.stdout + done.stderr)
            raise error
        return done.stdout

    def _succeeds(self, *command: str) -> bool:
        """Misconfigured, Slurm's commands retry for minutes: none is waited for longer than 5 s."""
        try:
            self.run(*command, timeout=5)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False
        return True

    def wait(self, condition: Callable[[], Any], timeout: float = PATIENCE, what: str = "") -> Any:
        """Until ``condition()`` is true, which is returned; raises ClusterError. A call that fails counts as false."""
        deadline, value, problem = time.monotonic() + timeout, None, None
        while time.monotonic() < deadline:
            try:
                value = condition()
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                problem = error
            if value:
                return value
            self._check_daemons()
            time.sleep(0.1)
        raise ClusterError(f"waited {timeout} s for {what or condition}; last: {problem or value}")

    def _check_daemons(self) -> None:
        ended = {name: code for name, daemon in self._daemons.items() if (code := daemon.poll()) is not None}
        if ended:
            raise ClusterError(f"ended by themselves, with these codes: {ended}")

    def jobs(self) -> list[dict[str, str]]:
        """All that squeue knows, ended ones too, one for each task of an array."""
        template = "|".join(JOB_FIELDS.values())
        listed = self.run("squeue", "-h", "-r", "-t", "all", "-o", template, timeout=30).splitlines()
        return [dict(zip(JOB_FIELDS, line.split("|"), strict=True)) for line in listed]

    def job(self, job_id: str) -> dict[str, str]:
        return next((job for job in self.jobs() if job["id"] == job_id), {})

    def sacct(self, job_id: str) -> dict[str, Any]:
        """What the accounting knows of a job's or a task's last run, and how many ``restarts`` there were before it.

        Empty, for up to seconds, while it does not know the job.
        """
        fields = ",".join(SACCT_FIELDS.values())
        lines = self.run("sacct", "-nPXD", "-j", job_id, "-o", fields, timeout=30).splitlines()
        rows = [dict(zip(SACCT_FIELDS, line.split("|"), strict=True)) for line in lines]
        runs = [row for row in rows if row["id"] == job_id]
        return {**runs[-1], "restarts": len(runs) - 1} if runs else {}

    def restarts(self, job_id: str) -> int:
        """As the controller counts them, which the database hears of a little later."""
        shown = self.run("scontrol", "-o", "show", "job", job_id, timeout=30).split()
        return int(next(word for word in shown if word.startswith("Restarts=")).removeprefix("Restarts="))

    # Faults

    def node_state(self, node: str) -> str:
        """``idle``, ``mix``, ``down*``, ...; a ``*`` where the node does not answer."""
        return self.run("sinfo", "-h", "-n", node, "-p", "main", "-o", "%t", timeout=5).strip()

    def kill_daemon(self, node: str) -> None:
        """slurmd alone: after SlurmdTimeout its jobs start elsewhere, beside the old copies, which run on."""
        self._end(f"slurmd-{node}", signal.SIGKILL)

    def kill_node(self, node: str) -> None:
        """slurmd with all jobs, as a loss of power. Slurm notices after SlurmdTimeout, the job waits ~30 s in all."""
        self.kill_daemon(node)
        processes.kill_all(f"{TOKEN}={self.token}", f"{NODE}={node}")

    def revive(self, node: str) -> None:
        """Start slurmd again and wait until it takes jobs. Jobs that outlived ``kill_daemon`` are its own again."""
        started = time.strftime("%Y-%m-%dT%H:%M:%S")
        self._start_slurmd(node)

        def is_back() -> bool:
            shown = self.run("scontrol", "-o", "show", "node", node, timeout=5).split()
            since = next(word for word in shown if word.startswith("SlurmdStartTime=")).partition("=")[2]
            return since != "None" and since >= started and self.node_state(node) in ("idle", "mix", "alloc")

        self.wait(is_back, what=f"{node} to be back")

    def _end(self, name: str, number: signal.Signals) -> None:
        if daemon := self._daemons.pop(name, None):
            daemon.send_signal(number)
            daemon.wait(PATIENCE)

    def stop_controller(self) -> None:
        """slurmctld alone: Slurm's commands fail, jobs run on."""
        self._end("slurmctld", signal.SIGTERM)

    def start_controller(self) -> None:
        self._spawn("slurmctld", ["slurmctld", "-D"])
        self.wait(lambda: self._succeeds("squeue", "-h"), what="slurmctld")

    def repair(self) -> None:
        """Start what a test has killed and left so, and end its jobs. A lost node's jobs take half a minute."""
        if "slurmctld" not in self._daemons:
            self.start_controller()
        for node in self.nodes:
            if f"slurmd-{node}" not in self._daemons:
                self.revive(node)
        self.run("scancel", "--me")
        self.wait(lambda: not self.run("squeue", "-h", timeout=5), what="the jobs to be gone")


def main() -> None:
    """``python -m tests.slurm.cluster``: a cluster to play with; its shell's end ends it."""
    with Cluster() as cluster:
        print("A shell on the cluster in", cluster.directory, file=sys.stderr)
        subprocess.run([os.environ.get("SHELL", "bash")], env=cluster.env, check=False)


if __name__ == "__main__":
    main()
