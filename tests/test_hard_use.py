"""What users did to commands that the commands had not foreseen; ``docs/hard-use.md`` lists all that was tried."""

from __future__ import annotations

import dataclasses
import errno
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ablate.config.base import LARGEST_SEED
from ablate.config.sweep import NamedComposition
from ablate.config.trial import DataIdentity, Optimiser, TrialConfig
from ablate.launch import worker
from ablate.report import write_report
from ablate.sweep.confirm import confirmation
from ablate.sweep.layout import PLAN
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.training.remedy import remedy
from tests.support.cli import ablate, one_sentence
from tests.support.grids import SETTINGS, command, results
from tests.support.in_process import run_here
from tests.support.sweeps import make_experiment, record, write_record

TOO_LARGE = [LARGEST_SEED + 1, 2**63, 10**30]


@pytest.mark.parametrize("seed", TOO_LARGE)
@pytest.mark.parametrize(
    "line",
    [
        ["grid", "--ops", "color", "--first-seed"],
        ["train", "color", "--seed"],
        ["preview", "color", "--seed"],
        ["search", "--ops", "crop,color", "--budget", "1", "--sampler-seed"],
        ["logs", "results", "crop", "--seed"],
    ],
)
def test_a_seed_that_no_table_can_hold_is_refused(line, seed):
    sentence = one_sentence(ablate(*line, seed))
    assert line[-1] in sentence
    assert str(seed) in sentence


@pytest.mark.parametrize("seed", TOO_LARGE)
def test_a_seed_of_a_file_that_no_table_can_hold_is_refused(tmp_path, seed):
    path = tmp_path / "x.toml"
    path.write_text(f'ops = ["color"]\nseeds = [0, {seed}]\n')
    assert "seeds" in one_sentence(ablate("run", path))


@pytest.mark.usefixtures("undrawn")
def test_the_largest_seed_gets_through_report_and_every_export(tmp_path):
    experiment = make_experiment(["a"]).model_copy(update={"seeds": (0, LARGEST_SEED)})
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        write_record(tmp_path, record(trial))
    write_report(tmp_path)
    assert str(LARGEST_SEED) in (tmp_path / "report" / "index.html").read_text()
    for kind in ("csv", "parquet", "optuna"):
        assert ablate("export", tmp_path, "--to", kind).returncode == 0
    assert str(LARGEST_SEED) in (tmp_path / "report" / "trials.csv").read_text()


def test_fresh_seeds_of_a_confirmation_stay_within_what_tables_hold():
    experiment = make_experiment(["a"]).model_copy(update={"seeds": (0, LARGEST_SEED - 1)})
    fresh = confirmation(experiment, [NamedComposition(label="a", ops=())], 3, "")
    assert fresh.seeds == (LARGEST_SEED, 1, 2)


@pytest.mark.parametrize("name", ["temperature", "optimiser.lr", "optimiser.weight_decay", "loss_scale"])
@pytest.mark.parametrize("value", ["1e31", "1e308"])
def test_a_number_that_can_only_end_in_nan_is_refused(name, value, tmp_path):
    done = ablate("grid", "--ops", "color", *SETTINGS, "--set", f"{name}={value}", cwd=tmp_path)
    assert name in one_sentence(done)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"temperature": 500.0}, "temperature is 500"),
        ({"optimiser": Optimiser(lr=10.0, weight_decay=1.0)}, "weight decay 1 at learning rate 10"),
        ({"optimiser": Optimiser(lr=10.0)}, "a learning rate below 10"),
        ({"temperature": 500.0, "objective": "supervised", "branches": "two", "base": None}, "learning rate below"),
    ],
)
def test_advice_on_a_loss_that_is_not_finite_names_the_unusual_setting(changes, said):
    data = DataIdentity(name="made-up", fingerprint="f00d", classes=3)
    assert said in remedy(TrialConfig(composition=(), data=data, **changes))


def test_a_search_of_two_ops_needs_no_max_length(tmp_path, tiny_folder, cache, unmeasured):
    data = ["--data", f"folder:{tiny_folder}", "--cache", cache]
    line = ["search", "--ops", "crop,color", "--budget", "1", *data, *SETTINGS, "--out", tmp_path / "s"]
    assert "at most 2" in one_sentence(ablate(*line, "--max-length", "3"))
    done = ablate(*line, "--max-length", "2", "--dry-run")
    assert done.returncode == 0
    again = ablate(*line, "--dry-run")
    assert again.returncode == 0
    assert done.stdout.splitlines()[:5] == again.stdout.splitlines()[:5]


@pytest.mark.slow
def test_a_plan_that_is_moved_away_while_the_sweep_runs_is_written_again(tmp_path, tiny_folder, cache, monkeypatch):
    out, execute = tmp_path / "out", worker.execute

    def moving(*arguments):
        if (out / PLAN).exists():
            (out / PLAN).rename(tmp_path / "moved.toml")
        return execute(*arguments)

    monkeypatch.setattr(worker, "execute", moving)
    done = run_here(command(tiny_folder, cache, out, ops="color"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "written again" in done.stdout
    assert (out / PLAN).read_bytes() == (tmp_path / "moved.toml").read_bytes()
    assert len(results(out)) == len(plan(load_plan(out)))


def test_records_without_their_plan_are_not_called_strangers(tmp_path):
    (tmp_path / "trials").mkdir()
    assert "put that file back" in one_sentence(ablate("grid", "--ops", "color", *SETTINGS, "--out", tmp_path))


COMMANDS = """
import sys
from ablate.cli import main
directory = sys.argv[1]
for name in ("status", "report", "recommend"):
    sys.argv = ["ablate", name, directory]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (name, end.code)
"""


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("latin-1", marks=pytest.mark.slow)])
def test_a_terminal_that_lacks_a_character_gets_another(tmp_path, encoding):
    """Also what is read back from the disk does not depend on the locale."""
    experiment = make_experiment(["a", "b"], seeds=2).model_copy(update={"data": "folder:/Bilder/blätter"})
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        write_record(tmp_path, record(trial, 0.5 + 0.01 * trial.seed))
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run([sys.executable, "-c", COMMANDS, tmp_path], capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert "blätter" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def made(directory, accuracy=lambda trial: 0.5):
    """A finished sweep of two ops and one seed; its trials' records."""
    experiment = make_experiment(["a", "b"])
    save_plan(directory, experiment)
    return [write_record(directory, record(trial, accuracy(trial))) for trial in plan(experiment)]


READING = ["status", "report", "recommend", "export", "logs"]


def line_of(name, directory):
    return [name, directory, *{"export": ["--to", "csv"], "logs": ["a"]}.get(name, [])]


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("which", ["sweep.toml", "record"])
def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch, name, which):
    path = made(tmp_path)[1] if which == "record" else tmp_path / PLAN
    real = io.open

    def refusing(file, *args, **kwargs):
        if str(file) == str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return real(file, *args, **kwargs)

    if which == "sweep.toml":
        made(tmp_path)
    monkeypatch.setattr(io, "open", refusing)  # root may read everything
    done = ablate(*line_of(name, tmp_path))
    if which == "record" and name == "logs":
        return
    assert done.returncode == 1
    assert done.stderr.strip() == f"error: {path} cannot be read or written (Permission denied)"


@pytest.mark.parametrize("name", READING[:3])
@pytest.mark.usefixtures("undrawn")
def test_a_directory_in_a_records_place_is_a_damaged_record(tmp_path, name):
    path = made(tmp_path)[1]
    path.unlink()
    path.mkdir()
    done = ablate(*line_of(name, tmp_path))
    assert done.returncode == 0
    assert "damaged" in done.stdout or name == "recommend"


def test_what_cannot_be_written_is_recommended_all_the_same(tmp_path):
    made(tmp_path)
    (tmp_path / "report").write_text("in the way")
    done = ablate("recommend", tmp_path)
    assert done.returncode == 2
    assert "validation" in done.stdout
    assert "report is a file, where a directory of that name is needed" in done.stderr


@pytest.mark.parametrize("line", ["export . --to csv", "export . --to optuna", "preview crop"])
def test_a_directory_where_a_file_is_to_be_written_is_refused(tmp_path, line):
    made(tmp_path)
    (tmp_path / "there.png").mkdir()
    assert "is a directory; name a file" in one_sentence(ablate(*line.split(), "--out", "there.png", cwd=tmp_path))


@pytest.mark.parametrize("name", ["o u't", 'a "b" $c', "d;e"])
@pytest.mark.usefixtures("undrawn")
def test_every_command_that_is_told_can_be_pasted_whatever_the_directory_is_called(tmp_path, name):
    directory = tmp_path / name
    made(directory, lambda trial: 0.2 if trial.reference else 0.6)  # above the untrained encoder: worth confirming
    told = "".join(ablate(command, directory).stdout for command in ("report", "recommend"))
    commands = [line for line in re.findall(r"`(ablate [^`]*)`", " ".join(told.split())) if "recommend" in line]
    assert commands
    assert all(str(directory) in shlex.split(line) for line in commands)


@pytest.mark.parametrize("line", ["grid --help", "--version", "status ."])
def test_a_full_disk_under_standard_output_is_one_sentence(tmp_path, line):
    made(tmp_path)
    words = [sys.executable, "-m", "ablate", *line.split()]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("error: a write was refused (No space left on device), by the disk or")
        assert done.stderr.count("\n") == 1
        done = subprocess.run([*words[:3], "status", "nowhere"], stderr=full, stdout=full, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("line", ["status .", "grid --help"])
def test_a_reader_that_leaves_and_streams_that_are_closed_are_no_errors(tmp_path, line):
    made(tmp_path)
    command = f"{shlex.quote(sys.executable)} -m ablate {line}"
    for script in (f"{command} | head -1", f"{command} >&-", f"{command} >&- 2>&- <&-"):
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert done.stderr == ""


@pytest.mark.parametrize(
    "variables",
    [{"RANK": "1"}, {"RANK": "x", "WORLD_SIZE": "1"}, {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "x"}],
)
def test_variables_of_a_cluster_that_torchrun_has_not_set_silence_no_command(tmp_path, variables):
    made(tmp_path)
    assert "done" in ablate("status", tmp_path, **variables).stdout
    assert "directory" in one_sentence(ablate("status", tmp_path / "nowhere", **variables))


LONG = "x" * 300


@pytest.mark.parametrize(
    "line",
    [
        *(f"{name} {{}}" for name in ("status", "report", "recommend", "cancel", "run")),
        *("logs {} a", "export {} --to csv", "merge {} --out m", "merge . --out {}", "evaluate {} --protocol knn"),
        *("grid --ops color --out {}", "grid --ops color --data folder:{}", "grid --ops color --cache {}"),
        *("train color --out {}", "preview color --out {}.png", "export . --to csv --out {}"),
    ],
)
@pytest.mark.parametrize("name", [LONG, "loop/x"])
def test_a_path_that_no_file_can_have_is_refused(tmp_path, line, name):
    made(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    sentence = one_sentence(ablate(*line.format(name).split(), cwd=tmp_path))
    assert name in sentence


def test_a_name_as_long_as_a_name_can_be_is_written(tmp_path):
    made(tmp_path)
    path = tmp_path / ("\N{LATIN SMALL LETTER A WITH DIAERESIS}" * 125 + ".csv")
    assert ablate("export", tmp_path, "--to", "csv", "--out", path).returncode == 0
    assert path.is_file()


@pytest.mark.parametrize("name", ["link", "link/in/it"])
def test_a_link_that_leads_nowhere_is_called_so(tmp_path, name):
    (tmp_path / "link").symlink_to("nowhere")
    line = ["grid", "--ops", "color", *SETTINGS, "--out", tmp_path / name]
    assert "link is a link that leads nowhere" in one_sentence(ablate(*line))


@pytest.mark.parametrize("filename", [(), ("somewhere",)])
def test_too_many_open_files_is_one_sentence(tmp_path, monkeypatch, filename):
    def refuse(*args, **kwargs):
        raise OSError(errno.EMFILE, "Too many open files", *filename)

    made(tmp_path)
    monkeypatch.setattr(io, "open", refuse)
    done = ablate("status", tmp_path)
    assert (done.returncode, done.stderr) == (1, "error: too many open files; allow more, as with `ulimit -n 1024`\n")


def test_an_op_without_a_docstring_is_listed_without_its_signature(monkeypatch):
    from ablate.ops import catalogue
    from ablate.ops.op import Op

    silent = dataclasses.dataclass(frozen=True)(type("Silent", (Op,), {"__doc__": None}))
    assert silent.__doc__
    monkeypatch.setattr(catalogue, "get", lambda name: silent)
    assert catalogue.describe(["silent"])[0].summary == ""
