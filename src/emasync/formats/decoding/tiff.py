"""Codecs of TIFF strips and tiles that are no pictures: compressors, predictors, packed samples, order of bits.

TIFF 6.0 (Adobe, 1992), sections 9 (PackBits), 13 (LZW), 14 (predictor); TIFF Technical Note 3 (floating point
predictor). Configurations are those of :func:`emasync.formats.tiff.layout.tiff_codecs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np

from emasync.formats.content import NoDecoderError
from emasync.formats.decoding import compressors
from emasync.formats.decoding.arrays import whole_number
from emasync.formats.decoding.bits import unpacked_numbers
from emasync.formats.decoding.form import Bytes, Data, Form, Step, as_bytes
from emasync.formats.decoding.native import Function, require_native
from emasync.formats.stored import Codec

_REVERSED: Final = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)).reshape(256, 8)[:, ::-1], axis=1).ravel()
_HORIZONTAL, _FLOATING = 2, 3


@dataclass(frozen=True, slots=True)
class Segment:
    """A strip or tile out of its compressor, which may have been given more rows than the page has.

    Attributes
    ----------
    step : Step
        The compressor.
    segment_bytes : int
        Of a whole strip or tile.
    """

    step: Step
    segment_bytes: int

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return self.step.after(form)

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        if form.most_bytes >= self.segment_bytes:
            return self.step.undo(data, form, into)
        found = as_bytes(self.step.undo(data, Form(self.segment_bytes, exact=False), None))
        return found[: form.most_bytes]


@dataclass(frozen=True, slots=True)
class RunLengths:
    """PackBits and LZW, by imagecodecs. LZW ends at the end of the room, without a word.

    Attributes
    ----------
    unpack : callable
    """

    unpack: Function

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return form.packed()

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        found = self.unpack(as_bytes(data), out=form.room(into))
        form.require(len(found))
        return found if into is None else into


@dataclass(frozen=True, slots=True)
class BitsReversed:
    """``FillOrder`` 2: the lowest bit of a byte comes first."""

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return Form(form.most_bytes, exact=form.exact)

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        return _REVERSED[as_bytes(data)]


@dataclass(frozen=True, slots=True)
class BitsPacked:
    """Samples of other sizes than bytes have, the highest bit first; each row begins with a byte.

    Attributes
    ----------
    bits : int
    samples : int
        A pixel.
    """

    bits: int
    samples: int

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        rows, count = self._rows(form)
        return Form(rows * -(-count * self.bits // 8))

    def _rows(self, form: Form) -> tuple[int, int]:
        """Rows, and samples in each."""
        if form.shape is None:
            raise NoDecoderError("packs what is no voxels")
        count = prod(form.shape[-2:]) if self.samples > 1 else form.shape[-1]
        return prod(form.shape) // count, count

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        stored = as_bytes(data)
        self.after(form).require(len(stored))
        rows, count = self._rows(form)
        found = unpacked_numbers(stored, self.bits, form.most_bytes // (rows * count), count)
        return found.astype(form.dtype, copy=False)


@dataclass(frozen=True, slots=True)
class Differences:
    """Predictor 2: each sample as its difference from that of the pixel to the left, modulo its size.

    Attributes
    ----------
    samples : int
        A pixel.
    bits : int
        Of a sample.
    """

    samples: int
    bits: int

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        _require_rows(form)
        return form

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        voxels = form.voxels(data)
        number = np.dtype(f"u{voxels.itemsize}")
        differences = voxels.view(number.newbyteorder(voxels.dtype.byteorder))
        sums = np.cumsum(differences, axis=-2 if self.samples > 1 else -1, dtype=number)
        if self.bits < number.itemsize * 8:
            sums &= number.type((1 << self.bits) - 1)
        return sums.astype(differences.dtype, copy=False).view(voxels.dtype)


@dataclass(frozen=True, slots=True)
class FloatDifferences:
    """Predictor 3: the bytes of a row's floats sorted by their significance, the highest first, then as differences.

    Attributes
    ----------
    samples : int
        A pixel.
    """

    samples: int

    def after(self, form: Form) -> Form:
        """See :class:`~emasync.formats.decoding.form.Step`."""
        if _require_rows(form).kind != "f":
            raise NoDecoderError("is for floats, and these voxels are none")
        return form

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:  # noqa: ARG002 - the protocol's
        """See :class:`~emasync.formats.decoding.form.Step`."""
        voxels = form.voxels(data)
        axis = -2 if self.samples > 1 else -1
        count = prod(voxels.shape[axis:])
        rows = as_bytes(data).reshape(-1, count * voxels.itemsize // self.samples, self.samples)
        planes = np.cumsum(rows, axis=1, dtype=np.uint8).reshape(-1, voxels.itemsize, count)
        floats = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(voxels.dtype.newbyteorder(">"))
        return floats.astype(voxels.dtype).reshape(voxels.shape)


def _require_rows(form: Form) -> np.dtype[np.generic]:
    if form.shape is None or form.dtype is None:
        raise NoDecoderError("predicts what is no voxels")
    return form.dtype


def _segment(make: Callable[[Codec], Step]) -> Callable[[Codec], Step]:
    return lambda codec: Segment(make(codec), number_in(codec, "segment_bytes", 1 << 62))


def _run_lengths(name: str) -> Callable[[Codec], Step]:
    return _segment(lambda _: RunLengths(require_native(name)))


def _predictor(codec: Codec) -> Step:
    code = codec.configuration.get("code")
    samples = max(1, number_in(codec, "samples"))
    if code == _HORIZONTAL:
        return Differences(samples, number_in(codec, "bits"))
    if code == _FLOATING:
        return FloatDifferences(samples)
    raise NoDecoderError(f"has number {code!a}; 2 and 3 are known")


def _packed(codec: Codec) -> Step:
    bits = number_in(codec, "bits", 64)
    return BitsPacked(max(1, bits), number_in(codec, "samples"))


def number_in(codec: Codec, member: str, most: int = 1 << 31) -> int:
    """A member of a codec's configuration that counts something.

    Raises
    ------
    NoDecoderError
        It is missing, or no integer from 0 to `most`.
    """
    return whole_number(codec.configuration.get(member), most)


STEPS: Final[Mapping[str, Callable[[Codec], Step]]] = {
    "tiff.predictor": _predictor,
    "tiff.bits": _packed,
    "tiff.fill_order": lambda _: BitsReversed(),
    "tiff.lzw": _run_lengths("lzw"),
    "tiff.packbits": _run_lengths("packbits"),
    "tiff.zlib": _segment(compressors.STEPS["zlib"]),
    "tiff.zstd": _segment(compressors.STEPS["zstd"]),
    "tiff.lzma": _segment(compressors.STEPS["lzma"]),
}
