"""Blosc chunks whose blocks are Zstandard frames, unpacked block by block: only those that are wanted.

C-Blosc, README_CHUNK_FORMAT.rst: a header of 16 bytes, the start of each block (int32), and of each block its packed
length (int32) and as many bytes. All else that Blosc can be is left to the library.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from emasync.formats.decoding.form import Bytes, Data, Form, Step, as_bytes
from emasync.formats.decoding.zstd import Unpack, content_bytes, frame_bytes

_HEADER: Final = struct.Struct("<BxBBIII")
_VERSION: Final = 2
_SHUFFLED, _UNSPLIT, _ZSTD = 0x01, 0x10, 4 << 5
_LEAST_BLOCK_BYTES: Final = 4096
"""Smaller blocks are the library's: a call for each would cost more than it saves."""

_PAIR: Final = 2


class _Blocks(NamedTuple):
    """Where the blocks of a chunk are."""

    size_bytes: int
    starts: tuple[int, ...]
    shuffled: bool


def _blocks_of(packed: Bytes, most_bytes: int) -> _Blocks | None:
    """None where the chunk is not of the kind that is known here."""
    if len(packed) < _HEADER.size:
        return None
    version, flags, item_bytes, plain_bytes, block_bytes, packed_bytes = _HEADER.unpack_from(packed.data)
    shuffled = bool(flags & _SHUFFLED) and item_bytes > 1
    known = version == _VERSION and flags & ~(_SHUFFLED | _UNSPLIT) == _ZSTD and (flags & _UNSPLIT or item_bytes == 1)
    right = plain_bytes == most_bytes and packed_bytes == len(packed) and block_bytes >= _LEAST_BLOCK_BYTES
    if not known or not right or (shuffled and item_bytes != _PAIR):
        return None
    count = -(-plain_bytes // block_bytes)
    if _HEADER.size + 4 * count > len(packed):
        return None
    return _Blocks(block_bytes, struct.unpack_from(f"<{count}i", packed.data, _HEADER.size), shuffled)


@dataclass(frozen=True, slots=True)
class Blosc:
    """Blosc over Zstandard of items of one byte, or of two that are shuffled; all else is left to others.

    Attributes
    ----------
    others : Step
        The library; tells what is broken, too.
    unpack : callable
    """

    others: Step
    unpack: Unpack

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return self.others.after(form)

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return self.undo_some(data, form, into, range(form.most_bytes))

    def undo_some(self, data: Data, form: Form, into: Bytes | None, wanted: range) -> Data:
        """See :class:`~emasync.formats.decoding.form.PartStep`: blocks that nobody wants stay packed."""
        packed = as_bytes(data)
        blocks = _blocks_of(packed, form.most_bytes) if form.exact else None
        if blocks is not None:
            room = form.room(into)
            numbers = range(wanted.start // blocks.size_bytes, -(-wanted.stop // blocks.size_bytes))
            if all(self._block(packed, blocks, number, room) for number in numbers):
                return room
        return self.others.undo(packed, form, into)

    def _block(self, packed: Bytes, blocks: _Blocks, number: int, room: Bytes) -> bool:
        """Unpack one block to where it belongs; False where it is not what it should be."""
        plain = room[number * blocks.size_bytes : (number + 1) * blocks.size_bytes]
        stored = _stored(packed, blocks, number)
        if not blocks.shuffled:
            return self._plain(stored, plain)
        mixed = np.empty(len(plain), np.uint8)
        if not self._plain(stored, mixed):
            return False
        _unshuffle(mixed, plain)
        return True

    def _plain(self, stored: Bytes, plain: Bytes) -> bool:
        if len(stored) == len(plain):  # what does not become shorter is kept as it is
            plain[:] = stored
            return True
        told = content_bytes(stored) == len(plain) and frame_bytes(stored) == len(stored)
        return told and self.unpack(stored, plain)


def _stored(packed: Bytes, blocks: _Blocks, number: int) -> Bytes:
    """Bytes of one block; none where its start or length is not inside of the chunk."""
    start = blocks.starts[number] + 4
    if not _HEADER.size + 4 * len(blocks.starts) < start <= len(packed):
        return packed[:0]
    size_bytes = int.from_bytes(packed[start - 4 : start].tobytes(), "little", signed=True)
    return packed[start : start + size_bytes] if 0 < size_bytes <= len(packed) - start else packed[:0]


def _unshuffle(mixed: Bytes, plain: Bytes) -> None:
    """Put the lower and the upper bytes of pairs together; a last byte that has no other stays where it is."""
    count = len(mixed) // _PAIR
    pairs = plain[: count * _PAIR].view("<u2")
    np.left_shift(mixed[count : count * _PAIR], 8, out=pairs, dtype="<u2", casting="unsafe")
    pairs |= mixed[:count]
    plain[count * _PAIR :] = mixed[count * _PAIR :]
