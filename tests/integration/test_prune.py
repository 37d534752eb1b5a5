"""What a manifest no longer wants goes, and nothing else does."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.integration.folders import files_below, run_within
from typer.testing import CliRunner

import emasync
from emasync import api
from emasync.api.pruning import PruneReport, aprune
from emasync.cli.main import app
from emasync.disk.interface import Sink
from emasync.disk.sink import LocalSink
from emasync.errors import InputError, MachineError
from emasync.ledger.lock import RootLock
from emasync.ledger.store import SqliteLedger
from emasync.model.clock import SystemClock
from emasync.testing import Archive
from emasync.testing.crashdisk import CrashDisk

KEPT = {f"keep/{number:02}.bin": bytes([number]) * (200 + number) for number in range(5)}
GOING = {f"old/deep/{number:02}.bin": bytes([100 + number]) * (300 + number) for number in range(7)}
ALL = {**KEPT, **GOING}
OURS = (".emasync", "receipt.json", "checksums", "metadata", "METADATA_SUMMARY.md", "report.html", "d.source-metadata")


class Place:
    """A server, a manifest in two states, and a root that was run for both: seven files are unwanted."""

    def __init__(self, server: Archive, folder: Path) -> None:
        self.url, self.manifest, self.root = server.url, folder / "m.yaml", folder / "root"
        self.write(self.entry("d"), self.entry("e"))
        assert run_within(self.manifest, self.root).ok

    def entry(self, name: str, *, include: str = "**") -> str:
        return f'{{id: {name}, source: bucket, format: raw, url: "{self.url}/data", include: ["{include}"]}}'

    def write(self, *entries: str, path: Path | None = None) -> Path:
        path = path or self.manifest
        path.write_text("version: 1\ndatasets:\n" + "".join(f"  - {entry}\n" for entry in entries))
        return path

    def narrow(self) -> None:
        self.write(self.entry("d", include="keep/*"), self.entry("e"))
        assert run_within(self.manifest, self.root).ok
        assert files_below(self.root / "d") == ALL

    def unwanted(self) -> list[str]:
        ledger = SqliteLedger.open(self.root / ".emasync", root=self.root, clock=SystemClock())
        try:
            return [row.destination for row in ledger.unwanted()]
        finally:
            ledger.close(clean=True)

    def receipt(self) -> dict[str, dict[str, object]]:
        document = json.loads((self.root / "receipt.json").read_text())
        return {item["id"]: item for item in document["datasets"]}


@pytest.fixture
def place(archive: Callable[..., Archive], tmp_path: Path) -> Place:
    return Place(archive({f"data/{path}": data for path, data in ALL.items()}), tmp_path)


def data_below(root: Path) -> dict[str, bytes]:
    return {path: data for path, data in files_below(root).items() if not path.startswith(OURS)}


def test_what_the_plan_names_no_more_goes_with_its_folders(place: Place) -> None:
    place.narrow()
    dry = emasync.prune(place.root, place.manifest, dry_run=True)
    assert files_below(place.root / "d") == ALL
    assert len(place.unwanted()) == len(GOING)
    done = emasync.prune(place.root, place.manifest)
    assert [(item.id, item.objects, item.size_bytes, item.changed) for item in done.datasets] == [
        ("d", len(GOING), sum(map(len, GOING.values())), 0)
    ]
    assert done.datasets == dry.datasets
    assert done.folders == len(["old", "old/deep"])
    assert files_below(place.root / "d") == KEPT
    assert files_below(place.root / "e") == ALL
    assert not (place.root / "d/old").exists()
    assert place.unwanted() == []
    assert place.receipt()["d"]["unwanted"] == 0
    assert emasync.prune(place.root, place.manifest).datasets == ()
    again = run_within(place.manifest, place.root)
    assert (again.ok, again.totals.requests) == (True, 0)


def test_what_somebody_changed_or_placed_stays_and_is_named(place: Place) -> None:
    place.narrow()
    changed, link, mine = (place.root / "d/old/deep" / name for name in ("00.bin", "01.bin", "mine.txt"))
    changed.write_bytes(b"!" * len(GOING["old/deep/00.bin"]))  # as many bytes as before
    link.unlink()
    link.symlink_to(changed)
    mine.write_text("mine")
    done = CliRunner().invoke(app, ["prune", str(place.root), str(place.manifest), "--json"])
    assert done.exit_code == 1
    (found,) = json.loads(done.stdout)["datasets"]
    assert (found["objects"], found["gone"], found["changed_files"]) == (5, 1, ["d/old/deep/00.bin"])
    assert sorted(path.name for path in mine.parent.iterdir()) == ["00.bin", "01.bin", "mine.txt"]
    assert link.is_symlink()
    assert place.unwanted() == ["d/old/deep/00.bin"]
    text = CliRunner().invoke(app, ["prune", str(place.root), str(place.manifest)])
    assert text.exit_code == 1
    assert "changed by somebody, stays: d/old/deep/00.bin" in text.stdout


def test_another_manifest_than_the_last_is_refused(place: Place) -> None:
    place.write(place.entry("d", include="keep/*"), place.entry("e"))
    with pytest.raises(InputError, match="d was planned otherwise last") as caught:
        emasync.prune(place.root, place.manifest)
    assert f"emasync run {place.manifest} --root {place.root}" in caught.value.message
    place.write(place.entry("d"), place.entry("f"))
    with pytest.raises(InputError, match="f was never planned here"):
        emasync.prune(place.root, place.manifest)
    assert files_below(place.root / "d") == ALL


def test_a_plan_for_metadata_only_is_no_reason_to_remove_data(place: Place) -> None:
    place.write(place.entry("d", include="keep/*"), place.entry("e"))
    run_within(place.manifest, place.root, options=api.RunOptions(metadata_only=True))
    with pytest.raises(InputError, match="--metadata-only"):
        emasync.prune(place.root, place.manifest)
    assert files_below(place.root / "d") == ALL


def test_a_dataset_that_its_own_manifest_dropped_goes_wholly(place: Place) -> None:
    place.write(place.entry("d"))
    dry = emasync.prune(place.root, place.manifest, dry_run=True)
    assert files_below(place.root / "e") == ALL
    done = emasync.prune(place.root, place.manifest)
    assert [(item.id, item.dropped, item.objects) for item in done.datasets] == [("e", True, len(ALL))]
    assert done.datasets == dry.datasets
    assert data_below(place.root) == {f"d/{path}": data for path, data in ALL.items()}
    assert not (place.root / "e").exists()
    assert not (place.root / "checksums/e.tsv").exists()
    assert [path.name for path in (place.root / ".emasync/index").iterdir()] == ["d"]
    assert list(place.receipt()) == ["d"]
    assert [item["dataset"] for item in api.status(place.root)["datasets"]] == ["d"]
    place.write(place.entry("d"), place.entry("e"))
    assert run_within(place.manifest, place.root).ok
    assert files_below(place.root / "e") == ALL


def test_datasets_of_other_manifests_stay_until_they_are_named(place: Place, tmp_path: Path) -> None:
    other = place.write(place.entry("x"), path=tmp_path / "other.yaml")
    assert run_within(other, place.root).ok
    report = emasync.prune(place.root, other)
    assert (report.datasets, sorted(report.kept)) == ((), ["d", "e"])
    assert str(place.manifest) in report.kept["d"]

    place.write(place.entry("d"), place.entry("x"), path=other)  # now it names d too
    place.write(place.entry("e"))
    assert "names it too" in emasync.prune(place.root, place.manifest).kept["d"]
    other.write_text("version: [")
    assert "cannot be read" in emasync.prune(place.root, place.manifest).kept["d"]
    assert files_below(place.root / "d") == ALL

    with pytest.raises(InputError, match="e cannot be dropped"):
        emasync.prune(place.root, place.manifest, drop=["e"])
    with pytest.raises(InputError, match="no dataset zzz"):
        emasync.prune(place.root, place.manifest, drop=["zzz"])
    done = emasync.prune(place.root, place.manifest, drop=["x"])
    assert [item.id for item in done.datasets] == ["x"]
    assert sorted(done.kept) == ["d"]
    assert not (place.root / "x").exists()


def test_a_root_whose_record_is_gone_loses_no_dataset(place: Place) -> None:
    (place.root / ".emasync/manifests.json").unlink()
    place.write(place.entry("d"))
    assert "not known" in emasync.prune(place.root, place.manifest).kept["e"]
    assert files_below(place.root / "e") == ALL


def test_a_root_where_a_run_goes_on_is_left_alone(place: Place) -> None:
    place.narrow()
    lock = RootLock.acquire(place.root / ".emasync", SystemClock())
    try:
        done = CliRunner().invoke(app, ["prune", str(place.root), str(place.manifest)])
    finally:
        lock.release()
    assert isinstance(done.exception, MachineError)
    assert files_below(place.root / "d") == ALL


class StopError(Exception):
    """Stands for a power cut."""


@pytest.mark.parametrize(
    ("step", "when"),
    [
        ("retract", "before"),
        ("retract", "after"),
        ("discard", "after"),
        ("sync_folders", "after"),
        ("write_document", "before"),
    ],
)
def test_a_stop_at_any_step_leaves_nothing_that_nobody_stands_for(place: Place, step: str, when: str) -> None:
    place.narrow()

    def stop(name: str) -> None:
        raise StopError(name)

    def crashing(root: Path) -> CrashDisk:
        disk = CrashDisk(root)
        disk.at(step, stop, when=when)  # type: ignore[arg-type]  # a step by its name
        return disk

    async def broken() -> None:
        await aprune(place.root, place.manifest, make_sink=crashing)

    with pytest.raises(StopError):
        asyncio.run(broken())
    if step in ("retract", "discard"):  # rows went first: what lies there is known as a leftover
        assert set(files_below(place.root / "d")) - set(KEPT) != set()
        assert place.unwanted() == []
    done = emasync.prune(place.root, place.manifest)
    assert done.ok
    assert files_below(place.root / "d") == KEPT
    assert not (place.root / "d/old").exists()
    assert list((place.root / ".emasync/partial").iterdir()) == []
    assert place.receipt()["d"]["unwanted"] == 0


def test_a_dry_run_after_a_stop_vouches_for_nothing(place: Place) -> None:
    place.narrow()
    SqliteLedger.open(place.root / ".emasync", root=place.root, clock=SystemClock()).close(clean=False)
    before = files_below(place.root / "d")
    emasync.prune(place.root, place.manifest, dry_run=True)
    ledger = SqliteLedger.open(place.root / ".emasync", root=place.root, clock=SystemClock())
    still_unclean = not ledger.clean
    ledger.close(clean=False)
    assert still_unclean
    assert files_below(place.root / "d") == before
    emasync.prune(place.root, place.manifest)
    ledger = SqliteLedger.open(place.root / ".emasync", root=place.root, clock=SystemClock())
    assert ledger.clean
    ledger.close(clean=True)


def test_a_stop_while_a_dataset_is_dropped_is_made_up_for(place: Place) -> None:
    place.write(place.entry("d"))

    def stop(name: str) -> None:
        if name == "receipt.json":
            raise StopError(name)

    def crashing(root: Path) -> CrashDisk:
        disk = CrashDisk(root)
        disk.at("write_document", stop)
        return disk

    async def broken() -> None:
        await aprune(place.root, place.manifest, make_sink=crashing)

    with pytest.raises(StopError):
        asyncio.run(broken())
    assert not (place.root / "e").exists()
    assert list(place.receipt()) == ["d", "e"]
    assert emasync.prune(place.root, place.manifest).ok
    assert list(place.receipt()) == ["d"]
    assert [item["dataset"] for item in api.status(place.root)["datasets"]] == ["d"]


def test_a_dropped_dataset_with_a_changed_file_is_known_until_that_is_gone(place: Place) -> None:
    place.write(place.entry("d"))
    mine = place.root / "e/keep/00.bin"
    mine.write_bytes(b"mine")
    assert emasync.prune(place.root, place.manifest).datasets[0].changed_files == ("e/keep/00.bin",)
    assert emasync.prune(place.root, place.manifest).datasets[0].changed_files == ("e/keep/00.bin",)
    assert files_below(place.root / "e") == {"keep/00.bin": b"mine"}
    assert (place.receipt()["e"]["objects"], place.receipt()["e"]["unwanted"]) == (0, 1)
    mine.unlink()
    assert emasync.prune(place.root, place.manifest).ok
    assert list(place.receipt()) == ["d"]
    assert not (place.root / "e").exists()


class Meddling:
    """A sink whose files somebody changes as soon as they were read; otherwise the real one."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sink = LocalSink(root)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def scan_final(self, destination: str, start: int, stop: int, buffer: memoryview) -> Iterator[memoryview]:
        yield from self._sink.scan_final(destination, start, stop, buffer)
        if destination.endswith("02.bin"):
            (self._root / destination).write_bytes(b"mine")


def test_a_file_that_is_changed_in_the_last_moment_stays(place: Place) -> None:
    place.narrow()

    async def meddled() -> PruneReport:
        return await aprune(place.root, place.manifest, make_sink=cast("Callable[[Path], Sink]", Meddling))

    report = asyncio.run(meddled())
    assert [(item.objects, item.changed_files) for item in report.datasets] == [
        (len(GOING) - 1, ("d/old/deep/02.bin",))
    ]
    assert files_below(place.root / "d") == {**KEPT, "old/deep/02.bin": b"mine"}


def test_files_that_nobody_stands_for_go(place: Place) -> None:
    place.narrow()
    ledger = SqliteLedger.open(place.root / ".emasync", root=place.root, clock=SystemClock())
    ledger.retire(list(ledger.unwanted()))
    ledger.close(clean=True)
    (place.root / "d/old/deep/03.bin").write_bytes(b"mine now")
    dry = emasync.prune(place.root, place.manifest, dry_run=True)
    done = emasync.prune(place.root, place.manifest)
    assert done.datasets == dry.datasets
    assert [(item.id, item.objects, item.changed_files) for item in done.datasets] == [
        ("", len(GOING) - 1, ("d/old/deep/03.bin",))
    ]
    assert files_below(place.root / "d") == {**KEPT, "old/deep/03.bin": b"mine now"}


def test_a_folder_that_is_a_link_now_is_not_followed(place: Place, tmp_path: Path) -> None:
    place.narrow()
    shutil.move(place.root / "d/old/deep", tmp_path / "elsewhere")
    (place.root / "d/old/deep").symlink_to(tmp_path / "elsewhere")
    done = emasync.prune(place.root, place.manifest)
    assert (done.datasets[0].objects, done.datasets[0].gone) == (0, len(GOING))
    assert len(list((tmp_path / "elsewhere").iterdir())) == len(GOING)
    assert (place.root / "d/old/deep").is_symlink()
