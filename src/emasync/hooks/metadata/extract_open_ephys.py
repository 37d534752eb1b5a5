"""Recordings of the Open Ephys GUI: a folder with ``structure.oebin``, a file of samples a stream ("Binary format")."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import orjson

from emasync.formats.binary.open_ephys import STRUCTURE, parse_structure
from emasync.formats.binary.recording import Recording
from emasync.formats.paths import join
from emasync.hooks.inventory import Folder
from emasync.hooks.local import LocalTree
from emasync.hooks.metadata.claims import Claims, items, member, text_of
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord
from emasync.hooks.metadata.storage import dtype_name

_UNITS: Final = {"CH": "uV", "ADC": "V", "AI": "V"}
"""What ``bit_volts`` is a step of, by the beginning of channels' names: microvolts of headstages, volts of ADCs."""


def is_open_ephys(folder: Folder) -> bool:
    """Whether a folder holds such a recording."""
    return STRUCTURE in folder.objects


def describe_open_ephys(folder: Folder, disk: LocalTree) -> AssetRecord:
    """A recording as an asset, one row a stream.

    Parameters
    ----------
    folder : Folder
    disk : LocalTree
        Of the dataset.
    """
    place = join(folder.path, STRUCTURE)
    data = disk.document(place) or b""
    try:
        streams = parse_structure(data)
        value: Any = orjson.loads(data)  # Any: JSON, which has just been checked
    except ValueError as error:
        note = f"{place}: {error}"
        return AssetRecord(path=folder.path, kind="recording", format="binary", files=(place,), notes=(note,))
    claims = Claims("header", place, folder.path)
    claims.claim("format", "binary", "")
    claims.text("metadata_convention", f"Open Ephys {text_of(value.get('GUI version'))}".strip(), "GUI version")
    told = [member(stream, "source_processor_name") for stream in items(value["continuous"])]
    claims.text("probe", ", ".join(dict.fromkeys(filter(None, map(text_of, told)))), "source_processor_name")
    rows = [
        _stream(stream, value["continuous"][number], f"continuous[{number}]", folder, disk)
        for number, stream in enumerate(streams)
    ]
    here = [name for stream in streams for name in stream.files if disk.file(join(folder.path, name)) is not None]
    notes = (
        () if len(here) == len(streams) else (f"{len(streams) - len(here)} of its {len(streams)} streams are not here",)
    )
    return AssetRecord(
        path=folder.path,
        kind="recording",
        format="binary",
        claims=tuple(claims.found),
        arrays=tuple(rows),
        files=tuple(join(folder.path, name) for name in here),
        notes=notes,
    )


def _stream(stream: Recording, told: Any, where: str, folder: Folder, disk: LocalTree) -> ArrayRecord:
    """One stream (Any: JSON)."""
    (name,) = stream.files
    claims = Claims("header", join(folder.path, STRUCTURE), folder.path)
    dtype, order = dtype_name(stream.dtype)
    claims.claim("axes", "t,c", where)
    claims.claim("dtype", dtype, where)
    claims.claim("byte_order", order, where)
    claims.claim("codec_chain", "none", "")
    claims.claim("lossy", value=False, where="")
    claims.number("sampling_rate_hz", member(told, "sample_rate"), f"{where}.sample_rate", unit="Hz")
    claims.claim("n_channels", stream.channels, f"{where}.num_channels")
    claims.claim("shape_c", stream.channels, f"{where}.num_channels")
    channels = items(member(told, "channels"))
    claims.texts("channels", [member(one, "channel_name") for one in channels], f"{where}.channels")
    _say_scale(stream, [text_of(member(one, "channel_name")) for one in channels], where, claims)
    _say_samples(stream, disk, join(folder.path, name), claims)
    return ArrayRecord(path=name, claims=tuple(claims.found))


def _say_scale(stream: Recording, names: list[str], where: str, claims: Claims) -> None:
    """One step of a sample, where it is the same in all channels, and of a unit that is known."""
    units = {next((unit for start, unit in _UNITS.items() if name.startswith(start)), "") for name in names}
    gains = set(stream.gains_uv or ())
    if len(gains) == 1 and len(units) == 1 and (unit := units.pop()):
        claims.number("value_scale", gains.pop(), f"{where}.channels[].bit_volts", unit=unit)
        claims.claim("value_unit", unit, f"{where}.channels[].bit_volts")


def _say_samples(stream: Recording, disk: LocalTree, place: str, claims: Claims) -> None:
    """How long it is follows from the size of its file."""
    file = disk.file(place)
    if file is None:
        return
    if fault := stream.fault(file.size_bytes):
        claims.reject("n_samples", place, fault, "size")
        return
    samples = file.size_bytes // (stream.channels * np.dtype(stream.dtype).itemsize)
    claims.claim("n_samples", samples, f"size of {place}")
    claims.claim("shape_t", samples, f"size of {place}")
    if stream.rate_hz:
        claims.number("duration_s", samples / stream.rate_hz, f"size of {place}, sample_rate", unit="s")
