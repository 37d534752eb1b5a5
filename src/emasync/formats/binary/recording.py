"""What ``binary.json`` says of the traces beside it (``spikeinterface.core.binaryrecordingextractor``).

The traces are one long file of frames: all channels of one sample, then of the next. The number of samples is written
nowhere, so it must come out whole: ``num_samples * num_channels * itemsize + file_offset`` is the file's size.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

DESCRIPTION: Final = "binary.json"

_DTYPE: Final = re.compile(
    r"(?P<order>[<>=|]?)(?P<kind>[iu](?=[1248])|f(?=[248]))(?P<bytes>\d)|(?P<name>u?int(?=8|16|32|64)|float(?=16|32|64))(?P<bits>\d+)"
)
"""What SpikeInterface writes: ``numpy.dtype.str``, or a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Layout of the traces of one recording.

    Attributes
    ----------
    files : tuple of str
        One a segment, relative to the folder of the recording.
    channels : int
    dtype : str
        Of one value, as numpy writes it.
    offset_bytes : int
        Before the first frame.
    rate_hz : float or None
    samples_first : bool
        Whether frames follow each other; else each channel does, whole.
    gains_uv, offsets_uv : tuple of float or None
        Microvolts of one step, and at 0, for each channel; None where they are not told.
    """

    files: tuple[str, ...]
    channels: int
    dtype: str
    offset_bytes: int = 0
    rate_hz: float | None = None
    samples_first: bool = True
    gains_uv: tuple[float, ...] | None = None
    offsets_uv: tuple[float, ...] | None = None

    @classmethod
    def parse(cls, data: bytes) -> Recording:
        """Read a ``binary.json``.

        Raises
        ------
        ValueError
            It is none; says what is missing.
        """
        value: Any = orjson.loads(data)  # Any: JSON, checked below; JSONDecodeError is a ValueError
        kwargs = value.get("kwargs") if isinstance(value, dict) else None
        if not isinstance(kwargs, dict):
            raise ValueError("no kwargs in it")  # noqa: TRY004 - a document is wrong, not a call
        files = kwargs.get("file_paths")
        if not isinstance(files, list) or not files or not all(_is_below(name) for name in files):
            raise ValueError("file_paths is no list of names below the folder")
        channels = _natural(kwargs, "num_channels", "num_chan")  # the name until SpikeInterface 0.98
        offset = _natural(kwargs, "file_offset") if kwargs.get("file_offset") is not None else 0
        if channels is None or channels == 0 or offset is None:
            raise ValueError("num_channels or file_offset is no number")
        return cls(
            files=tuple(files),
            channels=channels,
            dtype=number_type(kwargs.get("dtype")),
            offset_bytes=offset,
            rate_hz=positive(kwargs.get("sampling_frequency")),
            samples_first=kwargs.get("time_axis") in (None, 0),
            gains_uv=_each(kwargs.get("gain_to_uV"), channels),
            offsets_uv=_each(kwargs.get("offset_to_uV"), channels),
        )

    @property
    def frame_bytes(self) -> int:
        """All channels of one sample."""
        return self.channels * int(self.dtype[2:])

    def samples(self, size_bytes: int) -> int:
        """Whole samples in a file of this size."""
        return max(0, size_bytes - self.offset_bytes) // self.frame_bytes

    def fault(self, size_bytes: int) -> str | None:
        """What is wrong with a file of this size; None when it holds whole frames."""
        over = (size_bytes - self.offset_bytes) % self.frame_bytes
        if size_bytes > self.offset_bytes and not over:
            return None
        return (
            f"{size_bytes:,} bytes are no whole number of frames of {self.frame_bytes:,} bytes"
            f" behind an offset of {self.offset_bytes:,}"
        )


def _is_below(name: object) -> bool:
    """Whether a name lies in the folder; others are paths on the machine that recorded."""
    return isinstance(name, str) and not name.startswith("/") and not {"", ".", ".."} & set(name.split("/"))


def _natural(kwargs: Mapping[str, object], *names: str) -> int | None:
    for name in names:
        value = kwargs.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62:
            return value
    return None


def positive(value: object) -> float | None:
    """A finite number above zero; None for anything else."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
    return float(value) if known and isinstance(value, int | float) else None


def _each(value: object, channels: int) -> tuple[float, ...] | None:
    """One number for each channel, or one for all of them; None for anything else."""
    values = value if isinstance(value, list) else [value] * channels
    numbers = [float(item) for item in values if isinstance(item, int | float) and not isinstance(item, bool)]
    return tuple(numbers) if len(numbers) == channels == len(values) else None


def number_type(dtype: object) -> str:
    """A type as numpy writes it; without an order it is little-endian, which all rigs are.

    Raises
    ------
    ValueError
        No type of numbers.
    """
    match = _DTYPE.fullmatch(dtype) if isinstance(dtype, str) else None
    if match is None:
        raise ValueError(f"dtype {str(dtype)[:40]!r} is no number type")
    size = int(match["bytes"]) if match["bytes"] else int(match["bits"]) // 8
    kind = match["kind"] or {"uint": "u", "int": "i", "float": "f"}[match["name"]]
    order = "|" if size == 1 else ">" if match["order"] == ">" else "<"
    return f"{order}{kind}{size}"
