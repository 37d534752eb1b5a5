from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from emasync.errors import ErrorKind, MachineError
from emasync.ledger import placement
from emasync.ledger.backup import Backups
from emasync.ledger.lock import RootLock
from emasync.ledger.notes import read_note, write_note
from emasync.ledger.placement import Place, find_place, place_ledger
from emasync.ledger.snapshot import Pace, owner_of, read_snapshot, write_snapshot
from emasync.ledger.store import SqliteLedger
from emasync.model.clock import SystemClock
from emasync.model.task import ObjectEntry, TaskSetSpec

from .conftest import StillClock


class World:
    """A machine with a network mount at ``<tmp>/net`` and a home of its own."""

    def __init__(self, folder: Path, clock: StillClock, host: str = "one", kind: str = "nfs4") -> None:
        self.folder, self.clock, self.host = folder, clock, host
        self.net = folder / "net"
        self.net.mkdir(exist_ok=True)
        self.home = folder / host
        self.mountinfo = f"1 0 8:0 / / rw - ext4 /dev/a rw\n2 1 8:1 / {self.net} rw - {kind} server:/x rw\n"

    def place(self, root: Path, state_dir: Path | None = None, *, break_lock: bool = False) -> Place:
        return find_place(
            root,
            state_dir,
            mountinfo=self.mountinfo,
            environ={"XDG_STATE_HOME": str(self.home)},
            host=self.host,
            break_lock=break_lock,
        )

    def root(self, name: str = "root") -> Path:
        root = self.net / name
        root.mkdir()
        return root

    def open(self, root: Path, place: Place) -> SqliteLedger:
        return SqliteLedger.open(place.state_dir, root=root, clock=self.clock, boot_id="1")

    def plan(self, root: Path, place: Place) -> None:
        ledger = self.open(root, place)
        ledger.begin_plan("d", "1")
        set_id = ledger.add_set(TaskSetSpec(dataset="d", base="s3://b", destination="d"))
        ledger.add_entries(set_id, [ObjectEntry(key="x")])
        assert Backups(place.state_dir, self.clock).at_epoch(ledger) is place.elsewhere
        write_snapshot(place.state_dir, ledger.tallies(), {"running": True}, time_s=self.clock.now_s)
        ledger.close(clean=True)

    def datasets(self, root: Path, place: Place) -> list[str]:
        ledger = self.open(root, place)
        found = [tally.dataset for tally in ledger.tallies()]
        ledger.close(clean=True)
        return found


@pytest.fixture
def world(tmp_path: Path, clock: StillClock) -> World:
    return World(tmp_path, clock)


def test_a_local_root_keeps_its_ledger(world: World, tmp_path: Path) -> None:
    root = tmp_path / "local"
    root.mkdir()
    place = world.place(root)
    assert place.state_dir == root / ".emasync"
    assert (place.network, place.filesystem, place.elsewhere) == (False, "ext4", False)
    world.plan(root, place)
    moved = root.rename(tmp_path / "moved")
    assert world.datasets(moved, world.place(moved)) == ["d"]
    assert place_ledger(moved) == moved / ".emasync"
    assert world.place(moved, moved / ".emasync").elsewhere is False


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs"]
)
def test_a_network_root_gets_a_local_ledger(tmp_path: Path, clock: StillClock, kind: str) -> None:
    world = World(tmp_path, clock, kind=kind)
    root = world.root()
    place = world.place(root)
    assert place.network
    assert place.state_dir.parent == world.home / "emasync"
    assert world.place(root) == place
    assert json.loads((root / ".emasync" / "ledger.json").read_text())["state_dir"] == str(place.state_dir)


def test_the_default_folder_follows_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    local = "/home/u/.local/state/emasync/i"
    assert str(placement.default_state_dir("i", {})) == local
    assert str(placement.default_state_dir("i", {"XDG_STATE_HOME": "relative", "HOME": "/home/u"})) == local


def test_a_moved_network_root_is_found_again(world: World) -> None:
    root = world.root()
    place = world.place(root)
    world.plan(root, place)
    moved = root.rename(world.net / "moved")
    again = world.place(moved)
    assert again.state_dir == place.state_dir
    assert world.datasets(moved, again) == ["d"]
    assert placement.root_of_state(place.state_dir) == moved


def test_a_copied_network_root_goes_its_own_way(world: World) -> None:
    root = world.root()
    place = world.place(root)
    world.plan(root, place)
    copy = world.net / "copy"
    shutil.copytree(root, copy)
    other = world.place(copy)
    assert other.state_dir != place.state_dir
    assert world.datasets(copy, other) == ["d"]
    assert world.place(root).state_dir == place.state_dir
    assert world.place(copy).state_dir == other.state_dir


def test_another_machine_takes_over_from_the_copy_in_the_root(world: World, tmp_path: Path) -> None:
    root = world.root()
    world.plan(root, world.place(root))
    two = World(tmp_path, world.clock, host="two")
    with pytest.raises(MachineError, match="a run goes on on one") as caught:
        two.place(root)
    assert caught.value.kind is ErrorKind.ROOT_LOCKED
    write_note(root / ".emasync" / "snapshot.json", {"running": False})
    place = two.place(root)
    assert place.state_dir.is_relative_to(tmp_path / "two")
    assert two.datasets(root, place) == ["d"]
    assert World(tmp_path, world.clock, host="three").place(root, break_lock=True).elsewhere


def test_a_ledger_moves_where_the_user_wants_it(world: World, tmp_path: Path) -> None:
    root = tmp_path / "local"
    root.mkdir()
    world.plan(root, world.place(root))
    (root / ".emasync" / "state.sqlite-wal").write_bytes(b"")
    chosen = world.place(root, tmp_path / "chosen")
    assert world.datasets(root, chosen) == ["d"]
    assert not (root / ".emasync" / "state.sqlite").exists()
    assert world.place(root) == chosen
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(MachineError, match="holds the ledger of another root") as caught:
        world.place(other, tmp_path / "chosen")
    assert caught.value.kind is ErrorKind.LEDGER


def test_a_pointer_to_nothing_is_not_followed(world: World, tmp_path: Path) -> None:
    root = tmp_path / "local"
    root.mkdir()
    write_note(root / ".emasync" / "ledger.json", {"id": "i", "host": "one", "state_dir": str(tmp_path / "gone")})
    assert not world.place(root).elsewhere
    write_note(root / ".emasync" / "ledger.json", {"id": 5})
    assert not world.place(root).elsewhere


def test_a_folder_that_cannot_be_written_is_named(world: World) -> None:
    root = world.root()
    (root / ".emasync").write_bytes(b"")
    with pytest.raises(MachineError, match="cannot prepare the ledger's folder") as caught:
        world.place(root)
    assert caught.value.kind is ErrorKind.NO_PERMISSION


# --- snapshots -------------------------------------------------------------------------------------------------------


def test_a_snapshot_says_what_the_tallies_say(world: World) -> None:
    root = world.root()
    assert read_snapshot(root) is None
    place = world.place(root)
    world.plan(root, place)
    found = read_snapshot(root)
    assert found is not None
    assert (found["time"], found["running"]) == ("1970-01-01T00:16:40.000Z", True)
    (dataset,) = found["datasets"]
    assert dataset["objects"]["pending"] == 1
    assert dataset["unknown_size"] == 1
    write_snapshot(place.state_dir, [], {"running": False})
    (root / ".emasync" / "snapshot.json").write_text("{}")
    newest = read_snapshot(root)
    assert newest is not None
    assert newest["running"] is False
    shutil.rmtree(world.home)
    assert read_snapshot(root) == {}


def test_notes_are_bounded_and_never_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f" / "note.json"
    write_note(path, {"name": "\udcff"}, durable=True)
    assert read_note(path) == {"name": "\udcff"}
    with pytest.raises(TypeError):
        write_note(path, {"name": object()})
    assert [item.name for item in path.parent.iterdir()] == ["note.json"]
    assert read_note(path) == {"name": "\udcff"}
    for text in ("[1]", "{", "[" * 200_000):
        path.write_text(text)
        assert read_note(path) is None
    monkeypatch.setattr("emasync.ledger.notes._MAX_BYTES", 3)
    path.write_text("{}  ")
    assert read_note(path) is None


# --- copies ----------------------------------------------------------------------------------------------------------


def test_a_costly_step_is_paced() -> None:
    pace = Pace(10.0, 0.1)
    assert pace.due(0.0)
    pace.ran(0.0, 0.5)
    assert not pace.due(9.9)
    assert pace.due(10.0)
    pace.ran(10.0, 14.0)
    assert not pace.due(49.9)
    assert pace.due(50.0)


def test_copies_are_whole_and_not_too_frequent(world: World) -> None:
    root = world.root()
    place = world.place(root)
    ledger = world.open(root, place)
    backups = Backups(place.state_dir, world.clock, min_period_s=30)
    copy = root / ".emasync" / "state-backup.sqlite"
    assert backups.at_epoch(ledger)
    before = copy.read_bytes()
    ledger.begin_plan("d", "1")
    assert not backups.at_epoch(ledger)
    assert copy.read_bytes() == before
    world.clock.now_s += 31
    assert backups.at_epoch(ledger)
    assert copy.read_bytes() != before
    copy.unlink()
    copy.mkdir()
    with pytest.raises(MachineError, match="cannot copy the ledger"):
        backups.now(ledger)
    ledger.close(clean=True)
    assert sorted(path.name for path in place.state_dir.iterdir()) == ["root.json", "state.sqlite"]
    assert sorted(path.name for path in copy.parent.iterdir()) == ["ledger.json", "state-backup.sqlite"]


def test_who_runs_is_asked_where_the_lock_lies(world: World) -> None:
    root = world.root()
    place = world.place(root)
    assert owner_of(root) is None
    with RootLock.acquire(place.state_dir, SystemClock()) as lock:
        assert owner_of(root) == lock.owner
        assert not lock.owner.gone()
    assert owner_of(root) is None
