"""``metadata.parquet``: the flat table with its types, where pyarrow is installed."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import groupby
from operator import itemgetter
from typing import IO, TYPE_CHECKING, Any, Final

from emasync.hooks.metadata.tables import COLUMNS, LISTS, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
        self._groups: list[_Group] = []
        self._count = 0
        self._closed = False

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        if not self._closed:
            self._flush()
            self._writer.close()
        self._closed = True

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take rows (Any: values of the table's kinds)."""
        for names, same in groupby(rows, key=tuple):
            self._groups.append(_Group(names, same))
            self._count += self._groups[-1].length
        if self._count >= ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._groups:
            self._writer.write_batch(self._batch.from_arrays(self._columns(), schema=self._schema))
            self._groups, self._count = [], 0

    def _columns(self) -> list[Any]:
        """Arrow arrays (Any: pyarrow has no types); most columns of a table are empty, or say the same in all rows."""
        import pyarrow as pa  # noqa: PLC0415 - as above

        used = set[str]().union(*(group.columns for group in self._groups))
        nothing = pa.nulls(self._count)
        return [self._column(kind) if kind.name in used else nothing.cast(kind.type) for kind in self._schema]

    def _column(self, kind: Any) -> Any:
        """One of them (Any: as above)."""
        import pyarrow as pa  # noqa: PLC0415 - as above

        values = [value for group in self._groups for value in group.column(kind.name)]
        if kind.name in LISTS:
            values = [plain(value) for value in values]
        if values[0] is not None and values.count(values[0]) == len(values):
            return pa.repeat(pa.scalar(values[0], kind.type), len(values))
        return pa.array(values, type=kind.type)


class _Group:
    """Rows that know the same columns, turned into these (Any: values of the table's kinds).

    Parameters
    ----------
    names : tuple of str
        At least two.
    rows : iterable of mapping
        At least one.
    """

    def __init__(self, names: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> None:
        picked = list(map(itemgetter(*names), rows))
        self.columns: dict[str, tuple[Any, ...]] = dict(zip(names, zip(*picked, strict=True), strict=True))
        self.length = len(picked)

    def column(self, name: str) -> Sequence[Any]:
        """Values of one column, None for unknown ones."""
        return self.columns.get(name) or (None,) * self.length
