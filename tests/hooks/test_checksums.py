"""Tables of checksums: one row an object, readable by line, written as they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emasync.disk.sink import LocalSink
from emasync.errors import InterruptedRunError
from emasync.hooks.checksums import PAGE, checksum_lines, write_checksums
from emasync.ledger.interface import Row
from emasync.model.checksum_table import HEADER
from emasync.model.digest import Digest
from emasync.model.packing import pack_digests
from emasync.model.task import State, TaskSetSpec


def row(destination: str = "a/x.bin", **changes: object) -> Row:
    fields = {
        "spec": TaskSetSpec(dataset="d", base="s3://b", destination="a"),
        "set_id": 1,
        "key": "x.bin",
        "destination": destination,
        "state": State.PLACED,
        "size_bytes": 12,
        "crc32c": 0xAB,
        "verified": "computed",
        "delivered": None,
        "promised": None,
        "found": None,
        "generation": 0,
        "epoch": 1,
        **changes,
    }
    return Row(**fields)  # type: ignore[arg-type]  # names and types are those of Row


def test_columns() -> None:
    published, computed = (Digest("md5", "0" * 32),), (Digest("sha256", "1" * 64),)
    promised, found = pack_digests(published), pack_digests(computed)
    (line,) = checksum_lines([row(verified="published", promised=promised, found=found)])
    assert line == f"a/x.bin\t12\tmd5:{'0' * 32}\tcrc32c:000000ab,sha256:{'1' * 64}\tpublished\n"


@pytest.mark.parametrize(
    "name", ["tab\there", "line\nfeed", "carriage\rreturn", "back\\slash", "\\t is no tab", "caf\u00e9", "\udce9"]
)
def test_any_path_is_one_field_of_one_line(name: str) -> None:
    (line,) = checksum_lines([row(name)])
    field, *others = line.rstrip("\n").split("\t")
    assert len(others) == 4
    unescaped = ""
    letters = iter(field)
    for letter in letters:
        unescaped += {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}[next(letters)] if letter == "\\" else letter
    assert unescaped == name


def test_the_table_is_written_page_by_page(tmp_path: Path) -> None:
    seen: list[int] = []

    def rows() -> Iterator[Row]:
        for number in range(2 * PAGE + 3):
            seen.append(number)
            yield row(f"a/{number:06d}")

    pieces: list[int] = []

    class Counting:
        def write_document(self, destination: str, data: object) -> None:
            assert destination == "checksums/a.tsv"
            assert not isinstance(data, bytes)
            for piece in data:  # type: ignore[attr-defined]  # pieces
                pieces.append(len(seen))
                assert piece.endswith(b"\n")

    write_checksums(Counting(), "a", rows())  # type: ignore[arg-type]  # one method of a sink
    assert pieces == [0, PAGE, 2 * PAGE, 2 * PAGE + 3]


def test_a_table_replaces_an_older_one(tmp_path: Path) -> None:
    sink = LocalSink(tmp_path)
    try:
        write_checksums(sink, "a", [row("a/1"), row("a/\udce9")])
        write_checksums(sink, "a", [row("a/2")])
        assert (tmp_path / "checksums" / "a.tsv").read_text().splitlines()[1].startswith("a/2\t")
        write_checksums(sink, "empty", [])
        assert (tmp_path / "checksums" / "empty.tsv").read_text() == HEADER
    finally:
        sink.close()


def test_rows_that_break_off_leave_the_older_table(tmp_path: Path) -> None:
    def stopped() -> Iterator[Row]:
        yield row("a/new")
        raise InterruptedRunError("stopped")

    sink = LocalSink(tmp_path)
    try:
        write_checksums(sink, "a", [row("a/old")])
        with pytest.raises(InterruptedRunError):
            write_checksums(sink, "a", stopped())
        assert "a/old" in (tmp_path / "checksums" / "a.tsv").read_text()
        assert list((tmp_path / "checksums").iterdir()) == [tmp_path / "checksums" / "a.tsv"]
    finally:
        sink.close()
