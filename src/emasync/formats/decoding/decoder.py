"""A chain of codecs, undone in the other direction."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import ge
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from emasync.errors import FormatError
from emasync.formats.chunks import ChunkDecoder, ChunkLayout
from emasync.formats.content import NoDecoderError
from emasync.formats.decoding import arrays, checksums, compressors, hdf5, pictures, segmentation, tiff
from emasync.formats.decoding.blosc2 import blosc2
from emasync.formats.decoding.compresso import compresso
from emasync.formats.decoding.form import Bytes, Data, Form, PartStep, Step, Voxels, as_bytes
from emasync.formats.decoding.lz4_stream import lz4_stream
from emasync.formats.decoding.scaleoffset import scale_offset
from emasync.formats.n5.block import header_bytes, read_header
from emasync.formats.stored import Codec
from emasync.formats.voxel_types import voxel_type
from emasync.model.task import escape_for_log

DAMAGE: Final = (
    ValueError,
    ArithmeticError,
    LookupError,
    RuntimeError,
    EOFError,
    OSError,
    TypeError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)
"""What codecs raise over bytes that are not theirs: each library has its own, and some several."""

_STEPS: Final[Mapping[str, Callable[[Codec], Step]]] = {
    **compressors.STEPS,
    **arrays.STEPS,
    **checksums.STEPS,
    **hdf5.STEPS,
    **tiff.STEPS,
    **pictures.STEPS,
    **segmentation.STEPS,
    "precomputed.compresso": compresso,
    "hdf5.blosc2": blosc2,
    "hdf5.scaleoffset": scale_offset,
    "n5.lz4": lz4_stream,
    "n5.block": lambda _: arrays.Kept(),  # the header tells the shape, which is wanted before all codecs
}

Work = tuple[Step, Form]
"""A codec to undo, and what must come out."""


def decoder_for(layout: ChunkLayout, array: str = "") -> ChunkDecoder:
    """How to decode the chunks of an array.

    Parameters
    ----------
    layout : ChunkLayout
    array : str
        Names it in messages.

    Returns
    -------
    ChunkDecoder
        Holds nothing that calls change, and pickles as its layout.

    Raises
    ------
    NoDecoderError
        Nothing here undoes one of its codecs, or what does is not installed; or voxels are no numbers.
    """
    try:
        steps = tuple(_step(codec) for codec in layout.codecs)
        whole = Form.of_voxels(layout.chunks, voxel_type(layout.dtype))
        work = tuple(_work(steps, whole))
    except NoDecoderError as error:
        place = f"{escape_for_log(array)}: " if array else ""
        raise NoDecoderError(f"{place}{error.message}", location=array or None) from error
    return Decoder(layout, array, steps, whole, work, _partly(steps))


def _step(codec: Codec) -> Step:
    make = _STEPS.get(codec.name)
    if make is None:
        raise NoDecoderError(f"nothing here undoes codec {escape_for_log(codec.name)}")
    try:
        return make(codec)
    except NoDecoderError as error:
        raise NoDecoderError(f"codec {codec.name} {error.message}") from error


def _partly(steps: Sequence[Step]) -> PartStep | None:
    return steps[0] if steps and isinstance(steps[0], PartStep) else None


def _work(steps: Sequence[Step], form: Form) -> Iterator[Work]:
    """Each codec with the form of what it was given."""
    for step in steps:
        yield step, form
        form = step.after(form)


@dataclass(frozen=True, slots=True)
class Decoder:
    """Decodes chunks of one array (:class:`~emasync.formats.chunks.ChunkDecoder`).

    Attributes
    ----------
    layout : ChunkLayout
    array : str
    steps : tuple of Step
        One a codec.
    whole : Form
        Of the voxels of a whole chunk.
    work : tuple of Work
        For a whole chunk that went through all codecs.
    partly : PartStep or None
        The first codec, where it makes bytes of voxels and can be undone for some of them.
    """

    layout: ChunkLayout
    array: str
    steps: tuple[Step, ...] = field(compare=False, repr=False)
    whole: Form = field(compare=False, repr=False)
    work: tuple[Work, ...] = field(compare=False, repr=False)
    partly: PartStep | None = field(compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return decoder_for, (self.layout, self.array)

    def decode(
        self,
        key: str,
        data: Buffer,
        shape: Sequence[int],
        *,
        skipped: int = 0,
        out: npt.NDArray[Any] | None = None,
        planes: range | None = None,
    ) -> Voxels:
        """The voxels of a chunk; see :class:`~emasync.formats.chunks.ChunkDecoder`."""
        stored, packed = self._stored(key, data, tuple(shape))
        whole, work = self.whole, self.work
        if skipped or stored != self.layout.chunks:
            whole = Form.of_voxels(stored, np.dtype(self.layout.dtype))
            work = tuple(_work([step for n, step in enumerate(self.steps) if not skipped >> n & 1], whole))
        try:
            found = self._undone(work, whole, packed, out if stored == self.layout.chunks else None, planes)
        except DAMAGE as error:
            what = f"{escape_for_log(key)}: the chunk cannot be decoded: {escape_for_log(str(error))}"
            raise FormatError(f"{what}; it is damaged, or the metadata speaks of another", location=key) from error
        return found if all(map(ge, stored, shape)) else _grown(found, tuple(shape))

    def _stored(self, key: str, data: Data, inside: tuple[int, ...]) -> tuple[tuple[int, ...], Data]:
        """Shape of what a chunk holds, and its bytes without what tells the shape."""
        if self.layout.edges != "own":
            return inside if self.layout.edges == "cut" else self.layout.chunks, data
        block = as_bytes(data)
        header = read_header(key, block[: header_bytes(len(inside))].tobytes(), self.layout.chunks)
        return header.shape, block[header.size_bytes :]

    def _undone(
        self, work: Sequence[Work], whole: Form, data: Data, out: Voxels | None, planes: range | None
    ) -> Voxels:
        into: Bytes | None = None if out is None else out.reshape(-1).view(np.uint8)
        for number in range(len(work) - 1, -1, -1):
            step, form = work[number]
            if step is self.partly and planes is not None:
                plane_bytes = form.most_bytes // whole.of()[0][0]
                wanted = range(planes.start * plane_bytes, min(planes.stop * plane_bytes, form.most_bytes))
                data = self.partly.undo_some(data, form, into, wanted)
            else:
                data = step.undo(data, form, None if number else into)
        if out is not None and data is into:
            return out
        return whole.voxels(data)


def _grown(found: Voxels, shape: tuple[int, ...]) -> Voxels:
    """A block that was cut at an edge of the dataset before the dataset grew: what is missing was never written."""
    grown = np.zeros(shape, found.dtype)
    grown[tuple(map(slice, found.shape))] = found[tuple(map(slice, shape))]
    return grown
