"""The ledger is damaged, or gone: what is on disk is known again by tables of checksums, and is not fetched again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import files_below, run_within

from emasync.api import RunOptions
from emasync.ledger.rebuild import KNOWN, KnownFiles
from emasync.model.checksum_table import ChecksumRow, escaped, read_row
from emasync.model.events import Event
from emasync.testing import Archive

OBJECTS = {f"b/{name}": bytes([number]) * (2_000_000 if number == 3 else 5_000) for number, name in enumerate("vwxyz")}
EXPECTED = {path.removeprefix("b/"): data for path, data in OBJECTS.items()}
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda data: bytes(len(data)),
    "cut": lambda data: data[: len(data) // 2],
    "empty header": lambda data: b"\xff" * 100 + data[100:],
    "middle": lambda data: data[:4096] + b"\xff" * (len(data) - 4096),
}


@pytest.fixture
def server(archive: Callable[..., Archive]) -> Archive:
    return archive(OBJECTS)


@pytest.fixture
def manifest(server: Archive) -> dict[str, Any]:
    return {
        "version": 1,
        "datasets": [{"id": "d", "source": "bucket", "format": "raw", "url": f"{server.url}/b"}],
    }


@pytest.fixture
def root(manifest: dict[str, Any], server: Archive, tmp_path: Path) -> Path:
    """A complete root."""
    assert run_within(manifest, tmp_path).ok
    server.reset()
    return tmp_path


def objects_asked(server: Archive) -> int:
    return server.counts().get(("GET", "object"), 0)


def spoil(root: Path, damage: str) -> bytes:
    path = root / ".emasync" / "state.sqlite"
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("damage", "executor"),
    [("zeros", "local"), ("cut", "local"), ("empty header", "local"), ("zeros", "processes")],
)
def test_a_damaged_ledger_is_made_anew_and_nothing_is_fetched(
    damage: str, executor: str, manifest: dict[str, Any], server: Archive, root: Path
) -> None:
    left, heard = spoil(root, damage), list[Event]()
    options = RunOptions(workers=2, executor="processes") if executor == "processes" else None
    receipt = run_within(manifest, root, on_event=heard.append, options=options)
    assert (receipt.exit_code, objects_asked(server)) == (0, 0)
    assert files_below(root / "d") == EXPECTED
    told = [str(event.fields["message"]) for event in heard if event.event == "warning"]
    assert any("damaged" in text and "5 files" in text for text in told), told
    (aside,) = (root / ".emasync").glob("state.sqlite.damaged-*")
    assert aside.read_bytes() == left
    assert not (root / ".emasync" / KNOWN).exists(), "it is known again"
    assert run_within(manifest, root).exit_code == 0
    assert objects_asked(server) == 0


def test_damage_that_is_met_in_the_middle_is_remembered(manifest: dict[str, Any], server: Archive, root: Path) -> None:
    spoil(root, "middle")
    receipts = []
    for _ in range(3):
        try:
            receipts.append(run_within(manifest, root).exit_code)
        except Exception as error:  # noqa: BLE001 - it may be met before there is a receipt
            receipts.append(4 if "damaged" in str(error) or "ledger" in str(error) else -1)
        if receipts[-1] == 0:
            break
    assert set(receipts) <= {0, 4}
    assert receipts[-1] == 0
    assert objects_asked(server) == 0
    assert files_below(root / "d") == EXPECTED


def test_a_changed_file_is_not_taken_for_ours(manifest: dict[str, Any], server: Archive, root: Path) -> None:
    spoil(root, "zeros")
    (root / "d" / "v").write_bytes(b"\x01" * 5_000)
    receipt = run_within(manifest, root)
    assert receipt.exit_code == 1
    assert [str(failure.kind) for failure in receipt.failures] == ["checksum_mismatch"]
    assert "table of checksums" in receipt.failures[0].message
    assert (root / "d" / "v").read_bytes() == b"\x01" * 5_000, "somebody's file"
    (root / "d" / "v").unlink()
    assert run_within(manifest, root).exit_code == 0
    assert objects_asked(server) == 1
    assert files_below(root / "d") == EXPECTED


def test_a_file_that_no_table_knows_waits_for_a_word(manifest: dict[str, Any], server: Archive, root: Path) -> None:
    spoil(root, "zeros")
    table = root / "checksums" / "d.tsv"
    table.write_text(
        "".join(line for line in table.read_text().splitlines(keepends=True) if not line.startswith("d/w"))
    )
    receipt = run_within(manifest, root)
    assert [str(failure.kind) for failure in receipt.failures] == ["destination_exists"]
    assert run_within(manifest, root, options=RunOptions(adopt=True)).exit_code == 0
    assert objects_asked(server) == 0


def test_datasets_of_other_manifests_are_known_until_they_are_run_again(
    manifest: dict[str, Any], server: Archive, root: Path
) -> None:
    other = {**manifest, "datasets": [{**manifest["datasets"][0], "id": "other"}]}
    assert run_within(other, root).ok
    server.reset()
    spoil(root, "zeros")
    assert run_within(manifest, root).exit_code == 0
    assert run_within(other, root).exit_code == 0
    assert objects_asked(server) == 0
    assert not (root / ".emasync" / KNOWN).exists()


def drop_state(root: Path) -> None:
    for path in sorted((root / ".emasync").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()


def test_without_its_state_a_root_is_adopted_and_compared_with_its_tables(
    manifest: dict[str, Any], server: Archive, root: Path
) -> None:
    drop_state(root)
    assert {str(failure.kind) for failure in run_within(manifest, root).failures} == {"destination_exists"}
    (root / "d" / "v").write_bytes(b"\x01" * 5_000)  # nothing is published: only the table can tell
    receipt = run_within(manifest, root, options=RunOptions(adopt=True))
    assert [str(failure.kind) for failure in receipt.failures] == ["checksum_mismatch"]
    assert objects_asked(server) == 0


@pytest.mark.parametrize("path", ["d/a", "d/ta\tb", "d/back\\slash", "d/line\nend\r", "d/\\n", "d/é"])
def test_rows_are_read_back(path: str) -> None:
    line = f"{escaped(path)}\t7\t\tcrc32c:0000abcd,sha1:00\tcomputed\n"
    assert read_row(line) == ChecksumRow(path, 7, 0xABCD, "computed")


@pytest.mark.parametrize(
    "line",
    [
        "d/a\t7\t\tcrc32c:0000abcd\tcomputed",  # cut off
        "d/a\t7\t\tcrc32c:0000abcd\tcomp\n",
        "d/a\t-7\t\tcrc32c:0000abcd\tcomputed\n",
        "d/a\t7\t\tmd5:00\tcomputed\n",
        "d/a\t7\tcrc32c:0000abcd\n",
        "\n",
    ],
)
def test_what_is_no_row_is_left_out(line: str) -> None:
    assert read_row(line) is None


def test_tables_of_many_files_are_asked_in_pages(tmp_path: Path) -> None:
    (tmp_path / "checksums").mkdir()
    rows = "".join(f"d/{number}\t{number}\t\tcrc32c:{number:08x}\tpublished\n" for number in range(25_000))
    (tmp_path / "checksums" / "d.tsv").write_text(rows)
    assert KnownFiles.gather(tmp_path, by_themselves=True) == 25_000
    known = KnownFiles.of(tmp_path)
    assert known is not None
    assert known.by_themselves
    asked = [f"d/{number}" for number in range(0, 50_000, 25)]
    (tmp_path / "checksums" / "d.tsv").write_text("")
    assert KnownFiles.gather(tmp_path, by_themselves=True) == 25_000, "a smaller table takes nothing away"
    found = known.find(asked)
    assert len(found) == 1_000
    assert found["d/24975"] == ChecksumRow("d/24975", 24_975, 24_975, "published")
    assert json.dumps(found["d/25"])  # plain values
