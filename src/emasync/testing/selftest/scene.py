"""One job at its archive: started, killed, looked at, and started again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Self

from emasync.settings import Settings
from emasync.testing.archive import Archive
from emasync.testing.memory import MemoryStore
from emasync.testing.selftest.accounting import Loss, Sent, WatchedStore, losses
from emasync.testing.selftest.jobs import CONNECTIONS, DOCUMENT, PART_BYTES, POLICY, Job
from emasync.testing.selftest.life import PATIENCE_S, Life
from emasync.testing.selftest.stage import files_below
from emasync.testing.selftest.victim import Trap

SETTINGS: Final = Settings()
"""What a job is run with, but for its hosts."""


class Scene:
    """One job at its archive (mutable: it is killed and started again). A context manager.

    Parameters
    ----------
    job : Job
    folder : Path
        For root and manifest.
    """

    def __init__(self, job: Job, folder: Path) -> None:
        self.job = job
        self.root = folder / "root"
        self.objects = job.objects
        self.size_bytes = sum(map(len, self.objects.values()))
        self._store = WatchedStore(MemoryStore({f"job/d/{name}": data for name, data in job.make().items()}))
        self.archive = Archive.start(self._store, faults={"job/d/*": job.weather} if job.weather else {})
        self._ends: list[int] = []
        self._seen: dict[str, tuple[int, int, int]] = {}
        self.manifest = folder / "manifest.yaml"
        self.manifest.write_text(json.dumps(self._manifest()))  # which is YAML

    def _manifest(self) -> dict[str, object]:
        hosts = {"s3://job": POLICY, "127.0.0.1": POLICY}  # parts are the object's, limits those of the place asked
        return {
            "version": 1,
            "settings": {"hosts": hosts},
            "mirrors": {"s3://job": f"{self.archive.url}/job"},
            "datasets": [{"id": "d", "source": "bucket", "url": "s3://job/d", **self.job.entry}],
        }

    def __repr__(self) -> str:
        return f"<Scene {self.job.name}: {len(self._ends)} stops, {self._store!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.close()

    @property
    def syncs(self) -> bool:
        """Whether ranges are so many that unfinished files are synced for their sake."""
        large = [len(data) for data in self.objects.values() if len(data) > SETTINGS.small_object_bytes]
        return sum(large) > SETTINGS.commit_bytes // 2

    # --- lives ---------------------------------------------------------------------------------------------------

    def start(self, trap: Trap | None = None) -> Life:
        """Begin a life."""
        return Life(str(self.manifest), str(self.root), trap, self.job.workers)

    def stopped(self, *, wholly: bool = True) -> None:
        """Somebody was killed: what is sent from now on, and was sent before, is its cost.

        Parameters
        ----------
        wholly : bool
            All processes of the job are gone: wait until the archive knows, so that it sends nothing more to them.
        """
        if wholly:
            self.archive.wait_until(lambda load: load.connections == 0, timeout_s=PATIENCE_S)
        self._ends.append(len(self._store.sent))

    def losses(self) -> list[Loss]:
        """What each stop cost so far."""
        sent = self._store.sent
        sizes_bytes = {f"job/d/{name}": len(data) for name, data in self.objects.items() if name != DOCUMENT}
        spans = zip((0, *self._ends), (*self._ends, len(sent)), strict=True)
        lives: list[list[Sent]] = [sent[first:last] for first, last in spans]
        return losses(lives, sizes_bytes, large_from_bytes=SETTINGS.small_object_bytes)[:-1]

    def troubles(self) -> int:
        """Requests for objects that were refused on purpose, as far as their status tells."""
        least = 429  # a 404 is a chunk that was never written
        return sum(seen.status >= least for seen in self.archive.requests)

    # --- looks ---------------------------------------------------------------------------------------------------

    def wrong(self) -> str:
        """Whether something new under a final name is not what it should be; that holds after every kill."""
        folder = self.root / "d"
        for path in folder.rglob("*") if folder.is_dir() else ():
            facts = path.stat()
            mark = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
            name = path.relative_to(folder).as_posix()
            if path.is_dir() or self._seen.get(name) == mark:
                continue
            if self.objects.get(name) != path.read_bytes():
                return f"{name} is not whole under its final name"
            self._seen[name] = mark
        return ""

    def unfinished(self) -> str:
        """What is other, missing, or left over, when the job says that it is done: all files are read."""
        found = files_below(self.root / "d")
        if found != self.objects:
            other = sorted(name for name in found.keys() | self.objects if found.get(name) != self.objects.get(name))
            return f"{len(other)} objects are missing or other ones, {other[0]} first"
        left = list((self.root / ".emasync" / "partial").iterdir())
        return f"{len(left)} unfinished files are left over" if left else ""

    def excess(self) -> str:
        """Which stop cost more than it may."""
        for number, loss in enumerate(self.losses()):
            said = loss.excess(
                connections=CONNECTIONS,
                part_bytes=PART_BYTES,
                most_objects=SETTINGS.commit_objects,
                most_bytes=SETTINGS.commit_bytes,
            )
            if said:
                return f"stop {number}: {said}"
        return ""
