"""Where express lanes may go, and the loop that keeps one going."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from emasync.errors import EmasyncError
from emasync.model.clock import Clock
from emasync.model.location import Location
from emasync.transport.bandwidth import Bandwidth
from emasync.transport.exchange import Begun
from emasync.transport.interface import Detour, Head, P, ParcelSource, Receiver
from emasync.transport.lane import Aim, Lane, LaneEnd
from emasync.transport.limiter import OriginLimiter
from emasync.transport.mirrors import Mirrors
from emasync.transport.object_store import ObjectStores
from emasync.transport.pool import WirePool
from emasync.transport.response_head import Framing
from emasync.transport.surroundings import Surroundings
from emasync.transport.wire_session import SUCCESS, WireSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Express:
    """Runs lanes with the services of one run.

    Attributes
    ----------
    session : WireSession
        Where answers go on that a lane began; remembers the places that are not for this path.
    pool : WirePool
    stores : ObjectStores
    mirrors : Mirrors
    surroundings : Surroundings
    bandwidth : Bandwidth
    clock : Clock
    limiter_of : callable
        Limiter of a location's origin.
    transfer : callable
        The general way, from the beginning.
    go_on : callable
        The general way, from what a lane began.
    """

    session: WireSession
    pool: WirePool
    stores: ObjectStores
    mirrors: Mirrors
    surroundings: Surroundings
    bandwidth: Bandwidth
    clock: Clock
    limiter_of: Callable[[Location], OriginLimiter]
    transfer: Callable[[Location, Receiver], Awaitable[Head]]
    go_on: Callable[[Begun, Location, Receiver], Awaitable[Head]]

    async def fetch(self, base: Location, first: P, source: ParcelSource[P], *, encoded: bool) -> Detour[P] | None:
        """See :meth:`~emasync.transport.interface.Fetcher.express`."""
        asked = self.mirrors.route_all(base, encoded=encoded)
        if asked is None:
            return Detour(first, self.transfer)
        limiter = self.limiter_of(asked)
        aim = self._aim(asked, encoded=encoded)
        policy = limiter.policy
        if aim is None or not policy.wire or policy.requests_per_second or self.bandwidth.capped:
            return Detour(first, self.transfer)
        return await self._keep_going(aim, limiter, first, source)

    async def _keep_going(
        self, aim: Aim, limiter: OriginLimiter, first: P, source: ParcelSource[P]
    ) -> Detour[P] | None:
        parcel, fresh = first, False
        while True:
            try:
                async with AsyncExitStack() as slot:
                    await slot.enter_async_context(limiter.slot())
                    connection = await self.pool.take(aim.location, limiter.policy, "", fresh=fresh)
                    slot.callback(self.pool.give, connection)
                    lane = Lane(connection, source, aim, limiter, self.clock)
                    end = await lane.run(parcel)
                    if end is LaneEnd.ODD and lane.parcel is not None:
                        return Detour(lane.parcel, self._rest(lane, aim, slot))
            except EmasyncError:
                return Detour(parcel, self.transfer)  # the general way finds the same, and says it in full
            if end is not LaneEnd.RESET and limiter.full:
                return None  # whoever called waits without a parcel, and so without its memory (law 4)
            following = lane.parcel if end is LaneEnd.RESET else source.next()
            if following is None:
                return None
            parcel, fresh = following, end is LaneEnd.RESET

    def _rest(self, lane: Lane[P], aim: Aim, slot: AsyncExitStack) -> Callable[[Location, Receiver], Awaitable[Head]]:
        """What brings the lane's odd answer to its end; keeps the slot and the connection where they are needed."""
        head, broken = lane.head, lane.broken
        if head is None and (broken is None or broken.elsewhere):
            return self.transfer
        if head is not None and head.status in SUCCESS and head.framing is not Framing.LENGTH:
            self.session.remember(aim.location)
            return self.transfer
        return partial(self.go_on, Begun(lane.take_answer, broken, slot.pop_all(), lane.epoch))

    def _aim(self, asked: Location, *, encoded: bool) -> Aim | None:
        """How objects below `asked` are requested; None where that takes more than a plain request."""
        if asked.scheme == "file" or (place := self.stores.open_place(asked)) is None:
            return None
        location, safe = place
        if self.surroundings.proxy_for(location) is not None or not self.session.fits(location):
            return None
        gzip = "gzip" if asked.origin.startswith("gs://") else "identity"
        suffix = (
            f" HTTP/1.1\r\nHost: {location.authority}\r\nUser-Agent: {self.surroundings.user_agent}\r\n"
            f"Accept: */*\r\nAccept-Encoding: {gzip}\r\n\r\n"
        )
        path = location.path if encoded or location.path.endswith("/") else location.path + "/"
        return Aim(location, path, safe, encoded, suffix)
