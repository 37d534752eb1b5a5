"""MRC2014 (Cheng et al. 2015, J. Struct. Biol. 192, 146) and the CCP4 maps that it grew from.

A header of 1024 bytes, an extended one, and voxels in one piece.
"""

from __future__ import annotations

import math
import struct
from typing import Final, NamedTuple

from emasync.formats.stored import ByteSource, FileDescription, HeaderBytes, Measure, StoredArray
from emasync.model.digest import Span

HEADER_BYTES: Final = 1024

_LAYOUT: Final = "10i3f12x3i12x2i"
"""Sizes, mode, starts, grid; cell; axes; space group and extended header, to byte 96."""

_LAYOUT_BYTES: Final = 96
_STAMP: Final = 212
_STAMPS: Final = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
_DTYPES: Final = {0: "|i1", 1: "i2", 2: "f4", 4: "c8", 6: "u2", 12: "f2"}
_OTHERS: Final = {3: "complex numbers of two 16-bit integers", 101: "two samples of 4 bits a byte"}
_ITEM_BYTES: Final = {0: 1, 1: 2, 2: 4, 4: 8, 6: 2, 12: 2}
_NAMES: Final = {1: "x", 2: "y", 3: "z"}
_MAX_SIDE: Final = 1 << 24
_VOLUME_STACKS: Final = range(401, 631)
"""Space groups of stacks of volumes."""

_IMOD: Final = 1146047817
_IMOD_AT: Final = 152
"""A stamp of IMOD's writers, then flags, of which the first says that bytes have a sign (bio3d: "MRC File Format")."""


class _Header(NamedTuple):
    """The fields that say where voxels are, and how large."""

    order: str
    sizes: tuple[int, ...]
    mode: int
    grid: tuple[int, ...]
    cell: tuple[float, ...]
    axes: tuple[int, ...]
    group: int
    extended_bytes: int


class MrcFormat:
    """MRC2014."""

    def recognises(self, head: bytes) -> bool:
        """See :class:`~emasync.formats.stored.FileFormat`; older files have no ``MAP``, sizes must do."""
        return _sane_order(head) is not None

    def describe(self, source: ByteSource) -> FileDescription:
        """See :class:`~emasync.formats.stored.FileFormat`; the extended header is not read."""
        file = HeaderBytes(source)
        header = _header(file)
        if header.mode not in _DTYPES:
            what = _OTHERS.get(header.mode, "not known")
            return FileDescription(format="mrc", arrays=(), notes=(f"voxels of mode {header.mode}: {what}",))
        axes, notes = _axes(header)
        shape = _shape(header)
        stack = shape[:-3]
        start = HEADER_BYTES + header.extended_bytes
        whole = Span(start, start + math.prod(shape) * _ITEM_BYTES[header.mode])
        if whole.stop > file.size_bytes:
            raise file.broken(
                file.size_bytes, f"the file ends before its voxels of {shape}, which reach to byte {whole.stop}"
            )
        dtype, more = _dtype(file, header)
        array = StoredArray(
            path="",
            shape=shape,
            chunks=shape,
            dtype=dtype,
            axes=(*("v" for _ in stack), *axes),
            measures=(*(None for _ in stack), *(_measure(header, name) for name in axes)),
            whole=whole,
        )
        return FileDescription(format="mrc", arrays=(array,), notes=(*notes, *more))


def _sane_order(head: bytes) -> str | None:
    """The byte order in which sizes, mode and grid make sense."""
    if len(head) < 32:  # noqa: PLR2004 - to the first length of the grid
        return None
    for order in "<>":
        nx, ny, nz, mode, *_, mx = struct.unpack_from(f"{order}8i", head)
        sides = min(nx, ny, nz) > 0 and max(nx, ny, nz) <= _MAX_SIDE
        if sides and (mode in _DTYPES or mode in _OTHERS) and 0 <= mx <= _MAX_SIDE:
            return order
    return None


def _header(file: HeaderBytes) -> _Header:
    """The fixed header; where the machine stamp says nothing, the order in which sizes make sense.

    Raises
    ------
    FormatError
        No such order, or lengths that cannot be.
    """
    data = file.take(0, HEADER_BYTES)
    order = _STAMPS.get(data[_STAMP : _STAMP + 2]) or _sane_order(data)
    if order is None:
        raise file.broken(_STAMP, f"no machine stamp ({data[_STAMP:][:4].hex()}), and sizes make no sense in any order")
    fields = struct.unpack(f"{order}{_LAYOUT}", data[:_LAYOUT_BYTES])
    header = _Header(order, fields[:3], fields[3], fields[7:10], fields[10:13], fields[13:16], fields[16], fields[17])
    if min(header.sizes) < 1 or max(header.sizes) > _MAX_SIDE:
        raise file.broken(0, f"sizes of {header.sizes}; 1 to {_MAX_SIDE} can be")
    if header.extended_bytes < 0:
        raise file.broken(92, f"an extended header of {header.extended_bytes} bytes")
    return header


def _axes(header: _Header) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of sections, rows, columns (MAPS, MAPR, MAPC), and what is to be said of them."""
    if sorted(header.axes) == [1, 2, 3]:
        return tuple(_NAMES[axis] for axis in reversed(header.axes)), ()
    note = f"columns, rows and sections are axes {header.axes}, which is no order of 1, 2, 3: taken for x, y, z"
    return ("z", "y", "x"), (note,) if any(header.axes) else ()


def _shape(header: _Header) -> tuple[int, ...]:
    """Sections, rows, columns; ahead of them the volumes, where the file is a stack of such."""
    columns, rows, sections = header.sizes
    deep = header.grid[2]
    if header.group in _VOLUME_STACKS and deep > 0 and not sections % deep:
        return sections // deep, deep, rows, columns
    return sections, rows, columns


def _measure(header: _Header, name: str) -> Measure | None:
    """Edge of the cell over its steps; what is unset or negative is unknown."""
    axis = "xyz".index(name)
    length, steps = header.cell[axis], header.grid[axis]
    if steps < 1 or not math.isfinite(length) or length <= 0:
        return None
    return Measure(length / steps, "angstrom", f"header: CELLA.{name} / M{name.upper()}")


def _dtype(file: HeaderBytes, header: _Header) -> tuple[str, tuple[str, ...]]:
    """Bytes have a sign (MRC2014), but those of IMOD only where its flags say so."""
    if header.mode:
        return header.order + _DTYPES[header.mode], ()
    stamp, flags = struct.unpack(f"{header.order}2i", file.take(_IMOD_AT, 8))
    if stamp == _IMOD and not flags & 1:
        return "|u1", ("IMOD says that its bytes have no sign",)
    return "|i1", ()
