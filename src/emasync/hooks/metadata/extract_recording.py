"""Recordings as SpikeInterface keeps them: a folder with ``binary.json``, traces of time x channel beside it.

The number of samples is written nowhere: it follows from the files' sizes
(``spikeinterface.core.binaryrecordingextractor``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from emasync.errors import EmasyncError
from emasync.formats.json_document import parse_object
from emasync.formats.paths import join
from emasync.hooks.inventory import Folder
from emasync.hooks.local import LocalTree
from emasync.hooks.metadata.claims import Claims, items, member, number_of, text_of
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord
from emasync.hooks.metadata.storage import dtype_name

DESCRIPTION: Final = "binary.json"
_PROBES: Final = ("probe.json", "probegroup.json")


def is_recording(folder: Folder) -> bool:
    """Whether a folder holds such a recording."""
    return DESCRIPTION in folder.documents


def describe_recording(folder: Folder, disk: LocalTree) -> AssetRecord:
    """A recording as an asset, one row a segment.

    Parameters
    ----------
    folder : Folder
    disk : LocalTree
        Of the dataset.
    """
    place = join(folder.path, DESCRIPTION)
    claims = Claims("header", place, folder.path)
    try:
        value: Mapping[str, Any] = parse_object(place, disk.document(place) or b"")  # Any: JSON
    except EmasyncError as error:
        return AssetRecord(path=folder.path, kind="recording", format="binary", notes=(error.message,))
    told = member(value, "kwargs")
    _say_recording(value, told, claims)
    for name in _PROBES:
        if name in folder.documents:
            _say_probe(join(folder.path, name), disk, claims)
    files = [name for name in map(text_of, items(member(told, "file_paths"))) if name in folder.objects]
    arrays = tuple(_segment(folder, name, told, disk) for name in files)
    return AssetRecord(
        path=folder.path,
        kind="recording",
        format="binary",
        claims=tuple(claims.found),
        arrays=arrays,
        files=tuple(join(folder.path, name) for name in files),
        notes=tuple(claims.notes) if files else (*claims.notes, f"{place}: none of its traces is here"),
    )


def _say_recording(value: Mapping[str, Any], told: object, claims: Claims) -> None:
    claims.claim("format", "binary", "class")
    version = text_of(value.get("version"))
    claims.text("metadata_convention", f"SpikeInterface {version}".strip(), "version")
    claims.number("sampling_rate_hz", member(told, "sampling_frequency"), "kwargs.sampling_frequency", unit="Hz")
    claims.number("n_channels", _channels(told), "kwargs.num_channels")
    claims.texts("channels", items(member(told, "channel_ids")), "kwargs.channel_ids")
    gains = [number_of(gain) for gain in items(member(told, "gain_to_uV"))] or [number_of(member(told, "gain_to_uV"))]
    if gains[0] is not None and len(set(gains)) == 1:
        claims.number("value_scale", gains[0], "kwargs.gain_to_uV", unit="uV")
        claims.claim("value_unit", "uV", "kwargs.gain_to_uV")
    if member(value, "annotations", "is_filtered") is True:
        claims.texts("processing", ["filtered"], "annotations.is_filtered")


def _channels(told: object) -> object:
    """``num_chan`` until SpikeInterface 0.98."""
    return member(told, "num_channels") or member(told, "num_chan")


def _say_probe(place: str, disk: LocalTree, claims: Claims) -> None:
    """Name of the probe (probeinterface's JSON)."""
    try:
        value = parse_object(place, disk.document(place) or b"")
    except EmasyncError as error:
        claims.notes.append(error.message)
        return
    names = [
        text_of(member(probe, "annotations", name))
        for probe in items(value.get("probes"))
        for name in ("name", "model_name")
    ]
    own = Claims("sidecar", place, claims.scope)
    own.text("probe", ", ".join(dict.fromkeys(filter(None, names))), "probes[].annotations")
    claims.found.extend(own.found)


def _segment(folder: Folder, name: str, told: object, disk: LocalTree) -> ArrayRecord:
    """One file of traces."""
    claims = Claims("header", join(folder.path, DESCRIPTION), folder.path)
    claims.claim("axes", "t,c", "kwargs.time_axis")
    dtype, order = dtype_name(text_of(member(told, "dtype")))
    claims.text("dtype", dtype, "kwargs.dtype")
    claims.text("byte_order", order, "kwargs.dtype")
    claims.claim("codec_chain", "none", "")
    claims.claim("lossy", value=False, where="")
    channels, rate = number_of(_channels(told)), number_of(member(told, "sampling_frequency"))
    samples = _samples(disk, join(folder.path, name), text_of(member(told, "dtype")), channels, told)
    if samples is None:
        claims.reject("n_samples", name, "its size is no whole number of frames", "kwargs")
    elif channels:
        claims.claim("n_samples", samples, f"size of {name}")
        claims.claim("shape_t", samples, f"size of {name}")
        claims.claim("shape_c", int(channels), "kwargs.num_channels")
        if rate and rate > 0:
            claims.number("duration_s", samples / rate, f"size of {name}, sampling_frequency", unit="s")
    return ArrayRecord(path=name, claims=tuple(claims.found))


def _samples(disk: LocalTree, place: str, dtype: str, channels: float | None, told: object) -> int | None:
    """Frames in a file; None where they do not come out whole."""
    file, offset = disk.file(place), number_of(member(told, "file_offset")) or 0
    try:
        frame_bytes = np.dtype(dtype).itemsize * int(channels or 0)
    except (TypeError, ValueError, SyntaxError):  # as numpy says what is none of its types
        return None
    if file is None or frame_bytes <= 0:
        return None
    samples, over = divmod(file.size_bytes - int(offset), frame_bytes)
    return samples if not over and samples >= 0 else None
