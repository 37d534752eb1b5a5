"""What lies in a dataset's folder: hierarchies of arrays, files that hold data, documents about them.

Folders of chunks are never listed: a hierarchy is walked by its metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from emasync.formats.n5.attributes import ATTRIBUTES
from emasync.formats.paths import join
from emasync.formats.precomputed.info import INFO
from emasync.formats.zarr.keys import METADATA_NAMES
from emasync.hooks.local import LocalTree, Names

FileKind = Literal["tiff", "dm", "mrc", "hdf5", "video"]

SUFFIXES: Final[dict[str, FileKind]] = {
    **dict.fromkeys((".tif", ".tiff", ".btf", ".tf2", ".tf8"), "tiff"),
    **dict.fromkeys((".dm3", ".dm4"), "dm"),
    **dict.fromkeys((".mrc", ".mrcs", ".map", ".rec", ".st", ".ali", ".ccp4"), "mrc"),
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".nwb", ".nc", ".ims", ".emd", ".h5oina"), "hdf5"),
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".avi"), "video"),
}
"""Names that files are looked into for; what they are is read from their bytes."""

DOCUMENTS: Final = (".json", ".tsv", ".yaml", ".yml", ".xml")

MAX_DEPTH: Final = 32
MAX_FOLDERS: Final = 200_000
MAX_FILES: Final = 1_000_000
"""Files that are described one by one."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A folder that is a node of a hierarchical format."""

    path: str
    format: Literal["zarr", "n5", "precomputed"]


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file whose name says that it holds data."""

    path: str
    kind: FileKind


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is no node, with the documents right in it."""

    path: str
    documents: tuple[str, ...]
    objects: tuple[str, ...]


Item = Hierarchy | DataFile | Folder


def inventory(tree: LocalTree) -> Iterator[Item]:
    """Everything to be described, a folder before what is in it.

    Raises
    ------
    OverflowError
        More folders or files than are looked at; what came before stands.
    """
    waiting = [("", 0)]
    folders = files = 0
    while waiting:
        path, depth = waiting.pop()
        folders += 1
        if folders > MAX_FOLDERS:
            raise OverflowError(f"more than {MAX_FOLDERS:,} folders; the others are not described")
        names = tree.names(path)
        form = format_of(tree, path, names)
        if form is not None:
            yield Hierarchy(path, form)
            continue
        documents = tuple(name for name in names.objects if name.lower().endswith(DOCUMENTS))
        yield Folder(path, documents, names.objects)
        for name in names.objects:
            kind = kind_of(name)
            if kind is not None:
                files += 1
                if files > MAX_FILES:
                    raise OverflowError(f"more than {MAX_FILES:,} files; the others are not described")
                yield DataFile(join(path, name), kind)
        if depth < MAX_DEPTH:
            waiting.extend((join(path, name), depth + 1) for name in reversed(names.folders))


def kind_of(name: str) -> FileKind | None:
    """What a file's name promises."""
    return SUFFIXES.get(name[name.rfind(".") :].lower()) if "." in name else None


def format_of(tree: LocalTree, path: str, names: Names) -> Literal["zarr", "n5", "precomputed"] | None:
    """The format whose node a folder is; documents tell, no names of folders."""
    if not METADATA_NAMES.isdisjoint(names.objects):
        return "zarr"
    if ATTRIBUTES in names.objects:
        return "n5"
    if INFO in names.objects:
        info = tree.document(join(path, INFO)) or b""
        if info.lstrip()[:1] == b"{" and b'"scales"' in info:
            return "precomputed"
    return None
