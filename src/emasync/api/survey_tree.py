"""Rows about one tree: its arrays and levels, or the files and folders of a level of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from emasync.api.listed_row import ListedRow
from emasync.errors import AccessDeniedError, NotFoundError, RefusedError
from emasync.formats.interface import ArrayDescription, Format, Found, LevelDescription, MultiscaleDescription
from emasync.manifest.entry import SPATIAL_AXES, UNCROPPABLE_FORMATS
from emasync.plan.choice import Choice
from emasync.plan.choose import wants_array
from emasync.plan.discovery import answer_all
from emasync.plan.hierarchies import format_called
from emasync.plan.signs import INFO, N5_CONTAINER, N5_DOCUMENT, ZARR_DOCUMENTS, format_at, is_volume
from emasync.sources.aind_reach import Reach
from emasync.sources.aind_tree import AssetTree
from emasync.sources.interface import TreeFound
from emasync.sources.walk import BucketTree, closing, is_marker
from emasync.transport.interface import ListPage


def rows_in(found: TreeFound, entry: Any, *, recursive: bool) -> AsyncGenerator[ListedRow]:
    """What is in a tree.

    Parameters
    ----------
    found : TreeFound
    entry : manifest entry
        Any: each source has an entry model of its own; format, arrays, scales and globs are in all of them.
    recursive : bool
        All objects, where they are no arrays.

    Raises
    ------
    SourceError
        Arrays are named that are not there.
    TransportError
        As :meth:`Fetcher.list` and :meth:`Fetcher.read`.
    """
    return _Inside(found, entry, recursive=recursive or bool(entry.include)).rows()


class _Inside:
    """One tree on its way to rows (Any: as above)."""

    def __init__(self, found: TreeFound, entry: Any, *, recursive: bool) -> None:
        self._entry = entry
        self._choice = Choice.of(entry, "" if found.asset else found.path)
        self._lead = f"{found.path}/" if found.path else ""
        self._tree = found.tree
        self._recursive = recursive

    async def rows(self) -> AsyncGenerator[ListedRow]:
        """Look at the first names, then at arrays or at more names."""
        first = await self._first_names()
        form = await self._format(first)
        if form is not None:
            chosen = self._arrays(form)
        else:
            chosen = self._all() if self._recursive or first is None else self._level(first)
        async with aclosing(chosen) as rows:
            async for row in rows:
                yield row

    async def _first_names(self) -> ListPage | None:
        """Names right below the base, as far as one request tells them; None where they cannot be listed."""
        plain = self._plain()
        if plain is None or self._named_format() is not None:
            return None
        try:
            async with aclosing(plain.level("")) as pages:
                return await anext(pages, None)
        except (AccessDeniedError, NotFoundError, RefusedError) as error:
            if isinstance(error, NotFoundError) and plain.base.as_bucket() is not None:
                raise  # no such bucket
            return None  # its documents may be readable all the same; if not, the listing is asked again, and says why

    def _plain(self) -> BucketTree | None:
        """The tree as a bucket has it, which knows sizes; None for other trees."""
        tree = self._tree.whole if isinstance(self._tree, AssetTree) else self._tree
        return tree if isinstance(tree, BucketTree) else None

    def _named_format(self) -> str | None:
        """The format that the entry says, or that its choice of arrays means; None for whatever is found."""
        if self._entry.format != "auto":
            return str(self._entry.format)
        return "zarr" if self._choice.arrays and not self._in_n5 else None

    @property
    def _in_n5(self) -> bool:
        return any(segment.endswith(N5_CONTAINER) for segment in self._tree.base.path.split("/"))

    async def _format(self, first: ListPage | None) -> Format | None:
        """How arrays are found here; None where there are none, or none that can be told."""
        name = self._named_format()
        if name is None:
            complete = first is not None and first.last
            name = await (self._format_by_names(first) if complete and first else format_at(self._tree))
        return None if name is None or name in UNCROPPABLE_FORMATS else format_called(name, self._tree)

    async def _format_by_names(self, page: ListPage) -> str | None:
        """As :func:`~emasync.plan.signs.format_at`, without asking for documents that are not there."""
        names = {item.key for item in page.objects}
        if self._in_n5 and (names or page.folders):
            return "n5"
        if not names.isdisjoint(ZARR_DOCUMENTS):
            return "zarr"
        info = await self._tree.read(INFO) if INFO in names else None
        if info is not None and is_volume(info):
            return "precomputed"
        return "n5" if N5_DOCUMENT in names else None

    # --- arrays --------------------------------------------------------------------------------------------------

    async def _arrays(self, form: Format) -> AsyncGenerator[ListedRow]:
        """Arrays and levels, in the order they are found."""
        walk = form.walk(self._choice.arrays or ("",))
        while needs := walk.needs():
            for need, answer in await answer_all(self._tree, needs):
                walk.feed(need, answer)
            for row in self._described(walk.found()):
                yield row
        for row in self._described(walk.found()):
            yield row
        for note in walk.notes:
            yield ListedRow(kind="note", dataset=self._entry.id, message=note)

    def _described(self, found: Iterable[Found]) -> Iterator[ListedRow]:
        for node in found:
            if isinstance(node, MultiscaleDescription):
                for level in node.levels:
                    if not self._choice.scales or level.number in self._choice.scales:
                        yield from self._array(level.array, level.number, voxel_of(node, level))
            elif isinstance(node, ArrayDescription):
                yield from self._array(node, None, None)

    def _array(self, array: ArrayDescription, level: int | None, voxel: Voxel | None) -> Iterator[ListedRow]:
        if not wants_array(array, self._choice.wants):
            return
        voxels = prod(array.shape)
        yield ListedRow(
            kind="array",
            dataset=self._entry.id,
            path=(self._lead + array.path).rstrip("/"),
            location=str(self._tree.base.join(array.path)),
            format=array.format,
            level=level,
            shape=array.shape,
            chunks=array.chunks,
            inner_chunks=array.inner_chunks,
            dtype=array.dtype,
            axes=array.axes,
            voxel_size=None if voxel is None else voxel.size,
            unit=None if voxel is None else voxel.unit,
            objects=None if array.sharding is not None else prod(array.grid_shape),
            raw_bytes=None if array.itemsize_bytes is None else voxels * array.itemsize_bytes,
        )

    # --- names ---------------------------------------------------------------------------------------------------

    async def _level(self, first: ListPage) -> AsyncGenerator[ListedRow]:
        """Folders and files right below the base; a level of many pages is listed from its beginning."""
        plain = self._plain()
        if first.last or plain is None:
            for row in self._names(first):
                yield row
            return
        async with aclosing(plain.level("")) as pages:
            async for page in pages:
                for row in self._names(page):
                    yield row

    def _names(self, page: ListPage) -> Iterator[ListedRow]:
        told = self._tree.sidecars if isinstance(self._tree, AssetTree) else ()
        left_out = {item.key for item in told}  # these were named one by one
        reach = Reach.of(self._entry.selection)
        for name in page.folders:
            if not reach.below(name.removesuffix("/")).nothing:
                yield self._row("folder", name, None)
        for item in page.objects:
            if item.key not in left_out and not is_marker(item) and self._choice.wants(item.key):
                yield self._row("file", item.key, item.size_bytes)

    async def _all(self) -> AsyncGenerator[ListedRow]:
        """All objects that the globs want, at any depth."""
        plain = self._plain()
        tree = self._tree if plain is None else AssetTree(plain, self._entry.selection)
        async with closing(tree.list("")) as pages:
            async for page in pages:
                for item in page.objects:
                    if self._choice.wants(item.key):
                        yield self._row("file", item.key, item.size_bytes)

    def _row(self, kind: Literal["file", "folder"], key: str, size_bytes: int | None) -> ListedRow:
        return ListedRow(
            kind=kind,
            dataset=self._entry.id,
            path=self._lead + key,
            location=str(self._tree.base.join(key)),
            size_bytes=size_bytes,
        )


@dataclass(frozen=True, slots=True)
class Voxel:
    """Size of a voxel on the spatial axes, in the array's order.

    Attributes
    ----------
    size : tuple of float
    unit : str or None
        None where axes have none, or several.
    """

    size: tuple[float, ...]
    unit: str | None


def voxel_of(image: MultiscaleDescription, level: LevelDescription) -> Voxel | None:
    """Size of a level's voxels, where the publisher stated it."""
    if not level.stated:
        return None
    scale = level.transform.then(image.transform).scale
    spatial = [at for at, axis in enumerate(image.axes) if axis.type == "space" or axis.name in SPATIAL_AXES]
    units = {image.axes[at].unit for at in spatial}
    return Voxel(tuple(scale[at] for at in spatial), units.pop() if len(units) == 1 else None)
