"""From names to volumes: the index is asked, and what a name does not decide is an error that lists the choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Final, Literal, Protocol
from weakref import WeakValueDictionary

from emasync.errors import EmasyncError, ErrorKind, InputError
from emasync.formats.decoding import decoder_for
from emasync.model.task import escape_for_log
from emasync.volume.absence import name_of
from emasync.volume.cache import ChunkCache
from emasync.volume.files import LocalFiles
from emasync.volume.index import open_index
from emasync.volume.index_entry import ArrayEntry
from emasync.volume.interface import ChunkMap, IndexedArray
from emasync.volume.lazy_blocks import LazyEngine
from emasync.volume.lazy_files import LazyFiles
from emasync.volume.orientation import orient
from emasync.volume.reading import BlockEngine, DirectEngine
from emasync.volume.threads import Threads
from emasync.volume.volume import Volume

EngineName = Literal["direct", "tensorstore"]

MOST_SHOWN: Final = 20
"""Choices that a message lists."""

_files: WeakValueDictionary[str, LocalFiles] = WeakValueDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which array, and how it is to be read; what a pickled volume is.

    Attributes
    ----------
    root : str
    dataset : str
    asset, array : str or None
        None where there is only one.
    scale : int
    select : mapping of str to int or None
    cache_bytes : int or None
        Of a cache of its own; None: the one that all volumes of the process share.
    engine : {"direct", "tensorstore"}
    threads : int or None
        That decode at one time; None: one a core, shared by all volumes of the process.
    check : bool
        Whether chunks are compared with the CRC-32C of their arrival when they are first touched.
    """

    root: str
    dataset: str
    asset: str | None = None
    array: str | None = None
    scale: int = 0
    select: Mapping[str, int] | None = None
    cache_bytes: int | None = None
    engine: EngineName = "direct"
    threads: int | None = None
    check: bool = True


class Catalogue(Protocol):
    """Arrays of one dataset: of its index, or of a file that is not here."""

    def entries(self, asset: str | None = None) -> Iterator[ArrayEntry]:
        """Arrays, or those of one asset."""
        ...

    def indexed(self, entry: ArrayEntry) -> IndexedArray:
        """One of them with its chunk map."""
        ...


class Lazy(Protocol):
    """What reads arrays of which not all is here."""

    files: LazyFiles

    def catalogue(self, wanted: Wanted) -> Catalogue:
        """Where the array that is meant may be found; raises as :func:`open_wanted`."""
        ...

    def chunks(self, array: IndexedArray) -> ChunkMap:
        """The map of an array's chunks, which finds those that are not here, too."""
        ...

    @property
    def reopen(self) -> Callable[[Wanted], Volume]:
        """Opens a volume in the same way; picklable."""
        ...


def open_wanted(wanted: Wanted, lazy: Lazy | None = None) -> Volume:
    """Open a volume.

    Parameters
    ----------
    wanted : Wanted
    lazy : Lazy, optional
        None: what is not here is an error.

    Raises
    ------
    InputError
        No such root, dataset, asset, array or level; the message lists what there is.
    EmasyncError
        ``ambiguous``: several arrays, or an axis with a choice; the message lists them.
    SourceError
        ``stale_index``: files changed since they were indexed; ``format``: nothing decodes the chunks.
    """
    catalogue = open_index(Path(wanted.root), wanted.dataset) if lazy is None else lazy.catalogue(wanted)
    return volume_of(catalogue, chosen(catalogue, wanted), wanted, lazy)


def volume_of(catalogue: Catalogue, entry: ArrayEntry, wanted: Wanted, lazy: Lazy | None = None) -> Volume:
    """The volume over one array."""
    array = catalogue.indexed(entry)
    if lazy is not None:
        array = replace(array, chunks=lazy.chunks(array))
    exact = replace(wanted, asset=entry.asset, array=entry.array, scale=entry.scale)

    def levels() -> Sequence[Volume]:
        own = [one for one in catalogue.entries(entry.asset) if one.array == entry.array and one.role == entry.role]
        return [volume_of(catalogue, one, wanted, lazy) for one in own]

    return Volume(
        array,
        _engine(wanted, array, lazy),
        orient(array, wanted.select),
        reopen=partial(open_wanted if lazy is None else lazy.reopen, exact),
        levels=levels,
    )


@cache
def _shared_cache() -> ChunkCache:
    return ChunkCache()


@cache
def _shared_threads() -> Threads:
    return Threads()


def shared_files(root: str) -> LocalFiles:
    """Files of a root: all volumes of a process share their descriptors."""
    files = _files.get(root)
    if files is None:
        files = _files[root] = LocalFiles(root)
    return files


def _engine(wanted: Wanted, array: IndexedArray, lazy: Lazy | None) -> BlockEngine:
    in_files = array.chunks.kind != "formula"
    if wanted.engine == "tensorstore" and lazy is not None and in_files:
        raise InputError(
            f"{name_of(array)}: engine='tensorstore' with lazy=True is for chunks that are files of their own"
        )
    if wanted.engine == "tensorstore":
        from emasync.volume.tensorstore import TensorStoreEngine  # noqa: PLC0415 - an extra, and forks are over with it

        return TensorStoreEngine(array, wanted.root)
    if wanted.engine != "direct":
        raise InputError(f"engine={wanted.engine!r}: expected 'direct' or 'tensorstore'")
    engine = DirectEngine(
        array,
        shared_files(wanted.root) if lazy is None else lazy.files,
        decoder_for(array.layout, name_of(array)),
        cache=_shared_cache() if wanted.cache_bytes is None else ChunkCache(wanted.cache_bytes),
        threads=_shared_threads() if wanted.threads is None else Threads(wanted.threads),
        check=wanted.check,
    )
    return LazyEngine(array, engine, lazy.files) if lazy is not None and in_files else engine


def chosen(index: Catalogue, wanted: Wanted) -> ArrayEntry:
    """The array that is meant.

    Thumbnails and reduced copies are meant only by name. An array is named by its image, or by its own path.

    Raises
    ------
    InputError
        There is none.
    EmasyncError
        ``ambiguous``: there are several.
    """
    found = list(islice(_matching(index, wanted), MOST_SHOWN + 1))
    if len(found) == 1:
        return found[0]
    if found:
        raise EmasyncError(
            f"{wanted.dataset}: several arrays are meant, choose one by asset and array: {_listed(found)}",
            kind=ErrorKind.AMBIGUOUS,
            location=wanted.dataset,
        )
    others = list(islice(index.entries(), MOST_SHOWN + 1))
    asked = {name: getattr(wanted, name) for name in ("asset", "array", "scale")}
    said = ", ".join(f"{name}={value!r}" for name, value in asked.items() if value is not None)
    raise InputError(f"{wanted.dataset}: no array has {said}; there are {_listed(others) or 'none'}")


def _matching(index: Catalogue, wanted: Wanted) -> Iterator[ArrayEntry]:
    for entry in index.entries(wanted.asset):
        if wanted.array is None:
            meant = entry.scale == wanted.scale and entry.role in ("image", "labels")
        else:
            meant = (entry.array == wanted.array and entry.scale == wanted.scale) or entry.path == wanted.array
        if meant:
            yield entry


def _listed(entries: Sequence[ArrayEntry]) -> str:
    shown = [
        f"asset={entry.asset!r} array={entry.array!r} scale={entry.scale} ({'x'.join(map(str, entry.shape))})"
        for entry in entries[:MOST_SHOWN]
    ]
    return escape_for_log("; ".join(shown) + ("; ..." if len(entries) > MOST_SHOWN else ""))
