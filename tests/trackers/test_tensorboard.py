"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import shutil

import pytest

from ablate.report.data.results import read_sweep
from ablate.sweep.layout import SweepDir
from tests.support.cli import ablate, one_sentence
from tests.support.tracked import exported

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups, plugin_data_pb2


def opened(folder):
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return reader


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_has_curves_final_values_settings_and_the_views(tracked):
    assert exported(tracked, "tensorboard") == (9, 0)  # eight trials with records, and the sweep
    runs = SweepDir(tracked).tracker("tensorboard") / "leaves.v2"
    assert {path.name for path in runs.iterdir()} == {"a", "b", "b+a", "untrained", "sweep"}
    run = opened(runs / "b+a" / "s1")
    assert [(event.step, event.value) for event in run.Scalars("training/loss")] == [(1, 1.5), (2, 1.0), (3, 0.5)]
    assert [(event.step, event.value) for event in run.Scalars("training/knn_val_top1")] == [(2, 0.25)]
    assert [event.wall_time for event in run.Scalars("training/lr")] == [1793527160, 1793527180, 1793527200]
    assert run.Scalars("final/linear_top1")[0].value == pytest.approx(0.31)
    assert run.Scalars("seconds/total")[0].value == 60
    (views,) = run.Images("views")
    assert (views.width, views.height, views.encoded_image_string[1:4]) == (12, 4, b"PNG")
    settings = run.summary_metadata["config"].plugin_data.plugin_name, run.Tensors("config")[0].tensor_proto
    assert settings[0] == "text"
    assert b"| config.epochs | 3 |" in settings[1].string_val[0]
    start = run.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    session = plugin_data_pb2.HParamsPluginData.FromString(start).session_start_info
    assert (session.group_name, session.hparams["cell"].string_value) == ("b+a", "b+a")  # seeds of a cell in one row
    whole = opened(runs / "sweep")
    assert whole.Images("heatmap")[0].width > 500
    assert b"Best composition" in whole.Tensors("notes")[0].tensor_proto.string_val[0]
    failed = opened(runs / "b" / "s0")
    assert b"the loss became nan" in failed.Tensors("notes")[0].tensor_proto.string_val[0]


@pytest.mark.usefixtures("undrawn")
def test_rows_of_the_hparams_tab_are_cells_with_means_over_their_seeds(tracked):
    exported(tracked, "tensorboard")
    folder = str(SweepDir(tracked).tracker("tensorboard"))
    runs = EventMultiplexer().AddRunsFromDirectory(folder)
    runs.Reload()
    context = backend_context.Context(TBContext(data_provider=MultiplexerDataProvider(runs, folder)))
    request = api_pb2.ListSessionGroupsRequest(slice_size=10, allowed_statuses=api_pb2.Status.values())
    answer = list_session_groups.Handler(RequestContext(), context, "", request).run()
    rows = {group.name: group for group in answer.session_groups}
    (mean,) = [value.value for value in rows["a"].metric_values if value.name.tag == "final/linear_top1"]
    records = [record.metrics["linear_top1"] for record in read_sweep(tracked).records.values() if record.label == "a"]
    assert mean == pytest.approx(sum(records) / 2)
    assert len(set(records)) == 2
    assert rows.keys() == {"a", "b", "b+a", "untrained"}


@pytest.mark.usefixtures("undrawn")
def test_the_same_command_again_adds_nothing_and_a_new_record_replaces_the_run(tracked, retried):
    out = SweepDir(tracked).tracker("tensorboard")
    exported(tracked, "tensorboard")
    before = content(out)
    assert exported(tracked, "tensorboard") == (0, 9)
    assert content(out) == before
    retried()
    assert exported(tracked, "tensorboard") == (2, 7)  # the trial, and the heatmap that it changes
    assert len(content(out)) == 9
    assert opened(out / "leaves.v2" / "b" / "s0").Scalars("training/loss")


@pytest.mark.usefixtures("undrawn")
def test_sweeps_can_share_a_directory(tracked, tmp_path):
    other = shutil.copytree(tracked, tmp_path / "other")  # trials with the same ids
    for expected in ((9, 0), (0, 9)):
        for directory in (tracked, other):
            assert exported(directory, "tensorboard", "--out", tmp_path / "runs") == expected


def test_errors_are_sentences(tracked, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert "is a file" in one_sentence(ablate("export", tracked, "--to", "tensorboard", "--out", tmp_path / "file"))
    monkeypatch.setattr("ablate.report.trackers.write.importlib.util.find_spec", lambda name: None)
    assert "pip install 'ablate[tensorboard]'" in one_sentence(ablate("export", tracked, "--to", "tensorboard"))
