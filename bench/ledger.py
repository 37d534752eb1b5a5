"""What the ledger costs an object: thread CPU time of each stage, in microseconds, on this machine.

``python bench/ledger.py --objects 100000 --folder /dev/shm``. Batches are of 128 objects, as in a run; the last stage
is what all of them cost together.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emasync.ledger.batch import SealedRow
from emasync.ledger.interface import Placed, Sealed
from emasync.ledger.store import SqliteLedger
from emasync.model.clock import SystemClock
from emasync.model.digest import Validator
from emasync.model.grid import ChunkGrid
from emasync.model.location import Location
from emasync.model.task import ObjectEntry, State, Task, TaskSetSpec
from emasync.plan.intake import place_all
from emasync.plan.layout import MirrorLayout
from emasync.plan.sweep import as_entry
from emasync.sources.walk import KeyFrame
from emasync.transport.listing import Cursor, parse_page

PAGE = 1_000
BATCH = 128
LEASE = 256
SIZE_BYTES = 65_536
URL = "http://127.0.0.1:1/b"


class Stages:
    """Thread CPU time a stage and object, gathered over many short turns as in a run."""

    def __init__(self, title: str, objects: int) -> None:
        self._title = title
        self._objects = objects
        self._took_s: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        began_s = time.thread_time()
        yield
        self._took_s[name] = self._took_s.get(name, 0.0) + time.thread_time() - began_s

    def show(self) -> None:
        """Print all stages and their sum."""
        print(f"{self._title}, us an object")
        for name, took_s in [*self._took_s.items(), ("all", sum(self._took_s.values()))]:
            print(f"  {name:<44}{took_s / self._objects * 1e6:8.2f}")


def pages(objects: int) -> Iterator[bytes]:
    """Listing answers as S3 gives them."""
    row = (
        "<Contents><Key>p/c/{0}/{1:07d}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        "<ETag>&quot;{1:032x}&quot;</ETag><Size>65536</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )
    head = "<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>"
    numbers = [range(start, min(start + PAGE, objects)) for start in range(0, objects, PAGE)]
    rows = ("".join(row.format(number // 1000 + 1000, number) for number in part) for part in numbers)
    return (f"{head}{text}</ListBucketResult>".encode() for text in rows)


def listed(ledger: SqliteLedger, objects: int) -> None:
    """A listed set: from the answers of a listing to placed objects."""
    stages = Stages("listed set", objects)
    ledger.begin_plan("listed", "x")
    set_id = ledger.add_set(TaskSetSpec(dataset="listed", base=URL, destination="listed"))
    frame, cursor, layout = KeyFrame("p/", ""), Cursor("listing", "p/"), MirrorLayout()
    base = Location.parse(URL)
    for body in pages(objects):
        with stages.stage("parse and check a page"):
            page = cursor.take(parse_page(body, "listing"))
        with stages.stage("relative keys"):
            page = frame.relative(page, base)
        with stages.stage("entries"):
            entries = list(map(as_entry, page.objects))
        with stages.stage("places"):
            entries = place_all(entries, layout)[0]
        with stages.stage("add_entries"):
            ledger.add_entries(set_id, entries, cursor=entries[-1].key)
    work(ledger, stages, set_id)


def gridded(ledger: SqliteLedger, objects: int) -> None:
    """A gridded set."""
    stages = Stages("gridded set", objects)
    ledger.begin_plan("gridded", "x")
    grid = ChunkGrid(start=(3, 0, 0), shape=(objects // 100, 10, 10), prefix="s0/", rebase=True)
    with stages.stage("add_set"):
        set_id = ledger.add_set(TaskSetSpec(dataset="gridded", base=URL, destination="gridded", grid=grid))
    work(ledger, stages, set_id)


def work(ledger: SqliteLedger, stages: Stages, set_id: int) -> None:
    """Lease all, seal and place all."""
    epoch, count = ledger.last_epoch(), 0
    while True:
        with stages.stage("lease"):
            tasks = ledger.lease(set_id, LEASE)
        if not tasks:
            break
        for start in range(0, len(tasks), BATCH):
            part, epoch = tasks[start : start + BATCH], epoch + 1
            count += len(part)
            ask(stages, part)
            land(ledger, stages, part, epoch)
            if epoch % 2 == 0:
                ledger.set_durable_epoch(epoch - 1)
    with stages.stage("place_rows, with bringing rows up to date"):
        ledger._batches.settle()  # noqa: SLF001  # what the last ones left
    stages.show()
    assert ledger.tallies()[-1].objects[State.PLACED] == count  # noqa: S101


def ask(stages: Stages, tasks: list[Task]) -> None:
    """What a run asks each task at least once."""
    with stages.stage("location, destination, digests"):
        for task in tasks:
            assert task.location  # noqa: S101  # computed when it is asked for
            assert task.destination  # noqa: S101
            assert not task.digests  # noqa: S101


def land(ledger: SqliteLedger, stages: Stages, tasks: list[Task], epoch: int) -> None:
    """Seal and place a batch."""
    answers = [
        Validator(etag=f'"{number:032x}"', last_modified="Thu, 01 Jan 2026 00:00:00 GMT")
        for number in range(len(tasks))
    ]
    with stages.stage("make rows"):
        rows = [
            SealedRow(task.set_id, task.key, SIZE_BYTES, 123_456_789, "computed", answer)
            for task, answer in zip(tasks, answers, strict=True)
        ]
    with stages.stage("seal_rows"):
        number = ledger.seal_rows(rows, epoch)
    with stages.stage("place_rows, with bringing rows up to date"):
        ledger.place_rows(number)


def recorded(ledger: SqliteLedger, objects: int) -> None:
    """The same through `record`, for comparison."""
    stages = Stages("listed set through record", objects)
    ledger.begin_plan("recorded", "x")
    set_id = ledger.add_set(TaskSetSpec(dataset="recorded", base=URL, destination="recorded"))
    keys = [f"c/{number // 1000}/{number:07d}" for number in range(objects)]
    for start in range(0, objects, PAGE):
        ledger.add_entries(set_id, [ObjectEntry(key=key, size_bytes=SIZE_BYTES) for key in keys[start : start + PAGE]])
    parts = [keys[start : start + BATCH] for start in range(0, objects, BATCH)]
    with stages.stage("record, sealed"):
        for part in parts:
            ledger.record(
                [Sealed(set_id=set_id, key=key, size_bytes=SIZE_BYTES, crc32c=1) for key in part], durable=True
            )
    with stages.stage("record, placed"):
        for part in parts:
            ledger.record([Placed(set_id=set_id, key=key) for key in part])
    stages.show()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--objects", type=int, default=100_000)
    options.add_argument(
        "--folder", type=Path, default=None, help="where the ledger lies; a temporary folder by default"
    )
    given = options.parse_args()
    parts: list[Callable[[SqliteLedger, int], None]] = [listed, gridded, recorded]
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        ledger = SqliteLedger.open(Path(folder) / "state", root=Path(folder), clock=SystemClock())
        for part in parts:
            part(ledger, given.objects)
        ledger.close(clean=True)


if __name__ == "__main__":
    main()
