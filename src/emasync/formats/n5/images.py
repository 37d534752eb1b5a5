"""Which arrays of a group are levels of one image: conventions that N5 data is published in.

- OpenOrganelle: ``multiscales`` of the group lists paths and transforms (cellmap-schemas, ``multiscale/cosem.py``);
- Neuroglancer and the old n5-viewer: ``scales`` of the group lists downsampling factors of s0, s1, ...;
- n5-viewer and BigDataViewer: arrays called s0, s1, ... below one group (n5-viewer, README, "Container structure";
  bigdataviewer-core, "BDV N5 format").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from emasync.formats.interface import ArrayDescription, Names
from emasync.formats.json_document import Field
from emasync.formats.paths import join, normal_path, parent_and_name

MAX_LEVELS: Final = 64
"""Halving from 2^63 voxels ends there."""

FACTOR_LISTS: Final = ("scales", "downsamplingFactors")
"""Members of groups that hold one list of factors for each of s0, s1, ..."""

_LEVEL_NAME: Final = re.compile(r"s(0|[1-9]\d{0,3})")


@dataclass(frozen=True, slots=True)
class LevelEntry:
    """One level before its array is known: its number, the array's path below the base, what the group says of it."""

    number: int
    path: str
    transform: Field


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEntry:
    """One image before its arrays are known.

    Attributes
    ----------
    index : int
        Among the images of the group.
    name : str or None
    levels : tuple of LevelEntry
        Finest first.
    declared : bool
        Whether metadata say that these are levels; False: only their names do.
    """

    index: int = 0
    name: str | None = None
    levels: tuple[LevelEntry, ...]
    declared: bool = True


def declared_images(folder: str, attributes: Field | None) -> tuple[ImageEntry, ...]:
    """Images that a group's attributes name.

    Raises
    ------
    FormatError
        No levels, too many, or a level whose path leaves the group.
    """
    if attributes is None:
        return ()
    listed = attributes.member("multiscales")
    if listed.value is not None:
        return tuple(_cosem_image(folder, index, field) for index, field in enumerate(listed.items()))
    scales = attributes.member("scales")
    if not holds_lists(scales):
        return ()
    _require_count(scales)
    return (numbered_image(folder, range(len(scales.items()))),)


def numbered_image(folder: str, numbers: Iterable[int], *, declared: bool = True) -> ImageEntry:
    """The image of arrays that are called s0, s1, ..."""
    nothing = Field(folder, "", None)
    levels = tuple(LevelEntry(number, join(folder, f"s{number}"), nothing) for number in sorted(numbers))
    return ImageEntry(levels=levels, declared=declared)


def single_image(path: str) -> ImageEntry:
    """The image of one dataset."""
    return ImageEntry(levels=(LevelEntry(0, path, Field(path, "", None)),))


def enclosing_level(path: str, group: Field | None) -> LevelEntry | None:
    """What the group around a dataset says of it, and only its name where it says nothing; None for no level.

    Raises
    ------
    FormatError
        As :func:`declared_images`.
    """
    folder, name = parent_and_name(path)
    listed = (level for image in declared_images(folder, group) for level in image.levels)
    named = level_number(name)
    called = None if named is None else LevelEntry(named, path, Field(path, "", None))
    return next((level for level in listed if level.path == path), called)


def level_numbers(names: Names) -> list[int]:
    """Numbers of the folders that are called s0, s1, ..."""
    found = (level_number(name) for name in names.folders)
    return [number for number in found if number is not None][:MAX_LEVELS]


def level_number(name: str) -> int | None:
    """The number in the name of a level; None for other names."""
    found = _LEVEL_NAME.fullmatch(name)
    return None if found is None else int(found[1])


def is_pyramid(arrays: Sequence[ArrayDescription]) -> bool:
    """Whether arrays that are only *called* levels look like some: of one type, none larger than the one before."""
    return all(
        len(coarse.shape) == len(fine.shape)
        and coarse.dtype == fine.dtype
        and all(small <= large for small, large in zip(coarse.shape, fine.shape, strict=True))
        for fine, coarse in pairwise(arrays)
    )


def says_level(attributes: Field) -> bool:
    """Whether a dataset says itself that it is a level; a coarse part in whole blocks may be larger than a fine one."""
    return any(attributes.member(name).value is not None for name in ("transform", "downsamplingFactors"))


def holds_lists(field: Field) -> bool:
    """Whether a member is a list of lists: datasets and groups use the same names, and only groups' are nested."""
    return isinstance(field.value, list) and bool(field.value) and isinstance(field.value[0], list)


def factor_lists(attributes: Field | None) -> Iterator[Field]:
    """Members of a group that hold the factors of all levels."""
    if attributes is None:
        return
    for name in FACTOR_LISTS:
        field = attributes.member(name)
        if holds_lists(field):
            yield field


def _cosem_image(folder: str, index: int, field: Field) -> ImageEntry:
    datasets = field.member("datasets")
    _require_count(datasets)
    levels = []
    for number, item in enumerate(datasets.items()):
        path = item.member("path")
        normal = normal_path(path.text())
        if not normal:
            raise path.broken("a level lies below its group: no empty, absolute or dotted path")
        levels.append(LevelEntry(number, join(folder, normal), item.member("transform")))
    name = field.member("name").value
    return ImageEntry(index=index, name=name if isinstance(name, str) and name else None, levels=tuple(levels))


def _require_count(levels: Field) -> None:
    if not 1 <= len(levels.items()) <= MAX_LEVELS:
        raise levels.broken(f"a multiscale image has 1 to {MAX_LEVELS} levels")
