"""Datasets for other programs: as a bag, as a metalink, as Croissant."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, cast

import orjson

from emasync.api.blocking import blocking
from emasync.api.look import status
from emasync.assembly import Resources, RunSpec, open_resources
from emasync.disk.documents import to_its_end
from emasync.engine.recovery import pages, recover, suspect_after
from emasync.errors import ErrorKind, InputError, IntegrityError
from emasync.hooks.bag import Bag, Payload
from emasync.hooks.croissant import MAX_FILE_OBJECTS, Croissant
from emasync.hooks.export_files import ExportFile, describe_file
from emasync.hooks.metadata.dataset import dataset_document
from emasync.hooks.metadata.writers import CSV as TABLE
from emasync.hooks.metalink import Metalink
from emasync.hooks.public_urls import public_url
from emasync.hooks.receipt import RECEIPT
from emasync.layouts.record import RECORD, LayoutRecord
from emasync.ledger.interface import Row, Tally
from emasync.model.events import ignore_event
from emasync.model.location import Location
from emasync.model.task import State
from emasync.model.version import VERSION
from emasync.plan.tools import SinkDocuments
from emasync.plan.written import WrittenRecord, record_path
from emasync.settings import Settings
from emasync.transport.mirrors import Mirrors

Format = Literal["bagit", "metalink", "croissant"]

BUILT: Final = ("bagit", "metalink", "croissant")
NOT_BUILT: Final = ("kerchunk", "kerchunk-parquet", "icechunk")

SUFFIXES: Final = {"bagit": ".bag", "metalink": ".meta4", "croissant": ".croissant"}

JOB_BYTES: Final = 64 << 20
"""Most bytes in one hop to a thread, but for a larger file."""

AHEAD: Final = 2
"""Jobs that wait, a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What was written.

    Attributes
    ----------
    format : {"bagit", "metalink", "croissant"}
    path : Path
    files, size_bytes : int
        Named in it.
    read_bytes : int
        Read because the ledger had no SHA-256 (or none of pieces).
    left_out : int
        Files that a metalink cannot name: they are at no URL of their own.
    wall_s : float
    """

    format: str
    path: Path
    files: int
    size_bytes: int
    read_bytes: int
    left_out: int
    wall_s: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON (Any)."""
        return {**asdict(self), "path": str(self.path)}


def export(
    root: str | os.PathLike[str],
    dataset: str,
    *,
    to: str,
    out: str | os.PathLike[str] | None = None,
    data: str = "link",
) -> ExportReport:
    """Describe one dataset of a root for other programs; blocks. See :func:`aexport`."""
    return blocking(lambda: aexport(root, dataset, to=to, out=out, data=data))


async def aexport(
    root: str | os.PathLike[str],
    dataset: str,
    *,
    to: str,
    out: str | os.PathLike[str] | None = None,
    data: str = "link",
) -> ExportReport:
    """Describe one dataset of a root for other programs.

    Digests come from the ledger; what it has no SHA-256 of is read, with all cores, and compared with its CRC-32C.

    Parameters
    ----------
    root : path
    dataset : str
        Complete.
    to : {"bagit", "metalink", "croissant"}
        A folder as RFC 8493 has it; a file as RFC 5854 has it; a folder of a description as MLCommons has it and the
        table of the dataset's assets.
    out : path, optional
        Must not be there; by default ``<dataset>.bag``, ``.meta4`` or ``.croissant`` in the working directory.
    data : {"link", "copy", "none"}
        Payload of a bag: hard links to the root's files, copies, or URLs to fetch it from.

    Raises
    ------
    InputError
        No such format, dataset or root; `out` is there; no hard links are possible there.
    IntegrityError
        The dataset is not complete, or a file is not what was placed.
    MachineError
        The root is locked by a run; disk full; no permission.
    """
    began_s = time.monotonic()
    _require_built(to, data)
    target = Path(out if out is not None else f"{dataset}{SUFFIXES[to]}")
    folder = await asyncio.to_thread(_prepare, root, target)
    spec = RunSpec(root=folder, state_dir=None, settings=Settings())
    async with open_resources(spec, ignore_event) as resources:
        work = _Export(resources, dataset, cast("Format", to), cast("Payload", data))
        await work.require_complete()
        unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            left_out = await {"bagit": work.bag, "metalink": work.metalink, "croissant": work.croissant}[to](unfinished)
            await asyncio.to_thread(unfinished.rename, target)
        except BaseException:
            await asyncio.to_thread(_discard, unfinished)
            raise
    return ExportReport(
        format=to,
        path=target,
        files=work.files - left_out,
        size_bytes=work.size_bytes,
        read_bytes=work.read_bytes,
        left_out=left_out,
        wall_s=time.monotonic() - began_s,
    )


def _require_built(to: str, data: str) -> None:
    if to in NOT_BUILT:
        raise InputError(f"--to {to} is not built yet; there are {', '.join(BUILT)}", kind=ErrorKind.NOT_BUILT)
    if to not in BUILT:
        raise InputError(f"--to {to}: no such format; there are {', '.join(BUILT)}")
    if data not in ("link", "copy", "none"):
        raise InputError(f"--data {data}: use link, copy or none")


def _prepare(root: str | os.PathLike[str], target: Path) -> Path:
    folder = Path(root).expanduser()
    status(folder)  # says what is wrong with a folder that no run made
    if os.path.lexists(target):
        raise InputError(f"{target} is there already; move it away, or name another place with -o")
    if not target.absolute().parent.is_dir():
        raise InputError(f"{target.absolute().parent} is no folder; make it first")
    return folder


def _discard(unfinished: Path) -> None:
    if unfinished.is_dir():
        shutil.rmtree(unfinished)
    else:
        unfinished.unlink(missing_ok=True)


class _Export:
    """One export of an open root."""

    def __init__(self, resources: Resources, dataset: str, to: Format, data: Payload) -> None:
        self._resources = resources
        self._dataset = dataset
        self._to = to
        self._data = data
        self._folder = dataset
        self._stop = threading.Event()
        self.files = self.size_bytes = self.read_bytes = 0

    async def require_complete(self) -> None:
        """Look after what a stop left behind, then refuse what is not there as a whole.

        Raises
        ------
        InputError
            No such dataset.
        IntegrityError
        """
        held = self._resources
        record = LayoutRecord.from_bytes(await SinkDocuments(held.sink).read(RECORD))
        self._folder = record.folder(self._dataset)
        suspect = await suspect_after(held.ledger)
        if suspect is not None:
            await recover(held.ledger, held.sink, held.threads, suspect)
        tallies: list[Tally] = await self._resources.ledger.call("tallies")
        tally = next((tally for tally in tallies if tally.dataset == self._dataset), None)
        if tally is None:
            known = ", ".join(tally.dataset for tally in tallies)
            raise InputError(f"no dataset {self._dataset} in {self._resources.root}; there are {known}")
        left = sum(tally.objects.get(state, 0) for state in (State.PENDING, State.SEALED, State.FAILED))
        if left or not tally.planned:
            raise IntegrityError(
                f"dataset {self._dataset} is not complete ({left:,} objects are left); run it again, then export it"
            )

    async def bag(self, folder: Path) -> int:
        """Write a bag; gives 0: nothing is left out."""
        info = {
            "Bagging-Date": datetime.now(UTC).date().isoformat(),
            "Bag-Software-Agent": f"emasync {VERSION}",
            "External-Identifier": self._dataset,
        }
        bag = await asyncio.to_thread(Bag, folder, self._resources.root, self._data)
        await self._fill(bag)
        await asyncio.to_thread(bag.finish, info)
        return 0

    async def metalink(self, path: Path) -> int:
        """Write a metalink; gives the files it cannot name."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        metalink = await asyncio.to_thread(Metalink, path, generator=f"emasync/{VERSION}", published=now)
        await self._fill(metalink)
        await asyncio.to_thread(metalink.finish)
        return metalink.left_out

    async def croissant(self, folder: Path) -> int:
        """Write a description; gives 0: files that are not named one by one are in it as a set.

        Raises
        ------
        InputError
            The root has no metadata of the dataset.
        """
        dataset = _parsed(await SinkDocuments(self._resources.sink).read(dataset_document(self._dataset)))
        root = self._resources.root
        if not dataset or not await asyncio.to_thread((root / TABLE).is_file):
            raise InputError(f"{root} has no metadata of {self._dataset}; run `emasync metadata {root}` first")
        tallies: list[Tally] = await self._resources.ledger.call("tallies")
        tally = next(tally for tally in tallies if tally.dataset == self._dataset)
        objects = tally.objects.get(State.PLACED, 0)
        few = objects <= MAX_FILE_OBJECTS
        writer = await asyncio.to_thread(Croissant, folder, dataset, root / TABLE, one_by_one=few)
        if few:
            await self._fill(writer)
        else:
            self.files, self.size_bytes = objects, tally.bytes.get(State.PLACED, 0)
        await asyncio.to_thread(writer.finish)
        return 0

    async def _fill(self, writer: Bag | Metalink | Croissant) -> None:
        try:
            async with aclosing(self._described()) as described:
                async for files in described:
                    await to_its_end(asyncio.to_thread(writer.add, files))
        except BaseException:
            await asyncio.to_thread(writer.close)
            raise

    async def _described(self) -> AsyncGenerator[list[ExportFile]]:
        """All files of the dataset, some at a time: what the ledger has placed, then what we wrote."""
        mirrors = await self._mirrors()
        under_way: deque[asyncio.Future[list[tuple[ExportFile, int]]]] = deque()
        try:
            async for page in pages(self._resources.ledger, state=State.PLACED, dataset=self._dataset):
                for job in _jobs(page):
                    under_way.append(self._resources.threads.submit(self._describe, job, mirrors))
                    if len(under_way) >= AHEAD * (os.cpu_count() or 1):
                        yield self._counted(await under_way.popleft())
            while under_way:
                yield self._counted(await under_way.popleft())
            yield self._counted(await self._written())
        finally:
            self._stop.set()
            await asyncio.gather(*under_way, return_exceptions=True)

    def _counted(self, found: Sequence[tuple[ExportFile, int]]) -> list[ExportFile]:
        self.files += len(found)
        self.size_bytes += sum(file.size_bytes for file, _ in found)
        self.read_bytes += sum(read_bytes for _, read_bytes in found)
        return [file for file, _ in found]

    def _describe(self, rows: Sequence[Row], mirrors: Mirrors) -> list[tuple[ExportFile, int]]:
        """In a thread."""
        sink, pieces = self._resources.sink, self._to == "metalink"
        start = len(self._folder) + 1
        return [
            describe_file(sink, row, row.destination[start:], _urls(row, mirrors), self._stop, pieces=pieces)
            for row in rows
        ]

    async def _mirrors(self) -> Mirrors:
        """Those of the last run, as the receipt names them."""
        table = _parsed(await SinkDocuments(self._resources.sink).read(RECEIPT)).get("mirrors")
        return Mirrors({str(old): str(new) for old, new in table.items()} if isinstance(table, dict) else {})

    async def _written(self) -> list[tuple[ExportFile, int]]:
        """Metadata that we wrote ourselves: at no URL.

        Raises
        ------
        IntegrityError
            Somebody changed it.
        """
        documents = SinkDocuments(self._resources.sink)
        record = WrittenRecord.from_bytes(await documents.read(record_path(self._dataset)))
        found = []
        for path, text in record.documents.items():
            destination, data = f"{self._folder}/{path}", text.encode()
            if await documents.read(destination) != data:
                raise IntegrityError(f"{destination} is not what was written; move it away, and run the manifest again")
            found.append((ExportFile(path, destination, len(data), {"sha256": sha256(data).hexdigest()}), 0))
        return found


def _parsed(data: bytes | None) -> dict[str, Any]:
    """A JSON object (Any: its values); empty where it is none."""
    try:
        value = orjson.loads(data or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _urls(row: Row, mirrors: Mirrors) -> tuple[str, ...]:
    """Where the bytes of a file are; none of what is a slice of an object."""
    if row.spec.span(row.key) is not None:
        return ()
    location = Location.parse(row.location)
    asked = mirrors.route(location).asked
    places = (location, asked) if asked.scheme in ("http", "https") else (location,)
    return tuple(dict.fromkeys(public_url(place) for place in places))


def _jobs(page: Sequence[Row]) -> Iterator[list[Row]]:
    """Small files together, large ones apart, so that all threads are busy."""
    job: list[Row] = []
    left_bytes = JOB_BYTES
    for row in page:
        job.append(row)
        left_bytes -= row.size_bytes or 0
        if left_bytes <= 0:
            yield job
            job, left_bytes = [], JOB_BYTES
    if job:
        yield job
