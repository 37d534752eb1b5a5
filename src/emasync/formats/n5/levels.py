"""Images put together from their arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from emasync.errors import FormatError
from emasync.formats.interface import Axis, LevelDescription, MultiscaleDescription, Transform
from emasync.formats.n5.images import ImageEntry
from emasync.formats.n5.placing import SPATIAL, Around, Member, Placing
from emasync.model.task import escape_for_log


@dataclass(frozen=True, slots=True)
class Described:
    """An image, and what its documents contradict each other in, for people."""

    image: MultiscaleDescription
    notes: tuple[str, ...]


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
    placing = Placing(first, around, count)
    levels = [item for item in entry.levels if item.number in members]
    places = [placing.place(item, members[item.number]) for item in levels]
    names = placing.axis_names()
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
    return Described(image, tuple(placing.notes))


def _axis(name: str, unit: str | None) -> Axis:
    return Axis(name, "space" if name.lower() in SPATIAL else None, unit)
