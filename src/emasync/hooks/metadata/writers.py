"""Documents over all datasets, written as assets pass: memory holds one asset, the rest waits in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import SEEK_END, BytesIO
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final, cast

import orjson

from emasync.disk.interface import Sink
from emasync.hooks.metadata import parquet
from emasync.hooks.metadata.description import VERSION, DescribedAsset
from emasync.hooks.metadata.summary import SUMMARY, Summary
from emasync.hooks.metadata.tables import COLUMNS, csv_text, header_line
from emasync.model.version import VERSION as TOOL_VERSION

JSON, CSV = "metadata.json", "metadata.csv"

_IN_MEMORY_BYTES: Final = 8 << 20
_PIECE_BYTES: Final = 1 << 20


class TableWriter:
    """Collects all documents over a root; nothing appears there before :meth:`finish`.

    Parameters
    ----------
    folder : Path
        For what waits.
    """

    def __init__(self, folder: Path) -> None:
        self._json, self._csv = _spool(folder), _spool(folder)
        self._parquet_file = _spool(folder) if parquet.available() else None
        self._parquet = None if self._parquet_file is None else parquet.ParquetRows(self._parquet_file)
        self._summary = Summary()
        self._csv.write(header_line().encode())
        self._json.write(_head())
        self._datasets = self._assets = self.rows = 0

    def begin(self, dataset: Mapping[str, Any]) -> None:
        """Begin a dataset (Any: JSON without its assets)."""
        text = orjson.dumps(dataset, option=orjson.OPT_NON_STR_KEYS)
        self._json.write((b"," if self._datasets else b"") + b"\n" + text[:-1] + b',"assets":[')
        self._summary.begin(dataset)
        self._datasets += 1
        self._assets = 0

    def add(self, asset: DescribedAsset, document: str, as_json: Mapping[str, Any] | None = None) -> None:
        """Take one asset of the dataset begun last.

        Parameters
        ----------
        asset : DescribedAsset
        document : str
            Where it has a document of its own, relative to the root.
        as_json : mapping, optional
            What :meth:`DescribedAsset.to_dict` gave, where somebody asked before (Any: JSON).
        """
        described = asset.to_dict() if as_json is None else as_json
        text = orjson.dumps({**described, "document": document})
        self._json.write((b"," if self._assets else b"") + b"\n" + text)
        rows = list(asset.rows())
        self._csv.write(csv_text(rows).encode("utf-8", "replace"))
        if self._parquet is not None:
            self._parquet.add(rows)
        self._summary.add(asset, rows)
        self._assets += 1
        self.rows += len(rows)

    def end(self) -> None:
        """End a dataset."""
        self._json.write(b"\n]}")

    def finish(self, sink: Sink) -> None:
        """Write all documents, in place of older ones that differ."""
        self._json.write(b"\n]}\n")
        replace_document(sink, JSON, self._json)
        replace_document(sink, CSV, self._csv)
        if self._parquet is not None and self._parquet_file is not None:
            self._parquet.close()
            replace_document(sink, parquet.PARQUET, self._parquet_file)
        text = "\n".join(self._summary.lines()).rstrip() + "\n"
        replace_document(sink, SUMMARY, BytesIO(text.encode("utf-8", "replace")))

    def close(self) -> None:
        """Drop what waits."""
        if self._parquet is not None:
            self._parquet.close()
        for file in (self._json, self._csv, self._parquet_file):
            if file is not None:
                file.close()


def replace_document(sink: Sink, destination: str, file: IO[bytes]) -> None:
    """Write a document unless the very same lies there.

    Parameters
    ----------
    sink : Sink
    destination : str
    file : binary file
        All of it.
    """
    if not same_document(sink, destination, file):
        sink.write_document(destination, _pieces(file))


def same_document(sink: Sink, destination: str, file: IO[bytes]) -> bool:
    """Whether a document is what lies there."""
    facts = sink.stat(destination)
    if facts is None or facts.size_bytes != file.seek(0, SEEK_END):
        return False
    at = 0
    for piece in _pieces(file):
        if sink.read_final(destination, at, len(piece)) != piece:
            return False
        at += len(piece)
    return True


def _spool(folder: Path) -> IO[bytes]:
    return cast("IO[bytes]", SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, dir=str(folder)))


def _head() -> bytes:
    """Version, and columns with their types for readers of the flat table."""
    text = orjson.dumps({"version": VERSION, "tool": f"emasync {TOOL_VERSION}", "dtypes": dict(COLUMNS)})
    return text[:-1] + b',"datasets":['


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        yield piece
