"""Lists of lengths in array metadata: shapes and chunk shapes, bounded."""

from __future__ import annotations

from math import prod
from typing import Final

from emasync.formats.interface import ArrayDescription
from emasync.formats.json_document import Field

MAX_AXES: Final = 32  # what numpy 1 took; real arrays have up to 7
MAX_OBJECTS: Final = 1 << 62  # chunk numbers are stored as signed 64-bit integers


def lengths(field: Field, minimum: int) -> tuple[int, ...]:
    """The value as one length for each axis.

    Raises
    ------
    FormatError
        No list of integers from `minimum`, or more than :data:`MAX_AXES` of them.
    """
    items = field.items()
    if len(items) > MAX_AXES:
        raise field.broken(f"an array has at most {MAX_AXES} axes")
    return tuple(item.integer(minimum) for item in items)


def bounded(shape: Field, array: ArrayDescription) -> ArrayDescription:
    """The array, when its objects can be numbered.

    Raises
    ------
    FormatError
        :data:`MAX_OBJECTS` or more; blames the field that holds its shape.
    """
    if prod(array.grid_shape) >= MAX_OBJECTS:
        raise shape.broken("with these chunks the array has more objects than can be numbered")
    return array
