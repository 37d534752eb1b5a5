"""Names of the files of an index."""

from __future__ import annotations

from pathlib import Path
from typing import Final

INDEX_FOLDER: Final = ".emasync/index"

HEAD: Final = "index.json"
"""Names the generation that counts: readers of another go on undisturbed."""

LINES: Final = "arrays.jsonl"

SCHEMA: Final = 1
"""Of the files of an index. An index of any other schema is refused, and made again by ``emasync index``."""


def index_folder(root: Path, dataset: str) -> Path:
    """Where the index of a dataset lies."""
    return root / INDEX_FOLDER / dataset


def sort_key(asset: str) -> tuple[str, ...]:
    """What arrays are sorted by: the asset's folders one by one."""
    return tuple(asset.split("/"))
