"""Drives a walk over a real folder, the way an event loop would over a bucket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from emasync.formats.interface import ArrayDescription, Found, GroupDescription, MultiscaleDescription, Need
from emasync.formats.visits import FolderWalk, WalkLimits
from emasync.formats.zarr import ZarrWalk


@dataclass(frozen=True)
class Listing:
    folders: tuple[str, ...]
    objects: tuple[str, ...]


@dataclass
class Discovery:
    walk: FolderWalk
    found: list[Found] = field(default_factory=list)
    asked: list[Need] = field(default_factory=list)

    @property
    def arrays(self) -> dict[str, ArrayDescription]:
        return {item.path: item for item in self.found if isinstance(item, ArrayDescription)}

    @property
    def images(self) -> dict[str, MultiscaleDescription]:
        return {item.path: item for item in self.found if isinstance(item, MultiscaleDescription)}

    @property
    def groups(self) -> dict[str, GroupDescription]:
        return {item.path: item for item in self.found if isinstance(item, GroupDescription)}


Discover = Callable[..., Discovery]


def read(root: Path, need: Need, *, listable: bool) -> bytes | Listing | None:
    path = root / need.key
    if need.kind == "document":
        return path.read_bytes() if path.is_file() else None
    if not listable:
        return None
    names = sorted(path.iterdir()) if path.is_dir() else []
    return Listing(
        folders=tuple(item.name for item in names if item.is_dir()),
        objects=tuple(item.name for item in names if item.is_file()),
    )


@pytest.fixture
def discover() -> Discover:
    def run(
        root: Path,
        start: Sequence[str] = ("",),
        *,
        listable: bool = True,
        limits: WalkLimits | None = None,
        backwards: bool = False,
        walk_of: Callable[[Sequence[str], WalkLimits | None], FolderWalk] = ZarrWalk,
    ) -> Discovery:
        discovery = Discovery(walk_of(start, limits))
        walk = discovery.walk
        open_needs: list[Need] = []
        while not walk.done:
            open_needs += walk.needs()
            need = open_needs.pop(-1 if backwards else 0)
            discovery.asked.append(need)
            walk.feed(need, read(root, need, listable=listable))
            discovery.found += walk.found()
        assert not walk.needs()
        return discovery

    return run
