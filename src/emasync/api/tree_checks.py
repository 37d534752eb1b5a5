"""Checksums that DANDI publishes of whole Zarr trees, against the files that lie on disk.

The archive's records are kept beside the dataset; they say which trees have a checksum. MD5s are those that the ledger
took when the bytes came, where it did; other files are read.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from emasync.assembly import Resources
from emasync.disk.interface import Sink
from emasync.engine.recovery import pages
from emasync.errors import SourceError
from emasync.formats.zarr.tree_checksum import HashedFile, NotComparableError, TreeChecksum
from emasync.ledger.interface import Row
from emasync.model.location import Location
from emasync.model.task import State
from emasync.plan.layout import source_metadata
from emasync.sources.dandi_assets import Asset, read_asset

READ_BYTES: Final = 1 << 20
SCRATCH: Final = "trees.sqlite"

_API: Final = Location.parse("https://api.dandiarchive.org/api")
"""For messages about records that make no sense; those are left out."""

_IN_A_TREE: Final = re.compile(r"(?:^|/)zarr/(?P<zarr>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(?P<key>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedTree:
    """A Zarr tree whose checksum is published.

    Attributes
    ----------
    path : str
        Of the asset.
    published : str
    found : str or None
        By the files on disk; None where only a part of the tree is here, which has no checksum.
    """

    path: str
    published: str
    found: str | None

    @property
    def agrees(self) -> bool:
        """Whether nothing speaks against it."""
        return self.found in (None, self.published)


async def check_trees(resources: Resources, dataset: str) -> tuple[CheckedTree, ...]:
    """Compare the trees of `dataset` that have a checksum.

    Parameters
    ----------
    resources : Resources
    dataset : str
    """
    folder = resources.root / source_metadata(dataset) / "dandi"
    promised = await resources.threads.submit(_promised, folder)
    if not promised:
        return ()
    scratch = resources.state_dir / SCRATCH
    try:
        await resources.threads.submit(_begin, scratch)
        async for page in pages(resources.ledger, state=State.PLACED, dataset=dataset):
            await resources.threads.submit(_note, scratch, resources.sink, page, frozenset(promised))
        return await resources.threads.submit(_compare, scratch, promised)
    finally:
        await resources.threads.submit(scratch.unlink, True)


def _promised(folder: Path) -> dict[str, Asset]:
    """Assets by the id of their tree, of all kept records."""
    found: dict[str, Asset] = {}
    for path in sorted(folder.glob("assets-*.json")):
        for asset in _assets(path):
            if asset.promise is not None and asset.zarr_id is not None:
                found[asset.zarr_id] = asset
    return found


def _assets(path: Path) -> Iterator[Asset]:
    records: Any = orjson.loads(path.read_bytes())  # JSON, checked by read_asset
    for record in records if isinstance(records, list) else ():
        with suppress(SourceError):  # a record that made no sense was told of when it came
            yield read_asset(record, api=_API)


@contextmanager
def _opened(scratch: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(scratch, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # nobody needs it afterwards
        yield connection


def _begin(scratch: Path) -> None:
    scratch.unlink(missing_ok=True)
    with _opened(scratch) as connection:
        connection.execute(
            "CREATE TABLE files (zarr TEXT, key BLOB, md5 TEXT, size INTEGER, PRIMARY KEY (zarr, key)) WITHOUT ROWID"
        )


def _note(scratch: Path, sink: Sink, rows: Iterable[Row], wanted: frozenset[str]) -> None:
    """In a thread: MD5 and size of what belongs to a tree, to be sorted: grids come in the order of their numbers."""
    with _opened(scratch) as connection:
        connection.execute("BEGIN")
        for row in rows:
            match = _IN_A_TREE.search(row.spec.locate(row.key).path)
            if match is not None and match["zarr"] in wanted:
                key = match["key"].encode("utf-8", "surrogatepass")
                fields = (match["zarr"], key, _md5(sink, row), row.size_bytes)
                connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", fields)
        connection.execute("COMMIT")


def _md5(sink: Sink, row: Row) -> str:
    for digest in row.computed:
        if digest.kind == "md5":
            return digest.value
    state = hashlib.md5(usedforsecurity=False)
    for data in sink.scan_final(row.destination, 0, row.size_bytes or 0, memoryview(bytearray(READ_BYTES))):
        state.update(data)
    return state.hexdigest()


def _compare(scratch: Path, promised: dict[str, Asset]) -> tuple[CheckedTree, ...]:
    with _opened(scratch) as connection:
        return tuple(_compared(connection, zarr, asset) for zarr, asset in promised.items())


def _compared(connection: sqlite3.Connection, zarr: str, asset: Asset) -> CheckedTree:
    assert asset.promise is not None  # noqa: S101 - those without were left out
    counted = connection.execute("SELECT count(*), total(size) FROM files WHERE zarr = ?", (zarr,)).fetchone()
    found: str | None = None
    if (counted[0], int(counted[1])) == (asset.promise.objects, asset.promise.size_bytes):
        found = _checksum(connection, zarr)
    return CheckedTree(path=asset.path, published=asset.promise.checksum, found=found)


def _checksum(connection: sqlite3.Connection, zarr: str) -> str | None:
    sums = TreeChecksum()
    rows = connection.execute("SELECT key, md5, size FROM files WHERE zarr = ? ORDER BY key", (zarr,))
    try:
        sums.add(HashedFile(key.decode("utf-8", "surrogatepass"), md5, size) for key, md5, size in rows)
        return sums.result()
    except NotComparableError:
        return None
