"""Where express lanes may go, and the loop that keeps one going."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emasync.errors import EmasyncError
from emasync.model.clock import Clock
from emasync.model.location import Location
from emasync.transport.bandwidth import Bandwidth
from emasync.transport.interface import P, ParcelSource
from emasync.transport.lane import Aim, Lane, LaneEnd
from emasync.transport.limiter import OriginLimiter
from emasync.transport.mirrors import Mirrors
from emasync.transport.object_store import ObjectStores
from emasync.transport.pool import WirePool
from emasync.transport.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Express:
    """Runs lanes with the services of one run.

    Attributes
    ----------
    pool : WirePool
    stores : ObjectStores
    mirrors : Mirrors
    surroundings : Surroundings
    bandwidth : Bandwidth
    clock : Clock
    limiter_of : callable
        Limiter of a location's origin.
    """

    pool: WirePool
    stores: ObjectStores
    mirrors: Mirrors
    surroundings: Surroundings
    bandwidth: Bandwidth
    clock: Clock
    limiter_of: Callable[[Location], OriginLimiter]

    async def fetch(self, base: Location, first: P, source: ParcelSource[P], *, encoded: bool) -> P | None:
        """See :meth:`~emasync.transport.interface.Fetcher.express`."""
        asked = self.mirrors.route_all(base, encoded=encoded)
        if asked is None:
            return first
        limiter = self.limiter_of(asked)
        aim = self._aim(asked, encoded=encoded)
        if aim is None or limiter.policy.requests_per_second or self.bandwidth.capped:
            return first
        return await self._keep_going(aim, limiter, first, source)

    async def _keep_going(self, aim: Aim, limiter: OriginLimiter, first: P, source: ParcelSource[P]) -> P | None:
        parcel, fresh = first, False
        while True:
            try:
                async with limiter.slot():
                    connection = await self.pool.take(aim.location, limiter.policy, "", fresh=fresh)
                    lane = Lane(connection, source, aim, limiter, self.clock)
                    try:
                        end = await lane.run(parcel)
                    finally:
                        self.pool.give(connection)
            except EmasyncError:
                return parcel  # the general way finds the same, and says it in full
            if end is LaneEnd.ODD:
                return lane.parcel
            following = lane.parcel if end is LaneEnd.RESET else source.next()
            if following is None:
                return None
            parcel, fresh = following, end is LaneEnd.RESET

    def _aim(self, asked: Location, *, encoded: bool) -> Aim | None:
        """How objects below `asked` are requested; None where that takes more than a plain request."""
        if asked.scheme == "file" or (place := self.stores.open_place(asked)) is None:
            return None
        location, safe = place
        if self.surroundings.proxy_for(location) is not None:
            return None
        gzip = "gzip" if asked.origin.startswith("gs://") else "identity"
        suffix = (
            f" HTTP/1.1\r\nHost: {location.authority}\r\nUser-Agent: {self.surroundings.user_agent}\r\n"
            f"Accept: */*\r\nAccept-Encoding: {gzip}\r\n\r\n"
        )
        path = location.path if encoded or location.path.endswith("/") else location.path + "/"
        return Aim(location, path, safe, encoded, suffix)
