"""Opening, closing, damage, versions, full disks."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from emasync.errors import ErrorKind, MachineError
from emasync.ledger import machine
from emasync.ledger.database import Database, translated
from emasync.ledger.interface import Invalidated, Placed, Sealed
from emasync.ledger.schema import APPLICATION_ID, SCHEMA_VERSION, prepare
from emasync.ledger.store import SqliteLedger
from emasync.model.task import ObjectEntry, State, TaskSetSpec

from .conftest import Opener, StillClock

SPEC = TaskSetSpec(dataset="d", base="s3://b", destination="d")


def plan(ledger: SqliteLedger, *keys: str) -> int:
    ledger.begin_plan("d", "1")
    set_id = ledger.add_set(SPEC)
    ledger.add_entries(set_id, [ObjectEntry(key=key, size_bytes=1) for key in keys])
    ledger.finish_plan("d")
    return set_id


def test_clean_means_closed_cleanly_on_this_boot(open_ledger: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_ledger()
    assert first.clean
    first.close(clean=True)
    second = open_ledger()
    assert second.clean
    second.close(clean=False)
    third = open_ledger()
    assert not third.clean
    third.close(clean=True)
    fourth = open_ledger(boot_id="boot-2")
    assert not fourth.clean
    fourth.close(clean=True)
    assert open_ledger(boot_id="boot-2").clean is True


def test_clean_means_on_this_filesystem(open_ledger: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    open_ledger().close(clean=True)
    monkeypatch.setattr("emasync.ledger.opening.filesystem_id", lambda _root: "another")
    assert not open_ledger().clean


def test_this_machine_has_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.boot_id() == machine.boot_id() != ""
    assert machine.filesystem_id(tmp_path) == machine.filesystem_id(tmp_path.parent)
    assert machine.process_alive(os.getpid())
    assert not machine.process_alive(0)
    assert machine.process_alive(1)
    monkeypatch.setattr(machine, "_BOOT_ID", tmp_path / "none")
    monkeypatch.setattr(machine, "_SYSCTL", tmp_path / "sysctl")
    assert machine.boot_id() == "unknown"
    script = tmp_path / "sysctl"
    script.write_text('#!/bin/sh\ntest "$*" = "-n kern.bootsessionuuid" && echo SESSION\n')
    script.chmod(stat.S_IRWXU)
    assert machine.boot_id() == "SESSION"


def test_the_wal_is_synced_for_negative_facts_only(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    set_id = plan(ledger, "a", "b")
    said = list[str]()
    ledger._connection.set_trace_callback(said.append)
    ledger.record([Sealed(set_id=set_id, key="a", size_bytes=1, crc32c=1)])
    assert not [text for text in said if "synchronous" in text]
    ledger.record([Placed(set_id=set_id, key="a")], durable=True)
    ledger.record([Invalidated(set_id=set_id, key="a")])
    ledger._connection.set_trace_callback(None)
    pragmas = [text for text in said if "synchronous" in text]
    assert pragmas == ["PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"] * 2
    assert ledger._connection.execute("PRAGMA synchronous").fetchone() == (1,)


def test_a_state_that_a_plan_takes_back_is_synced(ledger: SqliteLedger) -> None:
    set_id = plan(ledger, "a")
    ledger.record([Sealed(set_id=set_id, key="a", size_bytes=1, crc32c=1), Placed(set_id=set_id, key="a")])
    said = list[str]()
    ledger._connection.set_trace_callback(said.append)
    ledger.add_entries(set_id, [ObjectEntry(key="a", size_bytes=2)])
    ledger._connection.set_trace_callback(None)
    assert said.index("COMMIT") < said.index("PRAGMA synchronous = FULL")


def test_a_file_that_gives_way_to_a_folder_is_synced(ledger: SqliteLedger) -> None:
    set_id = plan(ledger, "a")
    ledger.record([Sealed(set_id=set_id, key="a", size_bytes=1, crc32c=1), Placed(set_id=set_id, key="a")])
    said = list[str]()
    ledger._connection.set_trace_callback(said.append)
    ledger.add_entries(set_id, [ObjectEntry(key="a/b")])
    ledger._connection.set_trace_callback(None)
    assert "PRAGMA synchronous = FULL" in said


def test_a_missing_table_is_damage(open_ledger: Opener, tmp_path: Path) -> None:
    open_ledger().close(clean=True)
    with sqlite3.connect(tmp_path / "root" / ".emasync" / "state.sqlite") as other:
        other.execute("DROP TABLE leftovers")
    other.close()
    with pytest.raises(MachineError, match="no such table: leftovers"):
        open_ledger()


@pytest.mark.parametrize("damage", ["text", "short", "cut", "zeros", "middle"])
def test_a_damaged_ledger_is_named_and_left_alone(open_ledger: Opener, tmp_path: Path, damage: str) -> None:
    ledger = open_ledger()
    set_id = plan(ledger, *[f"{number:05}" for number in range(5000)])
    ledger.close(clean=True)
    path = tmp_path / "root" / ".emasync" / "state.sqlite"
    data = path.read_bytes()
    path.write_bytes(
        {
            "text": b"this is no database, and long enough for a header of one hundred bytes, " * 99,
            "short": data[:50],
            "cut": data[: len(data) // 2],
            "zeros": bytes(len(data)),
            "middle": data[:4096] + b"\xff" * (len(data) - 4096),
        }[damage]
    )
    before = path.read_bytes()

    def use() -> None:
        opened = open_ledger()
        assert damage == "middle"  # the others are noticed at once
        opened.lease(set_id, 10)

    with pytest.raises(MachineError, match="aside and run again with --adopt") as caught:
        use()
    assert caught.value.kind is ErrorKind.LEDGER
    assert str(path) in caught.value.message
    assert damage == "middle" or path.read_bytes() == before


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(MachineError, match="another program"):
        Database(tmp_path / "x")


def test_older_ledgers_are_brought_forward_and_newer_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    Database(path).close()
    connection = sqlite3.connect(path, isolation_level=None)

    def rename(opened: sqlite3.Connection) -> None:
        opened.execute("ALTER TABLE leftovers ADD COLUMN why TEXT")

    def fail(opened: sqlite3.Connection) -> None:
        opened.execute("DROP TABLE leftovers")
        raise RuntimeError("no")

    version = SCHEMA_VERSION
    steps = {version: rename, version + 1: fail}
    assert prepare(connection, path, version=version + 1, migrations=steps) is False
    connection.execute("SELECT why FROM leftovers")
    with pytest.raises(RuntimeError, match="no"):
        prepare(connection, path, version=version + 2, migrations=steps)
    connection.execute("SELECT why FROM leftovers")
    assert connection.execute("PRAGMA user_version").fetchone() == (version + 1,)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    connection.close()
    with pytest.raises(MachineError, match=f"schema version {version + 1}, this program knows up to {version}"):
        Database(path)


def test_a_full_disk_is_named_and_the_ledger_goes_on(ledger: SqliteLedger) -> None:
    set_id = plan(ledger, "a")
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(MachineError, match="free some space") as caught:
        ledger.add_entries(set_id, [ObjectEntry(key=f"{number:0500}") for number in range(200)])
    assert caught.value.kind is ErrorKind.DISK_FULL
    ledger._connection.execute("PRAGMA max_page_count = 100000")
    assert ledger.add_entries(set_id, [ObjectEntry(key="b")]).added == 1


def test_a_second_owner_is_refused(ledger: SqliteLedger, open_ledger: Opener) -> None:
    plan(ledger, "a")
    with ledger._database.transaction(), pytest.raises(MachineError, match="another process") as caught:
        open_ledger()
    assert caught.value.kind is ErrorKind.ROOT_LOCKED


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, clock: StillClock) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MachineError, match="cannot make the ledger's folder") as caught:
        SqliteLedger.open(tmp_path / "file" / "state", root=tmp_path, clock=clock)
    assert caught.value.kind is ErrorKind.NO_PERMISSION


def test_a_root_that_is_not_there_closes_the_file_again(tmp_path: Path, clock: StillClock) -> None:
    with pytest.raises(FileNotFoundError):
        SqliteLedger.open(tmp_path / "state", root=tmp_path / "none", clock=clock)


def test_a_ledger_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").mkdir()
    with pytest.raises(MachineError, match="cannot be written") as caught:
        Database(tmp_path / "state.sqlite")
    assert caught.value.kind is ErrorKind.NO_PERMISSION


def test_disk_errors_are_told_apart(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    assert translated(error, tmp_path).kind is ErrorKind.DISK
    assert translated(sqlite3.DatabaseError("x"), tmp_path).kind is ErrorKind.LEDGER


def test_any_prefix_of_the_log_is_a_legal_earlier_state(open_ledger: Opener, tmp_path: Path) -> None:
    """A power cut keeps some prefix of the commits: cut the log behind each and look."""
    keys = [f"{number:03}" for number in range(40)]
    ledger = open_ledger()
    set_id = plan(ledger, *keys)
    ledger._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    state_dir = tmp_path / "root" / ".emasync"
    sizes, expected = list[int](), list[dict[State, int]]()

    def note() -> None:
        sizes.append((state_dir / "state.sqlite-wal").stat().st_size)
        expected.append(ledger.tallies()[0].objects)

    note()
    for key in keys:
        ledger.record([Sealed(set_id=set_id, key=key, size_bytes=1, crc32c=1)])
        note()
        ledger.record([Placed(set_id=set_id, key=key)])
        note()
    seen = set[int]()
    for number, size in enumerate(sizes):
        for cut in (0, 100):  # at a commit, and in the middle of the next one's frame
            copy = tmp_path / f"copy{number}-{cut}"
            copy.mkdir()
            shutil.copy(state_dir / "state.sqlite", copy)
            (copy / "state.sqlite-wal").write_bytes((state_dir / "state.sqlite-wal").read_bytes()[: size + cut])
            opened = open_ledger(state_dir=copy)
            (tally,) = opened.tallies()
            assert tally.objects == expected[number]
            rows = list(opened.rows())
            assert [row.key for row in rows] == keys
            assert {state: sum(row.state is state for row in rows) for state in State} == tally.objects
            assert not opened.clean
            seen.add(tally.objects[State.PLACED])
            opened.close(clean=False)
            shutil.rmtree(copy)
    assert seen == set(range(41))
