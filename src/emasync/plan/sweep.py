"""Listing passes over a tree: every row goes to one shelf, and the cursor is committed after all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from emasync.model.packing import pack_listed
from emasync.model.task import ObjectEntry
from emasync.plan.intake import Intake, Shelf
from emasync.plan.order import is_document
from emasync.sources.interface import Tree
from emasync.sources.walk import closing
from emasync.transport.interface import ListedObject

BEHIND_ALL = "\U0010ffff"
"""Greatest character in UTF-8 order: ``folder/`` and this sorts behind every usual key of the folder."""


Piles = dict[int, tuple[Shelf, list[ObjectEntry]]]
"""Entries of one page by the id of their set."""


class Divider(Protocol):
    """Says where the rows of a page belong. Pure: the same row always goes to the same place."""

    def divide(self, objects: Iterable[ListedObject]) -> Piles:
        """Entries of one page by set; rows that are not wanted are left out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorting:
    """Which shelf a path belongs to. A pure function of the path: nothing twice, nothing forgotten.

    Attributes
    ----------
    documents, rest : Shelf
    levels : mapping of str to Shelf
        By folder, without slash at its end.
    skipped : frozenset of str
        Folders (without slash) that nobody wants, or that are named elsewhere by their grid.
    elsewhere : frozenset of str
        Paths that are written by us or named already, and are not to be fetched again.
    wants : callable
        The manifest's globs over paths below the dataset.
    """

    documents: Shelf
    rest: Shelf
    levels: Mapping[str, Shelf] = field(default_factory=dict)
    skipped: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    wants: Callable[[str], bool] = lambda _path: True

    def shelf(self, path: str, size_bytes: int | None) -> Shelf | None:
        """Shelf of one object; None for an object that is not wanted."""
        if path in self.elsewhere or not self.wants(path):
            return None
        home = self.home(path)
        if home is None:
            return None
        return self.documents if is_document(path, size_bytes) else home

    def home(self, path: str) -> Shelf | None:
        """Shelf of the innermost known folder around `path`."""
        if not self.levels and not self.skipped:
            return self.rest
        folder = path
        while folder := folder.rpartition("/")[0]:
            if folder in self.skipped:
                return None
            if (shelf := self.levels.get(folder)) is not None:
                return shelf
        return self.rest

    def divide(self, objects: Iterable[ListedObject]) -> Piles:
        """Entries of one page by set."""
        piles: Piles = {}
        for item in objects:
            shelf = self.shelf(item.key, item.size_bytes)
            if shelf is not None:
                piles.setdefault(shelf.set_id, (shelf, []))[1].append(as_entry(item))
        return piles


def as_entry(item: ListedObject) -> ObjectEntry:
    """What a listing row says of an object; its ETag is a hint only (law 3)."""
    key, size_bytes, etag, last_modified = item
    return ObjectEntry(key, size_bytes, None, pack_listed(etag, last_modified))


async def sweep(
    intake: Intake, tree: Tree, sorting: Divider, *, folder: str, keeper: Shelf, jump: Sequence[str] = ()
) -> None:
    """List `folder` to its end, into the shelves that `sorting` names.

    The cursor lies with `keeper`'s set. Rows of other sets are committed first: a crash in between lists the page
    again, and what is known already stays as it is.

    Parameters
    ----------
    folder : str
        Relative to the tree's base; empty for all of it.
    keeper : Shelf
        Set whose cursor this pass moves and which is finished at its end.
    jump : sequence of str
        Folders (without slash) whose inside needs no listing.
    """
    if await intake.finished(keeper):
        return
    await list_into(intake, tree, sorting, folder=folder, keeper=keeper, jump=jump)
    await intake.finish(keeper)


async def list_into(
    intake: Intake,
    tree: Tree,
    sorting: Divider,
    *,
    folder: str,
    keeper: Shelf,
    jump: Sequence[str] = (),
    required: bool = False,
) -> bool:
    """List as :func:`sweep`, and leave `keeper` open.

    Parameters
    ----------
    required : bool
        Keep no cursor before `keeper` has something on it: a run that found nothing is asked again from the beginning.

    Returns
    -------
    bool
        Whether `keeper` has something on it; of one that is not `required` an interrupted pass counts as something.
    """
    start_after = await intake.resume_point(keeper)
    something = start_after is not None
    async for objects in pages(tree, folder, start_after, jump):
        piles = sorting.divide(objects)
        _, own = piles.pop(keeper.set_id, (keeper, []))
        for shelf, entries in piles.values():
            await intake.add(shelf, entries)
        something = something or bool(own)
        await intake.add(keeper, own, cursor=objects[-1].key if objects and (something or not required) else None)
    return something


async def pages(
    tree: Tree, folder: str, start_after: str | None, jump: Sequence[str]
) -> AsyncIterator[tuple[ListedObject, ...]]:
    """Pages of a listing that leaps over the inside of the folders in `jump`.

    A page that ends inside such a folder is the last of its listing; the next begins behind the folder.
    """
    folders = frozenset(jump)
    leap: str | None = start_after
    going_on = True
    while going_on:
        start_after, leap, going_on = leap, None, False
        async with closing(tree.list(folder, start_after=start_after)) as listing:
            async for page in listing:
                if not page.objects:
                    continue
                yield page.objects
                inside = None if page.last else enclosing(page.objects[-1].key, folders)
                leap = None if inside is None else f"{inside}/{BEHIND_ALL}"
                if leap is not None and leap != start_after:
                    going_on = True
                    break


def enclosing(path: str, folders: frozenset[str]) -> str | None:
    """Outermost of `folders` that `path` lies in; None when it lies in none."""
    found = None
    folder = path
    while folders and (folder := folder.rpartition("/")[0]):
        if folder in folders:
            found = folder
    return found
