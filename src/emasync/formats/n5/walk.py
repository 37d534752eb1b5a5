"""Discovery of datasets and images in a container, without I/O.

Each folder is a visit (:mod:`emasync.formats.visits`). Datasets are never looked into: their grid says what is there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from emasync.errors import SourceError
from emasync.formats.interface import GroupDescription, Names, Need
from emasync.formats.json_document import Field
from emasync.formats.n5.attributes import ATTRIBUTES, is_dataset, read_attributes, read_dataset
from emasync.formats.n5.images import (
    MAX_LEVELS,
    ImageEntry,
    LevelEntry,
    declared_images,
    enclosing_level,
    is_pyramid,
    level_numbers,
    numbered_image,
    says_level,
    single_image,
)
from emasync.formats.n5.levels import describe_image
from emasync.formats.n5.placing import Around, Member
from emasync.formats.paths import ancestors, join, parent_and_name, place_name
from emasync.formats.visits import (
    Answers,
    Documents,
    FolderWalk,
    Steps,
    WalkLimits,
    listed_names,
    read_documents,
    sidecars,
)
from emasync.model.task import escape_for_log

_NAMES: Final = (ATTRIBUTES,)

_OTHERS: Final = frozenset((".zarray", ".zgroup", ".zattrs", "zarr.json", "info"))
"""Documents of other formats: publishers keep several below one prefix."""


class N5Walk(FolderWalk):
    """Finds datasets, images and groups below one or more starts (:class:`~emasync.formats.interface.Walk`).

    Parameters
    ----------
    start : sequence of str
        Groups or datasets below the tree's base. Groups above a start are read for their attributes only.
    limits : WalkLimits

    Raises
    ------
    SourceError
        A start that is no legal path.
    """

    def __init__(self, start: Sequence[str] = ("",), limits: WalkLimits | None = None) -> None:
        super().__init__(limits)
        self._enter(start, self._attributes_only, self._start)

    def _attributes_only(self, folder: str) -> Steps:
        """A group above a start: kept so that the copy can be navigated."""
        documents = yield from read_documents(folder, _NAMES)
        attributes = read_attributes(folder, documents)
        if attributes is not None and not is_dataset(attributes):
            image = bool(declared_images(folder, attributes))
            self._found.append(
                GroupDescription(path=folder, layout="multiscale" if image else "group", documents=documents)
            )

    def _start(self, folder: str) -> Steps:
        """A folder that is named; what stands above it may say what it is: all of it is asked for at once."""
        home, further = [*reversed(ancestors(folder)), "", ""][:2]
        folders = dict.fromkeys((folder, home, further))
        documents = _documents((yield tuple(Need.document(join(path, ATTRIBUTES)) for path in folders)))
        attributes, group, above = (read_attributes(path, documents) for path in (folder, home, further))
        if attributes is not None and is_dataset(attributes):
            key = join(folder, ATTRIBUTES)
            member = Member(read_dataset(folder, attributes, {key: documents[key]}), attributes)
            level = enclosing_level(folder, group)
            around = Around(folder=folder) if level is None else Around(folder=folder, group=group, above=above)
            self._lone(member, around, level)
        else:
            own = {key: documents[key] for key in (join(folder, ATTRIBUTES),) if key in documents}
            group = group if folder else None
            yield from self._group(Around(folder=folder, group=attributes, above=group, documents=own), 0, start=True)

    def _folder(self, folder: str, above: Field | None, bare: int) -> Steps:
        """Any folder: a dataset, a group, or a prefix without attributes, which N5 calls a group too."""
        documents = yield from read_documents(folder, _NAMES)
        attributes = read_attributes(folder, documents)
        if attributes is not None and is_dataset(attributes):
            self._lone(Member(read_dataset(folder, attributes, documents), attributes), Around(folder=folder))
        elif attributes is None and bare >= self._limits.bare_depth:
            self._note(f"{place_name(folder)}: {bare} folders without metadata inside each other; not looked into")
        else:
            around = Around(folder=folder, group=attributes, above=above, documents=documents)
            yield from self._group(around, bare, start=False)

    def _group(self, around: Around, bare: int, *, start: bool) -> Steps:
        """A group: its images at once, its other nodes as visits of their own."""
        folder = around.folder
        entries = declared_images(folder, around.group)
        answers = yield (Need.children(folder), *_level_needs(entries))
        names = listed_names(answers)
        if around.group is None and names is not None and (other := _OTHERS.intersection(names.objects)):
            message = f"{place_name(folder)}: {min(other)} there, so this is another format than N5"
            if start:
                raise SourceError(f"{escape_for_log(message)}; name it with format:", location=folder)
            self._note(f"{message}; not looked into")
            return
        documents = _documents(answers)
        if not entries:
            guess, documents = yield from _named_levels(around, names)
            entries = (guess,) if guess.levels else ()
        if start and around.group is None and not documents and (names is None or not (names.folders or names.objects)):
            raise SourceError(
                f"{escape_for_log(place_name(folder))}: no N5 group or dataset here, and no folder that can be listed; "
                "check url and arrays",
                location=folder,
            )
        images = [found for entry in entries for found in [self._image(entry, documents, around)] if found]
        self._found.append(_describe_group(around, names, multiscale=any(images)))
        for child in self._inside(around, names):
            self._begin(child, self._folder(child, around.group, bare + 1 if around.group is None else 0))

    def _image(self, entry: ImageEntry, documents: Documents, around: Around) -> bool:
        """Describe one image; arrays that are only called levels, and are none, are taken singly."""
        members: dict[int, Member] = {}
        for level in entry.levels:
            member = _member(level, documents)
            if member is not None:
                members[level.number] = member
                self._seen.add(level.path)
            elif entry.declared:
                place = place_name(around.folder)
                self._note(f"{level.path}: level {level.number} of {place} has no dataset; left out")
        sorted_members = [members[number] for number in sorted(members)]
        stated = entry.declared or all(says_level(member.attributes) for member in sorted_members)
        if stated or is_pyramid([member.array for member in sorted_members]):
            return self._describe(entry, members, around)
        for member in members.values():
            self._lone(member, Around(folder=member.array.path))
        return False

    def _describe(self, entry: ImageEntry, members: Mapping[int, Member], around: Around) -> bool:
        if not members:
            return False
        described = describe_image(entry, members, around)
        self._found.append(described.image)
        self._tell(described.notes)
        return True

    def _lone(self, member: Member, around: Around, level: LevelEntry | None = None) -> None:
        """A dataset by itself; one whose place is stated is an image all the same, so that it can lend a box."""
        entry = single_image(member.array.path) if level is None else ImageEntry(levels=(level,))
        described = describe_image(entry, {entry.levels[0].number: member}, around)
        (found,) = described.image.levels
        if found.stated:
            self._found.append(replace(described.image, levels=(replace(found, number=0),)))
        else:
            self._found.append(replace(found.array, place=None))
        self._tell(described.notes)

    def _tell(self, notes: Iterable[str]) -> None:
        for note in notes:
            self._note(note)

    def _inside(self, around: Around, names: Names | None) -> list[str]:
        """Folders to look into. Numbers inside a number are blocks whose dataset has lost its attributes."""
        children = [] if names is None else self._children(around.folder, names)
        if around.group is not None or not _is_number(around.folder):
            return children
        blocks = [child for child in children if _is_number(child)]
        if blocks:
            self._note(f"{around.folder}: looks like blocks of a dataset without {ATTRIBUTES}; not looked into")
        return [child for child in children if not _is_number(child)]


def _describe_group(around: Around, names: Names | None, *, multiscale: bool) -> GroupDescription:
    layout: Literal["group", "folder", "multiscale"] = "group" if around.documents else "folder"
    return GroupDescription(
        path=around.folder,
        layout="multiscale" if multiscale else layout,
        documents=around.documents,
        extras=() if names is None else sidecars(around.folder, names, _NAMES),
    )


def _named_levels(
    around: Around, names: Names | None
) -> Generator[tuple[Need, ...], Answers, tuple[ImageEntry, Documents]]:
    """The image of folders called s0, s1, ...; where nothing can be listed they are asked for until one is missing."""
    documents: Documents = {}
    numbers = [] if names is None else level_numbers(names)
    if names is None:
        for number in range(MAX_LEVELS):
            level = yield from read_documents(join(around.folder, f"s{number}"), _NAMES)
            if not level:
                break
            numbers.append(number)
            documents |= level
    entry = numbered_image(around.folder, numbers, declared=False)
    if names is not None and entry.levels:
        documents = _documents((yield _level_needs((entry,))))
    return entry, documents


def _level_needs(entries: Iterable[ImageEntry]) -> tuple[Need, ...]:
    paths = {level.path: None for entry in entries for level in entry.levels}
    return tuple(Need.document(join(path, ATTRIBUTES)) for path in paths)


def _documents(answers: Answers) -> Documents:
    return {need.key: data for need, data in answers.items() if isinstance(data, bytes)}


def _member(level: LevelEntry, documents: Documents) -> Member | None:
    """The dataset of a level; None where there is none."""
    attributes = read_attributes(level.path, documents)
    if attributes is None or not is_dataset(attributes):
        return None
    key = join(level.path, ATTRIBUTES)
    return Member(read_dataset(level.path, attributes, {key: documents[key]}), attributes)


def _is_number(path: str) -> bool:
    name = parent_and_name(path)[1]
    return name.isascii() and name.isdecimal()
