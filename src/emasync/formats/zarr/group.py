"""Group metadata: which kind of group this is, and which nodes its documents name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from emasync.formats.json_document import Field, Json, parse_object
from emasync.formats.paths import join, normal_path, parent_and_name
from emasync.formats.zarr.keys import ZARR_JSON, ZATTRS, ZGROUP
from emasync.formats.zarr.multiscales import ImageEntry, image_entries

Layout = Literal["group", "folder", "multiscale", "plate", "well", "bioformats2raw", "labels"]

MAX_DECLARED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMetadata:
    """What a group's documents say.

    Attributes
    ----------
    layout : str
        As in :class:`~emasync.formats.interface.GroupDescription`.
    images : tuple of ImageEntry
    unknown_versions : tuple of str
        OME-NGFF versions met here whose rules are not known.
    children : tuple of str
        Paths below the base of nodes that are named (wells, fields, labels, series).
    numbered : bool
        Whether the children are called 0, 1, ... without being named (bioformats2raw without ``series``).
    """

    layout: Layout
    images: tuple[ImageEntry, ...] = ()
    unknown_versions: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    numbered: bool = False


def node_type(folder: str, data: bytes) -> Literal["array", "group"]:
    """Kind of a Zarr v3 node.

    Parameters
    ----------
    folder : str
    data : bytes
        Its ``zarr.json``.

    Raises
    ------
    FormatError
        ``zarr_format`` is not 3 or ``node_type`` neither array nor group (Zarr v3 core, "Metadata").
    """
    key = join(folder, ZARR_JSON)
    root = Field(key, "", parse_object(key, data))
    version = root.member("zarr_format")
    if version.value != 3:  # noqa: PLR2004  # the version this parser is for
        raise version.broken("a zarr.json has zarr_format 3; take drafts of the format as they are, with format: raw")
    match root.member("node_type").value:
        case "array":
            return "array"
        case "group":
            return "group"
    raise root.member("node_type").broken('node_type is "array" or "group"')


def ome_metadata(folder: str, documents: Mapping[str, bytes]) -> Field:
    """The object that OME-NGFF keys stand in.

    Top level of ``.zattrs`` (up to 0.4), ``attributes.ome`` (0.5), or ``attributes`` of a v3 group that was converted
    without moving them.

    Raises
    ------
    FormatError
        Attributes that are no JSON object; a ``.zgroup`` of another format.
    """
    if (data := documents.get(join(folder, ZARR_JSON))) is not None:
        key = join(folder, ZARR_JSON)
        attributes = Field(key, "", parse_object(key, data)).member("attributes")
        if attributes.value is None:
            return Field(key, "attributes", {})
        ome = attributes.member("ome")
        return ome if isinstance(ome.value, dict) else attributes
    _check_zgroup(folder, documents)
    key = join(folder, ZATTRS)
    data = documents.get(key)
    return Field(key, "", {} if data is None else parse_object(key, data))


def _check_zgroup(folder: str, documents: Mapping[str, bytes]) -> None:
    key = join(folder, ZGROUP)
    if key in documents:
        version = Field(key, "", parse_object(key, documents[key])).member("zarr_format")
        if version.value not in (2, "2"):  # one writer of real files puts it in quotes
            raise version.broken("a .zgroup has zarr_format 2")


def read_group(folder: str, documents: Mapping[str, bytes]) -> GroupMetadata:
    """Read the documents of a group.

    Attributes of groups that have nothing to do with OME-NGFF may use the same names: what does not look like
    ``plate``, ``well``, ``labels`` or ``series`` is passed over.

    Parameters
    ----------
    folder : str
    documents : mapping of str to bytes
        By key: ``zarr.json``, or ``.zgroup`` and ``.zattrs``.

    Raises
    ------
    FormatError
        Broken documents or broken ``multiscales``.
    """
    ome = ome_metadata(folder, documents)
    version = "0.5" if join(folder, ZARR_JSON) in documents else "0.4"
    images, unknown = image_entries(ome, folder, version)
    layout = _layout(ome, images)
    children = tuple(_declared(ome, folder, layout))
    return GroupMetadata(
        layout=layout,
        images=images,
        unknown_versions=unknown,
        children=children,
        numbered=layout == "bioformats2raw" and not any(True for _ in _texts(ome, "series")),
    )


def _layout(ome: Field, images: tuple[ImageEntry, ...]) -> Layout:
    """OME-NGFF 0.4, "bioformats2raw.layout": ``plate`` takes precedence over it."""
    if isinstance(ome.member("plate").value, dict):
        return "plate"
    if isinstance(ome.member("well").value, dict):
        return "well"
    if images:
        return "multiscale"
    if ome.member("bioformats2raw.layout").value is not None:
        return "bioformats2raw"
    return "labels" if any(True for _ in _texts(ome, "labels")) else "group"


def _declared(ome: Field, folder: str, layout: Layout) -> Iterator[str]:
    """Named nodes, as paths below the base; illegal ones are left out."""
    home, own = parent_and_name(folder)
    sources = [
        (folder, _member_paths(ome, "plate", "wells") if layout == "plate" else ()),
        (folder, _member_paths(ome, "well", "images") if layout == "well" else ()),
        (folder, _texts(ome, "labels")),
        # the series of a bioformats2raw file stand in its OME group and name groups beside that
        (home if own == "OME" else folder, _texts(ome, "series")),
    ]
    count = 0
    for base, paths in sources:
        for path in paths:
            normal = normal_path(path)
            if normal and count < MAX_DECLARED:
                count += 1
                yield join(base, normal)


def _texts(ome: Field, name: str) -> Iterator[str]:
    value = ome.member(name).value
    for item in value if isinstance(value, list) else ():
        if isinstance(item, str):
            yield item


def _member_paths(ome: Field, name: str, members: str) -> Iterator[str]:
    listed: Json = ome.member(name).member(members).value
    for item in listed if isinstance(listed, list) else ():
        path = item.get("path") if isinstance(item, dict) else None
        if isinstance(path, str):
            yield path
