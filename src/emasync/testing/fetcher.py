"""A Fetcher over a dictionary, for tests of what asks the network's door. It passes the suite of the real one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import unquote

from emasync.errors import (
    EmasyncError,
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiedError,
    RefusedError,
)
from emasync.model.digest import Span, Tail, Validator
from emasync.model.location import Location
from emasync.testing.conditions import http_date
from emasync.testing.listing import PAGE_LIMIT, Page, iso_date, page_of
from emasync.testing.objects import EPOCH_S, Listed, StoredObject, from_bytes
from emasync.transport.interface import (
    Detour,
    Document,
    Head,
    ListedObject,
    ListPage,
    OriginStatistics,
    P,
    ParcelSource,
    Receiver,
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """One call of a :class:`MemoryFetcher`.

    Attributes
    ----------
    verb : {"read", "transfer", "checksums", "list"}
    location : str
    span : Span, Tail or None
    validator : Validator or None
    """

    verb: Literal["read", "transfer", "checksums", "list"]
    location: str
    span: Span | Tail | None = None
    validator: Validator | None = None


@dataclass(slots=True)
class _Script:
    """What goes wrong at one location, in order."""

    errors: deque[EmasyncError] = field(default_factory=deque)
    breaks: deque[int] = field(default_factory=deque)


@dataclass(slots=True)
class _Origin:
    requests: int = 0
    in_flight: int = 0
    bytes_received: int = 0


class MemoryFetcher:
    """Implements :class:`emasync.transport.interface.Fetcher`.

    Parameters
    ----------
    objects : mapping of str to bytes, optional
        Content by URL; all spellings of a bucket's URL are one.
    block_bytes : int
        Size of the pieces given to ``Receiver.feed``.
    page_limit : int
        Rows of a listing page.

    Attributes
    ----------
    log : deque of Fetched
        Calls, oldest first.
    peak_in_flight : int
        Most reads and transfers at once.
    """

    def __init__(
        self, objects: Mapping[str, bytes] | None = None, *, block_bytes: int = 64 << 10, page_limit: int = PAGE_LIMIT
    ) -> None:
        self.log: deque[Fetched] = deque(maxlen=100_000)
        self.peak_in_flight = 0
        self._objects: dict[Location, StoredObject] = {}
        self._told: dict[Location, Mapping[str, str]] = {}
        self._stated: dict[Location, Mapping[str, str] | None] = {}
        self._scripts: dict[Location, _Script] = {}
        self._origins: dict[str, _Origin] = {}
        self._block_bytes = block_bytes
        self._page_limit = page_limit
        self._gate: asyncio.Event | None = None
        for url, data in (objects or {}).items():
            self.put(url, data)

    def __repr__(self) -> str:
        return f"<MemoryFetcher of {len(self._objects)} objects, {len(self.log)} calls>"

    # --- what tests arrange

    def put(
        self,
        location: str | Location,
        data: bytes,
        *,
        modified_s: float = EPOCH_S,
        tag: str | None = None,
        told: Mapping[str, str] | None = None,
        stated: Mapping[str, str] | None = None,
    ) -> Location:
        """Place or replace an object; gives its location.

        Parameters
        ----------
        tag : str, optional
            Entity tag without quotes; the MD5 by default.
        told : mapping, optional
            More header fields of its transfers, lower-case names.
        stated : mapping, optional
            What its store says of it when it is asked (:meth:`checksums`).
        """
        at = _canonical(location)
        found = from_bytes(bytes(data), modified_s)
        self._told[at] = told or {}
        self._stated[at] = stated
        self._objects[at] = found if tag is None else replace(found, tag=tag)
        return at

    def delete(self, location: str | Location) -> None:
        """Remove an object."""
        del self._objects[_canonical(location)]

    def fail(self, location: str | Location, *errors: EmasyncError) -> None:
        """Let the next reads or transfers of `location` raise these, one each."""
        self._script(location).errors.extend(errors)

    def interrupt(self, location: str | Location, *after_bytes: int) -> None:
        """Let the next transfer of `location` break after so many bytes, each counted from the last break, and go on.

        The receiver sees ``begin`` again, with the tail's head, as after a retry.
        """
        self._script(location).breaks.extend(after_bytes)

    def hold(self) -> None:
        """Let reads and transfers begin and none go on until :meth:`release`."""
        self._gate = asyncio.Event()

    def release(self) -> None:
        """Go on."""
        if self._gate is not None:
            self._gate.set()
            self._gate = None

    @property
    def in_flight(self) -> int:
        """Reads and transfers under way."""
        return sum(origin.in_flight for origin in self._origins.values())

    # --- the Fetcher

    async def read(
        self, location: Location, *, span: Span | Tail | None = None, limit_bytes: int = 64 << 20
    ) -> Document:
        """Fetch a document into memory; see :meth:`Fetcher.read`."""
        self.log.append(Fetched("read", str(location), span))
        async with self._visit(location) as found:
            head = _head(found, span, location)
            stop = _stop(head)
            if stop - head.start > limit_bytes:
                raise RefusedError(
                    f"{location}: {stop - head.start} bytes, at most {limit_bytes} are read", location=str(location)
                )
            self._origin(location).bytes_received += stop - head.start
            return Document(bytes(found.read(head.start, stop)), head)

    async def transfer(
        self, location: Location, receiver: Receiver, *, span: Span | None = None, validator: Validator | None = None
    ) -> Head:
        """Fetch into a receiver; see :meth:`Fetcher.transfer`."""
        self.log.append(Fetched("transfer", str(location), span, validator))
        async with self._visit(location) as found:
            first = self._head(found, span, location)
            if validator is not None and not validator.same_object(first.validator):
                raise PreconditionFailedError(
                    f"{location}: expected {validator}, it is {first.validator} now", location=str(location)
                )
            breaks = self._script(location).breaks
            at, stop = first.start, _stop(first)
            receiver.begin(first)
            while breaks and at + breaks[0] < stop:
                until = at + breaks.popleft()
                await self._feed(receiver, found, Span(at, until), location)
                at = until
                receiver.begin(self._head(found, Span(at, stop), location))
            await self._feed(receiver, found, Span(at, stop), location)
            return first

    def _head(self, found: StoredObject, span: Span | None, location: Location) -> Head:
        head = _head(found, span, location)
        return replace(head, headers={**head.headers, **self._told.get(_canonical(location), {})})

    async def checksums(self, location: Location, *, size_bytes: int, validator: Validator | None) -> Head | None:
        """What :meth:`put` was told that the store states; None where that is nothing."""
        at = _canonical(location)
        stated, found = self._stated.get(at), self._objects.get(at)
        if stated is None or found is None:
            return None
        self.log.append(Fetched("checksums", str(location), Span(0, size_bytes), validator))
        script = self._script(location)
        if script.errors:
            raise script.errors.popleft()
        return replace(_head(found, None, location), headers=stated)

    def seat(self, location: Location) -> AbstractAsyncContextManager[None]:  # noqa: ARG002 - the Protocol's signature
        """A place for whoever asks: there is no limit here."""
        return nullcontext()

    async def express(self, base: Location, first: P, source: ParcelSource[P], *, encoded: bool) -> Detour[P]:  # noqa: ARG002 - the Protocol's signature
        """Carry nothing: every object goes the general way, where tests script what happens to it."""
        return Detour(first, self.transfer)

    async def _feed(self, receiver: Receiver, found: StoredObject, span: Span, location: Location) -> None:
        # one buffer for all pieces, wiped after use: who keeps a view instead of the bytes finds out
        buffer = bytearray(min(self._block_bytes, span.size_bytes))
        for start in range(span.start, span.stop, self._block_bytes):
            piece = found.read(start, min(start + self._block_bytes, span.stop))
            view = memoryview(buffer)[: len(bytes(piece))]
            view[:] = piece
            await receiver.feed(view)
            view[:] = bytes(len(view))
            self._origin(location).bytes_received += len(view)

    async def list(
        self, prefix: Location, *, start_after: str | None = None, delimiter: str | None = None
    ) -> AsyncIterator[ListPage]:
        """List a bucket prefix; see :meth:`Fetcher.list`."""
        root = await self.bucket_of(prefix)
        wanted = _key_below(root, prefix)
        floor: str | None = "" if start_after is None else start_after + "\0"
        while floor is not None:
            self.log.append(Fetched("list", str(prefix)))
            self._origin(prefix).requests += 1
            script = self._script(prefix)
            if script.errors:
                raise script.errors.popleft()
            page = page_of(
                lambda start: self._rows(root, start),
                prefix=wanted,
                floor=floor,
                delimiter=delimiter or "",
                limit=self._page_limit,
            )
            yield _list_page(page)
            floor = page.resume

    async def bucket_of(self, prefix: Location) -> Location:
        """Location that listed keys are appended to; the first path segment stands for an http(s) server's bucket."""
        at = _canonical(prefix)
        if at.scheme in ("s3", "gs"):
            return Location(at.scheme, at.authority, "")
        if at.scheme == "file":
            return at
        return Location(at.scheme, at.authority, "/" + at.path[1:].partition("/")[0])

    def statistics(self) -> Mapping[str, OriginStatistics]:
        """State of each origin used so far."""
        return {
            name: OriginStatistics(
                origin=name,
                in_flight=origin.in_flight,
                limit=1 << 20,
                waiting=0,
                requests=origin.requests,
                retries=0,
                bytes_received=origin.bytes_received,
            )
            for name, origin in self._origins.items()
        }

    @asynccontextmanager
    async def _visit(self, location: Location) -> AsyncIterator[StoredObject]:
        """One request under way: counted, held while the fetcher is, refused as scripted."""
        origin = self._origin(location)
        origin.requests += 1
        origin.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)  # a real fetcher always gives way
            if self._gate is not None:
                await self._gate.wait()
            yield self._find(location)
        finally:
            origin.in_flight -= 1

    def _find(self, location: Location) -> StoredObject:
        script = self._script(location)
        if script.errors:
            raise script.errors.popleft()
        found = self._objects.get(_canonical(location))
        if found is None:
            raise NotFoundError(f"{location}: 404 Not Found", location=str(location))
        return found

    def _rows(self, root: Location, floor: str) -> Iterator[Listed]:
        keys = {
            _key_below(root, at): found
            for at, found in self._objects.items()
            if at.scheme == root.scheme and at.authority == root.authority and at.path.startswith(_folder(root))
        }
        for key in sorted(key for key in keys if key >= floor):
            yield Listed(key, keys[key].size_bytes, keys[key].modified_s, keys[key].tag)

    def _script(self, location: str | Location) -> _Script:
        return self._scripts.setdefault(_canonical(location), _Script())

    def _origin(self, location: Location) -> _Origin:
        return self._origins.setdefault(location.origin, _Origin())


def _canonical(location: str | Location) -> Location:
    at = Location.parse(location) if isinstance(location, str) else location
    return at.as_bucket() or at


def _folder(root: Location) -> str:
    return root.path if not root.path or root.path.endswith("/") else root.path + "/"


def _key_below(root: Location, location: Location) -> str:
    path = _canonical(location).path.removeprefix(_folder(root))
    if path == root.path:
        return ""
    return unquote(path) if root.scheme in ("http", "https") else path


def _head(found: StoredObject, span: Span | Tail | None, location: Location) -> Head:
    total = found.size_bytes
    span = span.of(total) if isinstance(span, Tail) else span
    if span is not None and span.start >= total:
        raise RangeNotSatisfiedError(
            f"{location}: range from {span.start} of an object of {total} bytes",
            location=str(location),
            total_bytes=total,
        )
    start, stop = (0, total) if span is None else (span.start, min(span.stop, total))
    validator = Validator(
        etag=f'"{found.tag}"',
        last_modified=http_date(int(found.modified_s)),
        generation=found.generation if location.origin.startswith("gs://") else None,
    )
    return Head(
        status=200 if span is None else 206,
        start=start,
        stop=stop,
        total_bytes=total,
        validator=validator,
        headers={"etag": f'"{found.tag}"', "content-length": str(stop - start)},
    )


def _stop(head: Head) -> int:
    assert head.stop is not None  # noqa: S101  # made above
    return head.stop


def _list_page(page: Page) -> ListPage:
    rows = tuple(
        ListedObject(
            key=row.key, size_bytes=row.size_bytes, etag=f'"{row.tag}"', last_modified=iso_date(row.modified_s)
        )
        for row in page.objects
    )
    return ListPage(objects=rows, folders=page.folders, last=page.resume is None)
