"""Entries and indexes that tests write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from emasync.formats.chunks import ChunkLayout
from emasync.formats.stored import Codec, Measure
from emasync.model.geometry import Box
from emasync.volume.index import DatasetIndex, open_index
from emasync.volume.index_entry import ArrayEntry, Coverage
from emasync.volume.index_writer import IndexWriter


def entry(**changes: Any) -> ArrayEntry:
    """An array of 2 by 3 chunks; any of its fields may be another one."""
    fields: dict[str, Any] = {
        "asset": "a.zarr",
        "array": "image",
        "scale": 0,
        "path": "image/s0",
        "format": "zarr2",
        "shape": (20, 30),
        "axes": ("y", "x"),
        "layout": ChunkLayout(chunks=(10, 10), dtype="<u2", codecs=(Codec("gzip", {"level": 5}),), fill_value=7),
        "chunks": {"kind": "affine", "file": 0, "start": 0, "size_bytes": 1200},
        "origin": (5, 6),
        "bounds": Box((6, 7), (8, 9)),
        "measures": (Measure(4.0, "nanometer", ".zattrs: multiscales[0]"), None),
        "translation_nm": {"y": 2.5},
        "coverage": Coverage(chunks=6, present=6),
    }
    return ArrayEntry(**fields | changes)


def written(root: Path, fill: Callable[[IndexWriter], None], dataset: str = "d") -> DatasetIndex:
    """The index that `fill` puts into a root."""
    with IndexWriter(root, dataset) as writer:
        fill(writer)
        writer.finish([], {})
    return open_index(root, dataset)
