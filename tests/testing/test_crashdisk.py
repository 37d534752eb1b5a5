from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.disk.interface import Sink
from emasync.errors import DestinationError, MachineError
from emasync.testing.crashdisk import CrashDisk
from emasync.testing.powercut import (
    PAGE_BYTES,
    ROOT,
    Base,
    Made,
    Moved,
    Operation,
    Removed,
    Sized,
    Synced,
    Wrote,
    remains,
)

SEEDS = range(40)


def fixed(seed: int) -> Random:
    return Random(seed)  # repeatable, no secret


def put(sink: Sink, name: str, destination: str, data: bytes) -> None:
    partial = sink.reserve(name, len(data))
    partial.write(0, data)
    partial.seal(len(data))
    partial.close()
    sink.place(name, destination)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def cuts(tmp_path: Path) -> Callable[..., list[dict[str, bytes]]]:
    """What each seed leaves of a disk cut at one point."""

    def make(disk: CrashDisk, cut: int | None = None, **options: float) -> list[dict[str, bytes]]:
        found = []
        for seed in SEEDS:
            target = tmp_path / f"cut-{len(list(tmp_path.iterdir()))}"
            disk.materialise(target, len(disk.operations) if cut is None else cut, seed, **options)
            found.append(files(target))
        return found

    return make


Cuts = Callable[..., list[dict[str, bytes]]]


# --- the local sink keeps law 1 ---


def test_what_was_sealed_placed_and_synced_is_kept(tmp_path: Path, cuts: Cuts) -> None:
    disk = CrashDisk(tmp_path / "root")
    put(disk, "p-0", "set/deep/er/x", b"x" * 10_000)
    disk.sync_folders()
    put(disk, "p-1", "set/deep/er/y", b"y")  # into a folder that was synced already, and is to be again
    disk.sync_folders()
    put(disk, "p-2", "set/deep/er/z", b"z")
    for left in cuts(disk):
        assert left["set/deep/er/x"] == b"x" * 10_000
        assert left["set/deep/er/y"] == b"y"


def test_a_final_name_never_holds_anything_but_the_whole(tmp_path: Path) -> None:
    disk = CrashDisk(tmp_path / "root")
    contents = {f"set/{number % 3}/{number}": bytes([number]) * 9_000 for number in range(12)}
    for number, (destination, data) in enumerate(contents.items()):
        put(disk, f"p-{number}", destination, data)
        if number % 4 == 3:
            disk.sync_folders()
    for cut in range(len(disk.operations) + 1):
        target = tmp_path / f"cut-{cut}"
        disk.materialise(target, cut, seed=cut)
        for path, data in files(target).items():
            if not path.startswith(".emasync"):
                assert data == contents[path]


def test_a_new_folder_is_synced_with_its_parents(tmp_path: Path, cuts: Cuts) -> None:
    disk = CrashDisk(tmp_path / "root")
    put(disk, "p-0", "a/b/c/d/x", b"x")
    disk.sync_folders()
    assert cuts(disk, keep=0.0)[0] == {"a/b/c/d/x": b"x"}


def test_a_synced_partial_is_found_again(tmp_path: Path, cuts: Cuts) -> None:
    disk = CrashDisk(tmp_path / "root")
    partial = disk.reserve("p-0", None)
    partial.write(0, b"first part")
    partial.sync()
    disk.sync_folders()
    partial.write(10, b"second")
    partial.close()
    for left in cuts(disk):
        assert left[".emasync/partial/p-0"].startswith(b"first part")


def test_documents_are_old_or_new_and_new_once_written(tmp_path: Path, cuts: Cuts) -> None:
    disk = CrashDisk(tmp_path / "root")
    disk.write_document("metadata/receipt.json", b"old")
    before = len(disk.operations)
    disk.write_document("metadata/receipt.json", b"new and longer")
    for cut in range(before, len(disk.operations)):
        assert {left["metadata/receipt.json"] for left in cuts(disk, cut)} <= {b"old", b"new and longer"}
    assert {left["metadata/receipt.json"] for left in cuts(disk)} == {b"new and longer"}


# --- what is not synced can be lost ---


def test_unsynced_things_are_lost_in_some_cuts_and_kept_in_others(tmp_path: Path, cuts: Cuts) -> None:
    disk = CrashDisk(tmp_path / "root")
    put(disk, "p-0", "set/x", b"x" * 20_000)
    left = cuts(disk)
    assert {"set/x" in found for found in left} == {True, False}
    partial = disk.reserve("p-1", None)
    disk.sync_folders()
    partial.write(0, b"y" * 20_000)
    partial.close()
    sizes = {len(found[".emasync/partial/p-1"]) for found in cuts(disk)}
    assert {0, 20_000} < sizes, "shorter ones as well"
    holes = {found[".emasync/partial/p-1"].count(0) for found in cuts(disk)}
    assert len(holes) > 2, "pages lost, in all patterns"


def test_old_content_may_come_back(tmp_path: Path, cuts: Cuts) -> None:
    disk = CrashDisk(tmp_path / "root")
    partial = disk.reserve("p-0", None)
    partial.write(0, b"old" * 4000)
    partial.sync()
    disk.sync_folders()
    partial.write(0, b"new" * 4000)
    partial.close()
    first = {found[".emasync/partial/p-0"][:3] for found in cuts(disk)}
    assert first == {b"old", b"new"}


def test_the_extremes(tmp_path: Path, cuts: Cuts) -> None:
    disk = CrashDisk(tmp_path / "root")
    put(disk, "p-0", "set/x", b"x")
    disk.discard("p-0")
    assert cuts(disk, keep=0.0)[0] == {}
    assert cuts(disk, keep=1.0)[0] == {"set/x": b"x"} == files(tmp_path / "root")


def test_the_same_seed_makes_the_same_choice(tmp_path: Path) -> None:
    disk = CrashDisk(tmp_path / "root")
    for number in range(6):
        put(disk, f"p-{number}", f"set/{number}", b"x" * 9000)
    for name in ("a", "b"):
        disk.materialise(tmp_path / name, 17, seed=3)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_an_older_root_is_durable(tmp_path: Path, cuts: Cuts) -> None:
    root = tmp_path / "root"
    (root / ".emasync/partial").mkdir(parents=True)
    (root / ".emasync/partial/p-9").write_bytes(b"part")
    (root / ".emasync/state.sqlite").write_bytes(b"ledger")
    (root / "set").mkdir()
    (root / "set/x").write_bytes(b"x")
    os.mkfifo(root / "pipe")
    disk = CrashDisk(root)
    disk.retract("set/x", "p-0")
    again = disk.reopen("p-0")
    assert again is not None
    again.write(0, b"y")
    assert again.read(0, 1) == b"y"
    again.close()
    for left in cuts(disk, keep=0.0):
        assert left == {".emasync/partial/p-9": b"part", "set/x": b"x"}


def test_what_others_make_meanwhile_counts_as_durable(tmp_path: Path, cuts: Cuts) -> None:
    root = tmp_path / "root"
    disk = CrashDisk(root)
    (root / ".emasync/partial").mkdir(parents=True)
    (root / ".emasync/partial/p-0").write_bytes(b"theirs")
    partial = disk.reopen("p-0")
    assert partial is not None
    partial.write(0, b"ours!!")
    partial.close()
    assert cuts(disk, keep=0.0)[0] == {".emasync/partial/p-0": b"theirs"}


def test_reserving_over_an_old_partial_may_bring_it_back(tmp_path: Path, cuts: Cuts) -> None:
    disk = CrashDisk(tmp_path / "root")
    old = disk.reserve("p-0", None)
    old.write(0, b"old")
    old.sync()
    disk.sync_folders()
    disk.reserve("p-0", None).close()
    old.close()
    assert {found.get(".emasync/partial/p-0") for found in cuts(disk)} == {b"old", b"", None}


def test_bad_cuts_are_refused(tmp_path: Path) -> None:
    disk = CrashDisk(tmp_path / "root")
    with pytest.raises(ValueError, match="cut 1 of 0"):
        disk.materialise(tmp_path / "a", 1, seed=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    with pytest.raises(ValueError, match="not empty"):
        disk.materialise(tmp_path / "full", 0, seed=0)


# --- the sink and its steps ---


def test_it_is_a_sink_like_the_local_one(tmp_path: Path) -> None:
    disk: Sink = CrashDisk(tmp_path / "root")
    put(disk, "p-0", "x", b"abc")
    assert disk.read_final("x", 1, 2) == b"bc"
    facts = disk.stat("x")
    assert facts is not None
    assert facts.size_bytes == 3
    with pytest.raises(DestinationError):
        put(disk, "p-1", "x", b"other")
    assert list(disk.partials()) == ["p-1"]
    disk.discard("p-1")
    assert disk.reopen("p-1") is None
    assert disk.free_bytes() > 0
    disk.close()


def test_sealing_gives_reserved_blocks_back_in_the_journal_too(tmp_path: Path, cuts: Cuts) -> None:
    disk = CrashDisk(tmp_path / "root", preallocate=True)
    partial = disk.reserve("p-0", 2 << 20)
    partial.write(0, b"short")
    partial.seal(5)
    partial.close()
    disk.place("p-0", "x")
    disk.sync_folders()
    assert disk.free_inodes() != 0
    assert cuts(disk)[0] == {"x": b"short"}


def test_steps_can_be_stopped_before_and_after(tmp_path: Path) -> None:
    disk = CrashDisk(tmp_path / "root")
    seen: list[str] = []

    def stop(name: str) -> None:
        seen.append(name)
        raise MachineError("stopped here")

    disk.at("place", stop)
    with pytest.raises(MachineError):
        put(disk, "p-0", "set/x", b"x")
    assert disk.stat("set/x") is None
    disk.at("seal", stop, when="after")
    with pytest.raises(MachineError):
        put(disk, "p-1", "set/y", b"y")
    assert seen == ["set/x", "p-1"]
    assert disk.counts == {"reserve": 2, "write": 2, "seal": 2, "place": 1}


@pytest.mark.parametrize(
    "step",
    ["reserve", "write", "sync", "seal", "place", "sync_folders", "retract", "discard", "write_document", "close"],
)
def test_every_step_can_be_met(tmp_path: Path, step: str) -> None:
    disk = CrashDisk(tmp_path / "root")
    seen: list[str] = []
    disk.at(step, lambda name: seen.append(f"before {name}"))  # type: ignore[arg-type]  # a parameter
    disk.at(step, lambda name: seen.append(f"after {name}"), when="after")  # type: ignore[arg-type]  # as above
    partial = disk.reserve("p", 1)
    partial.write(0, b"x")
    partial.sync()
    partial.seal(1)
    partial.close()
    disk.place("p", "x")
    disk.sync_folders()
    disk.retract("x", "q")
    disk.discard("q")
    disk.write_document("doc", b"")
    disk.close()
    assert len(seen) == 2
    assert seen[0].startswith("before")


def test_unknown_steps_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="steps are reserve"):
        CrashDisk(tmp_path / "root").at("rename", print)  # type: ignore[arg-type]  # the mistake under test


# --- the model ---


def test_a_lost_folder_takes_its_content_with_it() -> None:
    operations: list[Operation] = [
        Made(1, ROOT, "a", folder=True),
        Made(2, 1, "x", folder=False),
        Synced(2),
        Synced(1),
    ]
    assert remains(Base(), operations, fixed(0), keep=0.0).files == {}
    kept = remains(Base(), [*operations, Synced(ROOT)], fixed(0), keep=0.0)
    assert (kept.folders, dict(kept.files)) == (("a",), {"a/x": b""})


def test_a_rename_is_durable_once_its_new_folder_was_synced() -> None:
    base = Base(
        [Made(1, ROOT, "a", folder=True), Made(2, ROOT, "b", folder=True), Made(3, 1, "x", folder=False)], {3: b"x"}
    )
    moved = Moved(3, 1, "x", 2, "y")
    for synced in (ROOT, 1, 3):
        assert dict(remains(base, [moved, Synced(synced)], fixed(0), keep=0.0).files) == {"a/x": b"x"}
    assert dict(remains(base, [moved, Synced(2)], fixed(0), keep=0.0).files) == {"b/y": b"x"}


def test_truncation_and_removal() -> None:
    base = Base([Made(1, ROOT, "x", folder=False)], {1: b"0123456789"})
    operations: list[Operation] = [Sized(1, 4), Wrote(1, 6, b"ab"), Synced(1)]
    assert remains(base, operations, fixed(0)).files["x"] == b"0123\0\0ab"
    assert dict(remains(base, [Removed(1, ROOT, "x"), Synced(ROOT)], fixed(0)).files) == {}


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 2 * PAGE_BYTES), st.integers(1, 2 * PAGE_BYTES)), max_size=5),
    st.integers(),
)
@settings(max_examples=40, deadline=None)
def test_every_byte_is_old_or_new_and_synced_bytes_stay(writes: list[tuple[bool, int, int]], seed: int) -> None:
    operations: list[Operation] = [Made(1, ROOT, "x", folder=False), Synced(ROOT)]
    durable, choices = bytearray(), [{0} for _ in range(4 * PAGE_BYTES)]
    whole = bytearray()
    for number, (sync, offset, size) in enumerate(writes, 1):
        data = bytes([number]) * size
        operations.append(Wrote(1, offset, data))
        whole.extend(bytes(max(0, offset + len(data) - len(whole))))
        whole[offset : offset + len(data)] = data
        for index, byte in enumerate(data, offset):
            choices[index].add(byte)
        if sync:
            operations.append(Synced(1))
            durable = bytearray(whole)
            choices = [{byte} for byte in durable] + [{0} for _ in range(4 * PAGE_BYTES - len(durable))]
    left = remains(Base(), operations, fixed(seed)).files["x"]
    assert len(durable) <= len(left) <= len(whole)
    assert all(byte in choices[index] for index, byte in enumerate(left))
