"""Documents that tell what a tree is."""

from __future__ import annotations

from typing import Final

from emasync.sources.interface import Tree

ZARR_DOCUMENTS: Final = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
"""Zarr v3 core, "Metadata documents"; Zarr v2, "Storage": one of them makes a folder a node."""

ORDERED: Final = frozenset(("zarr", "precomputed"))
"""Formats whose trees are taken coarse levels first."""

INFO: Final = "info"
"""Neuroglancer, "Precomputed volume format", section "info JSON file specification"."""

N5_DOCUMENT: Final = "attributes.json"


async def format_at(tree: Tree, *, looks_further: bool) -> str | None:
    """Which format the tree's base is in: asked of its documents, because a listing may be long or forbidden.

    Parameters
    ----------
    tree : Tree
    looks_further : bool
        Whether formats count that are not built yet.
    """
    for key in ZARR_DOCUMENTS:
        if await tree.read(key) is not None:
            return "zarr"
    info = await tree.read(INFO)
    if info is not None and is_volume(info):
        return "precomputed"
    return "n5" if looks_further and await tree.read(N5_DOCUMENT) is not None else None


def is_volume(info: bytes) -> bool:
    """Whether a document called ``info`` describes something of Neuroglancer's; whoever reads it checks the rest.

    Web sites answer with a page for any name, and other tools call their documents so too.
    """
    return info.lstrip()[:1] == b"{" and (b'"scales"' in info or b'"neuroglancer_' in info)
