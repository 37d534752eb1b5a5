"""What the publisher says of an array of a tree: its place in an image, its axes, the size of its voxels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from emasync.formats.interface import (
    ArrayDescription,
    Found,
    GroupDescription,
    LevelDescription,
    MultiscaleDescription,
    Transform,
)
from emasync.formats.json_document import Json, parse_object
from emasync.formats.stored import Measure, reversed_axes
from emasync.model.units import NANOMETRES
from emasync.volume.index_entry import Role

MEASURED: Final = frozenset(("space", "time"))
"""Types of axes whose voxels have a size; those of channels are numbers."""

_NAMES: Final = frozenset("zyxt")

_NO_ATTRIBUTES: Final = (".zgroup", ".zarray", ".zmetadata")
"""Documents of Zarr v2 that say nothing of images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is published of one array.

    Attributes
    ----------
    array : ArrayDescription
    image : str
        Path of the image that it is a level of, else its own; ``#n`` behind it for the n-th image of a group.
    level : int
        Number of the level as published.
    axes : tuple of str
    measures : tuple of Measure or None
    translation_nm : mapping of str to float
        Of the centre of the *source* voxel 0.
    role : {"image", "labels"}
    attributes : mapping of str to Json
    documents : mapping of str to bytes
        Of the array and the image around it.
    """

    array: ArrayDescription
    image: str
    level: int = 0
    axes: tuple[str, ...]
    measures: tuple[Measure | None, ...]
    translation_nm: Mapping[str, float] = field(default_factory=dict)
    role: Role = "image"
    attributes: Mapping[str, Json] = field(default_factory=dict)
    documents: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def told_of(found: Iterable[Found]) -> dict[str, Told]:
    """What a walk found, by path of the array; the first image that an array is of counts."""
    nodes = tuple(found)
    labels = tuple(f"{node.path}/" for node in nodes if isinstance(node, GroupDescription) and node.layout == "labels")
    told: dict[str, Told] = {}
    for node in nodes:
        for item in _of_node(node, labels):
            told.setdefault(item.array.path, item)
    return told


def _of_node(node: Found, labels: tuple[str, ...]) -> Iterator[Told]:
    if isinstance(node, MultiscaleDescription):
        role = _role(node, labels)
        yield from (_level(node, level, role) for level in node.levels)
    elif isinstance(node, ArrayDescription):
        axes = node.axes or _unnamed(node)
        place = node.place
        units = place.units if place is not None else ()
        source = _document(node.documents)
        yield Told(
            array=node,
            image=node.path,
            axes=axes,
            measures=(None,) * len(axes) if place is None else _measures(axes, units, place.transform, source),
            translation_nm={} if place is None else _translation(node, axes, units, place.transform),
            role="labels" if node.path.startswith(labels) else "image",
            documents=node.documents,
        )


def _unnamed(array: ArrayDescription) -> tuple[str, ...]:
    """Names where nobody gave any: N5 counts x, y, z, others have no custom."""
    count = len(array.shape)
    return reversed_axes(count) if array.format == "n5" else tuple(f"d{axis}" for axis in range(count))


def _role(image: MultiscaleDescription, labels: tuple[str, ...]) -> Role:
    """Labels lie in a group that says so (OME-NGFF 0.4, "labels"), or the volume is a segmentation (precomputed)."""
    if image.version == "precomputed":
        (data,) = image.documents.values()
        return "labels" if parse_object("info", data).get("type") == "segmentation" else "image"
    return "labels" if image.path.startswith(labels) else "image"


def _level(image: MultiscaleDescription, level: LevelDescription, role: Role) -> Told:
    array, place = level.array, level.array.place
    axes = array.axes or tuple(axis.name for axis in image.axes)
    documents = {**image.documents, **level.documents}
    source = f"{_document(documents)}: {_where(image, level)}"
    transform, units = level.transform.then(image.transform), [axis.unit for axis in image.axes]
    stated = level.stated
    if place is not None:
        transform, units = place.transform, list(place.units)
        source = f"{source}, inferred from shapes" if place.inferred else source
    sizes = [axis.type is None or axis.type in MEASURED for axis in image.axes]
    measures = _measures(axes, units, transform, source) if stated else (None,) * len(axes)
    name = {"name": image.name} if image.name else {}
    return Told(
        array=array,
        image=f"{image.path}#{image.index}" if image.index else image.path,
        level=level.number,
        axes=axes,
        measures=tuple(measure if size else None for measure, size in zip(measures, sizes, strict=True)),
        translation_nm=_translation(array, axes, units, transform) if stated else {},
        role=role,
        attributes={**name, "version": image.version, "levels": len(image.levels)},
        documents=documents,
    )


def _document(documents: Mapping[str, bytes]) -> str:
    """That of the image where there is one, which tells of attributes."""
    return next((key for key in documents if not key.endswith(_NO_ATTRIBUTES)), "")


def _where(image: MultiscaleDescription, level: LevelDescription) -> str:
    """Member of the document that tells where a level is."""
    if image.version == "precomputed":
        return f"scales[{level.number}].resolution"
    if level.array.format == "n5":
        return "transform, resolution and factors"
    return f"multiscales[{image.index}].datasets[{level.number}]"


def _measures(
    axes: Sequence[str], units: Sequence[str | None], transform: Transform, source: str
) -> tuple[Measure | None, ...]:
    return tuple(
        Measure(size, unit or "", source) if name.lower() in _NAMES or unit else None
        for name, unit, size in zip(axes, units, transform.scale, strict=True)
    )


def _translation(
    array: ArrayDescription, axes: Sequence[str], units: Sequence[str | None], transform: Transform
) -> dict[str, float]:
    """Where the source's voxel 0 is: arrays that begin at another one say where that is."""
    origin = array.origin or (0,) * len(axes)
    rows = zip(axes, units, transform.scale, transform.translation, origin, strict=True)
    known = ((name, NANOMETRES.get((unit or "").lower()), size, at, first) for name, unit, size, at, first in rows)
    return {name: (at - size * first) * unit_nm for name, unit_nm, size, at, first in known if unit_nm is not None}


def same_layout(told: ArrayDescription, disk: ArrayDescription) -> bool:
    """Whether two descriptions are of one array, of which the second may be a part."""
    return len(told.shape) == len(disk.shape) and told.dtype == disk.dtype
