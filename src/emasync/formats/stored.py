"""Files that hold arrays: what is in them, and where its bytes lie. Synchronous, no network, safe on hostile files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from emasync.errors import FormatError
from emasync.formats.json_document import Json
from emasync.model.digest import Span

BLOCK_BYTES: Final = 16 << 10
"""What headers are read in: one such block holds most of them."""

KEPT_BLOCKS: Final = 64


class ByteSource(Protocol):
    """The bytes of a file, wherever it is."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        ...

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Up to `size_bytes` bytes at `offset`; less at the end of the file only."""
        ...


@dataclass(frozen=True, slots=True)
class Measure:
    """A physical length of one voxel along one axis, as published.

    Attributes
    ----------
    value : float
    unit : str
        As published; empty where none was given.
    source : str
        Where in the file it stands.
    """

    value: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Codec:
    """One step between an array's voxels and the bytes of a chunk, in the order of encoding.

    Attributes
    ----------
    name : str
    configuration : mapping of str to Json
    """

    name: str
    configuration: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChunkTable:
    """Places of an array's chunks: numbers and no objects, for there may be millions.

    All tables have the shape of the chunk grid: along each axis the shape over the chunk, rounded up.

    Attributes
    ----------
    starts : ndarray of uint64
        Offset in the file, bytes. Chunks may lie in any order, and share a place.
    sizes : ndarray of uint64
        Length in the file, bytes; 0 where a chunk was never written: its voxels have the fill value. Chunks that are
        there lie inside the file.
    skipped : ndarray of uint32, optional
        Bit n of a chunk says that its bytes went without step n of the array's codecs (the filter mask of HDF5); None
        where all chunks went through all steps.
    """

    starts: npt.NDArray[np.uint64]
    sizes: npt.NDArray[np.uint64]
    skipped: npt.NDArray[np.uint32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArray:
    """One array inside a file.

    Attributes
    ----------
    path : str
        Inside the file; unique there.
    shape, chunks : tuple of int
        Voxels; the last axis is the fastest. `chunks` is `shape` where the array is one piece.
    dtype : str
        As numpy writes it, byte order included.
    axes : tuple of str
        Names, such as ``z``, ``y``, ``x``, ``c``.
    measures : tuple of Measure or None
        One an axis; None where nobody said.
    whole : Span or None
        Of an array that is one uncompressed piece: its bytes.
    codecs : tuple of Codec
        Where there is none, a chunk's voxels follow each other in C order, so that a part of one can be read alone.
    role : {"image", "thumbnail", "reduced"}
        ``reduced``: a lower resolution of another array of the file.
    table : ChunkTable or None
        Where the chunks are; None where `whole` says it. An array that has neither lies in other files, or in the
        headers of this one; a note says which.
    edges : {"full", "cut"}
        What chunks hold that reach beyond the array: a chunk of full shape, or its voxels inside of the array only.
    fill_value : Json
        Of voxels whose chunk was never written; a complex number is a list of two.
    """

    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    axes: tuple[str, ...]
    measures: tuple[Measure | None, ...]
    whole: Span | None
    codecs: tuple[Codec, ...] = ()
    role: Literal["image", "thumbnail", "reduced"] = "image"
    table: ChunkTable | None = None
    edges: Literal["full", "cut"] = "full"
    fill_value: Json = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDescription:
    """What a file holds.

    Attributes
    ----------
    format : str
    arrays : tuple of StoredArray
        In the order of the file.
    notes : tuple of str
        What cannot be read, or contradicts itself.
    """

    format: str
    arrays: tuple[StoredArray, ...]
    notes: tuple[str, ...] = ()


class FileFormat(Protocol):
    """One format of whole files."""

    def recognises(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes (the first 32 or more) is of this format."""
        ...

    def describe(self, source: ByteSource) -> FileDescription:
        """What the file holds; reads its headers, never its pixels.

        Raises
        ------
        FormatError
            The file contradicts the format, names byte and file.
        """
        ...


class HeaderBytes:
    """Reads of headers, in blocks that are kept: a header is many values of some bytes each.

    Parameters
    ----------
    source : ByteSource
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._blocks: dict[int, bytes] = {}
        self.name = source.name
        self.size_bytes = source.size_bytes

    def take(self, offset: int, size_bytes: int) -> bytes:
        """Exactly `size_bytes` bytes at `offset`.

        Raises
        ------
        FormatError
            The file ends before.
        """
        if offset < 0 or size_bytes < 0 or offset + size_bytes > self.size_bytes:
            raise self.broken(offset, f"{size_bytes} bytes were expected, the file ends at byte {self.size_bytes}")
        first, last = offset // BLOCK_BYTES, (offset + size_bytes - 1) // BLOCK_BYTES
        data = b"".join(self._block(number) for number in range(first, last + 1))
        found = data[offset - first * BLOCK_BYTES :][:size_bytes]
        if len(found) != size_bytes:
            raise self.broken(offset, f"{size_bytes} bytes were expected, {len(found)} came")
        return found

    def _block(self, number: int) -> bytes:
        known = self._blocks.get(number)
        if known is None:
            while len(self._blocks) >= KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            known = self._blocks[number] = self._source.read(number * BLOCK_BYTES, BLOCK_BYTES)
        return known

    def broken(self, offset: int, problem: str) -> FormatError:
        """An error that names file and byte."""
        return FormatError(f"{self.name}: byte {offset}: {problem}", location=self.name)


def reversed_axes(count: int, names: Sequence[str] = ("x", "y", "z")) -> tuple[str, ...]:
    """Names of axes, the slowest first, where a format has them the fastest first; a fourth is ``t``, others ``dN``."""
    known = (*names, "t")
    return tuple(reversed([known[index] if index < len(known) else f"d{index}" for index in range(count)]))
