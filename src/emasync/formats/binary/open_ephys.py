"""What ``structure.oebin`` says of the streams of a recording (Open Ephys GUI, "Binary Format")."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, Final

import orjson

from emasync.formats.binary.recording import Recording, positive

STRUCTURE: Final = "structure.oebin"
MAX_STREAMS: Final = 1_000
MAX_CHANNELS: Final = 1 << 20

_DTYPE: Final = "<i2"
"""Of all ``continuous.dat``: "a series of 16-bit integers", little-endian, all channels of a sample together."""


def parse_structure(data: bytes) -> tuple[Recording, ...]:
    """Streams of a recording; files are relative to the folder of the document.

    Raises
    ------
    ValueError
        It is none; says what is missing.
    """
    value: Any = orjson.loads(data)  # Any: JSON, checked below; JSONDecodeError is a ValueError
    streams = value.get("continuous") if isinstance(value, dict) else None
    if not isinstance(streams, list) or len(streams) > MAX_STREAMS:
        raise ValueError("continuous is no list of streams")
    return tuple(_stream(stream) for stream in streams)


def _stream(stream: Any) -> Recording:
    """One stream (Any: JSON)."""
    folder = stream.get("folder_name") if isinstance(stream, dict) else None
    if not isinstance(folder, str) or not _is_one_name(folder.strip("/")):
        raise ValueError("a stream without folder_name")
    count = stream.get("num_channels")
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= MAX_CHANNELS:
        raise ValueError(f"{folder[:100]}: num_channels is no number")
    channels = stream.get("channels")
    gains = [_gain(channel) for channel in channels] if isinstance(channels, list) else []
    return Recording(
        files=(f"continuous/{folder.strip('/')}/continuous.dat",),
        channels=count,
        dtype=_DTYPE,
        rate_hz=positive(stream.get("sample_rate")),
        gains_uv=tuple(gain for gain in gains if gain is not None) if len(gains) == count and all(gains) else None,
    )


def _is_one_name(name: str) -> bool:
    return bool(name) and len(PurePosixPath(name).parts) == 1 and name not in (".", "..")


def _gain(channel: Any) -> float | None:
    """``bit_volts``: microvolts of one step, whatever its name says (Any: JSON)."""
    return positive(channel.get("bit_volts")) if isinstance(channel, dict) else None
