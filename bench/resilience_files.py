"""Files that are checked, mended, and digested."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import yaml
from bench.cases import CASES, MIB, Case, Group
from bench.content import Dataset
from bench.contestants import CLIENTS, Job, emasync
from bench.gated import gated
from bench.measuring import check, free_environment, measure, touch_memory
from bench.racing import Arena

from emasync.testing.archive import Archive
from emasync.testing.folder import FolderStore

TIME_LIMIT_S = 600.0
CONNECTIONS = 8
ROUNDS = 5


class _Root:
    """A root in memory, and commands about it."""

    def __init__(self, arena: Arena, folder: Path) -> None:
        self.arena = arena
        self.folder = folder
        self.root = folder / "root"

    def timed(self, *command: str) -> tuple[float, str]:
        """Wall seconds of a command, and what it said."""
        environment = free_environment(self.folder, self.arena.origin.authority)
        run = measure(command, self.folder, environment, time_limit_s=TIME_LIMIT_S, sync=False)
        if run.problem:
            raise RuntimeError(f"{' '.join(command[:4])}: {run.problem}")
        return run.wall_s, (self.folder / "output.log").read_text()

    def emasync(self, *arguments: str) -> tuple[float, str]:
        """As :meth:`timed`, of an emasync command."""
        return self.timed(sys.executable, "-m", "emasync", *arguments)

    def checked_s(self) -> float:
        """Seconds of a full check, from opening the root to closing it; without the start of Python."""
        return float(json.loads(self.emasync("verify", str(self.root), "--full", "--json")[1])["wall_s"])

    def fetched(self, dataset: Dataset, server: str) -> None:
        """Fill the root."""
        touch_memory(self.folder / "touched", dataset.total_bytes)
        launch = emasync().launch(Job(dataset, server, self.folder, self.arena.origin.authority))
        self.timed(*launch.command)
        if problem := check(dataset, launch.data):
            raise RuntimeError(problem)


@contextmanager
def _root(arena: Arena) -> Iterator[_Root]:
    folder = arena.folders["tmpfs"] / "run"
    folder.mkdir()
    try:
        yield _Root(arena, folder)
    finally:
        shutil.rmtree(folder)


# --- verify ------------------------------------------------------------------------------------------------------


def verify(arena: Arena, *, quick: bool) -> dict[str, float]:
    """Speed of ``verify --full``, as part of that of a bare loop; opening and closing a root is told apart."""
    one = Case(name="one", groups=(Group(count=1, size_bytes=1_000),))
    with arena.dataset(one) as dataset, _root(arena) as root:
        root.fetched(dataset, arena.origin.url)
        open_s = median(root.checked_s() for _ in range(ROUNDS))
    found = {"verify opening s": open_s}
    for case, name in (("one4g", "large"), ("small64k", "small")):
        with arena.dataset(CASES[case].scaled(0.25 if quick else 1)) as dataset, _root(arena) as root:
            root.fetched(dataset, arena.origin.url)
            found |= _compare(root, name, open_s)
    return found


def _compare(root: _Root, name: str, open_s: float) -> dict[str, float]:
    """The two in turn; the first round warms files and memory."""
    ours_s, bare_s = list[float](), list[float]()
    for _ in range(ROUNDS + 1):
        ours_s.append(root.checked_s())
        bare_s.append(float(root.timed(sys.executable, str(CLIENTS / "hash_files.py"), str(root.root / "d"))[1]))
        print(f"  {name:<10}{ours_s[-1]:8.3f} s  bare loop {bare_s[-1]:.3f} s  opening {open_s:.3f} s", flush=True)
    ours, bare = median(ours_s[1:]), median(bare_s[1:])
    return {
        f"verify {name}": bare / (ours - open_s),
        f"verify {name} opening included": bare / ours,
        f"verify {name} s": ours,
        f"verify {name} bare s": bare,
    }


# --- repair ------------------------------------------------------------------------------------------------------


def repair(arena: Arena, *, quick: bool) -> dict[str, float]:
    """Bytes that a server sent for one flipped bit."""
    with arena.dataset(CASES["one4g"].scaled(0.25 if quick else 1)) as dataset, _root(arena) as root:
        store = FolderStore(arena.origin.files.parent)
        with Archive.start(store, where="process") as archive:
            root.fetched(dataset, archive.url)
            path = root.root / "d" / dataset.names[0]
            _flip(path, dataset.sizes[0] // 3)
            archive.reset()
            wall_s, _ = root.emasync("verify", str(root.root), "--full", "--repair")
            sent_bytes = archive.bytes_sent
        if _sha256(path) != _sha256(dataset.folder / dataset.names[0]):
            raise RuntimeError("the repaired file is another one")
    print(f"  repair    {wall_s:8.2f} s  {sent_bytes} bytes were sent", flush=True)
    return {"repair fetched_mib": sent_bytes / MIB, "repair wall_s": wall_s}


def _flip(path: Path, at: int) -> None:
    with path.open("r+b", buffering=0) as file:
        file.seek(at)
        (value,) = file.read(1)
        file.seek(at)
        file.write(bytes([value ^ 1]))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- digests -----------------------------------------------------------------------------------------------------


def md5(arena: Arena, *, quick: bool) -> dict[str, float]:
    """A transfer that is checked against an MD5, one that is not, and ``openssl md5``; in turn.

    From a server that takes all the cores it can get, and over a line of 120 MB/s, as fast as most are.
    """
    with arena.dataset(CASES["one4g"].scaled(0.25 if quick else 1)) as dataset:
        path = dataset.folder / dataset.names[0]
        url = dataset.urls(arena.origin.url)[0]
        rows = [_md5_round(arena, dataset, path, url) for _ in range(1 if quick else 2)]
        with gated("line", arena.origin.files.parent, arena.origin.pages) as line:
            over_line = _md5_round(arena, dataset, path, dataset.urls(line)[0])
    checked_s, plain_s, openssl_s = (median(row[index] for row in rows) for index in range(3))
    return {
        "md5 over a line ratio": over_line[0] / max(over_line[1:]),
        "md5 over a line checked wall_s": over_line[0],
        "md5 over a line unchecked wall_s": over_line[1],
        "md5 ratio": checked_s / max(plain_s, openssl_s),
        "md5 checked wall_s": checked_s,
        "md5 unchecked wall_s": plain_s,
        "md5 openssl_s": openssl_s,
    }


def _md5_round(arena: Arena, dataset: Dataset, path: Path, url: str) -> tuple[float, float, float]:
    with _root(arena) as root:
        openssl_s, said = root.timed("openssl", "md5", "-r", str(path))
    digest = said.split()[0]
    checked_s, plain_s = (_web(arena, dataset, url, published) for published in ({"md5": digest}, {}))
    print(f"  md5       {checked_s:8.2f} s  unchecked {plain_s:.2f} s  openssl {openssl_s:.2f} s", flush=True)
    return checked_s, plain_s, openssl_s


def _web(arena: Arena, dataset: Dataset, url: str, published: dict[str, str]) -> float:
    with _root(arena) as root:
        touch_memory(root.folder / "touched", dataset.total_bytes)
        settings = {"hosts": {"127.0.0.1": {"max_connections": CONNECTIONS}}}
        entry = {"id": "d", "source": "web", "format": "raw", "files": [{"url": url, **published}]}
        manifest = root.folder / "manifest.yaml"
        manifest.write_text(yaml.safe_dump({"version": 1, "settings": settings, "datasets": [entry]}))
        command = ("run", str(manifest), "--root", str(root.root), "--quiet", "--no-hooks")
        wall_s, _ = root.emasync(*command)
        row = json.loads((root.root / "receipt.json").read_text())["datasets"][0]["verified"]
        if problem := check(dataset, root.root / "d"):
            raise RuntimeError(problem)
        if bool(row["published"]) != bool(published):
            raise RuntimeError(f"verified: {row}")
        return wall_s
