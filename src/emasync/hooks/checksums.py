"""``checksums/<dataset id>.tsv``: one row an object, streamed from the ledger.

What the columns are: :mod:`emasync.model.checksum_table`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from emasync.disk.interface import Sink
from emasync.ledger.interface import Row
from emasync.model.checksum_table import FOLDER, HEADER, escaped
from emasync.model.digest import Digest

PAGE = 5_000
"""Rows a piece: some hundred kilobytes."""


def checksum_lines(rows: Iterable[Row]) -> Iterator[str]:
    """One line an object, in the order of the ledger."""
    for row in rows:
        if row.promised is None and row.found is None:  # the usual object
            yield f"{escaped(row.destination)}\t{row.size_bytes}\t\tcrc32c:{row.crc32c or 0:08x}\t{row.verified}\n"
            continue
        computed = (Digest("crc32c", f"{row.crc32c or 0:08x}"), *row.computed)
        columns = (escaped(row.destination), str(row.size_bytes), _digests(row.published), _digests(computed))
        yield "\t".join((*columns, row.verified)) + "\n"


def write_checksums(sink: Sink, dataset: str, rows: Iterable[Row]) -> None:
    """Write the table of one dataset, a page at a time, in place of an older one.

    Parameters
    ----------
    rows : iterable of Row
        Placed objects.
    """
    sink.write_document(f"{FOLDER}/{dataset}.tsv", _pieces(rows))


def _pieces(rows: Iterable[Row]) -> Iterator[bytes]:
    lines = checksum_lines(rows)
    piece = HEADER
    while piece:
        yield piece.encode("utf-8", "surrogatepass")
        piece = "".join(islice(lines, PAGE))


def _digests(digests: Iterable[Digest]) -> str:
    return ",".join(f"{digest.kind}:{digest.value}" for digest in digests)
