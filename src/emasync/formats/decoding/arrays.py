"""Codecs of Zarr that work on voxels or on a flat row of items: transpose, byte order, filters of numcodecs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from emasync.formats.content import NoDecoderError
from emasync.formats.decoding.form import Bytes, Data, Form, Step, as_bytes
from emasync.formats.decoding.native import Function, require_native
from emasync.formats.json_document import Json
from emasync.formats.stored import Codec

_NUMBERS: Final = "biufcmM"
_FLAT_TYPES: Final = ("dtype", "astype", "encode_dtype", "decode_dtype")


@dataclass(frozen=True, slots=True)
class Transposed:
    """``transpose`` of Zarr v3 core: axis n of what is stored is axis ``order[n]`` of the chunk.

    Order ``F`` of Zarr v2 is the reversal of all axes.
    """

    order: tuple[int, ...]

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        if form.shape is None or sorted(self.order) != list(range(len(form.shape))):
            raise NoDecoderError(f"moves axes {list(self.order)}, which are not those of the chunk")
        return replace(form, shape=tuple(form.shape[axis] for axis in self.order))

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return self.after(form).voxels(data).transpose(np.argsort(self.order))


@dataclass(frozen=True, slots=True)
class ByteOrdered:
    """``bytes`` of Zarr v3 core: voxels in a byte order that is not the array's."""

    order: str

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return form if form.dtype is None else replace(form, dtype=form.dtype.newbyteorder(self.order))  # type: ignore[arg-type]  # "<" or ">"

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return self.after(form).voxels(data).astype(form.dtype) if form.shape is not None else data


@dataclass(frozen=True, slots=True)
class Filtered:
    """A filter of numcodecs over a flat row of items.

    Attributes
    ----------
    decode : callable
        Of the codec.
    before, stored : numpy.dtype
        Of an item as it was, and as it is stored.
    """

    decode: Callable[[Any], Any]
    before: np.dtype[Any]
    stored: np.dtype[Any]

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return form.of_items(self.before, self.stored)

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        stored = as_bytes(data)
        self.after(form).require(len(stored))
        with np.errstate(all="ignore"):  # voxels that no writer had
            return as_bytes(self.decode(stored))


@dataclass(frozen=True, slots=True)
class Kept:
    """Nothing to undo: filters that only made voxels easier to compress, and what is looked at elsewhere."""

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return form

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return data


@dataclass(frozen=True, slots=True)
class Shuffled:
    """Bytes of items sorted by their significance (numcodecs ``shuffle``, filter 2 of HDF5).

    Bytes behind the last whole item stand where they stood.

    Attributes
    ----------
    item_bytes : int
    decode : callable
        Of numcodecs, for whole items.
    """

    item_bytes: int
    decode: Callable[..., Any]  # Any: numcodecs publishes no types

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return Form(form.most_bytes, exact=form.exact)

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        stored = as_bytes(data)
        form.require(len(stored))
        whole = len(stored) // max(1, self.item_bytes) * self.item_bytes
        if self.item_bytes <= 1 or whole <= self.item_bytes:
            return stored
        plain = form.room(into)[: len(stored)]
        self.decode(stored[:whole], out=plain[:whole])
        plain[whole:] = stored[whole:]
        return plain if into is None else into


@dataclass(frozen=True, slots=True)
class PackedBits:
    """numcodecs ``packbits``: eight booleans a byte, and ahead of them how many bits of the last one are none."""

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return Form(1 + -(-form.most_bytes // 8), exact=form.exact)

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        stored = as_bytes(data)
        self.after(form).require(len(stored))
        return np.unpackbits(stored[1:], count=form.most_bytes)


@dataclass(frozen=True, slots=True)
class NumbersPacked:
    """Pcodec: numbers to bytes, by imagecodecs.

    Attributes
    ----------
    unpack : callable
    """

    unpack: Function

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        if form.dtype is None:
            raise NoDecoderError("packs numbers, and these are none")
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        shape, dtype = form.of()
        room = np.empty(shape, dtype.newbyteorder("="))
        self.unpack(as_bytes(data), out=room)
        return room.astype(dtype, copy=False)


def _transposed(codec: Codec) -> Step:
    order = codec.configuration.get("order")
    if not isinstance(order, list) or not all(isinstance(axis, int) for axis in order):
        raise NoDecoderError("has no order of axes")
    return Transposed(tuple(axis for axis in order if isinstance(axis, int)))


def _byte_ordered(codec: Codec) -> Step:
    return ByteOrdered(">" if codec.configuration.get("endian") == "big" else "<")


def shuffled(item_bytes: int) -> Step:
    """How to undo a shuffle of items of that size."""
    from numcodecs.shuffle import Shuffle  # noqa: PLC0415 - a quarter of a second, where it is needed

    return Shuffled(item_bytes, Shuffle(item_bytes).decode)


def _filtered(before: str, stored: str) -> Callable[[Codec], Step]:
    """A filter of numcodecs; names of the members that tell the types of its items, the second may be missing."""

    def made(codec: Codec) -> Step:
        first = number_type(codec.configuration.get(before))
        second = number_type(codec.configuration.get(stored) or codec.configuration.get(before))
        return Filtered(_foreign(codec).decode, first, second)

    return made


def _foreign(codec: Codec) -> Any:  # Any: a codec of numcodecs, which publishes no types
    from numcodecs import get_codec  # noqa: PLC0415 - a quarter of a second, where it is needed

    try:
        return get_codec({**codec.configuration, "id": codec.name})
    except (TypeError, ValueError, KeyError) as error:
        raise NoDecoderError(f"has a configuration that numcodecs refuses ({error})") from error


def number_type(value: Json) -> np.dtype[Any]:
    """A type of numbers as numpy writes it.

    Raises
    ------
    NoDecoderError
        None, or one of objects.
    """
    try:
        found = np.dtype(value) if isinstance(value, str) else None
    except TypeError:
        found = None
    if found is None or found.kind not in _NUMBERS:
        raise NoDecoderError(f"speaks of items of type {value!a}, which are no numbers")
    return found


def whole_number(value: Json, most: int = 1 << 31) -> int:
    """A member of a configuration that counts something.

    Raises
    ------
    NoDecoderError
        No integer from 0 to `most`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise NoDecoderError(f"has {value!a} in its configuration, where an integer from 0 to {most} was expected")
    return value


STEPS: Final[Mapping[str, Callable[[Codec], Step]]] = {
    "transpose": _transposed,
    "bytes": _byte_ordered,
    "delta": _filtered("dtype", "astype"),
    "fixedscaleoffset": _filtered("dtype", "astype"),
    "quantize": _filtered("dtype", "astype"),
    "astype": _filtered("decode_dtype", "encode_dtype"),
    "bitround": lambda _: Kept(),
    "pcodec": lambda _: NumbersPacked(require_native("pcodec")),
    "packbits": lambda _: PackedBits(),
    "shuffle": lambda codec: shuffled(whole_number(codec.configuration.get("elementsize", 4))),
}
