"""The format plug-in: a folder whose documents say what lies in the files of numbers beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from emasync.errors import FormatError
from emasync.formats.binary.open_ephys import STRUCTURE, parse_structure
from emasync.formats.binary.recording import DESCRIPTION, Recording
from emasync.formats.stored import Measure, StoredArray
from emasync.model.digest import Span
from emasync.model.task import escape_for_log

_READERS: Final[Mapping[str, Callable[[bytes], tuple[Recording, ...]]]] = {
    DESCRIPTION: lambda data: (Recording.parse(data),),
    STRUCTURE: parse_structure,
}


class BinaryFormat:
    """Folders of recordings."""

    name = "binary"
    documents = tuple(_READERS)
    """Names of files that make a folder one."""

    def recordings(self, key: str, data: bytes) -> tuple[Recording, ...]:
        """What a document tells of.

        Parameters
        ----------
        key : str
            Of the document, whose last segment is one of :attr:`documents`.
        data : bytes

        Raises
        ------
        FormatError
            It breaks a rule.
        """
        try:
            return _READERS[key.rpartition("/")[2]](data)
        except ValueError as error:
            raise FormatError(f"{escape_for_log(key)}: {error}", location=key) from error


def traces(document: str, recording: Recording, file: str, size_bytes: int) -> StoredArray:
    """The traces in one file as an array; a part of a frame at its end is no sample.

    Parameters
    ----------
    document : str
        That tells of it, for what it says of the time between samples.
    recording : Recording
    file : str
        Its name.
    size_bytes : int
    """
    samples = recording.samples(size_bytes)
    start = recording.offset_bytes
    step = None if recording.rate_hz is None else Measure(1 / recording.rate_hz, "s", f"{document}: sampling rate")
    rows: tuple[tuple[str, int, Measure | None], ...] = (("time", samples, step), ("channel", recording.channels, None))
    axes, shape, measures = zip(*(rows if recording.samples_first else rows[::-1]), strict=True)
    return StoredArray(
        path=file,
        shape=shape,
        chunks=tuple(max(1, length) for length in shape),
        dtype=recording.dtype,
        axes=axes,
        measures=measures,
        whole=Span(start, start + samples * recording.frame_bytes),
    )
