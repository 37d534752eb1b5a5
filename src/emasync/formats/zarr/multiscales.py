"""OME-NGFF ``multiscales`` metadata, versions 0.1 to 0.5: axes, levels, transforms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from emasync.errors import FormatError
from emasync.formats.interface import ArrayDescription, Axis, LevelDescription, MultiscaleDescription, Transform
from emasync.formats.json_document import Field
from emasync.formats.paths import join, normal_path
from emasync.model.task import escape_for_log

MAX_LEVELS = 64  # halving from 2^63 voxels ends there

_VERSION = re.compile(r"^0\.[1-5](\.\d+)?$")


@dataclass(frozen=True, slots=True)
class LevelEntry:
    """One item of ``datasets``: its place in the list, the array's path below the base, its own transforms."""

    number: int
    path: str
    transforms: Field


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEntry:
    """One item of ``multiscales``, before its arrays are known."""

    index: int
    field: Field
    version: str
    levels: tuple[LevelEntry, ...]


def known_version(version: str) -> bool:
    """Whether `version` is one whose rules are read here (0.1 to 0.5, patch releases included)."""
    return _VERSION.match(version) is not None


def image_entries(ome: Field, folder: str, default_version: str) -> tuple[tuple[ImageEntry, ...], tuple[str, ...]]:
    """Images that a group's metadata lists.

    Parameters
    ----------
    ome : Field
        The object that holds ``multiscales``: the attributes (0.4), their ``ome`` member (0.5).
    folder : str
        Group folder.
    default_version : str
        Where nobody states one.

    Returns
    -------
    tuple of ImageEntry
        Images whose version is read here.
    tuple of str
        Versions of the others.

    Raises
    ------
    FormatError
        No levels, too many, or a level whose path leaves the group.
    """
    listed = ome.member("multiscales")
    shared = version_text(ome.member("version"))
    images, unknown = [], []
    for index, field in enumerate(() if listed.value is None else listed.items()):
        version = version_text(field.member("version")) or shared or default_version
        if known_version(version):
            levels = _level_entries(field.member("datasets"), folder)
            images.append(ImageEntry(index=index, field=field, version=version, levels=levels))
        else:
            unknown.append(version)
    return tuple(images), tuple(unknown)


def version_text(field: Field) -> str | None:
    """A version as text; numbers occur in its place (``0.4``)."""
    return str(field.value) if isinstance(field.value, float | int) else field.optional_text()


def _level_entries(field: Field, folder: str) -> tuple[LevelEntry, ...]:
    items = field.items()
    if not 1 <= len(items) <= MAX_LEVELS:
        raise field.broken(f"a multiscale image has 1 to {MAX_LEVELS} levels")
    entries = []
    for number, item in enumerate(items):
        path = item.member("path")
        normal = normal_path(path.text())
        if not normal:
            raise path.broken("a level lies below its group: no empty, absolute or dotted path")
        entries.append(LevelEntry(number, join(folder, normal), item.member("coordinateTransformations")))
    return tuple(entries)


def describe_image(
    entry: ImageEntry,
    arrays: Mapping[int, ArrayDescription],
    *,
    folder: str,
    documents: Mapping[str, bytes],
    between: Mapping[int, Mapping[str, bytes]],
) -> MultiscaleDescription:
    """Put an image together once its arrays are known.

    Parameters
    ----------
    entry : ImageEntry
    arrays : mapping of int to ArrayDescription
        By level number, at least one; missing ones are left out.
    folder : str
        Group folder.
    documents : mapping of str to bytes
        Of the group.
    between : mapping of int to mapping
        Documents between group and array, by level number.

    Raises
    ------
    FormatError
        Axes and transforms that do not fit the arrays (OME-NGFF 0.4 and 0.5, "multiscales").
    """
    count = len(arrays[min(arrays)].shape)
    axes = _axes(entry.field.member("axes"), count)
    shared = entry.field.member("coordinateTransformations")
    levels = tuple(
        _level(item, arrays, axes, between.get(item.number, {}), stated=shared.value is not None)
        for item in entry.levels
        if item.number in arrays
    )
    return MultiscaleDescription(
        path=folder,
        index=entry.index,
        name=_name(entry.field.member("name")),
        version=entry.version,
        axes=axes,
        levels=levels,
        transform=read_transform(shared, count),
        documents=documents,
    )


def _name(field: Field) -> str | None:
    return field.value if isinstance(field.value, str) and field.value else None


def _level(
    entry: LevelEntry,
    arrays: Mapping[int, ArrayDescription],
    axes: tuple[Axis, ...],
    between: Mapping[str, bytes],
    *,
    stated: bool,
) -> LevelDescription:
    array, first = arrays[entry.number], arrays[min(arrays)]
    if len(array.shape) != len(axes):
        raise FormatError(
            f"{escape_for_log(array.path)}: array of {len(array.shape)} axes in an image of {len(axes)}; "
            "all levels of an image have its axes",
            location=array.path,
        )
    named = replace(array, axes=tuple(axis.name for axis in axes))
    known = stated or entry.transforms.value is not None
    transform = read_transform(entry.transforms, len(axes)) if known else _from_shapes(first.shape, array.shape)
    return LevelDescription(number=entry.number, array=named, transform=transform, stated=known, between=between)


def _axes(field: Field, count: int) -> tuple[Axis, ...]:
    """Axes: objects (0.4, 0.5), names (0.3), or nothing (0.1, 0.2: t, c, z, y, x)."""
    if field.value is None:
        return tuple(Axis(name) for name in "tczyx"[max(0, 5 - count) :].rjust(count, "?"))
    items = field.items()
    if len(items) != count:
        raise field.broken(f"the arrays have {count} axes; all must be named")
    return tuple(
        Axis(item.text())
        if isinstance(item.value, str)
        else Axis(item.member("name").text(), item.member("type").optional_text(), item.member("unit").optional_text())
        for item in items
    )


def read_transform(field: Field, count: int) -> Transform:
    """Compose a list of coordinate transformations, first to last.

    Parameters
    ----------
    field : Field
        ``coordinateTransformations``; null is the identity.
    count : int
        Number of axes.

    Raises
    ------
    FormatError
        Other kinds than scale, translation and identity, or values that do not fit (OME-NGFF 0.4,
        "coordinateTransformations").
    """
    total = Transform(scale=(1.0,) * count, translation=(0.0,) * count)
    for item in () if field.value is None else field.items():
        total = total.then(_one_transform(item, count))
    return total


def _one_transform(item: Field, count: int) -> Transform:
    kind = item.member("type")
    match kind.text():
        case "identity":
            return Transform(scale=(1.0,) * count, translation=(0.0,) * count)
        case "scale":
            return Transform(scale=_numbers(item.member("scale"), count), translation=(0.0,) * count)
        case "translation":
            return Transform(scale=(1.0,) * count, translation=_numbers(item.member("translation"), count))
    raise kind.broken("levels are placed by scale, translation and identity only")


def _numbers(field: Field, count: int) -> tuple[float, ...]:
    items = field.items()
    if len(items) != count:
        raise field.broken(f"expected one number for each of the {count} axes")
    return tuple(item.number() for item in items)


def _from_shapes(finest: tuple[int, ...], shape: tuple[int, ...]) -> Transform:
    """Where nothing is stated (0.1 to 0.3): whole-number ratios of shapes, since halving floors odd extents."""
    scale = tuple(float(max(1, round(a / b))) if b else 1.0 for a, b in zip(finest, shape, strict=True))
    return Transform(scale=scale, translation=(0.0,) * len(shape))
