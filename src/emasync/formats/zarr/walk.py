"""Discovery of arrays and images in a tree, without I/O.

Each folder is a visit (:mod:`emasync.formats.visits`). Arrays are never looked into.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emasync.errors import SourceError
from emasync.formats.interface import ArrayDescription, GroupDescription, Names, Need
from emasync.formats.paths import ancestors, join, place_name
from emasync.formats.visits import (
    Answers,
    Documents,
    FolderWalk,
    Reading,
    Steps,
    WalkLimits,
    listed_names,
    read_documents,
    sidecars,
)
from emasync.formats.zarr.array import parse_zarr_json_array, parse_zarray
from emasync.formats.zarr.group import GroupMetadata, node_type, read_group
from emasync.formats.zarr.keys import METADATA_NAMES, ZARR_JSON, ZARRAY, ZATTRS, ZGROUP, ZMETADATA
from emasync.formats.zarr.multiscales import ImageEntry, describe_image
from emasync.model.task import escape_for_log

_V2 = (ZARRAY, ZGROUP, ZATTRS)
_V3 = (ZARR_JSON,)


class ZarrWalk(FolderWalk):
    """Finds arrays, images and groups below one or more starts (:class:`~emasync.formats.interface.Walk`).

    Parameters
    ----------
    start : sequence of str
        Groups or arrays below the tree's base. Groups above a start are read for their documents only.
    limits : WalkLimits

    Raises
    ------
    SourceError
        A start that is no legal path.
    """

    def __init__(self, start: Sequence[str] = ("",), limits: WalkLimits | None = None) -> None:
        super().__init__(limits)
        self._enter(
            start,
            lambda folder: self._documents_only(folder, None),
            lambda path: self._folder(path, None, 0, start=True),
        )

    def _documents_only(self, folder: str, hint: str | None) -> Steps:
        """A group above a start, or between a group and a node it names: kept so that the copy can be navigated."""
        documents = yield from _node_documents(folder, hint)
        documents.pop(join(folder, ZARRAY), None)
        if join(folder, ZGROUP) in documents:
            documents |= yield from read_documents(folder, (ZMETADATA,))
        if documents:
            layout = read_group(folder, documents).layout
            self._found.append(GroupDescription(path=folder, layout=layout, documents=documents))

    def _folder(self, folder: str, hint: str | None, bare: int, *, start: bool = False) -> Steps:
        """Any folder: an array, a group, or a plain prefix."""
        documents = yield from _node_documents(folder, hint)
        if array := _as_array(folder, documents):
            self._found.append(array)
        elif documents:
            yield from self._group(folder, documents)
        else:
            yield from self._bare_folder(folder, hint, bare, start=start)

    def _bare_folder(self, folder: str, hint: str | None, bare: int, *, start: bool) -> Steps:
        """A prefix without metadata."""
        if bare >= self._limits.bare_depth:
            self._note(f"{place_name(folder)}: {bare} folders without metadata inside each other; not looked into")
            return
        names = listed_names((yield (Need.children(folder),)))
        if start and (names is None or not (names.folders or names.objects)):
            raise SourceError(
                f"{escape_for_log(place_name(folder))}: no Zarr array or group here, and no folder that can be "
                "listed; check url and arrays",
                location=folder,
            )
        if names is None:
            return
        if extras := sidecars(folder, names, METADATA_NAMES):
            self._found.append(GroupDescription(path=folder, layout="folder", extras=extras))
        for child in self._children(folder, names):
            self._begin(child, self._folder(child, hint, bare + 1))

    def _group(self, folder: str, documents: Documents) -> Steps:
        """A group: its images at once, its other nodes as visits of their own."""
        group = read_group(folder, documents)
        for version in group.unknown_versions:
            place = place_name(folder)
            self._note(f"{place}: OME-NGFF {version} is not known here (0.1 to 0.5 are); its arrays are taken singly")
        hint = "zarr3" if join(folder, ZARR_JSON) in documents else "zarr2"
        levels = {level.path: level for image in group.images for level in image.levels}
        answers = yield (Need.children(folder), *_level_needs(folder, levels, hint))
        names = listed_names(answers)
        if hint == "zarr2" and (names is None or ZMETADATA in names.objects):
            documents |= yield from read_documents(folder, (ZMETADATA,))
        self._found.append(
            GroupDescription(
                path=folder,
                layout=group.layout,
                children=group.children,
                documents=documents,
                extras=() if names is None else sidecars(folder, names, METADATA_NAMES),
            )
        )
        for image in group.images:
            self._image(image, folder, documents, answers)
        self._visit_children(folder, group, names, hint)

    def _image(self, image: ImageEntry, folder: str, documents: Documents, answers: Answers) -> None:
        arrays: dict[int, ArrayDescription] = {}
        between: dict[int, Documents] = {}
        for level in image.levels:
            array = _as_array(level.path, _texts_of(answers, level.path))
            if array is None:
                self._note(f"{level.path}: level {level.number} of {place_name(folder)} has no array; left out")
                continue
            self._seen.update((level.path, *_between(folder, level.path)))
            arrays[level.number] = array
            between[level.number] = {
                key: data for part in _between(folder, level.path) for key, data in _texts_of(answers, part).items()
            }
        if arrays:
            self._found.append(describe_image(image, arrays, folder=folder, documents=documents, between=between))

    def _visit_children(self, folder: str, group: GroupMetadata, names: Names | None, hint: str) -> None:
        for child in group.children:
            for part in _between(folder, child) if names is None else ():
                self._begin(part, self._documents_only(part, hint))
            self._begin(child, self._folder(child, hint, 0))
        for child in self._children(folder, names) if names is not None else self._guessed(folder, group):
            self._begin(child, self._folder(child, hint, 0))
        if names is None and group.numbered:
            self._run(self._numbered(folder, hint))

    def _guessed(self, folder: str, group: GroupMetadata) -> list[str]:
        """Where nothing can be listed: what OME-NGFF puts below such a group without naming it there."""
        if group.layout == "group" and not group.children:
            self._note(f"{place_name(folder)}: cannot be listed and names no arrays; name them with arrays:")
        well_known = {"bioformats2raw": ("OME",), "multiscale": ("labels",)}
        return [join(folder, name) for name in well_known.get(group.layout, ())]

    def _numbered(self, folder: str, hint: str) -> Steps:
        """Groups 0, 1, ... of a bioformats2raw file that cannot be listed, up to the first that is not there."""
        for number in range(self._limits.nodes):
            child = join(folder, str(number))
            documents = yield from _node_documents(child, hint)
            if not documents:
                return
            self._begin(child, self._folder(child, hint, 0))


def _node_documents(folder: str, hint: str | None) -> Reading:
    """Documents of a node; what its parent is decides what is asked first. ``zarr.json`` wins over the v2 documents.

    A store may carry both (converted in place): zarr-python prefers v3 too, and a copy needs one of them.
    """
    if hint is None:
        documents = yield from read_documents(folder, (*_V3, *_V2))
        key = join(folder, ZARR_JSON)
        return {key: documents[key]} if key in documents else documents
    first, second = (_V3, _V2) if hint == "zarr3" else (_V2, _V3)
    documents = yield from read_documents(folder, first)
    if not documents:
        documents = yield from read_documents(folder, second)
    return documents


def _as_array(folder: str, documents: Mapping[str, bytes]) -> ArrayDescription | None:
    """The array that these documents describe; None when they describe none."""
    data = documents.get(join(folder, ZARR_JSON))
    if data is not None:
        return parse_zarr_json_array(folder, documents) if node_type(folder, data) == "array" else None
    if join(folder, ZARRAY) not in documents:
        return None
    return parse_zarray(folder, {key: data for key, data in documents.items() if not key.endswith(ZGROUP)})


def _level_needs(folder: str, levels: Mapping[str, object], hint: str) -> list[Need]:
    """Documents of all levels, and of groups between them and the image."""
    array, group = (_V3, _V3) if hint == "zarr3" else ((ZARRAY, ZATTRS), (ZGROUP, ZATTRS))
    needs = {Need.document(join(path, name)): None for path in levels for name in array}
    for path in levels:
        needs |= {Need.document(join(part, name)): None for part in _between(folder, path) for name in group}
    return list(needs)


def _between(folder: str, path: str) -> tuple[str, ...]:
    """Folders strictly between `folder` and `path` below it."""
    return tuple(part for part in ancestors(path) if len(part) > len(folder))


def _texts_of(answers: Answers, folder: str) -> Documents:
    keys = {join(folder, name) for name in METADATA_NAMES}
    return {need.key: data for need, data in answers.items() if isinstance(data, bytes) and need.key in keys}
