"""The one door to the network: mirrors, limits, retries and the stall watch, for every request."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio.to_thread

from emasync.errors import EmasyncError, TransientError
from emasync.model.clock import Clock, SystemClock
from emasync.model.digest import Span, Tail, Validator
from emasync.model.events import Event, OnEvent, ignore_event
from emasync.model.location import Location
from emasync.model.redaction import redact
from emasync.settings import Settings
from emasync.transport import files
from emasync.transport.auth import CredentialChain, Credentials
from emasync.transport.bandwidth import Bandwidth
from emasync.transport.documents import Collector
from emasync.transport.exchange import Begun, Exchange
from emasync.transport.express import Express
from emasync.transport.general import GeneralSession, HeaderSession
from emasync.transport.interface import (
    BucketAccess,
    Detour,
    Document,
    Head,
    ListPage,
    OriginStatistics,
    P,
    ParcelSource,
    Receiver,
)
from emasync.transport.limiter import OriginLimiter, Sharing
from emasync.transport.listing import PAGE_BYTES, Cursor, RawPage, parse_page
from emasync.transport.mirrors import Mirrors, Route
from emasync.transport.neighbourhood import Judge, Neighbourhood
from emasync.transport.object_store import Endpoints, ObjectStores
from emasync.transport.places import ListingPlace, PlaceFinder
from emasync.transport.pool import WirePool
from emasync.transport.pursuit import Pursuit
from emasync.transport.redirects import is_private
from emasync.transport.remembered import Remembered
from emasync.transport.resolver import DaemonResolver
from emasync.transport.shortcuts import Shortcuts
from emasync.transport.surroundings import Surroundings
from emasync.transport.watch import HEARTBEAT_S, Watch
from emasync.transport.wire_session import WireSession

DOCUMENT_BYTES = 64 << 20
"""Longest document unless the caller says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one call asks for.

    Attributes
    ----------
    route : Route
    name : str
        For messages; empty for the route's own.
    span, validator
        As in :meth:`GovernedFetcher.transfer`.
    document : bool
        Small and wanted before bulk data.
    header_only : bool
        No body is wanted.
    """

    route: Route
    name: str = ""
    span: Span | Tail | None = None
    validator: Validator | None = None
    document: bool = False
    header_only: bool = False


class GovernedFetcher:
    """A :class:`~emasync.transport.interface.Fetcher` over HTTP, object stores and local folders.

    Use it as an async context manager; everything else is valid inside of it only.

    Parameters
    ----------
    settings : Settings
        Host policies, mirrors, bandwidth.
    clock : Clock
    on_event : callable
        Told of ``retry``, ``stalled`` and ``warning``.
    endpoints : Endpoints
        Where the object stores are.
    surroundings : Surroundings or None
        None: read from this machine.
    credentials : Credentials or None
        None: the usual chains, asked only where requests are signed.
    resolver : DaemonResolver or None
        None: asks what the surroundings ask.
    rng : random.Random or None
        Jitter of the back-off.
    heartbeat_s : float
        How often the stall watch looks.
    wire : bool
        Whether requests go over this package's own connections; False: all of them over aiohttp.
    remembered : mapping of str to Remembered, optional
        What an earlier run found out, by origin.
    judge : callable
        Whether an address lies inside.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        on_event: OnEvent = ignore_event,
        endpoints: Endpoints | None = None,
        surroundings: Surroundings | None = None,
        credentials: Credentials | None = None,
        resolver: DaemonResolver | None = None,
        rng: random.Random | None = None,
        heartbeat_s: float = HEARTBEAT_S,
        wire: bool = True,
        remembered: Mapping[str, Remembered] | None = None,
        judge: Judge = is_private,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._on_event = on_event
        self._endpoints = endpoints or Endpoints()
        self._surroundings = surroundings
        self._credentials = credentials or CredentialChain(self._clock)
        self._resolver = resolver
        self._rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        self._wire = wire
        self._mirrors = Mirrors(settings.mirrors)
        self._watch = Watch(self._clock, heartbeat_s=heartbeat_s, on_beat=self._beat)
        self._remembered = remembered or {}
        self._judge = judge
        self._neighbours: Neighbourhood | None = None
        self._limiters: dict[str, OriginLimiter] = {}
        self._sharing: Sharing | None = None
        self._bandwidth = Bandwidth(settings.max_bandwidth, self._clock, settings.bandwidth_timetable)
        self._granted: dict[str, BucketAccess] = {}
        self._general: GeneralSession | None = None
        self._pool: WirePool | None = None
        self._exchange: Exchange | None = None
        self._express: Express | None = None
        self._stores: ObjectStores | None = None
        self._places = PlaceFinder(self._mirrors, self._small_page)

    def __repr__(self) -> str:
        state = "open" if self._exchange is not None else "closed"
        return f"<GovernedFetcher {state}, {list(self._limiters.values())}>"

    # --- life --------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        surroundings = self._surroundings
        if surroundings is None:
            surroundings = await anyio.to_thread.run_sync(Surroundings.read)
        resolver = self._resolver or DaemonResolver(surroundings.lookup)
        self._neighbours = neighbours = Neighbourhood(
            resolver,
            surroundings,
            allow_private=self._settings.allow_private,
            named=self._mirrors.places(),
            judge=self._judge,
        )
        self._general = general = GeneralSession(surroundings, resolver, neighbours.admit)
        self._stores = ObjectStores(self._endpoints, self._credentials, surroundings, self._clock)
        for origin, access in self._granted.items():
            self._stores.grant(origin, access)
        self._pool = pool = WirePool(surroundings, resolver, self._clock, neighbours.admit)
        wire = WireSession(pool, general, surroundings)
        self._exchange = Exchange(
            documents=WireSession(pool, general, surroundings, measured=False) if self._wire else general,
            data=wire if self._wire else general,
            headers=HeaderSession(general),
            stores=self._stores,
            watch=self._watch,
            bandwidth=self._bandwidth,
            clock=self._clock,
            rng=self._rng,
            on_event=self._on_event,
            limiter_of=self.limiter,
            neighbours=neighbours,
            shortcuts=Shortcuts(self._clock),
        )
        self._express = Express(
            session=wire,
            pool=pool,
            stores=self._stores,
            mirrors=self._mirrors,
            surroundings=surroundings,
            bandwidth=self._bandwidth,
            clock=self._clock,
            limiter_of=self.limiter,
            transfer=self.transfer,
            go_on=self._go_on,
        )
        self._watch.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections, within 2 s; the fetcher cannot be used afterwards."""
        self._watch.stop()
        general, self._general, self._exchange, self._express = self._general, None, None, None
        pool, self._pool = self._pool, None
        async with asyncio.TaskGroup() as group:
            for connections in (general, pool):
                if connections is not None:
                    group.create_task(connections.aclose())

    def grant(self, origin: str, access: BucketAccess) -> None:
        """Say how a bucket is asked; without a word it is asked without credentials.

        Parameters
        ----------
        origin : str
            ``Location.origin`` of any object in it.
        access : BucketAccess

        Raises
        ------
        InputError
            No region name.
        """
        self._granted[origin] = access
        if self._stores is not None:
            self._stores.grant(origin, access)

    # --- state -------------------------------------------------------------------------------------------------

    def limiter(self, location: Location) -> OriginLimiter:
        """Limiter of the origin of `location` (of the place that is asked, where a mirror stands in)."""
        origin = location.origin
        found = self._limiters.get(origin)
        if found is None:
            policy, known = self._settings.policy(location), self._remembered.get(origin)
            found = self._limiters[origin] = OriginLimiter(origin, policy, self._clock, known)
            if self._sharing is not None:
                found.share_with(self._sharing)
        return found

    def _beat(self) -> None:
        for limiter in self._limiters.values():
            limiter.beat()

    def seat(self, location: Location) -> AbstractAsyncContextManager[None]:
        """See :class:`~emasync.transport.interface.Fetcher`."""
        return self.limiter(self._mirrors.route(location).asked).seat()

    def remembered(self) -> dict[str, Remembered]:
        """What the next run may know of the origins of this one."""
        rows = ((origin, limiter.remembered) for origin, limiter in self._limiters.items())
        return {origin: row for origin, row in rows if row is not None}

    def share_limits(self, sharing: Sharing) -> Bandwidth:
        """Divide all limits with other processes from now on; before the first request.

        Returns
        -------
        Bandwidth
            The cap of this fetcher, for its share to be set.
        """
        self._sharing = sharing
        for limiter in self._limiters.values():
            limiter.share_with(sharing)
        return self._bandwidth

    @property
    def bandwidth_debt_s(self) -> float:
        """Seconds for which the cap on the bandwidth lets nothing more be read."""
        return self._bandwidth.debt_s

    @property
    def resumes_at_s(self) -> float | None:
        """Seconds since 1970-01-01 UTC until which the timetable lets nothing through; None while it does."""
        return self._bandwidth.resumes_at_s

    @property
    def granted(self) -> Mapping[str, BucketAccess]:
        """What :meth:`grant` was told, by origin."""
        return self._granted

    def limiters(self) -> Collection[OriginLimiter]:
        """Limiters of all origins used so far."""
        return self._limiters.values()

    def statistics(self) -> Mapping[str, OriginStatistics]:
        """State of each origin used so far."""
        return {origin: limiter.statistics() for origin, limiter in self._limiters.items()}

    # --- objects -----------------------------------------------------------------------------------------------

    async def read(
        self, location: Location, *, span: Span | Tail | None = None, limit_bytes: int = DOCUMENT_BYTES
    ) -> Document:
        """See :class:`~emasync.transport.interface.Fetcher`."""
        collector = Collector(redact(location), span, limit_bytes)
        wanted = Wanted(route=self._mirrors.route(location), span=span, document=True)
        return collector.document(await self._fetch(wanted, collector))

    async def transfer(
        self,
        location: Location,
        receiver: Receiver,
        *,
        span: Span | None = None,
        validator: Validator | None = None,
    ) -> Head:
        """See :class:`~emasync.transport.interface.Fetcher`."""
        return await self._fetch(Wanted(route=self._mirrors.route(location), span=span, validator=validator), receiver)

    async def checksums(self, location: Location, *, size_bytes: int, validator: Validator | None) -> Head | None:
        """See :class:`~emasync.transport.interface.Fetcher`."""
        route = self._mirrors.route(location)
        if route.asked.scheme == "file":
            return None
        policy = self.limiter(route.asked).policy
        if not policy.asks_checksums or size_bytes < policy.part_bytes:
            return None
        wanted = Wanted(route=route, validator=validator, document=True, header_only=True)
        return await self._fetch(wanted, Collector(redact(location), None, 0))

    async def express(self, base: Location, first: P, source: ParcelSource[P], *, encoded: bool) -> Detour[P] | None:
        """See :class:`~emasync.transport.interface.Fetcher`."""
        if self._express is None or not self._wire:
            return Detour(first, self.transfer)
        return await self._express.fetch(base, first, source, encoded=encoded)

    async def _go_on(self, begun: Begun, location: Location, receiver: Receiver) -> Head:
        """:meth:`transfer` of a whole object whose first request an express lane has sent."""
        return await self._fetch(Wanted(route=self._mirrors.route(location)), receiver, begun)

    async def _fetch(self, wanted: Wanted, receiver: Receiver, begun: Begun | None = None) -> Head:
        if wanted.route.asked.scheme == "file":
            self._admit_file(wanted.route.asked, mirrored=wanted.route.mirror is not None)
            return await self._copy(wanted, receiver)
        asked, name = wanted.route.asked, wanted.name or str(wanted.route)
        # Google stores bodies encoded and decodes them on the way unless the client takes them as they are; then
        # size and hash are those of the stored bytes
        accept_gzip = wanted.document or asked.origin.startswith("gs://")
        pursuit = Pursuit(name, wanted.span, wanted.validator, accept_gzip=accept_gzip, header_only=wanted.header_only)
        try:
            return await self._running().fetch(pursuit, asked, receiver, urgent=wanted.document, begun=begun)
        except EmasyncError as error:
            error.location = redact(wanted.route.canonical) if error.location in (name, None) else error.location
            raise

    async def _copy(self, wanted: Wanted, receiver: Receiver) -> Head:
        route = wanted.route
        limiter = self.limiter(route.asked)
        async with limiter.slot(urgent=wanted.document):
            place = files.FilePlace(route.asked.path, route.mirror[1].path if route.mirror else None, str(route))
            head = await files.copy(place, receiver, wanted.span, wanted.validator)
            limiter.bytes_received += (head.stop or 0) - head.start
            return head

    def _admit_file(self, asked: Location, *, mirrored: bool) -> None:
        """A mirror is this user's own word."""
        if self._neighbours is not None and not mirrored:
            self._neighbours.admit_file(asked)

    def _running(self) -> Exchange:
        if self._exchange is None:
            raise TransientError("the fetcher is closed; use it inside `async with`")
        return self._exchange

    # --- listings ----------------------------------------------------------------------------------------------

    async def list(
        self, prefix: Location, *, start_after: str | None = None, delimiter: str | None = None
    ) -> AsyncIterator[ListPage]:
        """See :class:`~emasync.transport.interface.Fetcher`.

        Raises
        ------
        TransportError
            As for :meth:`read`.
        RefusedError
            The server does not list, or what it lists makes no sense.
        """
        place = await self._places.find(prefix)
        if place.endpoint.scheme == "file":
            self._admit_file(place.endpoint, mirrored=place.root.scheme != "file")
        pages = self._folder_pages if place.endpoint.scheme == "file" else self._bucket_pages
        async for page in pages(place, start_after, delimiter):
            yield place.canonical(page)

    async def bucket_of(self, prefix: Location) -> Location:
        """See :class:`~emasync.transport.interface.Fetcher`."""
        return (await self._places.find(prefix)).root

    async def _bucket_pages(
        self, place: ListingPlace, start_after: str | None, delimiter: str | None
    ) -> AsyncIterator[ListPage]:
        after = None if start_after is None else place.lead + start_after
        cursor = Cursor(str(place), place.prefix, after, delimiter)
        while True:
            page = cursor.take(await self._page(place, cursor.query()))
            yield page
            if page.last:
                return

    async def _page(self, place: ListingPlace, query: str) -> RawPage:
        name = f"listing of {place}"
        collector = Collector(name, None, PAGE_BYTES)
        wanted = Wanted(route=Route(place.asked_for, place.with_query(query)), name=name, document=True)
        head = await self._fetch(wanted, collector)
        return parse_page(collector.document(head).data, name)

    async def _small_page(self, place: ListingPlace) -> None:
        """Ask for one key, to learn whether there is a listing."""
        await self._page(place, Cursor(str(place), place.prefix, page_keys=1).query())

    async def _folder_pages(
        self, place: ListingPlace, start_after: str | None, delimiter: str | None
    ) -> AsyncIterator[ListPage]:
        walk = files.FolderListing(
            place.endpoint.path,
            place.prefix,
            start_after or "",
            delimiter=delimiter is not None,
            may_miss=place.root.scheme == "file",
        )
        while True:
            async with self.limiter(place.endpoint).slot(urgent=True):
                page = await anyio.to_thread.run_sync(walk.page)
            for name in walk.skipped:
                message = f"{place}: {name} is no valid UTF-8 name; left out"
                self._on_event(Event("warning", {"message": message, "location": str(place)}))
            walk.skipped.clear()
            yield page
            if page.last:
                return
