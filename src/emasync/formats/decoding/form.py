"""What the data of a chunk are between two codecs: how many bytes, and of which voxels. Sizes come from here only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

Bytes = npt.NDArray[np.uint8]

Voxels = npt.NDArray[Any]
"""Any: of whatever type the publisher has."""

Data = Buffer | Voxels
"""An array is a buffer too, which the type checker knows from Python 3.12 on only."""

_SLACK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Form:
    """The data of one chunk at one place of its chain of codecs.

    Attributes
    ----------
    most_bytes : int
        More is not believed, whatever a header claims.
    exact : bool
        Whether it is that many bytes, neither more nor less.
    shape : tuple of int or None
        Of voxels in C order; None where the bytes are no voxels any more.
    dtype : numpy.dtype or None
        Of the voxels.
    """

    most_bytes: int
    exact: bool = True
    shape: tuple[int, ...] | None = None
    dtype: np.dtype[Any] | None = None  # Any: as Voxels

    @classmethod
    def of_voxels(cls, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Form:
        """Voxels in C order."""
        return cls(prod(shape) * dtype.itemsize, shape=shape, dtype=dtype)

    def packed(self) -> Form:
        """What a compressor makes of it: shorter mostly, and never much longer; labels in small blocks three times."""
        return Form(4 * self.most_bytes + _SLACK_BYTES, exact=False)

    def of_items(self, before: np.dtype[Any], after: np.dtype[Any]) -> Form:
        """As many items of another type, each made from one of type `before`."""
        size_bytes = self.most_bytes // before.itemsize * after.itemsize
        shape = self.shape if self.dtype is not None and self.dtype.itemsize == before.itemsize else None
        return replace(self, most_bytes=size_bytes, shape=shape, dtype=after if shape is not None else None)

    def of(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of the voxels, which it must have."""
        if self.shape is None or self.dtype is None:
            raise AssertionError(f"{self} has no voxels")
        return self.shape, self.dtype

    def voxels(self, data: Data) -> Voxels:
        """Bytes as the voxels that they are; arrays of another shape or type are read as bytes.

        Raises
        ------
        ValueError
            More or fewer bytes than the voxels have.
        """
        shape, dtype = self.of()
        if isinstance(data, np.ndarray) and data.shape == shape and data.dtype == dtype:
            return data
        flat = as_bytes(data)
        if len(flat) != self.most_bytes:
            raise ValueError(f"has {len(flat)} bytes of voxels, {self.most_bytes} were expected")
        return flat.view(dtype).reshape(shape)

    def room(self, into: Bytes | None) -> Bytes:
        """Memory for such data: `into` where that is given."""
        return np.empty(self.most_bytes, np.uint8) if into is None else into

    def require(self, size_bytes: int) -> None:
        """Refuse data of another length.

        Raises
        ------
        ValueError
        """
        if size_bytes > self.most_bytes or (self.exact and size_bytes != self.most_bytes):
            expected = f"{self.most_bytes} were expected" if self.exact else f"at most {self.most_bytes} can be"
            raise ValueError(f"has {size_bytes} bytes when it is unpacked, {expected}")


class Step(Protocol):
    """One codec, undone. Holds no state that calls change."""

    def after(self, form: Form) -> Form:
        """What the codec makes of data of that form.

        Raises
        ------
        NoDecoderError
            It cannot be undone there.
        """
        ...

    def undo(self, data: Data, form: Form, into: Bytes | None) -> Data:
        """Give back what the codec was given.

        Parameters
        ----------
        data : buffer
            What it made; an array with strides only where the codec behind it gave one.
        form : Form
            What must come out; :meth:`Form.require` holds for it.
        into : ndarray of uint8, optional
            Memory of exactly `form.most_bytes` that it may be put into, and then is returned.

        Raises
        ------
        Exception
            Those in :data:`DAMAGE`: the data are not what the codec makes.
        """
        ...


@runtime_checkable
class PartStep(Step, Protocol):
    """A codec that can be undone for a part of its data alone."""

    def undo_some(self, data: Data, form: Form, into: Bytes | None, wanted: range) -> Data:
        """Give back what the codec was given, as far as it is wanted.

        Parameters
        ----------
        data, form, into
            As :meth:`Step.undo`.
        wanted : range
            Bytes that must be right; of all others nothing is said, nor of damage to them.
        """
        ...


def as_bytes(data: Data) -> Bytes:
    """Any buffer as a flat array of bytes; copied only where it has strides."""
    if isinstance(data, np.ndarray):
        return np.ascontiguousarray(data).reshape(-1).view(np.uint8)
    return np.frombuffer(memoryview(data), np.uint8)
