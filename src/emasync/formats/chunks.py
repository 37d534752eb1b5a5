"""What is needed to decode one chunk: of every format, in one vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy.typing as npt
from typing_extensions import Buffer

from emasync.formats.json_document import Json
from emasync.formats.stored import Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkLayout:
    """How the chunks of one array are stored; inner chunks where the array is sharded.

    Attributes
    ----------
    chunks : tuple of int
        Voxels of one whole chunk, in the array's axis order (the last axis is the fastest).
    dtype : str
        Of the decoded voxels, as numpy writes it, byte order included.
    codecs : tuple of Codec
        In the order of encoding. None at all: voxels follow each other in C order, and a part of a chunk can be read
        alone.
    edges : {"full", "cut", "own"}
        What chunks hold that reach beyond the array: a chunk of full shape, the voxels inside of the array only, or
        what the chunk's own header says (N5).
    fill_value : Json
        Of voxels whose chunk was left out; a complex number is a list of two. None where it is undefined: read as 0.
    """

    chunks: tuple[int, ...]
    dtype: str
    codecs: tuple[Codec, ...] = ()
    edges: Literal["full", "cut", "own"] = "full"
    fill_value: Json = 0


class ChunkDecoder(Protocol):
    """Bytes of one chunk → its voxels. Holds no state that calls change: threads and forked processes share it."""

    def decode(
        self,
        key: str,
        data: Buffer,
        shape: Sequence[int],
        *,
        skipped: int = 0,
        out: npt.NDArray[Any] | None = None,
        planes: range | None = None,
    ) -> npt.NDArray[Any]:
        """The voxels of a chunk.

        Parameters
        ----------
        key : str
            Of the chunk, for messages.
        data : buffer
            As stored.
        shape : sequence of int
            Voxels of this chunk that lie inside of the array: the whole shape but at the far edges.
        skipped : int
            Bit n: these bytes went without the n-th codec.
        out : ndarray, optional
            C-contiguous, of a whole chunk's shape and dtype: voxels are put there where that saves a copy.
        planes : range, optional
            Positions on the first axis that are wanted; the others may be anything where that saves time, and nothing
            is said of damage to them.

        Returns
        -------
        ndarray
            At least of `shape`, in the array's axis order and the layout's dtype; beyond `shape` anything. May be
            `out`, a view of `data`, or have strides of its own; callers do not write to it.

        Raises
        ------
        FormatError
            The bytes are not what the layout says; names the chunk. Memory stays in proportion to a whole chunk.
        """
        ...
