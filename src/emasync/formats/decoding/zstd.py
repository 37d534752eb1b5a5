"""Zstandard frames (RFC 8878), by the library that unpacks them fastest where it is installed, no further than wanted.

The package zstandard brings a newer libzstd than imagecodecs and numcodecs do, with its assembler for Huffman codes:
chunks of micrographs take a quarter less time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from emasync.formats.decoding.form import Bytes, Data, Form, Step, as_bytes

Unpack = Callable[[Bytes, Bytes], bool]
"""Frame, room → whether the room is full of what the frame begins with. The frame has :func:`content_bytes`."""

_MAGIC: Final = 0xFD2FB528
_BLOCK_BYTES: Final = 128 << 10
"""Most that one block becomes (RFC 8878, section 3.1.1.2.4): a frame is unpacked block by block."""

_RLE: Final = 1
_MOST_BLOCKS: Final = 1 << 14
"""Frames of more blocks are not looked through here: 2 GiB, or somebody's idea of a joke."""


def _head_bytes(packed: Bytes) -> tuple[int, int]:
    """Bytes of a frame's header, and of the content size at its end (RFC 8878, section 3.1.1.1)."""
    descriptor = int(packed[4])
    single = descriptor >> 5 & 1
    width = (single, 2, 4, 8)[descriptor >> 6]
    return 5 + (not single) + (0, 1, 2, 4)[descriptor & 3] + width, width


def content_bytes(packed: Bytes) -> int:
    """What a frame says it becomes, bytes; -1 where it does not say, or is none. Frames that follow are not asked."""
    if len(packed) < 6 or int.from_bytes(packed[:4].tobytes(), "little") != _MAGIC:  # noqa: PLR2004 - magic, descriptor, one more
        return -1
    end, width = _head_bytes(packed)
    size_bytes = int.from_bytes(packed[end - width : end].tobytes(), "little")
    return size_bytes + (256 if width == 2 else 0) if width else -1  # noqa: PLR2004 - section 3.1.1.1.4


def frame_bytes(packed: Bytes) -> int:
    """Where a frame ends that has :func:`content_bytes`; -1 where that is beyond what there is."""
    head, data = _head_bytes(packed)[0], packed.data
    at = head
    for _ in range(_MOST_BLOCKS):
        header = int.from_bytes(data[at : at + 3], "little")  # section 3.1.1.2: last, type, size
        at += 3 + (1 if header >> 1 & 3 == _RLE else header >> 3)
        if at > len(data):
            break
        if header & 1:
            return at + (int(packed[4]) & 4)  # a checksum of four bytes, where that bit is set
    return -1


@cache
def unpacker() -> Unpack | None:
    """How frames are unpacked by zstandard; None where it is not installed."""
    try:
        import zstandard  # noqa: PLC0415 - an extra
    except ImportError:
        return None

    class Context(threading.local):
        """Of one thread: memory that one frame after the other is unpacked with."""

        def __init__(self) -> None:
            self.decompressor = zstandard.ZstdDecompressor()

    context = Context()

    def unpack(packed: Bytes, room: Bytes) -> bool:
        try:
            return context.decompressor.stream_reader(packed.data).readinto(room) == len(room)
        except zstandard.ZstdError:
            return False

    return unpack


@dataclass(frozen=True, slots=True)
class Zstd:
    """One frame that tells its length, and nothing behind it; all else is left to others.

    Attributes
    ----------
    others : Step
        For several frames, those of unknown length, and to tell what is broken.
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
        """See :class:`~emasync.formats.decoding.form.PartStep`: what is behind the last byte wanted stays packed."""
        packed = as_bytes(data)
        if form.exact and content_bytes(packed) == form.most_bytes and frame_bytes(packed) == len(packed):
            room = form.room(into)
            if self.unpack(packed, room[: _enough(wanted.stop, form.most_bytes)]):
                return room
        return self.others.undo(packed, form, into)


def _enough(stop: int, size_bytes: int) -> int:
    """How many bytes to unpack: all, where a part would save no block."""
    return stop if -(-stop // _BLOCK_BYTES) < -(-size_bytes // _BLOCK_BYTES) else size_bytes
