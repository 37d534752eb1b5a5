"""Traces of electrodes: files of numbers that a document beside them tells of."""

from __future__ import annotations

from collections.abc import Iterator

from emasync.errors import FormatError
from emasync.formats.binary.format import BinaryFormat, traces
from emasync.formats.binary.recording import Recording
from emasync.formats.decoding import layout_of_stored
from emasync.formats.json_document import JsonObject
from emasync.formats.paths import join
from emasync.hooks.index.found_file import FoundArray
from emasync.hooks.inventory import Folder
from emasync.hooks.local import LocalTree


def recordings_in(item: Folder, disk: LocalTree, notes: list[str]) -> Iterator[FoundArray]:
    """Traces that the documents of a folder tell of.

    Parameters
    ----------
    item : Folder
    disk : LocalTree
        Of the dataset.
    notes : list of str
        Grows.
    """
    form = BinaryFormat()
    for name in form.documents:
        if name not in item.objects:
            continue
        key = join(item.path, name)
        try:
            for recording in form.recordings(key, disk.document(key) or b""):
                yield from _segments(item, key, recording, disk, notes)
        except FormatError as error:
            notes.append(error.message)


def _segments(item: Folder, key: str, recording: Recording, disk: LocalTree, notes: list[str]) -> Iterator[FoundArray]:
    """One array a file; a file that is not here is not downloaded."""
    for name in recording.files:
        path = join(item.path, name)
        file = disk.file(path)
        if file is None:
            notes.append(f"{path}: named in {key} and not here")
            continue
        if fault := recording.fault(file.size_bytes):
            notes.append(f"{path}: {fault}")
        found = traces(key, recording, name, file.size_bytes)
        yield FoundArray(
            asset=item.path,
            array=name,
            path=name,
            format="binary",
            shape=found.shape,
            axes=found.axes,
            layout=layout_of_stored(found),
            measures=found.measures,
            attributes=_attributes(recording),
            files=(file.name, join(disk.folder, key)),
            whole=found.whole,
        )


def _attributes(recording: Recording) -> JsonObject:
    """Rate and scale: microvolts are ``gain_uv * value + offset_uv``, one number where all channels agree."""
    told: JsonObject = {} if recording.rate_hz is None else {"sampling_rate_hz": recording.rate_hz}
    for name, values in (("gain_uv", recording.gains_uv), ("offset_uv", recording.offsets_uv)):
        if values is not None:
            told[name] = values[0] if len(set(values)) == 1 else list(values)
    return told
