"""Locks through the whole program: what is locked, what counts as drift, what a lock never costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import files_below, run_within

import emasync as package
from emasync.api import Stopper, arun
from emasync.cli.main import main
from emasync.errors import ErrorKind, InputError
from emasync.model.receipt import Receipt
from emasync.testing import Archive
from emasync.testing.dandi import DandiTwin
from emasync.testing.memory import MemoryStore

LATER_S = 1_760_000_000.0

ARRAY = {
    "zarr_format": 2,
    "shape": [40, 40, 40],
    "chunks": [10, 10, 10],
    "dtype": "|u1",
    "compressor": None,
    "fill_value": 0,
    "order": "C",
    "filters": None,
    "dimension_separator": "/",
}


def chunk(*at: int) -> bytes:
    return bytes([sum(at)]) * 1000


@dataclass
class Desk:
    """A bucket of files and an array, a manifest that wants them, a root, and the lock."""

    store: MemoryStore
    server: Archive
    folder: Path
    datasets: list[dict[str, Any]] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.folder / "data"

    @property
    def lock(self) -> Path:
        return self.folder / "manifest.lock"

    @property
    def manifest(self) -> dict[str, Any]:
        return {
            "version": 1,
            "mirrors": {"s3://bucket": f"{self.server.url}/bucket"},
            "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
            "datasets": self.datasets
            or [
                {"id": "files", "source": "bucket", "url": "s3://bucket/files"},
                {
                    "id": "box",
                    "source": "bucket",
                    "url": "s3://bucket/em.zarr",
                    "crop": {"at": "random", "shape": [10, 10, 10], "seed": 7},
                },
            ],
        }

    def options(self, **said: Any) -> package.RunOptions:
        return package.RunOptions(lock_file=self.lock, **said)

    def make_lock(self) -> dict[str, Any]:
        with package.plan(self.manifest, root=self.root, options=self.options(), lock=True) as plan:
            assert plan.failures == ()
        written: dict[str, Any] = json.loads(self.lock.read_text())
        return written

    def run(self, **said: Any) -> Receipt:
        return run_within(self.manifest, self.root, options=self.options(**said))

    def asked(self) -> list[str]:
        """Paths and queries asked for since the last call."""
        seen = [f"{item.path}?{item.query}" if item.query else item.path for item in self.server.requests]
        self.server.reset()
        return seen

    def asked_for_data(self) -> list[str]:
        """Data among them: files of the first dataset, chunks of the second."""
        return [path for path in self.asked() if path.endswith(".bin") or ("/em/" in path and path[-1].isdigit())]


@pytest.fixture
def desk(archive: Callable[..., Archive], tmp_path: Path) -> Desk:
    store = MemoryStore({f"bucket/files/{number:02d}.bin": bytes([number]) * 500 for number in range(6)})
    store.put("bucket/em.zarr/.zgroup", b'{"zarr_format": 2}')
    store.put("bucket/em.zarr/em/.zarray", json.dumps(ARRAY).encode())
    for z, y, x in ((z, y, x) for z in range(4) for y in range(4) for x in range(4)):
        store.put(f"bucket/em.zarr/em/{z}/{y}/{x}", chunk(z, y, x))
    return Desk(store, archive(store), tmp_path)


def file(number: int) -> str:
    return f"bucket/files/{number:02d}.bin"


# --- the lock itself -------------------------------------------------------------------------------------------------


def test_a_lock_is_the_same_text_each_time_and_names_no_place_of_this_machine(desk: Desk) -> None:
    first = desk.make_lock()
    text = desk.lock.read_text()
    assert desk.make_lock() == first
    assert desk.lock.read_text() == text
    assert not desk.root.exists()
    assert desk.server.url not in text
    assert str(desk.folder) not in text
    assert [line.rpartition(" ")[2] for line in first["datasets"]["files"]["objects"]["ranges"]] == [
        f"{number:02d}.bin" for number in range(6)
    ]
    assert first["datasets"]["box"]["chunks"] == 8
    assert first["datasets"]["box"]["boxes"]["em"]["shape"] == [10, 10, 10]
    assert len(first["datasets"]["box"]["documents"]["ranges"]) == 2


def test_a_locked_run_lists_once_and_a_rerun_asks_nothing(desk: Desk) -> None:
    desk.make_lock()
    planned = desk.asked()
    receipt = desk.run(locked=True)
    assert receipt.exit_code == 0
    assert files_below(desk.root / "files") == {f"{n:02d}.bin": bytes([n]) * 500 for n in range(6)}
    asked = desk.asked()
    assert sum("list-type" in path for path in asked) == sum("list-type" in path for path in planned)
    assert desk.run(locked=True).exit_code == 0
    assert desk.asked() == []
    assert desk.run().exit_code == 0
    assert desk.asked() == []


def test_a_root_from_before_the_lock_is_compared_and_then_asks_nothing(desk: Desk) -> None:
    assert desk.run().exit_code == 0
    desk.make_lock()
    desk.asked()
    assert desk.run(locked=True).exit_code == 0
    assert desk.asked_for_data() == []
    assert desk.run(locked=True).exit_code == 0
    assert desk.asked() == []


# --- drift -----------------------------------------------------------------------------------------------------------


def add(store: MemoryStore) -> None:
    store.put(file(9), b"new")


def remove(store: MemoryStore) -> None:
    store.delete(file(4))


def grow(store: MemoryStore) -> None:
    store.put(file(2), b"2" * 501)


def touch(store: MemoryStore) -> None:
    store.put(file(3), bytes([3]) * 500, modified_s=LATER_S)


def replace(store: MemoryStore) -> None:
    store.put(file(1), b"x" * 500)


def annotate(store: MemoryStore) -> None:
    store.put("bucket/em.zarr/em/.zattrs", b"{}")


def refill(store: MemoryStore) -> None:
    store.put("bucket/em.zarr/em/.zarray", json.dumps({**ARRAY, "fill_value": 3}).encode())


def shrink(store: MemoryStore) -> None:
    store.put("bucket/em.zarr/em/.zarray", json.dumps({**ARRAY, "shape": [20, 40, 40]}).encode())


DRIFTS = [
    (add, "files", "1 object added: 09.bin"),
    (remove, "files", "1 object gone: 04.bin"),
    (grow, "files", "1 object changed: 02.bin (500 to 501 bytes)"),
    (touch, "files", "1 object changed: 03.bin"),
    (replace, "files", "1 object changed: 01.bin"),
    (annotate, "box", "1 document added: em/.zattrs"),
    (refill, "box", "1 document changed: em/.zarray"),
    (shrink, "box", "1 document changed: em/.zarray"),
]


@pytest.mark.parametrize(("change", "dataset", "said"), DRIFTS, ids=[change.__name__ for change, _, _ in DRIFTS])
def test_drift_is_named_and_nothing_moves(
    desk: Desk, change: Callable[[MemoryStore], None], dataset: str, said: str
) -> None:
    desk.make_lock()
    change(desk.store)
    desk.asked()
    receipt = desk.run(locked=True)
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert failure.kind is ErrorKind.DRIFT
    assert f"dataset {dataset!r}" in failure.message
    assert said in failure.message
    assert desk.asked_for_data() == []
    with package.plan(desk.manifest, options=desk.options(locked=True)) as plan:
        assert [(item.kind, item.message) for item in plan.failures] == [(ErrorKind.DRIFT, failure.message)]


def test_what_came_back_is_no_drift_any_more(desk: Desk) -> None:
    desk.make_lock()
    grow(desk.store)
    assert desk.run(locked=True).exit_code == 1
    desk.store.put(file(2), bytes([2]) * 500)
    assert desk.run(locked=True).exit_code == 0
    assert len(files_below(desk.root / "files")) == 6


def test_drift_leaves_a_complete_root_alone(desk: Desk) -> None:
    desk.make_lock()
    desk.run(locked=True)
    before = files_below(desk.root / "files"), files_below(desk.root / "box")
    for change in (add, remove, grow, refill):
        change(desk.store)
    desk.asked()
    assert desk.run(locked=True).exit_code == 0, "a complete root is the lock's, whatever became of the source"
    assert desk.asked() == []
    receipt = desk.run(locked=True, refresh=True)
    assert receipt.exit_code == 1
    assert {failure.kind for failure in receipt.failures} == {ErrorKind.DRIFT}
    assert len(receipt.failures) == 2
    assert desk.asked_for_data() == []
    desk.run()
    assert desk.asked() == [], "what was compared beside the root is forgotten"
    assert (files_below(desk.root / "files"), files_below(desk.root / "box")) == before


def test_a_newer_lock_brings_the_root_along(desk: Desk) -> None:
    desk.make_lock()
    desk.run(locked=True)
    add(desk.store)
    grow(desk.store)
    desk.make_lock()
    desk.asked()
    assert desk.run(locked=True).exit_code == 0
    assert sorted(desk.asked_for_data()) == [file(2), file(9)]
    assert files_below(desk.root / "files")["02.bin"] == b"2" * 501


def test_a_refresh_of_its_own_makes_the_root_another_than_the_locks(desk: Desk) -> None:
    desk.make_lock()
    desk.run(locked=True)
    grow(desk.store)
    assert desk.run(refresh=True).exit_code == 0
    assert desk.run(locked=True).exit_code == 1, "it was compared before, with another plan"


def test_a_dataset_that_cannot_be_planned_holds_the_others_back(desk: Desk) -> None:
    desk.make_lock()
    desk.store.delete("bucket/em.zarr/em/.zarray")
    desk.asked()
    receipt = desk.run(locked=True)
    assert receipt.exit_code == 1
    assert desk.asked_for_data() == []


@pytest.mark.parametrize("begun", [False, True])
def test_drift_is_named_beside_what_cannot_be_planned(desk: Desk, begun: bool) -> None:
    desk.make_lock()
    if begun:
        desk.run(locked=True)
    desk.store.delete("bucket/em.zarr/em/.zarray")
    grow(desk.store)
    receipt = desk.run(locked=True, refresh=begun)
    assert receipt.exit_code == 1
    assert {dataset.id: dataset.failures[0].kind for dataset in receipt.datasets} == {
        "files": ErrorKind.DRIFT,
        "box": ErrorKind.SOURCE,
    }


def test_a_box_that_is_taken_over_is_compared_without_its_lender(desk: Desk) -> None:
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    scale = {"type": "scale", "scale": [1.0, 1.0, 1.0]}
    image = {"version": "0.4", "axes": axes, "datasets": [{"path": "em", "coordinateTransformations": [scale]}]}
    desk.store.put("bucket/em.zarr/.zattrs", json.dumps({"multiscales": [image]}).encode())
    _, lender = desk.manifest["datasets"]
    desk.datasets = [lender, {**lender, "id": "same", "crop": {"same_as": "box"}}]
    written = desk.make_lock()["datasets"]
    assert written["same"]["boxes"] == written["box"]["boxes"]
    assert desk.run(locked=True).exit_code == 0
    assert desk.run(locked=True, refresh=True, only=("same",)).exit_code == 0
    desk.store.put("bucket/em.zarr/.zattrs", json.dumps({"multiscales": [{**image, "name": "new"}]}).encode())
    desk.make_lock()
    assert desk.run(locked=True).exit_code == 0


def test_what_an_older_plan_knew_better_is_no_drift(desk: Desk) -> None:
    """A listing told dates and sizes of documents that a box names without them."""
    desk.store.put("bucket/em.zarr/notes.txt", b"n")
    whole = {"id": "box", "source": "bucket", "url": "s3://bucket/em.zarr"}
    desk.datasets = [whole]
    assert desk.run().exit_code == 0
    desk.datasets = [{**whole, "crop": {"start": [0, 0, 0], "shape": [10, 10, 10]}}]
    desk.make_lock()
    receipt = desk.run(locked=True)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    desk.asked()
    assert desk.run(locked=True).exit_code == 0
    assert desk.asked() == []


def test_a_lock_is_not_written_when_something_cannot_be_planned(desk: Desk) -> None:
    desk.store.delete("bucket/em.zarr/em/.zarray")
    with package.plan(desk.manifest, options=desk.options(), lock=True) as plan:
        assert plan.lock is None
        assert plan.failures
    assert not desk.lock.exists()


def test_ranges_of_a_long_listing_name_the_place(desk: Desk) -> None:
    for number in range(3_000):
        desk.store.put(f"bucket/files/many/{number:05d}", b"1")
    written = desk.make_lock()["datasets"]["files"]["objects"]
    assert written["count"] == 3_006
    assert 100 < len(written["ranges"]) <= 1_024
    desk.store.put("bucket/files/many/01234x", b"1")
    (failure,) = desk.run(locked=True).failures
    assert "3,006 objects of 6,000 bytes then, 3,007 of 6,001 now; they differ in 1 stretch: from many/01" in (
        failure.message
    )


def test_recorded_boxes_are_used_whatever_would_be_drawn(desk: Desk) -> None:
    crop = {"at": "random", "shape": [10, 10, 10], "seed": 7}
    entry = {"id": "box", "source": "bucket", "url": "s3://bucket/em.zarr", "crop": crop}
    desk.datasets = [entry]
    drawn = desk.make_lock()["datasets"]["box"]
    desk.datasets = [{**entry, "crop": {**crop, "seed": 8}}]
    other = desk.make_lock()
    assert other["datasets"]["box"]["boxes"] != drawn["boxes"]
    other["datasets"]["box"]["entry"] = drawn["entry"]
    desk.lock.write_text(json.dumps(other))
    desk.datasets = [entry]
    with package.plan(desk.manifest, options=desk.options(locked=True)) as plan:
        assert plan.failures == ()
    assert desk.run(locked=True).exit_code == 0
    kept = json.loads((desk.root / "box.source-metadata/boxes.json").read_bytes())["images"]["em"]["crop"]
    assert kept == other["datasets"]["box"]["boxes"]["em"]


def test_chunks_are_not_looked_into_where_the_box_is_recorded(desk: Desk) -> None:
    crop = {"at": "random", "shape": [10, 10, 10], "seed": 7, "min_nonzero": 0.5}
    desk.datasets = [{"id": "box", "source": "bucket", "url": "s3://bucket/em.zarr", "crop": crop}]
    desk.make_lock()
    assert desk.asked_for_data()
    assert desk.run(locked=True).exit_code == 0
    asked = desk.asked_for_data()
    assert len(asked) == len(set(asked)) == 8


async def test_a_stop_while_plans_are_compared_leaves_at_once(desk: Desk) -> None:
    await asyncio.to_thread(desk.make_lock)
    stopper = Stopper()
    with desk.server.held():
        options = desk.options(locked=True)
        running = asyncio.create_task(arun(desk.manifest, root=desk.root, options=options, stopper=stopper))
        await desk.server.until(lambda load: load.in_flight > 0)
        stopper.stop()
        receipt = await running
    assert receipt.exit_code == 3
    assert "compared with its lock" in (receipt.stopped or "")
    receipt = await arun(desk.manifest, root=desk.root, options=desk.options(locked=True))
    assert receipt.exit_code == 0


# --- locks that are no use -------------------------------------------------------------------------------------------


def spoil(lock: Path, how: str) -> None:
    document = json.loads(lock.read_text())
    match how:
        case "missing":
            lock.unlink()
        case "broken":
            lock.write_text(lock.read_text()[:-40])
        case "other things":
            lock.write_text("[1, 2]")
        case "digest":
            document["datasets"]["files"]["objects"]["digest"] = "zz"
            lock.write_text(json.dumps(document))
        case "unknown key":
            lock.write_text(json.dumps({**document, "more": 1}))
        case "newer":
            lock.write_text(json.dumps({**document, "schema": 2, "more": 1}))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "no lock to hold to"),
        ("broken", "is no lock of emasync, or broken"),
        ("other things", "is no lock of emasync, or broken"),
        ("digest", "is no lock of emasync, or broken"),
        ("unknown key", "is no lock of emasync, or broken"),
        ("newer", "schema 2, this program knows up to 1"),
    ],
)
def test_a_lock_that_is_no_use_is_an_input_error(desk: Desk, how: str, said: str) -> None:
    desk.make_lock()
    spoil(desk.lock, how)
    desk.asked()
    with pytest.raises(InputError, match=said):
        desk.run(locked=True)
    with pytest.raises(InputError, match=said):
        package.plan(desk.manifest, options=desk.options(locked=True))
    assert desk.asked() == []


def test_a_lock_of_another_manifest_is_an_input_error(desk: Desk) -> None:
    first, second = desk.manifest["datasets"]
    desk.make_lock()
    for datasets, said in (
        ([first], "not in the manifest: box"),
        ([first, second, {**first, "id": "third"}], "not in the lock: third"),
        ([{**first, "include": ["0*"]}, second], "wanted differently: files"),
    ):
        desk.datasets = datasets
        with pytest.raises(InputError, match=said):
            desk.run(locked=True)


def test_settings_may_change_under_a_lock(desk: Desk) -> None:
    desk.make_lock()
    manifest = {**desk.manifest, "settings": {"max_memory": "200MiB"}}
    assert run_within(manifest, desk.root, options=desk.options(locked=True)).exit_code == 0


def test_one_dataset_is_locked_anew_and_the_others_stay(desk: Desk) -> None:
    before = desk.make_lock()
    add(desk.store)
    refill(desk.store)
    package.plan(desk.manifest, options=desk.options(only=("files",)), lock=True).close()
    after = json.loads(desk.lock.read_text())
    assert after["datasets"]["box"] == before["datasets"]["box"]
    assert after["datasets"]["files"] != before["datasets"]["files"]
    assert desk.run(locked=True, only=("files",)).exit_code == 0
    desk.lock.unlink()
    with pytest.raises(InputError, match="no lock"):
        package.plan(desk.manifest, options=desk.options(only=("files",)), lock=True)


# --- the command -----------------------------------------------------------------------------------------------------


def command(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """Exit code of the program, and all that it said."""
    with pytest.raises(SystemExit) as left:
        main([*map(str, arguments)])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out + said.err


def test_the_command_writes_the_lock_beside_its_manifest_and_exits_by_it(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, lock = desk.folder / "volumes.yaml", desk.folder / "volumes.lock"
    manifest.write_text(json.dumps(desk.manifest))
    code, said = command(capsys, "plan", manifest, "--lock")
    assert (code, f"locked: {lock}" in said) == (0, True)
    assert lock.exists()
    grow(desk.store)
    for arguments in (("plan", manifest, "--locked"), ("run", manifest, "--locked", "--root", desk.root)):
        code, said = command(capsys, *arguments)
        assert (code, "02.bin (500 to 501 bytes)" in said) == (1, True)
    lock.write_text("{}")
    assert command(capsys, "run", manifest, "--locked")[0] == 2
    assert command(capsys, "plan", manifest, "--locked", "--lock")[0] == 2
    assert command(capsys, "plan", manifest, "--lock", "-o", desk.folder / "no" / "folder.lock")[0] == 4


# --- other sources ---------------------------------------------------------------------------------------------------


@pytest.fixture
def dandi(archive: Callable[..., Archive], tmp_path: Path) -> tuple[DandiTwin, Desk]:
    store = MemoryStore()
    twin = DandiTwin(store)
    twin.add_blob("000001", "sub-1/a.nwb", b"a" * 100)
    twin.publish("000001", "0.250101.1200")
    server = archive(store, apps=[twin])
    desk = Desk(store, server, tmp_path)
    return twin, desk


def dandi_manifest(desk: Desk, version: str | None) -> dict[str, Any]:
    entry = {"id": "d", "source": "dandi", "dandiset": "000001", **({"version": version} if version else {})}
    return {
        "version": 1,
        "mirrors": {
            "https://api.dandiarchive.org": desk.server.url,
            "s3://dandiarchive": f"{desk.server.url}/dandiarchive",
        },
        "datasets": [entry],
    }


def test_a_changed_draft_is_drift_and_another_draft_beside_a_published_version_is_none(
    dandi: tuple[DandiTwin, Desk],
) -> None:
    twin, desk = dandi
    for version, drifts in (("draft", True), (None, False), ("0.250101.1200", False)):
        manifest = dandi_manifest(desk, version)
        with package.plan(manifest, options=desk.options(), lock=True) as plan:
            assert plan.failures == ()
        locked = json.loads(desk.lock.read_text())["datasets"]["d"]
        resolved = locked["resolved"]
        assert not [line for line in locked["documents"]["ranges"] if "versions.json" in line], "it tells of all"
        assert resolved["version"] == (version or "0.250101.1200")
        twin.add_blob("000001", f"sub-2/{version}.nwb", b"b" * 50)
        with package.plan(manifest, options=desk.options(locked=True)) as plan:
            assert [failure.kind for failure in plan.failures] == [ErrorKind.DRIFT] * drifts
            assert all(f"1 object added: sub-2/{version}.nwb" in failure.message for failure in plan.failures)


def test_a_newer_published_version_is_drift_where_none_was_named(dandi: tuple[DandiTwin, Desk]) -> None:
    twin, desk = dandi
    manifest = dandi_manifest(desk, None)
    package.plan(manifest, options=desk.options(), lock=True).close()
    twin.add_blob("000001", "sub-2/b.nwb", b"b" * 50)
    twin.publish("000001", "0.250202.1200")
    with package.plan(manifest, options=desk.options(locked=True)) as plan:
        (failure,) = plan.failures
    assert "version was 0.250101.1200, is 0.250202.1200" in failure.message
