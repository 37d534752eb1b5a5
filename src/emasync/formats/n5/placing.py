"""Where the levels of one image are, from whatever their documents state, and what contradicts it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from emasync.formats.interface import ArrayDescription, Place, Transform
from emasync.formats.json_document import Field
from emasync.formats.n5.images import LevelEntry, factor_lists
from emasync.formats.n5.places import (
    Resolution,
    StatedTransform,
    close,
    numbers,
    read_resolution,
    read_transform,
    texts,
)

SPATIAL = ("x", "y", "z")


@dataclass(frozen=True, slots=True)
class Member:
    """An array and its own attributes."""

    array: ArrayDescription
    attributes: Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What stands around the arrays of an image.

    Attributes
    ----------
    folder : str
        The image's group.
    group : Field or None
        Attributes of the group.
    above : Field or None
        Attributes of the folder that the group lies in: BigDataViewer keeps factors there.
    documents : mapping of str to bytes
        Of the group.
    """

    folder: str
    group: Field | None = None
    above: Field | None = None
    documents: Mapping[str, bytes] = field(default_factory=dict)

    def find(self, member: Member, name: str) -> Field:
        """A member of the array's attributes, else of the group's; null where neither has it."""
        own = member.attributes.member(name)
        return own if own.value is not None or self.group is None else self.group.member(name)


class Placing:
    """Says where levels are, from whatever their documents state.

    Parameters
    ----------
    first : Member
        The finest level there is.
    around : Around
    count : int
        Number of axes.
    """

    def __init__(self, first: Member, around: Around, count: int) -> None:
        self.notes: list[str] = []
        self.stated = False
        self._names: tuple[str, ...] | None = None
        self._first = first
        self._around = around
        self._count = count
        group = None if around.group is None else read_resolution(around.group, count)
        self._base: Resolution | None = group or read_resolution(first.attributes, count)

    def place(self, level: LevelEntry, member: Member) -> Place:
        """Where a level is: its ``transform``, else sizes and factors, else the ratio of shapes."""
        transform = self._transform(level, member)
        if transform is None:
            return self._from_sizes(level, member)
        self.stated = True
        own = read_resolution(member.attributes, self._count)
        scale = transform.place.transform.scale
        if own is not None and not any(close(size, scale) for size in self._meanings(own, level, member)):
            self._conflict(member, "pixelResolution", own.sizes, "transform", scale)
        return transform.place

    def axis_names(self) -> tuple[str, ...]:
        """Names of the axes, z, y, x: of the first ``transform`` that was read, else what stands around."""
        return self._names or named_axes(self._around.find(self._first, "axes"), self._first, self.notes)

    def _transform(self, level: LevelEntry, member: Member) -> StatedTransform | None:
        """Of the array itself, else of the group's list; both are written by hand now and then."""
        own = read_transform(member.attributes.member("transform"), self._count)
        listed = read_transform(level.transform, self._count)
        if own is not None and listed is not None:
            ours, theirs = own.place.transform, listed.place.transform
            if not close(ours.scale, theirs.scale):
                self._conflict(member, "scale in the group's multiscales", theirs.scale, "its transform", ours.scale)
            elif not close(ours.translation, theirs.translation, ours.scale):
                what = "translation in the group's multiscales"
                self._conflict(member, what, theirs.translation, "its transform", ours.translation)
        found = own or listed
        self._names = self._names or (None if found is None else found.axes)
        return found

    def _from_sizes(self, level: LevelEntry, member: Member) -> Place:
        base = self._base.sizes if self._base is not None else (1.0,) * self._count
        own = read_resolution(member.attributes, self._count)
        factors = self._factors(level, member)
        self.stated = self.stated or factors is not None or self._base is not None
        inferred = factors is None and (own is None or close(own.sizes, base))
        if factors is None and own is not None and not inferred:
            sizes = own.sizes
        else:
            ratio = factors or _ratio(self._first.array.shape, member.array.shape)
            sizes = tuple(size * factor for size, factor in zip(base, ratio, strict=True))
            if own is not None and not close(own.sizes, base) and not close(own.sizes, sizes):
                self._conflict(member, "pixelResolution", own.sizes, "downsampling factors give", sizes)
        # levels share their first edge, so centres move by half of what voxels grow
        shift = tuple((size - fine) / 2 for size, fine in zip(sizes, base, strict=True))
        offset = self._offset(member)
        at = tuple(a + b for a, b in zip(shift, offset, strict=True))
        return Place(transform=Transform(scale=sizes, translation=at), units=self._units(member), inferred=inferred)

    def _meanings(self, own: Resolution, level: LevelEntry, member: Member) -> list[tuple[float, ...]]:
        """Sizes that a level's resolution may stand for: its own, or the finest level's (n5-viewer)."""
        factors = self._factors(level, member) or (1.0,) * self._count
        return [own.sizes, tuple(size * factor for size, factor in zip(own.sizes, factors, strict=True))]

    def _factors(self, level: LevelEntry, member: Member) -> tuple[float, ...] | None:
        own = member.attributes.member("downsamplingFactors")
        if own.value is not None:
            return _positive(own, self._count)
        for holder in (self._around.group, self._around.above):
            for listed in factor_lists(holder):
                items = listed.items()
                if level.number < len(items):
                    return _positive(items[level.number], self._count)
        return None

    def _offset(self, member: Member) -> tuple[float, ...]:
        found = self._around.find(member, "offset")
        return (0.0,) * self._count if found.value is None else numbers(found, self._count, turn=True)

    def _units(self, member: Member) -> tuple[str | None, ...]:
        listed = texts(self._around.find(member, "units"), self._count, turn=True)
        return listed or ((self._base.unit if self._base is not None else None),) * self._count

    def _conflict(self, member: Member, one: str, says: Iterable[float], other: str, against: Iterable[float]) -> None:
        """Publishers write one grid in two opposite orders, and not always both right: tell, do not choose silently."""
        self.notes.append(
            f"{member.array.path}: {one} {list(says)} does not agree with {other} {list(against)} (z, y, x); "
            "the latter is used"
        )


def named_axes(field: Field, member: Member, notes: list[str]) -> tuple[str, ...]:
    """Names of axes, turned round like all axes here.

    Without names x, y, z come first, then ``d3``, ``d4``, ...: a guess that is noted where it says more than space.

    Parameters
    ----------
    field : Field
        ``axes``, or null.
    member : Member
    notes : list of str
        Grows.

    Raises
    ------
    FormatError
        Other than one name for each axis.
    """
    count = len(member.array.shape)
    named = texts(field, count, turn=True)
    if named is None and count > len(SPATIAL):
        notes.append(f"{member.array.path}: {count} axes without names; the first three are taken for x, y, z")
    return named or tuple(reversed([*SPATIAL[:count], *(f"d{number}" for number in range(len(SPATIAL), count))]))


def _positive(field: Field, count: int) -> tuple[float, ...]:
    values = numbers(field, count, turn=True)
    if any(value <= 0 for value in values):
        raise field.broken("downsampling factors are positive")
    return values


def _ratio(finest: Sequence[int], shape: Sequence[int]) -> tuple[float, ...]:
    """Whole-number ratios of shapes, since halving floors odd extents."""
    return tuple(float(max(1, round(a / b))) if b else 1.0 for a, b in zip(finest, shape, strict=True))
