"""``metadata.parquet``: the flat table with its types, where pyarrow is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any, Final

from emasync.hooks.metadata.tables import COLUMNS, LISTS, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

PARQUET: Final = "metadata.parquet"

ROWS_A_GROUP: Final = 5_000
"""Held in memory before they are written."""


def available() -> bool:
    """Whether such a table can be written here."""
    return find_spec("pyarrow") is not None


class ParquetRows:
    """Writes rows into a file, some thousand at a time.

    Parameters
    ----------
    file : binary file
    """

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and a sixth of a second
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above

        types = {"string": pa.string(), "Int64": pa.int64(), "float64": pa.float64(), "boolean": pa.bool_()}
        self._schema = pa.schema([(name, types[dtype]) for name, dtype in COLUMNS.items()])
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")
        self._batch = pa.RecordBatch
        self._rows: list[dict[str, Any]] = []
        self._closed = False

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        if not self._closed:
            self._flush()
            self._writer.close()
        self._closed = True

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take rows (Any: values of the table's kinds)."""
        self._rows.extend(rows)
        if len(self._rows) >= ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(self._batch.from_arrays(self._columns(), schema=self._schema))
            self._rows = []

    def _columns(self) -> list[Any]:
        """Arrow arrays (Any: pyarrow has no types); most columns of a table are empty."""
        import pyarrow as pa  # noqa: PLC0415 - as above

        used = {name for row in self._rows for name in row}
        nothing = pa.nulls(len(self._rows))
        values = (self._values(kind.name) if kind.name in used else nothing for kind in self._schema)
        return [pa.array(column, type=kind.type) for kind, column in zip(self._schema, values, strict=True)]

    def _values(self, name: str) -> list[object]:
        column = [row.get(name) for row in self._rows]
        return [plain(value) for value in column] if name in LISTS else column
