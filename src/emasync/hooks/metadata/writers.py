"""Documents over all datasets, written as assets pass: memory holds one asset, the rest waits in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final, cast

import orjson

from emasync.disk.interface import Sink
from emasync.hooks.metadata.description import VERSION, DescribedAsset
from emasync.hooks.metadata.tables import COLUMNS, csv_text, header_line
from emasync.model.version import VERSION as TOOL_VERSION

JSON, CSV = "metadata.json", "metadata.csv"

_IN_MEMORY_BYTES: Final = 8 << 20
_PIECE_BYTES: Final = 1 << 20


class TableWriter:
    """Collects ``metadata.json`` and ``metadata.csv``; nothing appears in the root before :meth:`finish`.

    Parameters
    ----------
    folder : Path
        For what waits.
    """

    def __init__(self, folder: Path) -> None:
        self._json = _spool(folder)
        self._csv = _spool(folder)
        self._csv.write(header_line().encode())
        self._json.write(_head())
        self._datasets = self._assets = self.rows = 0

    def begin(self, dataset: Mapping[str, Any]) -> None:
        """Begin a dataset (Any: JSON without its assets)."""
        text = orjson.dumps(dataset, option=orjson.OPT_NON_STR_KEYS)
        self._json.write((b"," if self._datasets else b"") + b"\n" + text[:-1] + b',"assets":[')
        self._datasets += 1
        self._assets = 0

    def add(self, asset: DescribedAsset, document: str) -> None:
        """Take one asset of the dataset begun last.

        Parameters
        ----------
        document : str
            Where it has a document of its own, relative to the root.
        """
        text = orjson.dumps({**asset.to_dict(), "document": document}, option=orjson.OPT_NON_STR_KEYS)
        self._json.write((b"," if self._assets else b"") + b"\n" + text)
        rows = list(asset.rows())
        self._csv.write(csv_text([{**row, "tool_version": TOOL_VERSION} for row in rows]).encode("utf-8", "replace"))
        self._assets += 1
        self.rows += len(rows)

    def end(self) -> None:
        """End a dataset."""
        self._json.write(b"\n]}")

    def finish(self, sink: Sink) -> None:
        """Write both documents, in place of older ones."""
        self._json.write(b"\n]}\n")
        sink.write_document(JSON, _pieces(self._json))
        sink.write_document(CSV, _pieces(self._csv))

    def close(self) -> None:
        """Drop what waits."""
        self._json.close()
        self._csv.close()


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
