"""Fill values, as formats write them, as one plain value."""

from __future__ import annotations

import math
from base64 import b64decode
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emasync.errors import FormatError
from emasync.formats.chunks import ChunkLayout
from emasync.formats.json_document import Field, Json

Voxels = npt.NDArray[Any]
"""Any: of whatever type the publisher has."""

_WORDS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def plain_fill(field: Field, dtype: np.dtype[Any]) -> Json:
    """A fill value of Zarr metadata as a number, two for a complex one, or text; None where it is undefined.

    Zarr v2, section "Fill value encoding": ``NaN``, ``Infinity``, ``-Infinity``, base64 for bytes. Zarr v3 core,
    "Fill value list": the same words, and hexadecimal for the bits of a float.

    Parameters
    ----------
    field : Field
    dtype : numpy.dtype
        Of the voxels. Any: whatever the publisher has.

    Raises
    ------
    FormatError
        No such value.
    """
    value = field.value
    if value is None or (dtype.kind in "SV" and value == 0):  # numpy's zero of bytes, as writers put it
        return None
    try:
        found = _plain(value, dtype)
        _voxel(found, dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise field.broken(f"expected a fill value for voxels of type {dtype.str}") from error
    return found


def _plain(value: Json, dtype: np.dtype[Any]) -> Json:
    if dtype.kind == "c":
        if not isinstance(value, list):
            return [_number(value, dtype), 0.0]
        real, imaginary = value
        part = np.dtype(f"f{dtype.itemsize // 2}")
        return [_number(real, part), _number(imaginary, part)]
    if dtype.kind == "f":
        return _number(value, dtype)
    if dtype.kind in "SV" and isinstance(value, str):
        return b64decode(value, validate=True).decode("latin-1")
    if dtype.kind in "iu" and isinstance(value, float) and not value.is_integer():
        raise ValueError("no integer")
    return value


def _number(value: Json, dtype: np.dtype[Any]) -> float:
    if isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    if isinstance(value, str) and value.startswith("0x"):
        bits = np.array(int(value, 16), f"u{dtype.itemsize}")
        return float(bits.view(f"f{dtype.itemsize}"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return float(value)


def fill_voxel(layout: ChunkLayout) -> Voxels:
    """The voxel that chunks are made of which were left out; zero where the format leaves it undefined.

    Parameters
    ----------
    layout : ChunkLayout
        Its value may have been through JSON, which has no ``NaN``: words stand for floats.

    Returns
    -------
    ndarray
        Without axes, of the layout's type.

    Raises
    ------
    FormatError
        The value does not go with the voxels' type.
    """
    dtype = np.dtype(layout.dtype)
    try:
        return _voxel(layout.fill_value, dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"fill value {layout.fill_value!a} is none of {dtype.str} ({error})") from error


def _voxel(value: Json, dtype: np.dtype[Any]) -> Voxels:
    if value is None:
        return np.zeros((), dtype)
    if isinstance(value, list):
        real, imaginary = (np.array(part, float) for part in value)
        return np.array(complex(real, imaginary), dtype)
    if isinstance(value, str) and dtype.kind == "V":
        return np.frombuffer(value.encode("latin-1"), dtype, 1).reshape(())
    if isinstance(value, str) and dtype.kind == "S":
        return np.array(value.encode("latin-1"), dtype)
    return np.array(value, dtype)
