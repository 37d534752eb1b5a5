"""Metadata of a part of a hierarchy: the same documents, saying what is there and nothing else.

Shapes shrink to what is kept, levels that are not kept leave the image, positions move with the first kept voxel.
Every other member stays as it came, in its place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from emasync.errors import ErrorKind, SourceError
from emasync.formats.interface import Part
from emasync.formats.json_document import MAX_CONSOLIDATED_BYTES, Field, Json, JsonObject, parse_object, write_object
from emasync.formats.paths import ancestors, join, normal_path, parent_and_name
from emasync.formats.zarr.keys import METADATA_NAMES, ZARR_JSON, ZARRAY, ZATTRS, ZMETADATA
from emasync.formats.zarr.multiscales import known_version, read_transform, version_text
from emasync.formats.zarr.sharding import without_shards
from emasync.model.task import escape_for_log


class Rewriter:
    """Rewrites metadata documents for the parts that are kept.

    Parameters
    ----------
    parts : mapping of str to Part
        By array path. Arrays that are not here are not on disk.
    present : collection of str
        Keys of the documents that are.
    """

    def __init__(self, parts: Mapping[str, Part], present: Collection[str]) -> None:
        self._parts = parts
        self._groups = {parent_and_name(key)[0] for key in present if parent_and_name(key)[1] in METADATA_NAMES}
        self._holding = {folder for path in parts for folder in ancestors(path)} | set(parts)

    def rewrite(self, key: str, data: bytes) -> bytes | None:
        """Give the document called `key` as it must read; None when it may stay as it is.

        Parameters
        ----------
        key : str
            Relative to the tree's base.
        data : bytes
            As received.

        Raises
        ------
        FormatError
            The document breaks a rule.
        SourceError
            It places levels in a way that cannot be rewritten (not built).
        """
        folder, name = parent_and_name(key)
        if name not in METADATA_NAMES:
            return None
        old = parse_object(key, data, limit_bytes=MAX_CONSOLIDATED_BYTES)
        new = self._consolidated_v2(folder, old) if name == ZMETADATA else self._document(folder, name, old, key)
        return None if new == old else write_object(new)

    def _document(self, folder: str, name: str, old: JsonObject, key: str) -> JsonObject:
        if name == ZARR_JSON:
            return self._node(folder, old, key)
        part = self._parts.get(folder)
        if name == ZARRAY and part is not None:
            return _with_shape(old, part)
        if name == ZATTRS and part is None:
            return self._attributes(folder, old, key)
        return old

    # --- nodes --------------------------------------------------------------------------------------------------

    def _node(self, folder: str, old: JsonObject, key: str) -> JsonObject:
        """Rewrite a Zarr v3 node, and the nodes consolidated in it."""
        part = self._parts.get(folder)
        if old.get("node_type") == "array":
            return old if part is None else _array(old, part, key)
        new = dict(old)
        attributes = old.get("attributes")
        if isinstance(attributes, dict):
            ome = attributes.get("ome")
            if isinstance(ome, dict):
                new["attributes"] = {**attributes, "ome": self._attributes(folder, ome, key)}
            else:
                new["attributes"] = self._attributes(folder, attributes, key)
        consolidated = old.get("consolidated_metadata")
        if isinstance(consolidated, dict) and isinstance(consolidated.get("metadata"), dict):
            new["consolidated_metadata"] = {
                **consolidated,
                "metadata": self._consolidated_v3(folder, consolidated, key),
            }
        return new

    def _consolidated_v3(self, folder: str, consolidated: JsonObject, key: str) -> Json:
        """Nodes below `folder`, as the group's document repeats them (zarr-specs pull request 309)."""
        nodes = consolidated["metadata"]
        kept: JsonObject = {}
        for name, node in nodes.items() if isinstance(nodes, dict) else ():
            path = join(folder, name)
            there = self._parts if isinstance(node, dict) and node.get("node_type") == "array" else self._groups
            if isinstance(node, dict) and path in there:
                kept[name] = self._node(path, node, f"{key}: {name}")
        return kept

    def _consolidated_v2(self, folder: str, old: JsonObject) -> JsonObject:
        """All documents below `folder`, as ``.zmetadata`` repeats them (zarr-python, ``consolidate_metadata``)."""
        documents = old.get("metadata")
        if not isinstance(documents, dict):
            return old
        kept: JsonObject = {}
        for key, document in documents.items():
            below, name = parent_and_name(key)
            path = join(folder, below)
            there = self._parts if join(below, ZARRAY) in documents else self._groups
            if isinstance(document, dict) and path in there:
                kept[key] = self._document(path, name, document, f"{join(folder, ZMETADATA)}: {key}")
        return {**old, "metadata": kept}

    # --- attributes of groups -----------------------------------------------------------------------------------

    def _attributes(self, folder: str, old: JsonObject, key: str) -> JsonObject:
        """OME-NGFF metadata of a group: images, and lists that name other groups."""
        new = self._pruned_lists(folder, old)
        listed = old.get("multiscales")
        if not isinstance(listed, list):
            return new
        fields = Field(key, "multiscales", listed).items()
        images: list[Json] = [image for field in fields if (image := self._image(folder, field, old)) is not None]
        if not images:
            return {name: value for name, value in new.items() if name not in ("multiscales", "omero")}
        new["multiscales"] = images
        if isinstance(omero := old.get("omero"), dict):
            levels = (part for field in fields for _, part in self._levels(folder, field) if part is not None)
            new["omero"] = _with_channels(omero, next(levels, None))
        return new

    def _levels(self, folder: str, image: Field) -> list[tuple[Field, Part | None]]:
        return [(item, self._part_of(folder, item)) for item in image.member("datasets").items()]

    def _image(self, folder: str, field: Field, holder: JsonObject) -> JsonObject | None:
        """One image with the levels that are kept; None when there are none."""
        image = field.object()
        datasets = self._levels(folder, field)
        shared = Field(field.key, "version", holder.get("version"))
        version = version_text(field.member("version")) or version_text(shared)
        if version is not None and not known_version(version):
            if all(part is not None and part.whole for _, part in datasets):
                return image
            raise SourceError(
                f"{escape_for_log(field.key)}: positions of OME-NGFF {version} cannot be rewritten for a part of the "
                "image in this version; use subset: mirror",
                kind=ErrorKind.NOT_BUILT,
                location=field.key,
            )
        placed = image.get("coordinateTransformations") is not None
        kept: list[Json] = [_placed(item, part, placed=placed) for item, part in datasets if part is not None]
        return {**image, "datasets": kept} if kept else None

    def _part_of(self, folder: str, dataset: Field) -> Part | None:
        normal = normal_path(dataset.member("path").text())
        return self._parts.get(join(folder, normal)) if normal else None

    def _pruned_lists(self, folder: str, old: JsonObject) -> JsonObject:
        """Lists of groups without those that hold nothing; only where OME-NGFF puts them, names are common words."""
        home, own = parent_and_name(folder)
        new = dict(old)
        for name, base, expected in (("labels", folder, "labels"), ("series", home, "OME")):
            listed = old.get(name)
            if own == expected and isinstance(listed, list):
                new[name] = [item for item in listed if self._holds(base, item)]
        for name, members in (("plate", "wells"), ("well", "images")):
            holder = old.get(name)
            listed = holder.get(members) if isinstance(holder, dict) else None
            if isinstance(holder, dict) and isinstance(listed, list):
                new[name] = {**holder, members: [item for item in listed if self._holds(folder, _path_of(item))]}
        return new

    def _holds(self, folder: str, path: Json) -> bool:
        normal = normal_path(path) if isinstance(path, str) else None
        return normal is not None and join(folder, normal) in self._holding


def _path_of(item: Json) -> Json:
    return item.get("path") if isinstance(item, dict) else None


def _with_channels(omero: JsonObject, part: Part | None) -> JsonObject:
    """Rendering settings are a list in the order of channels: where channels were left out, so are theirs."""
    channels = omero.get("channels")
    names = [name.lower() for name in part.array.axes or ()] if part else []
    if (
        part is None
        or not isinstance(channels, list)
        or "c" not in names
        or len(channels) != part.array.shape[names.index("c")]
    ):
        return omero
    axis = names.index("c")
    return {**omero, "channels": channels[part.hull.start[axis] : part.hull.stop[axis]]}


def _with_shape(old: JsonObject, part: Part) -> JsonObject:
    """The array's metadata for its hull. Chunk shape and codecs are about chunks, and those are as they were."""
    return old if part.whole else {**old, "shape": list(part.hull.shape)}


def _array(old: JsonObject, part: Part, key: str) -> JsonObject:
    """Zarr v3: what lay in shards lies in objects of its own."""
    inner = part.array.inner_chunks if part.unsharded else None
    return _with_shape(old if inner is None else without_shards(old, key, inner), part)


def _placed(dataset: Field, part: Part, *, placed: bool) -> JsonObject:
    """A level whose first voxel is the hull's: its own translation grows by ``scale * start``.

    Transforms of the image come after the level's and stay. Where nothing placed the level before (OME-NGFF up to
    0.3), nothing does now.
    """
    old = dataset.object()
    transforms = dataset.member("coordinateTransformations")
    if not any(part.hull.start) or (transforms.value is None and not placed):
        return old
    return {**old, "coordinateTransformations": _shifted(transforms, part.hull.start)}


def _shifted(transforms: Field, start: tuple[int, ...]) -> list[Json]:
    """Transforms for an index that counts from `start`: the last translation takes up what lies before it."""
    items = () if transforms.value is None else transforms.items()
    places = [number for number, item in enumerate(items) if item.member("type").value == "translation"]
    before = items[: places[-1]] if places else items
    values: list[Json] = [item.value for item in before]
    scale = read_transform(Field(transforms.key, transforms.where, values), len(start)).scale
    moved = [factor * offset for factor, offset in zip(scale, start, strict=True)]
    if not places:
        return [*(values or [_unit_scale(len(start))]), {"type": "translation", "translation": list(moved)}]
    last = items[places[-1]]
    old = [item.number() for item in last.member("translation").items()]
    translation: list[Json] = [a + b for a, b in zip(old, moved, strict=True)]
    after: list[Json] = [item.value for item in items[places[-1] + 1 :]]
    return [*values, {**last.object(), "translation": translation}, *after]


def _unit_scale(count: int) -> Json:
    """OME-NGFF 0.4 asks for a scale before every translation."""
    return {"type": "scale", "scale": [1.0] * count}
