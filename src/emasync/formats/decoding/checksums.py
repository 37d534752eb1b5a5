"""Checksums that go with a chunk: checked, and taken off."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from crc32c import crc32c

from emasync.formats.content import NoDecoderError
from emasync.formats.decoding.form import Bytes, Data, Form, Step, as_bytes
from emasync.formats.stored import Codec

_SUM_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Summed:
    """Four bytes with a checksum of the others, little-endian.

    Attributes
    ----------
    sum_of : callable
    ahead : bool
        Whether they stand before the others.
    """

    sum_of: Callable[[Bytes], int]
    ahead: bool

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return Form(form.most_bytes + _SUM_BYTES, exact=form.exact)

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        stored = as_bytes(data)
        if len(stored) < _SUM_BYTES:
            raise ValueError(f"has {len(stored)} bytes, which is less than its checksum")
        plain, tail = stored[:-_SUM_BYTES], stored[-_SUM_BYTES:]
        if self.ahead:
            plain, tail = stored[_SUM_BYTES:], stored[:_SUM_BYTES]
        form.require(len(plain))
        (stated,) = struct.unpack("<I", tail.data)
        found = self.sum_of(plain)
        if found != stated:
            raise ValueError(f"has the checksum {found:08x}, {stated:08x} was expected")
        return plain


@dataclass(frozen=True, slots=True)
class Fletcher32:
    """Fletcher's checksum of 32 bits behind the others (filter 3 of HDF5, ``H5checksum.c``)."""

    check: Callable[[Bytes], Any]

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return Form(form.most_bytes + _SUM_BYTES, exact=form.exact)

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        stored = as_bytes(data)
        form.require(max(0, len(stored) - _SUM_BYTES))
        return as_bytes(self.check(stored))


def _fletcher32(_: Codec) -> Step:
    from numcodecs.fletcher32 import Fletcher32 as Sum  # noqa: PLC0415 - a quarter of a second, where it is needed

    return Fletcher32(Sum().decode)


def _crc32c(plain: Bytes) -> int:
    return int(crc32c(plain.data))


def _crc32(plain: Bytes) -> int:
    return zlib.crc32(plain.data)


def _adler32(plain: Bytes) -> int:
    return zlib.adler32(plain.data)


def _summed(sum_of: Callable[[Bytes], int], place: str) -> Callable[[Codec], Step]:
    """A checksum at `place`, unless its configuration tells another."""

    def made(codec: Codec) -> Step:
        location = codec.configuration.get("location", place)
        if location not in ("start", "end"):
            raise NoDecoderError(f"has its checksum at {location!a}; start and end are known")
        return Summed(sum_of, ahead=location == "start")

    return made


STEPS: Final[Mapping[str, Callable[[Codec], Step]]] = {
    "fletcher32": _fletcher32,
    "crc32c": _summed(_crc32c, "end"),
    "crc32": _summed(_crc32, "start"),
    "adler32": _summed(_adler32, "start"),
}
