"""Requests over the wire path; what it does not carry goes over the general client. No retries, no rules."""

from __future__ import annotations

from collections.abc import Mapping

from emasync.errors import RefusedError
from emasync.model.location import Location
from emasync.settings import HostPolicy
from emasync.transport.dialogue import OpenAnswer, Session
from emasync.transport.pool import Place, WirePool
from emasync.transport.request_head import UnfitRequestError, get_request, writable
from emasync.transport.response_head import Framing
from emasync.transport.surroundings import Surroundings
from emasync.transport.wire import BrokenConnectionError, WireConnection
from emasync.transport.wire_answer import WireAnswer, translated

SPACE_BYTES = 64 << 10
"""Where a header and the beginning of its body land; a usual small body fits."""

SPARE_SPACES = 64
MAX_REMEMBERED = 1024

MAX_ODD = 3
"""Malformed answers after which a place is taken to speak a dialect, not to have slipped."""

SUCCESS = range(200, 300)


class WireSession:
    """Sends requests over the wire path, and those that it cannot carry over a general client.

    What a place does not do is remembered: one answer without a length, and its data goes the general way for good.
    An answer that cannot be read is an error; as the general client reads more leniently, it is asked the next time,
    and for good after :data:`MAX_ODD`.

    Parameters
    ----------
    pool : WirePool
    general : Session
    surroundings : Surroundings
    measured : bool
        Only answers that tell the length of their body are taken, as data needs it. Documents come as they come:
        listings and APIs answer in chunks.
    """

    def __init__(self, pool: WirePool, general: Session, surroundings: Surroundings, *, measured: bool = True) -> None:
        self._pool = pool
        self._general = general
        self._measured = measured
        self._surroundings = surroundings
        self._fields = {"User-Agent": surroundings.user_agent, "Accept": "*/*"}
        self._unfit: set[Place] = set()
        self._odd: dict[Place, int] = {}  # malformed answers so far
        self._doubted: set[Place] = set()
        self._spaces: list[memoryview] = []

    def __repr__(self) -> str:
        return f"<WireSession {self._pool!r}, {len(self._unfit)} places unfit>"

    async def open(self, location: Location, headers: Mapping[str, str], policy: HostPolicy, name: str) -> OpenAnswer:
        """Send a GET and wait for the header of the answer; redirects are answers.

        A kept connection that ends before it answered anything costs nothing: servers close idle connections at any
        time (RFC 9112, section 9.3.1). It is tried once more, over a new connection.

        Parameters
        ----------
        location : Location
            http(s), sent exactly as written.
        headers : mapping
        policy : HostPolicy
            For ``connect_timeout_s``.
        name : str
            What messages call it.

        Raises
        ------
        TransientError
            ``unreachable`` when no connection came about.
        RefusedError
            A certificate that does not hold, a URL or header that cannot be written.
        """
        if policy.wire and self._carries(location):
            try:
                request = get_request(location, {**self._fields, **headers})
            except UnfitRequestError as error:
                raise RefusedError(f"{name}: this URL cannot be asked for ({error})", location=name) from error
            answer = await self._ask(location, request, policy, name)
            if answer is not None:
                return answer
            self.remember(location)
        self._doubted.discard((location.scheme, location.authority))
        return await self._general.open(location, headers, policy, name)

    async def _ask(self, location: Location, request: bytes, policy: HostPolicy, name: str) -> WireAnswer | None:
        """The answer; None when another client has to ask."""
        fresh = False
        while True:
            connection = await self._pool.take(location, policy, name, fresh=fresh)
            kept = connection.answers > 0
            space = self._spaces.pop() if self._spaces else _space()
            answer = WireAnswer(name, connection, space, self._retire, bounded=self._measured)
            try:
                head = await answer.begin(request)
            except BrokenConnectionError as error:
                answer.close()
                if kept and not answer.received and not fresh:
                    fresh = True
                    continue
                if error.elsewhere:
                    return None
                if error.malformed:
                    self._doubt(location)
                raise translated(name, error) from error
            except BaseException:
                answer.close()
                raise
            if self._measured and head.status in SUCCESS and head.framing is not Framing.LENGTH:
                answer.close()
                return None
            return answer

    def _carries(self, location: Location) -> bool:
        doubted = (location.scheme, location.authority) in self._doubted
        return (
            self.fits(location)
            and not doubted
            and writable(location)
            and self._surroundings.proxy_for(location) is None
        )

    def _doubt(self, location: Location) -> None:
        place = (location.scheme, location.authority)
        if len(self._odd) >= MAX_REMEMBERED:
            self._odd.clear()
            self._doubted.clear()
        self._odd[place] = self._odd.get(place, 0) + 1
        self._doubted.add(place)
        if self._odd[place] >= MAX_ODD:
            self.remember(location)

    def fits(self, location: Location) -> bool:
        """Whether the place of `location` has not shown that another client has to ask it."""
        return (location.scheme, location.authority) not in self._unfit

    def remember(self, location: Location) -> None:
        """Ask the place of `location` over the general client from now on."""
        if len(self._unfit) >= MAX_REMEMBERED:
            self._unfit.clear()
        self._unfit.add((location.scheme, location.authority))

    def _retire(self, connection: WireConnection, space: memoryview) -> None:
        """Take back what an answer had."""
        self._pool.give(connection)
        if len(self._spaces) < SPARE_SPACES:
            self._spaces.append(space)  # the connection has let go of it, whatever became of it (law 5)

    def forget_addresses(self, location: Location) -> None:
        """Look the host up again for the next connection (a stalled one may have had a bad address)."""
        self._pool.forget_addresses(location)
        self._general.forget_addresses(location)


def _space() -> memoryview:
    return memoryview(bytearray(SPACE_BYTES))
