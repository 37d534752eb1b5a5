"""Where voxels are: ``transform`` of OpenOrganelle, ``pixelResolution``, ``resolution``, ``offset``.

Sources: cellmap-schemas, ``multiscale/cosem.py`` (``STTransform``, ``PixelResolution``); n5-viewer, README,
"Container structure"; Paintera, README, "Paintera Data Format" (``resolution`` and ``offset``). ``transform`` counts
axes z, y, x unless its ``order`` is ``F``; all others count x, y, z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from emasync.formats.interface import Place, Transform
from emasync.formats.json_document import Field, Json, JsonObject

PIXEL: Final = "pixel"
"""Unit of lengths that nobody gave one (n5-universe, ``N5SingleScaleMetadataParser``)."""

TOLERANCE: Final = 1e-3
"""Of a voxel; published sizes carry float noise."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Size of voxels, z, y, x, and their unit as it is spelt."""

    sizes: tuple[float, ...]
    unit: str | None


@dataclass(frozen=True, slots=True)
class StatedTransform:
    """A ``transform``, turned to z, y, x.

    Attributes
    ----------
    place : Place
    axes : tuple of str or None
    """

    place: Place
    axes: tuple[str, ...] | None


def read_transform(field: Field, count: int) -> StatedTransform | None:
    """Read a ``transform``; None for null.

    Parameters
    ----------
    field : Field
    count : int
        Number of axes.

    Raises
    ------
    FormatError
        An order that is none, or other than one value for each axis.
    """
    if field.value is None:
        return None
    turn = is_fortran(field)
    names = texts(field.member("axes"), count, turn=turn)
    return StatedTransform(
        place=Place(
            transform=Transform(
                scale=numbers(field.member("scale"), count, turn=turn),
                translation=numbers(field.member("translate"), count, turn=turn),
            ),
            units=texts(field.member("units"), count, turn=turn) or (None,) * count,
        ),
        axes=names,
    )


def is_fortran(transform: Field) -> bool:
    """Whether a ``transform`` counts x, y, z; without ``order`` it does not.

    Raises
    ------
    FormatError
        Neither ``C`` nor ``F``.
    """
    order = transform.member("order")
    if order.value not in (None, "C", "F"):
        raise order.broken('order is "C" (z, y, x) or "F" (x, y, z)')
    return order.value == "F"


def read_resolution(attributes: Field, count: int) -> Resolution | None:
    """Read ``pixelResolution`` (an object with unit, or bare numbers) or else ``resolution``.

    Fewer numbers than axes are those of the first: time and channels have none.

    Raises
    ------
    FormatError
        Something else than positive numbers, or more of them than axes.
    """
    field = attributes.member("pixelResolution")
    if field.value is None:
        field = attributes.member("resolution")
    if field.value is None:
        return None
    unit = None
    if isinstance(field.value, dict):
        unit = field.member("unit").optional_text()
        field = field.member("dimensions")
    sizes = [item.number() for item in field.items()]
    if len(sizes) > count or any(size <= 0 for size in sizes):
        raise field.broken(f"expected up to {count} positive numbers, in the order x, y, z")
    return Resolution(tuple(reversed([*sizes, *(1.0 for _ in range(count - len(sizes)))])), unit)


def numbers(field: Field, count: int, *, turn: bool) -> tuple[float, ...]:
    """One number for each axis, turned round where asked.

    Raises
    ------
    FormatError
        Something else.
    """
    items = field.items()
    if len(items) != count:
        raise field.broken(f"expected one number for each of the {count} axes")
    values = tuple(item.number() for item in items)
    return values[::-1] if turn else values


def texts(field: Field, count: int, *, turn: bool) -> tuple[str, ...] | None:
    """One text for each axis, turned round where asked; None for null.

    Raises
    ------
    FormatError
        Something else.
    """
    if field.value is None:
        return None
    items = field.items()
    if len(items) != count:
        raise field.broken(f"expected one name for each of the {count} axes")
    values = tuple(item.text() for item in items)
    return values[::-1] if turn else values


def close(one: Sequence[float], other: Sequence[float], sizes: Sequence[float] | None = None) -> bool:
    """Whether two lists are the same but for float noise, which is measured by `sizes` (of voxels), or by `one`."""
    return all(abs(a - b) <= TOLERANCE * abs(size) for a, b, size in zip(one, other, sizes or one, strict=True))


def moved(place: Place, start: Sequence[int]) -> Place:
    """The place of an array whose first voxel is the one at `start` of this one."""
    scale, translation = place.transform.scale, place.transform.translation
    return Place(
        transform=Transform(
            scale=scale,
            translation=tuple(at + size * low for at, size, low in zip(translation, scale, start, strict=True)),
        ),
        units=place.units,
    )


def write_transform(place: Place, axes: Sequence[str]) -> JsonObject:
    """A ``transform`` that says where an array is."""
    return {
        "order": "C",
        "axes": [*axes],
        "units": [unit or PIXEL for unit in place.units],
        "translate": [*place.transform.translation],
        "scale": [*place.transform.scale],
    }


def moved_transform(transform: Field, start: Sequence[int]) -> JsonObject:
    """A published ``transform`` for an array that begins at `start` (z, y, x) of the one it was written for."""
    steps = [*reversed(start)] if is_fortran(transform) else [*start]
    old = numbers(transform.member("translate"), len(steps), turn=False)
    sizes = numbers(transform.member("scale"), len(steps), turn=False)
    translate: list[Json] = [at + size * step for at, size, step in zip(old, sizes, steps, strict=True)]
    return {**transform.object(), "translate": translate}
