"""Images put together: where each level's voxels are, and what contradicts it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from emasync.errors import FormatError
from emasync.formats.interface import (
    ArrayDescription,
    Axis,
    LevelDescription,
    MultiscaleDescription,
    Place,
    Transform,
)
from emasync.formats.json_document import Field
from emasync.formats.n5.images import ImageEntry, LevelEntry, factor_lists
from emasync.formats.n5.places import (
    Resolution,
    StatedTransform,
    close,
    numbers,
    read_resolution,
    read_transform,
    texts,
)
from emasync.model.task import escape_for_log

_NAMES = ("x", "y", "z")


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


@dataclass(slots=True)
class Described:
    """An image, and what its documents contradict each other in (mutable while it is put together)."""

    image: MultiscaleDescription
    notes: list[str]


def describe_image(entry: ImageEntry, members: Mapping[int, Member], around: Around) -> Described:
    """Put an image together once its arrays are known.

    Parameters
    ----------
    entry : ImageEntry
    members : mapping of int to Member
        By level number, at least one; missing ones are left out.
    around : Around

    Raises
    ------
    FormatError
        Levels of different numbers of axes, or positions that do not fit them.
    """
    first = members[min(members)]
    count = len(first.array.shape)
    for member in members.values():
        if len(member.array.shape) != count:
            raise FormatError(
                f"{escape_for_log(member.array.path)}: dataset of {len(member.array.shape)} axes in an image of "
                f"{count}; all levels of an image have its axes",
                location=member.array.path,
            )
    placing = _Placing(first, around, count)
    levels = [item for item in entry.levels if item.number in members]
    places = [placing.place(item, members[item.number]) for item in levels]
    names = placing.axis_names(levels[0])
    image = MultiscaleDescription(
        path=around.folder,
        index=entry.index,
        name=entry.name,
        version="n5",
        axes=tuple(_axis(name, unit) for name, unit in zip(names, places[0].units, strict=True)),
        levels=tuple(
            LevelDescription(
                number=item.number,
                array=replace(members[item.number].array, axes=names, place=place),
                transform=place.transform,
                stated=placing.stated,
            )
            for item, place in zip(levels, places, strict=True)
        ),
        transform=Transform(scale=(1.0,) * count, translation=(0.0,) * count),
        documents=around.documents,
    )
    return Described(image, placing.notes)


def states_place(attributes: Field) -> bool:
    """Whether a dataset says itself where its voxels are, so that it is an image without any group."""
    return any(attributes.member(name).value is not None for name in ("transform", "pixelResolution", "resolution"))


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
    if named is None and count > len(_NAMES):
        notes.append(f"{member.array.path}: {count} axes without names; the first three are taken for x, y, z")
    return named or tuple(reversed([*_NAMES[:count], *(f"d{number}" for number in range(len(_NAMES), count))]))


def _axis(name: str, unit: str | None) -> Axis:
    return Axis(name, "space" if name.lower() in _NAMES else None, unit)


class _Placing:
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
        if own is not None and not close(own.sizes, scale):
            self._conflict(member, "pixelResolution", own.sizes, "transform", scale)
        return transform.place

    def axis_names(self, level: LevelEntry) -> tuple[str, ...]:
        """Names of the axes, z, y, x."""
        transform = self._transform(level, self._first)
        if transform is not None and transform.axes is not None:
            return transform.axes
        return named_axes(self._around.find(self._first, "axes"), self._first, self.notes)

    def _transform(self, level: LevelEntry, member: Member) -> StatedTransform | None:
        """Of the array itself, else of the group's list; both are written by hand now and then."""
        own = read_transform(member.attributes.member("transform"), self._count)
        listed = read_transform(level.transform, self._count)
        if own is None or listed is None or own == listed:
            return own or listed
        for name in ("scale", "translation"):
            ours, theirs = (getattr(item.place.transform, name) for item in (own, listed))
            if not close(ours, theirs):
                self._conflict(member, f"{name} in the group's multiscales", theirs, f"{name} in its transform", ours)
        return own

    def _from_sizes(self, level: LevelEntry, member: Member) -> Place:
        base = self._base.sizes if self._base is not None else (1.0,) * self._count
        own = read_resolution(member.attributes, self._count)
        factors = self._factors(level, member)
        self.stated = self.stated or factors is not None or self._base is not None
        if factors is None and own is not None and not close(own.sizes, base):
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
        return Place(transform=Transform(scale=sizes, translation=at), units=self._units(member))

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


def _positive(field: Field, count: int) -> tuple[float, ...]:
    values = numbers(field, count, turn=True)
    if any(value <= 0 for value in values):
        raise field.broken("downsampling factors are positive")
    return values


def _ratio(finest: Sequence[int], shape: Sequence[int]) -> tuple[float, ...]:
    """Whole-number ratios of shapes, since halving floors odd extents."""
    return tuple(float(max(1, round(a / b))) if b else 1.0 for a, b in zip(finest, shape, strict=True))
