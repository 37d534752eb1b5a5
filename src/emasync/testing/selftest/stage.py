"""One archive that has a bad day, four datasets that meet it, and what must come of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, get_args

from emasync.model.receipt import DatasetReceipt
from emasync.testing.alteration import other_bytes
from emasync.testing.archive import Archive
from emasync.testing.dandi import DandiTwin
from emasync.testing.memory import MemoryStore
from emasync.testing.selftest.bad_days import BadDay, Shape

SMALL_BYTES: Final = 5_000
LARGE_BYTES: Final = 1_380_500
"""More than what counts as small; six ranges of 256 KiB."""

DANDISET: Final = "000027"
PAGE_LIMIT: Final = 10
SIGN_IN: Final = "sign-in"
"""Where captive portals lead: a page, with status 200."""
SHAPES: Final[tuple[Shape, ...]] = get_args(Shape)

POLICY: Final = {
    "part_size": "256KiB",
    "max_connections": 8,
    "stall_timeout": "2s",
    "connect_timeout": "2s",
    "first_byte_timeout": "2s",
    "crawl_rate": "2kB/s",
    "give_up_after": "20s",
}
"""As a user would set it for hosts that are quick to answer: time-outs of days of work would take days to test."""

_PLACES: Final[Mapping[Shape, str]] = {"small": "data/small", "ranged": "data/ranged", "listing": "pages"}
_PATTERNS: Final[Mapping[Shape, str]] = {
    "small": "data/small/*",
    "ranged": "data/ranged/*",
    "listing": "list:pages",
    "api": "api/*",
}


def _bodies() -> dict[Shape, dict[str, bytes]]:
    random = Random(5)
    return {
        "small": {f"{number}.bin": random.randbytes(SMALL_BYTES) for number in range(3)},
        "ranged": {"large.bin": random.randbytes(LARGE_BYTES)},
        "listing": {f"{number:03}": random.randbytes(200) for number in range(3 * PAGE_LIMIT)},
        "api": {f"sub-{number}/a.nwb": random.randbytes(SMALL_BYTES) for number in range(3)},
    }


EXPECTED: Final = _bodies()
"""Files of each dataset."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one dataset ended.

    Attributes
    ----------
    complete : bool
        All of it is there.
    kinds : tuple of str
        Of its failures.
    wrong : str
        What must not be: other bytes, a failure without a name; empty for nothing.
    """

    complete: bool
    kinds: tuple[str, ...] = ()
    wrong: str = ""


class Stage:
    """One archive and its datasets; a context manager.

    Parameters
    ----------
    number : int
        Tells the datasets of several stages apart.
    day : BadDay
    """

    def __init__(self, number: int, day: BadDay) -> None:
        self.number = number
        self.day = day
        store = MemoryStore(buckets=("dandiarchive",))
        for shape, place in _PLACES.items():
            for name, data in EXPECTED[shape].items():
                store.put(f"{place}/{name}", data)
        twin = DandiTwin(store)
        twin.version(DANDISET)
        for name, data in EXPECTED["api"].items():
            twin.add_blob(DANDISET, name, data)
        self._store, self._twin = store, twin
        self.archive = self._open()
        twin.api, twin.bucket_url, twin.next_host = f"{self.url}/api", f"{self.url}/dandiarchive", self.url

    def __repr__(self) -> str:
        return f"<Stage {self.number}: {self.day.name} at {self.archive.url}>"

    @property
    def url(self) -> str:
        """Of the archive, as the datasets name it."""
        return self.archive.url

    def _open(self, **options: Any) -> Archive:
        """Any: of :meth:`Archive.start`."""
        return Archive.start(self._store, apps=(self._twin,), page_limit=PAGE_LIMIT, **options)

    def spoil(self, *, once: bool) -> None:
        """Let the bad day begin."""
        fault = self.day.heals if once else self.day.always
        spoilt = {_PATTERNS[shape]: [fault] for shape in self.day.shapes}
        self.archive.set_faults({**spoilt, SIGN_IN: [{"html_error": True}]})

    def clear(self) -> None:
        """Good weather."""
        self.archive.set_faults({})

    def id_of(self, shape: Shape) -> str:
        """Id of a dataset."""
        return f"{self.number:02}-{shape}"

    def datasets(self) -> list[dict[str, Any]]:
        """Entries of a manifest (Any: JSON)."""
        url = self.url
        entries: dict[Shape, dict[str, Any]] = {
            shape: {"source": "bucket", "format": "raw", "url": f"{url}/{place}"} for shape, place in _PLACES.items()
        }
        entries["api"] = {"source": "dandi", "dandiset": DANDISET, "instance": f"{url}/api"}
        return [{"id": self.id_of(shape), **entries[shape]} for shape in SHAPES if shape in self.day.shapes]

    def judge(self, root: Path, found: DatasetReceipt, shape: Shape) -> Verdict:
        """Compare what lies on disk, and what the receipt says, with what must be."""
        files = files_below(root / found.id)
        wrong = [name for name, data in files.items() if data not in self._right(shape, name)]
        complete = found.status == "complete"
        kinds = tuple(str(failure.kind) for failure in found.failures)
        if wrong:
            return Verdict(complete, kinds, f"other bytes under a final name: {wrong[0]}")
        if complete and len(files) != len(EXPECTED[shape]):
            return Verdict(complete, kinds, "it says that it is complete, and is not")
        if not complete and (not kinds or not all(failure.message for failure in found.failures)):
            return Verdict(complete, kinds, "it is not complete, and does not say why")
        return Verdict(complete, kinds)

    def _right(self, shape: Shape, name: str) -> tuple[bytes, ...]:
        """What a file may hold: the object, or what it was changed into."""
        data = EXPECTED[shape].get(name)
        if data is None:
            return ()
        return (data, other_bytes(data)) if self.day.always.get("change") == "content" else (data,)

    def close(self) -> None:
        """Stop the archive."""
        self.archive.close()


def files_below(folder: Path) -> dict[str, bytes]:
    """Content of all files below a folder, by path; empty where there is no folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
