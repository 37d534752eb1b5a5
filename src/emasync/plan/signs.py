"""Documents that tell what a tree is."""

from __future__ import annotations

from typing import Final

from emasync.sources.interface import Tree

ZARR_DOCUMENTS: Final = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
"""Zarr v3 core, "Metadata documents"; Zarr v2, "Storage": one of them makes a folder a node."""

ORDERED: Final = frozenset(("zarr", "n5", "precomputed"))
"""Formats whose trees are taken coarse levels first."""

INFO: Final = "info"
"""Neuroglancer, "Precomputed volume format", section "info JSON file specification"."""

N5_DOCUMENT: Final = "attributes.json"
"""N5 specification, "File-system specification": groups need not have one, so that a name has to tell those."""

N5_CONTAINER: Final = ".n5"
"""Ends the name of a container, by custom."""


async def format_at(tree: Tree) -> str | None:
    """Which format the tree's base is in: asked of its documents, because a listing may be long or forbidden.

    Parameters
    ----------
    tree : Tree
    """
    named = any(segment.endswith(N5_CONTAINER) for segment in tree.base.path.split("/"))
    if named and await _has_attributes(tree):
        return "n5"
    for key in ZARR_DOCUMENTS:
        if await tree.read(key) is not None:
            return "zarr"
    info = await tree.read(INFO)
    if info is not None and is_volume(info):
        return "precomputed"
    return "n5" if named or await _has_attributes(tree) else None


async def _has_attributes(tree: Tree) -> bool:
    """Whether there are attributes; web sites answer with a page for any name."""
    attributes = await tree.read(N5_DOCUMENT)
    return attributes is not None and attributes.lstrip()[:1] == b"{"


def is_volume(info: bytes) -> bool:
    """Whether a document called ``info`` describes something of Neuroglancer's; whoever reads it checks the rest.

    Web sites answer with a page for any name, and other tools call their documents so too.
    """
    return info.lstrip()[:1] == b"{" and (b'"scales"' in info or b'"neuroglancer_' in info)
