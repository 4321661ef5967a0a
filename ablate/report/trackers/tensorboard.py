"""Runs as TensorBoard's event files: ``<out>/<sweep>/<cell>/s<seed>``, with the cells in the HParams tab."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData
from tensorboard.summary.writer.record_writer import RecordWriter

from ablate.console import command
from ablate.files import write_atomically
from ablate.report.trackers.run import Run, Value

KIND = "events.out.tfevents"
"""The part of a file's name by which TensorBoard finds it."""
STATUS = {"done": api_pb2.STATUS_SUCCESS, "failed": api_pb2.STATUS_FAILURE, "pruned": api_pb2.STATUS_SUCCESS}
LONGEST = 200  # bytes of a folder's name; file systems take 255


class TensorBoard:
    """Event files, one for each run. Its name ends with the run's id and digest, and equal runs have equal bytes."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.look = command("tensorboard", "--logdir", place)

    def known(self, sweep: str) -> Mapping[str, str]:
        """Return the digest of every run of a sweep, from the names of the files."""
        names = (path.name.split(".") for path in Path(self.place, _folder(sweep)).rglob(f"{KIND}.*.*.*"))
        return {name[-2]: name[-1] for name in names}

    def write(self, run: Run) -> None:
        """Write the event file of a run, then remove that of an earlier one with its id."""
        folder = Path(self.place, *(_folder(part) for part in (run.sweep, run.group, run.name) if part))
        path = folder / f"{KIND}.{run.began:.0f}.{run.id}.{run.digest}"
        buffer = io.BytesIO()
        writer = RecordWriter(buffer)
        writer.write(event_pb2.Event(wall_time=run.began, file_version="brain.Event:2").SerializeToString())
        for when, step, values in _events(run):
            event = event_pb2.Event(wall_time=when, step=step, summary=summary_pb2.Summary(value=values))
            writer.write(event.SerializeToString())
        write_atomically(path, buffer.getvalue())
        for earlier in folder.glob(f"{KIND}.*.{run.id}.*"):
            if earlier != path:
                earlier.unlink(missing_ok=True)


def _events(run: Run) -> Iterator[tuple[float, int, list[Any]]]:
    """Yield the time, the step and the values of each event: what was asked for, curves by epoch, then the end."""
    start = [_text("config", _table(run.config))] if run.config else []
    yield run.began, 0, [*start, *_session(run)]
    for name, points in run.curves.items():
        for epoch, value in points:
            yield run.when(epoch), epoch, [summary_pb2.Summary.Value(tag=f"training/{name}", simple_value=value)]
    values = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in run.final.items()]
    values += [_image(name, png) for name, png in run.images.items()]
    values += [_text("notes", run.text)] if run.text else []
    last = max((points[-1][0] for points in run.curves.values()), default=0)
    yield run.ended, last, values + _session_end(run)


def _session(run: Run) -> list[Any]:
    """Return the values of a run for the HParams tab, whose rows are cells: the means over their seeds."""
    if not run.varied:
        return []
    info = plugin_data_pb2.SessionStartInfo(start_time_secs=run.began, group_name=run.group)
    for name, value in run.varied.items():
        if isinstance(value, int | float):
            info.hparams[name].number_value = value
        else:
            info.hparams[name].string_value = str(value)
    data = plugin_data_pb2.HParamsPluginData(session_start_info=info)
    return [_hparams(metadata.SESSION_START_INFO_TAG, data)]


def _session_end(run: Run) -> list[Any]:
    if not run.varied:
        return []
    info = plugin_data_pb2.SessionEndInfo(status=STATUS[run.status], end_time_secs=run.ended)
    return [_hparams(metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=info))]


def _hparams(tag: str, data: Any) -> Any:
    about = metadata.create_summary_metadata(data)
    return summary_pb2.Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)


def _image(name: str, png: bytes) -> Any:
    width, height = Image.open(io.BytesIO(png)).size
    picture = summary_pb2.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
    return summary_pb2.Summary.Value(tag=name, image=picture)


def _text(tag: str, markdown: str) -> Any:
    plugin = summary_pb2.SummaryMetadata.PluginData(
        plugin_name="text", content=TextPluginData(version=0).SerializeToString()
    )
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)])
    tensor = tensor_pb2.TensorProto(dtype="DT_STRING", string_val=[markdown.encode()], tensor_shape=shape)
    about = summary_pb2.SummaryMetadata(plugin_data=plugin)
    return summary_pb2.Summary.Value(tag=tag, metadata=about, tensor=tensor)


def _table(config: Mapping[str, Value]) -> str:
    rows = (f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in config.items())
    return "\n".join(["| setting | value |", "| --- | --- |", *rows])


def _folder(name: str) -> str:
    """Return a cell's name as a folder's: without slashes, and within what a file system takes."""
    plain = name.replace("/", "_").lstrip(".") or "_"
    return plain.encode()[:LONGEST].decode(errors="ignore")
