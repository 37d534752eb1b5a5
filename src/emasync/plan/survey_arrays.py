"""Metadata of one asset's arrays, with a bounded number of requests: one of many assets that are only looked over.

An asset may hold hundreds of images that are alike. So documents of images come first, then the finest level of each,
then the other levels, as far as the budget goes; what was left out is counted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

import orjson

from emasync.errors import AccessDeniedError, NotFoundError, RefusedError
from emasync.sources.interface import Children, Tree
from emasync.transport.interface import ListPage

REQUESTS_AN_ASSET: Final = 15
"""For all that describes an asset, its sidecars and its top level included."""

NODE_DOCUMENTS: Final = ("zarr.json", ".zattrs", ".zarray", "attributes.json", "info")
"""Of a folder that is an array or a group: Zarr v3, v2 (what ``.zgroup`` says is said by its name), N5, precomputed."""

_GUESSED: Final = (".zattrs", ".zarray", "zarr.json")
"""Asked for in this order where the folder around says nothing."""

CONTAINER_SUFFIXES: Final = (".zarr", ".ngff", ".n5", ".precomputed")


@runtime_checkable
class LooksAround(Protocol):
    """A tree that can be asked for one page of what lies right below a folder."""

    def level(self, folder: str, *, start_after: str | None = None) -> AsyncGenerator[ListPage, None]:
        """Objects and folders right below `folder`; keys relative to the base."""
        ...


@dataclass(slots=True)
class AssetSurvey:
    """Looks over one asset (mutable).

    Attributes
    ----------
    tree : Tree
    budget : int
        Requests that are left.
    documents : dict of str to bytes
        What was read, by key.
    images : int
        Folders that seem to be images or arrays.
    left_out : int
        Documents that the budget had no room for, as far as they are known.
    """

    tree: Tree
    budget: int
    documents: dict[str, bytes] = field(default_factory=dict)
    images: int = 0
    left_out: int = 0

    async def run(self) -> None:
        """Read what describes the arrays.

        Raises
        ------
        TransportError
            As :meth:`Tree.read`.
        """
        nodes = await self._nodes()
        self.images = len(nodes)
        levels = [await self._describe(folder, key) for folder, key in nodes]
        for rank in range(max(map(len, levels), default=0)):
            for keys in levels:
                if rank < len(keys):
                    await self._read(keys[rank])

    async def _nodes(self) -> list[tuple[str, str]]:
        """Folders with metadata, each with the document that describes it: at the base, below it, or one further."""
        top = await self._look("")
        if (own := _document_of(top)) is not None:
            return [("", own)]
        found: list[tuple[str, str]] = []
        for folder in sorted(top.folders, key=lambda name: not name.endswith(CONTAINER_SUFFIXES)):
            inside = await self._look(folder)
            own = _document_of(inside)
            grouped = any(name.endswith(CONTAINER_SUFFIXES) for name in inside.folders)
            if not grouped and own is not None and _is_node(own, await self._read(f"{folder}/{own}")):
                found.append((folder, own))
            elif own is not None or grouped:
                found += [(f"{folder}/{name}", own or _GUESSED[0]) for name in inside.folders]
        return found

    async def _describe(self, folder: str, document: str) -> tuple[str, ...]:
        """Read what describes a folder; gives the documents of its levels, finest first."""
        for name in (document, *(other for other in _GUESSED if document == _GUESSED[0] and other != document)):
            text = await self._read(f"{folder}/{name}".lstrip("/"))
            if text is not None:
                level = "zarr.json" if name == "zarr.json" else ".zarray"
                return tuple(f"{folder}/{path}/{level}".lstrip("/") for path in _level_paths(text))
        return ()

    async def _look(self, folder: str) -> Children:
        """One page of names right below a folder; none where the budget is spent, or listing is not allowed."""
        if self.budget <= 0 and folder:
            self.left_out += 1
            return Children((), ())
        if not folder:
            return await self.tree.children("")  # known from the first look at the asset
        self.budget -= 1
        if not isinstance(self.tree, LooksAround):
            return await self.tree.children(folder)
        try:
            async with aclosing(self.tree.level(folder)) as pages:
                page = await anext(pages, None)
        except (AccessDeniedError, NotFoundError, RefusedError):
            page = None
        return Children((), ()) if page is None else _names(page, folder)

    async def _read(self, key: str) -> bytes | None:
        if key in self.documents:
            return self.documents[key]
        if self.budget <= 0:
            self.left_out += 1
            return None
        self.budget -= 1
        data = await self.tree.read(key)
        if data is not None:
            self.documents[key] = data
        return data


def _names(page: ListPage, folder: str) -> Children:
    cut = len(folder) + 1
    folders = tuple(name[cut:].removesuffix("/") for name in page.folders)
    objects = tuple(item.key[cut:] for item in page.objects)
    return Children(tuple(name for name in folders if name), tuple(name for name in objects if name))


def _document_of(names: Children) -> str | None:
    return next((name for name in NODE_DOCUMENTS if name in names.objects), None)


def _is_node(document: str, text: bytes | None) -> bool:
    """Whether a folder is an image or an array itself, and not a group of others."""
    if text is None:
        return False
    return document in (".zarray", "info") or bool(_level_paths(text)) or _kind(text) == "array"


def _parsed(text: bytes) -> dict[str, Any]:
    """A document from the network (Any: JSON, checked where it is used)."""
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _kind(text: bytes) -> str | None:
    value = _parsed(text)
    return "array" if value.get("node_type") == "array" or "dimensions" in value else None


def _level_paths(text: bytes) -> tuple[str, ...]:
    """Paths of the levels of images (OME-NGFF 0.4 and 0.5, "multiscales"), finest first; none for anything else."""
    value = _parsed(text)
    attributes = value.get("attributes", value)
    inside = attributes.get("ome", attributes) if isinstance(attributes, dict) else {}
    images = inside.get("multiscales") if isinstance(inside, dict) else None
    return tuple(_paths(images if isinstance(images, list) else []))


def _paths(images: list[Any]) -> Iterator[str]:
    """Any: JSON of the network."""
    for image in images:
        levels = image.get("datasets") if isinstance(image, dict) else None
        for level in levels if isinstance(levels, list) else []:
            path = level.get("path") if isinstance(level, dict) else None
            if isinstance(path, str) and path and ".." not in path.split("/"):
                yield path.strip("/")
