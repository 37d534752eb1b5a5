"""Documents that tell what a tree is."""

from __future__ import annotations

from emasync.sources.interface import Tree

ZARR_DOCUMENTS = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
"""Zarr v3 core, "Metadata documents"; Zarr v2, "Storage": one of them makes a folder a node."""

FORMAT_SIGNS = {"n5": "attributes.json", "precomputed": "info"}
"""Documents that tell formats which are not built yet."""


async def zarr_at(tree: Tree) -> bool:
    """Whether the tree's base is a Zarr node: asked of its documents, because a listing may be long or forbidden."""
    for key in ZARR_DOCUMENTS:
        if await tree.read(key) is not None:
            return True
    return False
