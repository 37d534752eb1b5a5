"""Arrays of one tree on disk: what is there, and what the publisher says of it where that was rewritten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from emasync.errors import SourceError
from emasync.formats.chunk_grids import grid_between
from emasync.formats.chunks import ChunkLayout
from emasync.formats.decoding import layout_of
from emasync.formats.interface import ArrayDescription, Format
from emasync.formats.json_document import Json
from emasync.formats.paths import join
from emasync.formats.stored import Codec, Measure
from emasync.hooks.index.telling import Told, same_layout, told_of
from emasync.hooks.index.walks import found_in
from emasync.hooks.interface import DatasetFacts
from emasync.hooks.local import LocalTree
from emasync.model.cut import Cut
from emasync.model.geometry import Box
from emasync.model.grid import ChunkGrid, VoxelGrid
from emasync.volume.index_entry import Role

MAX_ATTRIBUTE_DOCUMENTS: Final = 64
ZIPPED: Final = ".gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeArray:
    """One array of a tree, its objects still to be found.

    Attributes
    ----------
    asset, array, path : str
        As :class:`~emasync.volume.interface.IndexedArray` has them.
    scale : int
    description : ArrayDescription
        On disk.
    layout : ChunkLayout
    folder : str
        Of the tree, relative to the root.
    start : tuple of int
        Coordinates of the first object on disk, as objects are named.
    grid : ChunkGrid or None
        Objects on disk: chunks, or shards that are named by their place; None where shards are named otherwise.
    shape, origin : tuple of int
    bounds : Box
    documents : tuple of str
        Paths of the documents it was read from, relative to the root.
    chosen : bool
        Whether arrays were chosen among those of the tree.
    """

    asset: str
    array: str
    scale: int
    path: str
    description: ArrayDescription
    layout: ChunkLayout
    folder: str
    start: tuple[int, ...]
    grid: ChunkGrid | None
    shape: tuple[int, ...]
    origin: tuple[int, ...]
    bounds: Box
    axes: tuple[str, ...]
    measures: tuple[Measure | None, ...]
    translation_nm: Mapping[str, float] = field(default_factory=dict)
    role: Role = "image"
    attributes: Mapping[str, Json] = field(default_factory=dict)
    documents: tuple[str, ...] = ()
    chosen: bool = False

    @property
    def place(self) -> str:
        """Folder of the array's objects, relative to the root."""
        return join(self.folder, self.path)


@dataclass(frozen=True, slots=True)
class TreeOnDisk:
    """Where a tree is, and what is known of it.

    Attributes
    ----------
    tree : LocalTree
    published : LocalTree
        Its documents as the source gave them, where they were kept.
    asset : str
    cuts : mapping of str to Cut
        By path of the array below the dataset.
    mirror : bool
        Whether metadata is the source's, whatever was cut out.
    kept : bool
        Whether `published` holds anything: arrays were chosen then, so that not all of them need be here.
    labels : bool
        Whether the manifest says that these are labels.
    """

    tree: LocalTree
    published: LocalTree
    asset: str
    cuts: Mapping[str, Cut]
    mirror: bool
    kept: bool
    labels: bool

    @classmethod
    def of(
        cls,
        asset: str,
        form: Format,
        *,
        disk: LocalTree,
        published: LocalTree,
        cuts: Mapping[str, Cut],
        facts: DatasetFacts,
    ) -> TreeOnDisk:
        """The tree of an asset.

        Parameters
        ----------
        asset : str
        form : Format
        disk, published : LocalTree
            Of the dataset.
        cuts : mapping of str to Cut
        facts : DatasetFacts
        """
        originals = published.below(asset)
        return cls(
            tree=disk.below(asset),
            published=originals,
            asset=asset,
            cuts=cuts,
            mirror=facts.subset == "mirror",
            kept=form.recognises((), originals.names().objects),
            labels=facts.role == "labels",
        )


def tree_arrays(place: TreeOnDisk, form: Format) -> tuple[list[TreeArray], list[str]]:
    """Arrays of a tree, and what was passed over.

    Parameters
    ----------
    place : TreeOnDisk
    form : Format
    """
    found, notes = found_in(form, place.tree)
    here = told_of(found)
    published = told_of(found_in(form, place.tree, place.published)[0]) if place.kept else here
    arrays: list[TreeArray] = []
    for path, told in here.items():
        theirs = published.get(path, told)
        theirs = theirs if same_layout(theirs.array, told.array) else told
        try:
            arrays.append(_array(place, told, theirs))
        except SourceError as error:
            notes.append(error.message)
    return arrays, [f"{place.tree.folder}: {note}" for note in notes]


def _array(place: TreeOnDisk, here: Told, published: Told) -> TreeArray:
    """One array; numbers of levels and positions are the publisher's, shapes and chunks are those on disk."""
    array = here.array
    origin, bounds, shape = _box(place, here, published)
    first = [at - zero for at, zero in zip(origin, array.origin or (0,) * len(origin), strict=True)]
    cut = shape != array.shape
    start = tuple(at // chunk if cut else 0 for at, chunk in zip(first, array.chunks, strict=True))
    counts = [-(-size // chunk) for size, chunk in zip(shape, array.chunks, strict=True)]
    stop = tuple(at + count for at, count in zip(start, counts, strict=True))
    layout, grid = layout_of(array, here.documents or None), None
    if array.sharding is None:
        layout, grid = _as_kept(place, array, layout, grid_between(array, start, stop))
    return TreeArray(
        asset=place.asset,
        array=published.image,
        scale=published.level,
        path=array.path,
        description=array,
        layout=layout,
        folder=place.tree.folder,
        start=start,
        grid=grid,
        shape=shape,
        origin=origin,
        bounds=bounds,
        axes=published.axes,
        measures=published.measures,
        translation_nm=published.translation_nm,
        role="labels" if place.labels else published.role,
        attributes=published.attributes,
        documents=_documents(place.tree, here),
        chosen=place.kept,
    )


def _as_kept(
    place: TreeOnDisk, array: ArrayDescription, layout: ChunkLayout, grid: ChunkGrid
) -> tuple[ChunkLayout, ChunkGrid]:
    """Chunks of precomputed volumes that CloudVolume wrote to a disk: zipped, and said so behind their names."""
    name = place.tree.some_file(array.path) if isinstance(grid, VoxelGrid) else None
    if name is None or not name.endswith(ZIPPED) or not isinstance(grid, VoxelGrid):
        return layout, grid
    zipped = replace(grid, suffix=ZIPPED)
    if zipped.number_at(join(array.path, name)) is None:
        return layout, grid
    return replace(layout, codecs=(*layout.codecs, Codec("gzip"))), zipped


def _box(place: TreeOnDisk, here: Told, published: Told) -> tuple[tuple[int, ...], Box, tuple[int, ...]]:
    """Source coordinates of the first voxel on disk, what was asked for, and the shape on disk."""
    array, cut = here.array, place.cuts.get(join(place.asset, here.array.path))
    fits = cut is not None and cut.level == published.level and len(cut.hull.start) == len(array.shape)
    if cut is not None and fits and (place.mirror or cut.hull.shape == array.shape):
        return cut.hull.start, cut.box, cut.hull.shape
    origin = array.origin or (0,) * len(array.shape)
    return origin, Box.from_shape(origin, array.shape), array.shape


def _documents(tree: LocalTree, told: Told) -> tuple[str, ...]:
    there = [key for key in told.documents if tree.file(key) is not None]
    return tuple(join(tree.folder, key) for key in there[:MAX_ATTRIBUTE_DOCUMENTS])
