"""A folder below the root that is swapped for a link between two kernel calls: nothing is written or read beyond it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emasync.disk.sink import LocalSink
from emasync.disk.system import System
from emasync.errors import DestinationError, ErrorKind, IntegrityError


class Swapping(System):
    """Lets an attacker in right before one call: what a race would need luck for happens every time."""

    def __init__(self) -> None:
        super().__init__()
        self.before: str = ""
        self.attack: Callable[[], None] = lambda: None
        self.attacks = 0

    def _now(self, call: str) -> None:
        if call == self.before:
            self.before = ""
            self.attacks += 1
            self.attack()

    def open(self, name: str, flags: int, dir_fd: int, mode: int = 0o666) -> int:
        self._now(f"open {name}")
        return super().open(name, flags, dir_fd, mode)

    def mkdir(self, name: str, dir_fd: int) -> None:
        self._now(f"mkdir {name}")
        super().mkdir(name, dir_fd)
        self._now(f"made {name}")

    def stat(self, name: str, dir_fd: int) -> os.stat_result:
        self._now(f"stat {name}")
        return super().stat(name, dir_fd)

    def rename_exclusive(self, old: str, old_fd: int, new: str, new_fd: int) -> None:
        self._now(f"rename {new}")
        super().rename_exclusive(old, old_fd, new, new_fd)


class Scene:
    """A root, and beside it what an attacker wants written or read."""

    def __init__(self, folder: Path) -> None:
        self.root, self.outside = folder / "root", folder / "outside"
        self.outside.mkdir()
        (self.outside / "x").write_bytes(b"secret")
        self.system = Swapping()
        self.sink = LocalSink(self.root, system=self.system)

    def place(self, destination: str) -> None:
        partial = self.sink.reserve("p-0", 4)
        partial.write(0, b"data")
        partial.seal(4)
        partial.close()
        self.sink.place("p-0", destination)

    def swap(self, path: str) -> Callable[[], None]:
        """Put a link to the outside where the folder or file is."""

        def attack() -> None:
            there = self.root / path
            if there.exists() or there.is_symlink():
                there.rename(self.root / "taken-away")
            there.parent.mkdir(parents=True, exist_ok=True)
            there.symlink_to(self.outside, target_is_directory=True)

        return attack

    def untouched(self) -> bool:
        return [path.name for path in self.outside.iterdir()] == ["x"] and (
            self.outside / "x"
        ).read_bytes() == b"secret"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.sink.close()


@pytest.mark.parametrize("swapped", ["d", "d/e", "d/e/f"])
@pytest.mark.parametrize("moment", ["made", "mkdir", "open"])
def test_a_folder_swapped_while_the_way_is_made(scene: Scene, swapped: str, moment: str) -> None:
    name = swapped.rpartition("/")[2]
    scene.system.before, scene.system.attack = f"{moment} {name}", scene.swap(swapped)
    with pytest.raises(DestinationError, match="symbolic link") as caught:
        scene.place("d/e/f/y")
    assert (caught.value.kind, scene.system.attacks) == (ErrorKind.UNSAFE_NAME, 1)
    assert scene.untouched()
    assert list(scene.sink.partials()) == ["p-0"], "what was fetched is kept"


@pytest.mark.parametrize("swapped", ["d", "d/e"])
def test_a_folder_swapped_before_the_rename_into_it(scene: Scene, swapped: str) -> None:
    """The open folder is the one that was checked, wherever it went."""
    scene.system.before, scene.system.attack = "rename y", scene.swap(swapped)
    scene.place("d/e/y")
    assert scene.system.attacks == 1
    assert scene.untouched()
    assert [path.read_bytes() for path in (scene.root / "taken-away").rglob("y")] == [b"data"]


def test_a_link_put_under_the_final_name_before_the_rename(scene: Scene) -> None:
    def attack() -> None:
        (scene.root / "d/y").symlink_to(scene.outside / "x")

    scene.system.before, scene.system.attack = "rename y", attack
    with pytest.raises(DestinationError) as caught:
        scene.place("d/y")
    assert (caught.value.kind, scene.system.attacks) == (ErrorKind.DESTINATION_EXISTS, 1)
    assert scene.untouched()


def test_a_final_file_swapped_before_it_is_read_again(scene: Scene) -> None:
    scene.place("d/x")

    def attack() -> None:
        (scene.root / "d/x").unlink()
        (scene.root / "d/x").symlink_to(scene.outside / "x")

    scene.system.before, scene.system.attack = "open x", attack
    with pytest.raises(IntegrityError):
        scene.sink.read_final("d/x", 0, 6)
    assert scene.system.attacks == 1


def test_the_folder_of_unfinished_files_swapped(scene: Scene) -> None:
    scene.system.before, scene.system.attack = "open partial", scene.swap(".emasync/partial")
    with pytest.raises(DestinationError, match="symbolic link"):
        scene.place("d/y")
    assert scene.untouched()
