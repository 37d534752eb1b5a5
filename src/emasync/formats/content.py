"""Whether a chunk holds data: it is there, and its voxels are not all zero or fill value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from emasync.errors import ErrorKind, SourceError
from emasync.formats.interface import ArrayDescription


class NoDecoderError(SourceError):
    """Nothing here undoes how a chunk was written; the message says what, and what to install where that helps."""

    default_kind = ErrorKind.NOT_BUILT


@dataclass(frozen=True, slots=True)
class ChunkBytes:
    """One chunk as it is stored; out of its shard where it lay in one, and unpacked where the shard packed it.

    Attributes
    ----------
    name : str
        For messages.
    shape : tuple of int
        Its voxels, in the array's axis order: those inside of the array where the format cuts chunks at its edge.
    data : bytes
    """

    name: str
    shape: tuple[int, ...]
    data: bytes


ContentTest = Callable[[ChunkBytes], bool]
"""Whether a chunk holds data. Takes time: not for the loop.

Raises :class:`~emasync.errors.FormatError` for bytes that are not what the metadata say.
"""


@runtime_checkable
class TellsContent(Protocol):
    """A :class:`~emasync.formats.interface.Format` whose chunks can be looked into."""

    def content_test(self, array: ArrayDescription, documents: Mapping[str, bytes]) -> ContentTest:
        """How to tell whether chunks of `array` hold data.

        Parameters
        ----------
        array : ArrayDescription
        documents : mapping of str to bytes
            Of the array and the image around it.

        Raises
        ------
        NoDecoderError
            Nothing here undoes one of its codecs.
        """
        ...
