"""Filters of HDF5, each over all bytes of a chunk.

Parameters are the filter's client data as the file has them (``H5Zpublic.h``, ``RegisteredFilterPlugins.md``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from emasync.formats.content import NoDecoderError
from emasync.formats.decoding import checksums, compressors
from emasync.formats.decoding.arrays import Kept, shuffled, whole_number
from emasync.formats.decoding.form import Bytes, Data, Form, Step, as_bytes
from emasync.formats.decoding.native import Function, require_native
from emasync.formats.stored import Codec

_BITSHUFFLE_HEADER: Final = struct.Struct(">QI")
_BITSHUFFLE_ITEMS: Final = 8
"""Blocks hold a multiple of so many items."""

_BITSHUFFLE_BLOCK_BYTES: Final = 8192
_PLAIN, _LZ4, _ZSTD = 0, 2, 3


@dataclass(frozen=True, slots=True)
class Packed:
    """A compressor of imagecodecs that writes into memory of ours, and refuses what does not fit into it."""

    function: Function
    options: Mapping[str, int | bool]

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        found = self.function(as_bytes(data), out=form.room(into), **self.options)
        form.require(len(found))
        return found if into is None else into


@dataclass(frozen=True, slots=True)
class Bitshuffled:
    """Filter 32008: bits of items sorted by their significance, block by block (bitshuffle, ``bshuf_h5filter.c``).

    Attributes
    ----------
    item_bytes : int
    block_items : int
        0 for as many as the library takes, about 8 KiB.
    unshuffle : callable
        Of imagecodecs.
    unpack : callable or None
        Of the blocks, where they are compressed.
    """

    item_bytes: int
    block_items: int
    unshuffle: Function
    unpack: Function | None

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return Form(form.most_bytes, exact=form.exact) if self.unpack is None else form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        stored = as_bytes(data)
        if self.unpack is None:
            form.require(len(stored))
            return self._unshuffled(stored, self.block_items, form.room(into))
        size_bytes, block_bytes = _BITSHUFFLE_HEADER.unpack_from(stored.data)
        form.require(size_bytes)
        if not block_bytes or block_bytes % (_BITSHUFFLE_ITEMS * self.item_bytes):
            raise ValueError(f"has bitshuffle blocks of {block_bytes} bytes")
        plain = form.room(into)[:size_bytes]
        self._blocks(stored, plain, block_bytes)
        return plain if into is None else into

    def _blocks(self, stored: Bytes, plain: Bytes, block_bytes: int) -> None:
        """Whole blocks, one that is shorter, and bytes that fill no eight items and stand as they are."""
        at, done = _BITSHUFFLE_HEADER.size, 0
        unit = _BITSHUFFLE_ITEMS * self.item_bytes
        shuffled = np.empty(min(block_bytes, len(plain)), np.uint8)
        while size := min(block_bytes, (len(plain) - done) // unit * unit):
            packed_bytes = int.from_bytes(stored[at : at + 4].tobytes(), "big")
            at += 4
            found = self._unpacked(stored[at : at + packed_bytes], shuffled[:size])
            self._unshuffled(found, size // self.item_bytes, plain[done : done + size])
            at, done = at + packed_bytes, done + size
        if len(stored) - at != len(plain) - done:
            raise ValueError(f"has {len(stored) - at} bytes behind its bitshuffle blocks, {len(plain) - done} expected")
        plain[done:] = stored[at:]

    def _unshuffled(self, stored: Bytes, block_items: int, room: Bytes) -> Bytes:
        """Of an array the library would take the type for that of the items."""
        self.unshuffle(stored.data, itemsize=self.item_bytes, blocksize=block_items, out=room[: len(stored)].data)
        return room

    def _unpacked(self, packed: Bytes, room: Bytes) -> Bytes:
        if self.unpack is None or len(self.unpack(packed, out=room)) != len(room):
            raise ValueError(f"has a bitshuffle block that is not {len(room)} bytes long")
        return room


def parameters(codec: Codec, least: int) -> list[int]:
    """Parameters of a filter, `least` at least.

    Raises
    ------
    NoDecoderError
        Fewer, or no integers.
    """
    found = codec.configuration.get("parameters")
    if not isinstance(found, list) or len(found) < least:
        raise NoDecoderError(f"has parameters {found!a}, of which {least} were expected")
    return [whole_number(value, (1 << 32) - 1) for value in found]


def _szip(codec: Codec) -> Step:
    """Filter 4 (``H5Zszip.c``): mask of options, pixels a block, bits a pixel, pixels a line; length ahead."""
    mask, block, bits, line = parameters(codec, 4)[:4]
    options: dict[str, int | bool] = {
        "options_mask": mask,
        "pixels_per_block": block,
        "bits_per_pixel": bits,
        "pixels_per_scanline": line,
        "header": True,
    }
    return Packed(require_native("szip"), options)


def _nbit(codec: Codec) -> Step:
    """Filter 5 (``H5Znbit.c``): the second parameter says that all bits are used, and nothing was done."""
    if not parameters(codec, 2)[1]:
        raise NoDecoderError("packs numbers of fewer bits than bytes")
    return Kept()


def _bitshuffled(codec: Codec) -> Step:
    _, _, item_bytes, block_items, *more = parameters(codec, 3) + [0] * 2
    unpack: Function | None = None
    kind = more[0] if more else _PLAIN
    if kind == _LZ4:
        unpack = require_native("lz4")
    elif kind == _ZSTD:
        unpack = require_native("zstd")
    elif kind != _PLAIN:
        raise NoDecoderError(f"compresses its blocks with number {kind}; 2 (LZ4) and 3 (zstd) are known")
    if not 0 < item_bytes <= 16:  # noqa: PLR2004 - of complex numbers
        raise NoDecoderError(f"has items of {item_bytes} bytes")
    return Bitshuffled(item_bytes, block_items, require_native("bitshuffle"), unpack)


def _packed(name: str, **options: int | bool) -> Callable[[Codec], Step]:
    return lambda _: Packed(require_native(name), options)


STEPS: Final[Mapping[str, Callable[[Codec], Step]]] = {
    "hdf5.gzip": compressors.STEPS["zlib"],
    "hdf5.shuffle": lambda codec: shuffled(parameters(codec, 1)[0]),
    "hdf5.fletcher32": checksums.STEPS["fletcher32"],
    "hdf5.szip": _szip,
    "hdf5.nbit": _nbit,
    "hdf5.bzip2": compressors.STEPS["bz2"],
    "hdf5.lzf": _packed("lzf"),
    "hdf5.blosc": compressors.STEPS["blosc"],
    "hdf5.lz4": _packed("lz4h5"),
    "hdf5.bitshuffle": _bitshuffled,
    "hdf5.zstd": compressors.STEPS["zstd"],
}
