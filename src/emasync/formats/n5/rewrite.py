"""Attributes of a part of a container: the same documents, saying what is there and nothing else.

Dimensions shrink to what is kept and positions move with the first kept voxel. Conventions that only count levels
(``scales``, ``downsamplingFactors``) can say neither where a level begins nor that one is missing: where a part needs
that, ``transform`` says it instead, and what would contradict it goes. Every other member stays as it came.
"""

from __future__ import annotations

from collections.abc import Mapping

from emasync.errors import ErrorKind, SourceError
from emasync.formats.interface import Part
from emasync.formats.json_document import Field, Json, JsonObject, parse_object, write_object
from emasync.formats.n5.attributes import ATTRIBUTES
from emasync.formats.n5.images import factor_lists, level_number
from emasync.formats.n5.places import PIXEL, close, moved, moved_transform, numbers, write_transform
from emasync.formats.paths import join, normal_path, parent_and_name
from emasync.model.task import escape_for_log


class AttributesRewriter:
    """Rewrites ``attributes.json`` (:class:`~emasync.formats.interface.DocumentRewriter`).

    Parameters
    ----------
    parts : mapping of str to Part
        By path of the dataset. Datasets that are not here are not on disk.
    """

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self._parts = parts
        self._pyramids: dict[str, _Pyramid] = {}
        for path, part in sorted(parts.items()):
            folder, name = parent_and_name(path)
            number = level_number(name)
            if number is not None:
                self._pyramids.setdefault(folder, _Pyramid()).add(number, part)

    def rewrite(self, key: str, data: bytes) -> bytes | None:
        """Give the document called `key` as it must read; None when it may stay as it is.

        Raises
        ------
        FormatError
            The document breaks a rule.
        SourceError
            It places levels in a way that cannot be rewritten (not built).
        """
        folder, name = parent_and_name(key)
        if name != ATTRIBUTES:
            return None
        old = parse_object(key, data)
        part = self._parts.get(folder)
        attributes = Field(key, "", old)
        new = self._group(folder, attributes) if part is None else self._dataset(part, attributes)
        return None if new == old else write_object(new)

    def _dataset(self, part: Part, old: Field) -> JsonObject:
        new = dict(old.object())
        pyramid = self._pyramids.get(parent_and_name(part.array.path)[0])
        if not part.whole:
            new["dimensions"] = [*reversed(part.hull.shape)]
        if pyramid is not None and pyramid.shifted and new.pop("downsamplingFactors", None) is not None:
            new |= _own_resolution(part, old)
        if old.member("offset").value is not None:
            new["offset"] = _moved_offset(old.member("offset"), part)
        transform = old.member("transform")
        if transform.value is not None:
            new["transform"] = moved_transform(transform, part.hull.start)
        elif any(part.hull.start) or (pyramid is not None and not (pyramid.counted and pyramid.told)):
            new |= _new_transform(part)
        return new

    def _group(self, folder: str, old: Field) -> JsonObject:
        new = dict(old.object())
        own = self._pyramids.get(folder)
        below = [item for home, item in self._pyramids.items() if home and parent_and_name(home)[0] == folder]
        pyramids = [own, *below] if own is not None else below
        for listed in factor_lists(old):
            kept = {len(item.parts) for item in pyramids if item.counted}
            if len(kept) == 1 and all(item.counted for item in pyramids):
                new[listed.where] = [factors.value for factors in listed.items()[: kept.pop()]]
            else:
                del new[listed.where]
        if old.member("multiscales").value is not None:
            new["multiscales"] = self._images(folder, old.member("multiscales"))
        elif own is not None and own.placed and not own.counted:
            new["multiscales"] = [_new_image(own)]
        if own is not None and old.member("offset").value is not None:
            new["offset"] = None if own.shifted else _moved_offset(old.member("offset"), own.finest)
        gone = [name for name in ("multiscales", "offset") if name in new and not new[name]]
        return {name: value for name, value in new.items() if name not in gone}

    def _images(self, folder: str, listed: Field) -> list[Json]:
        """``multiscales`` with the levels that are kept, where they are now; an image without any is none."""
        images: list[Json] = []
        for image in listed.items():
            levels = [(item, self._part_of(folder, item)) for item in image.member("datasets").items()]
            kept: list[Json] = [_moved_level(item, part) for item, part in levels if part is not None]
            if kept:
                images.append({**image.object(), "datasets": kept})
        return images

    def _part_of(self, folder: str, dataset: Field) -> Part | None:
        normal = normal_path(dataset.member("path").text())
        return self._parts.get(join(folder, normal)) if normal else None


class _Pyramid:
    """The kept ones among s0, s1, ... of one folder."""

    def __init__(self) -> None:
        self.parts: dict[int, Part] = {}

    def add(self, number: int, part: Part) -> None:
        self.parts[number] = part

    @property
    def finest(self) -> Part:
        return self.parts[min(self.parts)]

    @property
    def placed(self) -> bool:
        """Whether it is known where they are; arrays that are only called levels are none."""
        return all(part.array.place is not None for part in self.parts.values())

    @property
    def counted(self) -> bool:
        """Whether conventions that count levels hold: none of the first is missing, and all begin at one place."""
        return sorted(self.parts) == [*range(len(self.parts))] and not self.shifted

    @property
    def told(self) -> bool:
        """Whether sizes of voxels stand somewhere, or still follow from the shapes: those of parts are no measure."""
        whole = all(part.whole for part in self.parts.values())
        return whole or not any(part.array.place and part.array.place.inferred for part in self.parts.values())

    @property
    def shifted(self) -> bool:
        """Whether levels begin at different distances from where they began: hulls end at blocks of each level."""
        return not all(_same_shift(self.finest, part) for part in self.parts.values())


def _same_shift(one: Part, other: Part) -> bool:
    if one.array.place is None or other.array.place is None:
        return True
    return close(_shift(one), _shift(other), one.array.place.transform.scale)


def _shift(part: Part) -> tuple[float, ...]:
    """How far the first kept voxel is from the first one, in the world."""
    scale = (1.0,) * len(part.hull.start) if part.array.place is None else part.array.place.transform.scale
    return tuple(size * low for size, low in zip(scale, part.hull.start, strict=True))


def _moved_offset(offset: Field, part: Part) -> list[Json]:
    """Paintera's ``offset``: x, y, z, in the world."""
    old = numbers(offset, len(part.hull.start), turn=False)
    return [at + step for at, step in zip(old, reversed(_shift(part)), strict=True)]


def _new_transform(part: Part) -> JsonObject:
    """A ``transform`` where nothing else says where the part is; none for a dataset that nobody placed."""
    if part.array.place is None:
        return {}
    return {"transform": write_transform(moved(part.array.place, part.hull.start), part.array.axes or ())}


def _own_resolution(part: Part, old: Field) -> JsonObject:
    """The size of voxels without factors that it is to be multiplied with; readers look for it further up otherwise."""
    if part.array.place is None:
        return {}
    place = part.array.place
    sizes: list[Json] = [*reversed(place.transform.scale)]
    if old.member("resolution").value is not None and old.member("pixelResolution").value is None:
        return {"resolution": sizes}
    if isinstance(old.member("pixelResolution").value, list):
        return {"pixelResolution": sizes}
    return {"pixelResolution": {"dimensions": sizes, "unit": place.units[-1] or PIXEL}}


def _new_image(pyramid: _Pyramid) -> JsonObject:
    """``multiscales`` for levels that nothing else can name any longer."""
    datasets: list[Json] = [
        {"path": f"s{number}", **_new_transform(part)} for number, part in sorted(pyramid.parts.items())
    ]
    return {"name": "", "datasets": datasets}


def _moved_level(dataset: Field, part: Part) -> JsonObject:
    """A level in ``multiscales`` whose first voxel is the hull's."""
    if any(part.hull.start) and dataset.member("coordinateTransformations").value is not None:
        raise SourceError(
            f"{escape_for_log(dataset.key)}: positions in coordinateTransformations cannot be rewritten for a part of "
            "an N5 image in this version; use subset: mirror",
            kind=ErrorKind.NOT_BUILT,
            location=dataset.key,
        )
    transform = dataset.member("transform")
    if transform.value is None:
        return dataset.object()
    return {**dataset.object(), "transform": moved_transform(transform, part.hull.start)}
