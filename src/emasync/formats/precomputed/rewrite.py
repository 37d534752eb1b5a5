"""The ``info`` document of a part of a volume: scales that are kept, their extent, and chunks as objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from emasync.formats.interface import Part
from emasync.formats.json_document import Field, Json, JsonObject, parse_object, write_object
from emasync.formats.precomputed.info import INFO, resolve_key, reversed_list

_ELSEWHERE: Final = ("mesh", "skeletons", "segment_properties")
"""Members that name other folders; a choice of arrays takes none of them."""

_AXES: Final = 3


class InfoRewriter:
    """Rewrites ``info`` documents (:class:`~emasync.formats.interface.DocumentRewriter`).

    Chunks keep their names, because those count from the offset that moves with the first voxel kept.

    Parameters
    ----------
    parts : mapping of str to Part
        By folder of the scale below the tree's base. Scales that are not here are not on disk.
    """

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self._parts = parts

    def rewrite(self, key: str, data: bytes) -> bytes | None:
        """Give the document called `key` as it must read; None when it may stay as it is.

        Raises
        ------
        FormatError
            The document breaks a rule.
        """
        folder, _, name = key.rpartition("/")
        if name != INFO:
            return None
        old = parse_object(key, data)
        scales = Field(key, "scales", old.get("scales")).items()
        kept: list[Json] = []
        for scale in scales:
            part = self._parts.get(resolve_key(scale.member("key"), folder))
            if part is not None:
                kept.append(_part_of(scale.object(), part))
        new: JsonObject = {name: value for name, value in old.items() if name not in _ELSEWHERE}
        new["scales"] = kept
        return None if new == old else write_object(new)


def _part_of(scale: JsonObject, part: Part) -> JsonObject:
    """A scale as large as its hull. Of several copies in other chunk shapes only the first is taken."""
    shapes = scale.get("chunk_sizes")
    new: JsonObject = {**scale, "chunk_sizes": shapes[:1] if isinstance(shapes, list) else shapes}
    if not part.whole:
        start, size = part.hull.start[-_AXES:], part.hull.shape[-_AXES:]
        origin = part.array.origin or (0,) * len(part.array.shape)
        new["size"] = [*reversed_list(size)]
        new["voxel_offset"] = [*reversed_list(a + b for a, b in zip(origin[-_AXES:], start, strict=True))]
    if part.unsharded:
        new.pop("sharding", None)
    return new
