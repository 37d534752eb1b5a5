"""Zarr, N5 and precomputed hierarchies as assets: one an image, one a standalone array.

Metadata of a subset say what is on disk; the originals beside them say what there is at the source. Levels are those
on disk, everything said of them is the source's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from emasync.formats.interface import (
    ArrayDescription,
    Format,
    Found,
    GroupDescription,
    LevelDescription,
    MultiscaleDescription,
    Transform,
)
from emasync.formats.paths import ancestors, join
from emasync.hooks.index.walks import found_in
from emasync.hooks.inventory import Hierarchy
from emasync.hooks.local import LocalTree
from emasync.hooks.metadata.claims import Claims
from emasync.hooks.metadata.extract_n5 import n5_claims
from emasync.hooks.metadata.extract_ngff import ngff_claims
from emasync.hooks.metadata.extract_nwb import describe_hdf5
from emasync.hooks.metadata.extract_nwb_zarr import nwb_version, zarr_facts
from emasync.hooks.metadata.extract_precomputed import encoding_claims, volume_claims
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord, Grid
from emasync.hooks.metadata.storage import byte_order_of, codecs_of, dtype_name, lossy
from emasync.registry import FORMATS

_FORMATS: Final = {"zarr2": ("zarr", "2"), "zarr3": ("zarr", "3"), "n5": ("n5", ""), "precomputed": ("precomputed", "")}
_LETTERS: Final = frozenset("tczyx")

Published = dict[str, tuple[Found, LevelDescription | None]]
"""Arrays as the source has them, by path below the hierarchy: their image and level, or themselves."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What a hierarchy holds.

    Attributes
    ----------
    assets : tuple of AssetRecord
    documents : tuple of str
        Sidecars among its folders, below the dataset's folder.
    notes : tuple of str
    """

    assets: tuple[AssetRecord, ...]
    documents: tuple[str, ...]
    notes: tuple[str, ...]


def describe_hierarchy(item: Hierarchy, disk: LocalTree, originals: LocalTree) -> Tree:
    """Describe what lies below one node.

    Parameters
    ----------
    item : Hierarchy
    disk : LocalTree
        Of the dataset.
    originals : LocalTree
        Of what is kept beside it.
    """
    form: Format = FORMATS.load(item.format)()
    found, notes = found_in(form, disk.below(item.path))
    root = _root_documents(found)
    if item.format == "zarr" and nwb_version(root) is not None:
        return Tree((_session(item, disk, root, found),), (), tuple(notes))
    published = _published(item, form, disk, originals)
    labels = {group.path for group in found if isinstance(group, GroupDescription) and group.layout == "labels"}
    builder = _Builder(item, disk.folder, published, labels)
    assets = tuple(asset for node in found for asset in builder.assets(node))
    extras = (extra for node in found if isinstance(node, GroupDescription) for extra in node.extras)
    told = tuple(f"{item.path}: {note}" if item.path else note for note in notes)
    return Tree(assets, tuple(join(item.path, extra) for extra in extras), told)


def _root_documents(found: list[Found]) -> Mapping[str, bytes]:
    """Documents of the group that is the hierarchy itself."""
    groups = (node for node in found if isinstance(node, GroupDescription) and not node.path)
    return next((group.documents for group in groups), {})


def _session(item: Hierarchy, disk: LocalTree, root: Mapping[str, bytes], found: list[Found]) -> AssetRecord:
    """A hierarchy that is one NWB file."""
    arrays = {node.path: node for node in found if isinstance(node, ArrayDescription)}
    facts = zarr_facts(disk.below(item.path), root, arrays)
    told = describe_hdf5(item.path, facts)
    return replace(told, files=())


def _published(item: Hierarchy, form: Format, disk: LocalTree, originals: LocalTree) -> Published:
    """Arrays as the source has them, by path below the hierarchy: of originals that are kept."""
    if not originals.below(item.path).names().objects:
        return {}
    nodes, _ = found_in(form, disk.below(item.path), originals.below(item.path))
    known: Published = {}
    for node in nodes:
        if isinstance(node, MultiscaleDescription):
            known.update({level.array.path: (node, level) for level in node.levels})
        elif isinstance(node, ArrayDescription):
            known[node.path] = (node, None)
    return known


class _Builder:
    """Makes assets of one hierarchy."""

    def __init__(
        self,
        item: Hierarchy,
        home: str,
        published: Published,
        labels: set[str],
    ) -> None:
        self._item = item
        self._home = home
        self._published = published
        self._labels = labels

    def assets(self, node: Found) -> Iterator[AssetRecord]:
        if isinstance(node, MultiscaleDescription):
            yield self._image(node)
        elif isinstance(node, ArrayDescription):
            yield self._array(node)

    def _image(self, image: MultiscaleDescription) -> AssetRecord:
        claims = self._claims(image.path, image.path)
        published = self._of_source(image)
        self._say_image(published, claims)
        self._say_labels(image.path, claims)
        arrays = tuple(self._level(image, level) for level in image.levels)
        return AssetRecord(
            path=join(self._item.path, image.path),
            kind="image",
            format=self._item.format,
            volume=(self._item.path, image.path + (f"#{image.index}" if image.index else "")),
            claims=tuple(claims.found),
            arrays=arrays,
            index=image.index,
            notes=tuple(claims.notes),
        )

    def _of_source(self, image: MultiscaleDescription) -> MultiscaleDescription:
        """The image as published, where its original is kept."""
        known = (self._published.get(level.array.path, (image, None))[0] for level in image.levels)
        return next((found for found in known if isinstance(found, MultiscaleDescription)), image)

    def _say_image(self, image: MultiscaleDescription, claims: Claims) -> None:
        if self._item.format == "zarr":
            ngff_claims(image, claims)
        elif self._item.format == "precomputed":
            volume_claims(image, claims)

    def _say_labels(self, path: str, claims: Claims) -> None:
        """OME-NGFF 0.4, section "labels": the group that names label images says so."""
        if any(folder in self._labels for folder in ancestors(path)):
            claims.claim("is_label", value=True, where="labels")

    def _level(self, image: MultiscaleDescription, level: LevelDescription) -> ArrayRecord:
        node, original = self._published.get(level.array.path, (image, None))
        whole = original or level
        around = node if isinstance(node, MultiscaleDescription) else image
        claims = self._claims(whole.array.path, image.path)
        _say_array(whole.array, claims)
        axes = tuple(axis.name.lower() for axis in around.axes)
        transform = whole.transform.then(around.transform)
        if whole.stated:
            units = tuple(axis.unit for axis in around.axes)
            _say_place(transform, axes, units, claims, precomputed=self._item.format == "precomputed")
        if self._item.format == "n5":
            n5_claims(whole, claims)
        if self._item.format == "precomputed":
            encoding_claims(around, whole, claims)
        grid = self._grid(whole.array, level.array, axes)
        inside = self._inside(whole.array.path, image.path)
        return ArrayRecord(path=inside, scale=whole.number, claims=tuple(claims.found), grid=grid)

    def _array(self, array: ArrayDescription) -> AssetRecord:
        known = self._published.get(array.path, (array, None))[0]
        whole = known if isinstance(known, ArrayDescription) else array
        claims = self._claims(whole.path, array.path)
        _say_array(whole, claims)
        axes = tuple(name.lower() for name in whole.axes or ())
        if whole.place is not None and not whole.place.inferred:
            _say_place(whole.place.transform, axes, whole.place.units, claims)
        path = join(self._item.path, array.path)
        record = ArrayRecord(path="", claims=tuple(claims.found), grid=self._grid(whole, array, axes))
        volume = (self._item.path, array.path)
        return AssetRecord(path=path, kind="array", format=self._item.format, arrays=(record,), volume=volume)

    def _claims(self, path: str, asset: str) -> Claims:
        """Of a header, about an asset; both below the hierarchy."""
        return Claims("header", join(self._item.path, path) or self._item.format, join(self._item.path, asset))

    def _grid(self, array: ArrayDescription, here: ArrayDescription, axes: tuple[str, ...]) -> Grid:
        """The array as published, in the objects that are here."""
        return Grid(
            folder=join(self._home, join(self._item.path, here.path)),
            axes=_letters(axes, len(array.shape)),
            shape=array.shape,
            chunks=None if here.sharding is not None else here.chunks,
            origin=array.origin or (0,) * len(array.shape),
            itemsize_bytes=array.itemsize_bytes,
        )

    def _inside(self, path: str, image: str) -> str:
        """A level's path inside of its image; below the hierarchy where it lies elsewhere."""
        return path.removeprefix(f"{image}/") if image else path


def _letters(axes: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Names of axes for columns: z, y, x for the last three where nobody named them."""
    if len(axes) == count and _LETTERS.intersection(axes):
        return axes
    return tuple(f"d{number}" for number in range(count - 3)) + ("z", "y", "x")[-count:] if count else ()


def _say_array(array: ArrayDescription, claims: Claims) -> None:
    """Shape, type and storage."""
    axes = _letters(tuple(name.lower() for name in array.axes or ()), len(array.shape))
    if array.axes:
        claims.claim("axes", ",".join(axes), "axes")
    chunk, shard = array.inner_chunks or array.chunks, array.chunks if array.sharded else None
    for axis, size, length in zip(axes, array.shape, chunk, strict=True):
        if axis in _LETTERS:
            claims.claim(f"shape_{axis}", size, "shape")
        if axis in "zyx":
            claims.claim(f"chunk_{axis}", length, "chunks")
    for axis, length in zip(axes, shard or (), strict=shard is not None):
        if axis in "zyx" and array.inner_chunks is not None:
            claims.claim(f"shard_{axis}", length, "chunk_grid")
    name, order = dtype_name(array.dtype)
    claims.text("dtype", name, "dtype")
    claims.text("byte_order", order if order == "none" else byte_order_of(array) or order, "dtype")
    form, version = _FORMATS[array.format]
    claims.claim("format", form, "")
    claims.claim("format_version", version, "")
    _say_codecs(array, claims)


def _say_codecs(array: ArrayDescription, claims: Claims) -> None:
    if array.format == "precomputed":
        return
    codecs = codecs_of(array)
    claims.claim("codec_chain", ", ".join(codecs) or "none", "codecs")
    claims.claim("lossy", lossy(codecs), "codecs")


def _say_place(
    transform: Transform,
    axes: tuple[str, ...],
    units: tuple[str | None, ...],
    claims: Claims,
    *,
    precomputed: bool = False,
) -> None:
    """Voxel sizes and the place of the first voxel."""
    where = "resolution" if precomputed else "coordinateTransformations"
    for axis, size, at, unit in zip(axes, transform.scale, transform.translation, units, strict=True):
        if axis in ("z", "y", "x"):
            claims.voxel(axis, size, unit, f"{where} ({axis})")
            if unit:
                claims.length(f"origin_{axis}_nm", at, unit, f"{where} ({axis})")
