"""What the move and plan wings ask of the network: small Protocols and the values they exchange."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from emasync.model.digest import Span, Tail, Validator
from emasync.model.location import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What an accepted answer (200 or 206) said before its body.

    Attributes
    ----------
    status : int
        200 or 206.
    start : int
        Offset of the body's first byte in the object.
    stop : int or None
        Exclusive end of the body; None when the answer did not say (chunked or encoded).
    total_bytes : int or None
        Size of the whole object; None when unknown.
    validator : Validator
    content_encoding : str or None
        None for identity. Ranges never carry another (law 10).
    headers : mapping of str to str
        Lower-case names. Bounded by the transport; never logged whole.
    """

    status: int
    start: int
    stop: int | None
    total_bytes: int | None
    validator: Validator = Validator()
    content_encoding: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Receiver(Protocol):
    """Where a body goes. The transport calls ``begin`` once for each accepted answer, then ``feed``."""

    def begin(self, head: Head) -> None:
        """Accept an answer. ``head.start`` says where its body belongs: the tail after a retry, or 0 after a restart.

        Raises
        ------
        EmasyncError
            To refuse the answer; it reaches the caller of :meth:`Fetcher.transfer`.
        """
        ...

    async def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes. Waiting here is back-pressure; the silence clock stands still meanwhile.

        ``data`` is valid until this returns.
        """
        ...


@runtime_checkable
class LendingReceiver(Receiver, Protocol):
    """A receiver that lends its own memory, so that bodies go from the socket to their place without a copy.

    ``begin`` comes first, as for any receiver; then ``room`` and ``took`` in turn. ``feed`` may come between them.
    """

    async def room(self) -> memoryview:
        """Space for the next bytes, not empty. Waiting here is back-pressure; the silence clock stands still meanwhile.

        Raises
        ------
        EmasyncError
            It reaches the caller of :meth:`Fetcher.transfer`.
        """
        ...

    def took(self, size_bytes: int) -> None:
        """So many bytes at the beginning of the last room are valid: fewer than asked for, or none, after a break."""
        ...

    async def put_down(self) -> None:
        """A wait is ahead that is not the network's: give back what memory is held.

        Raises
        ------
        EmasyncError
            As :meth:`room`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """A small body, whole in memory."""

    data: bytes
    head: Head


HEAD_ROOM_BYTES = 4 << 10
"""Space of a parcel beyond its body: a header lands in front of it. A longer header goes the general way."""


class Parcel(Protocol):
    """One small whole object on its way (:meth:`Fetcher.express`).

    Attributes
    ----------
    key : str
        Of the object, below the base of the run.
    size_bytes : int or None
        Announced size.
    space : memoryview
        Where header and body go, one behind the other: at least :data:`HEAD_ROOM_BYTES` more than the body expected.
    """

    @property
    def key(self) -> str: ...  # noqa: D102 - see the class

    @property
    def size_bytes(self) -> int | None: ...  # noqa: D102 - see the class

    @property
    def space(self) -> memoryview: ...  # noqa: D102 - see the class


P = TypeVar("P", bound=Parcel)


class ParcelSource(Protocol[P]):
    """Who wants parcels. Called on the loop, without awaiting."""

    def next(self) -> P | None:
        """The next parcel below the same base, its space reserved; None when there is none now."""
        ...

    def enlarge(self, parcel: P, size_bytes: int) -> memoryview | None:
        """A new space of at least `size_bytes` for a parcel that is larger than expected; None when there is none.

        What the old space holds is copied by the caller, at once.
        """
        ...

    def arrived(self, parcel: P, body: memoryview, validator: Validator) -> None:
        """The whole body has come; it lies in the parcel's space, which is the source's again."""
        ...


@dataclass(frozen=True, slots=True)
class Detour(Generic[P]):
    """A parcel that the express way does not carry.

    Attributes
    ----------
    parcel : Parcel
    transfer : callable
        ``await transfer(location, receiver)``: as :meth:`Fetcher.transfer` of the whole object, going on with what
        has come already. To be called once, at once: it may hold a slot of the origin.
    """

    parcel: P
    transfer: Callable[[Location, Receiver], Awaitable[Head]]


class Fetcher(Protocol):
    """The one door to the network: limits, retries and stall watch included (``governed.py``)."""

    async def read(
        self, location: Location, *, span: Span | Tail | None = None, limit_bytes: int = 64 << 20
    ) -> Document:
        """Fetch a document (metadata, API answer) into memory.

        Parameters
        ----------
        location : Location
        span : Span or Tail, optional
            Part of the object.
        limit_bytes : int
            A longer body is refused.

        Raises
        ------
        TransportError
            After the retry budget, or at once for final answers (404, 403, 416, ...).
        """
        ...

    async def transfer(
        self,
        location: Location,
        receiver: Receiver,
        *,
        span: Span | None = None,
        validator: Validator | None = None,
    ) -> Head:
        """Fetch an object or a span of it into `receiver`; returns when the body ended where it should.

        After a break only the missing tail is asked for, bound to the validator of the first accepted answer
        (`validator` when given: If-Match, or compared answer by answer; law 3).

        A server without ranges answers a span that begins at 0 with the whole object: ``begin`` then sees status
        200 and may refuse it. An encoded whole body (law 10) arrives decoded; ``head.content_encoding`` names the
        encoding, ``head.headers["content-length"]`` the stored size.

        Returns
        -------
        Head
            Of the first accepted answer.

        Raises
        ------
        PreconditionFailedError
            The object is not the validator's any more.
        TransportError
            As for :meth:`read`.
        """
        ...

    async def checksums(self, location: Location, *, size_bytes: int, validator: Validator | None) -> Head | None:
        """Ask the store what it says of a whole object: header fields, no bytes (one request).

        Parameters
        ----------
        location : Location
        size_bytes : int
            Of the object: not asked of what is smaller than a range.
        validator : Validator or None
            What the object must be.

        Returns
        -------
        Head or None
            None where the policy of the host (``asks_checksums``) says that there is nothing to be learnt.

        Raises
        ------
        TransportError
            As for :meth:`read`.
        """
        ...

    def seat(self, location: Location) -> AbstractAsyncContextManager[None]:
        """Hold a place of somebody who moves objects of the origin of `location`.

        There are as many as the origin takes requests at once, which changes. A worker takes one before it takes work
        and memory, so that neither waits for a slot (law 4).
        """
        ...

    async def express(self, base: Location, first: P, source: ParcelSource[P], *, encoded: bool) -> Detour[P] | None:
        """Fetch small whole objects below `base`, one after the other, as long as `source` has some.

        The fast way of usual answers: 200, with a length, as announced. An object whose answer is anything else comes
        back, to be brought to its end by :attr:`Detour.transfer`.

        Parameters
        ----------
        base : Location
            Canonical place that keys are appended to (:meth:`Location.join`).
        first : Parcel
        source : ParcelSource
        encoded : bool
            Keys are percent-encoded URL paths, appended to the base's text as they are.

        Returns
        -------
        Detour or None
            The parcel that has to go the general way; None when `source` had no more.
        """
        ...

    def list(
        self, prefix: Location, *, start_after: str | None = None, delimiter: str | None = None
    ) -> AsyncIterator[ListPage]:
        """List a bucket prefix (s3, gs, S3-style http(s), file), one page at a time, in key order.

        Parameters
        ----------
        prefix : Location
            Bucket and key prefix; keys of the answer are whole keys below the bucket.
        start_after : str, optional
            Keys after this one only.
        delimiter : str, optional
            ``"/"`` groups deeper keys into ``ListPage.folders``.
        """
        ...

    async def bucket_of(self, prefix: Location) -> Location:
        """Location that the keys of ``list(prefix)`` are appended to: ``bucket_of(prefix).join(key)`` is the object.

        The bucket with an empty key for s3 and gs, the listed folder itself for file, the listing endpoint for
        S3-style http(s) servers (found out by one small listing, then remembered).

        Raises
        ------
        TransportError
            As for :meth:`read`; an http(s) server that does not list is a :class:`RefusedError`.
        """
        ...

    def statistics(self) -> Mapping[str, OriginStatistics]:
        """State of each origin used so far."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketAccess:
    """How one bucket is asked; what a manifest says of it.

    Attributes
    ----------
    anonymous : bool
        False: requests are signed as soon as an anonymous one was denied.
    requester_pays : bool
        Sign at once and accept the bill (``x-amz-request-payer``).
    region : str or None
        None: found out from the bucket's answers.
    profile : str or None
        Named profile of the AWS configuration; None for the default chain.
    """

    anonymous: bool = True
    requester_pays: bool = False
    region: str | None = None
    profile: str | None = None


class ListedObject(NamedTuple):
    """One row of a listing: a tuple, because one is made for every object of a bucket.

    Attributes
    ----------
    key : str
        Whole key below the bucket.
    size_bytes : int
    etag : str or None
        With quotes, as in an answer's ETag header.
    last_modified : str or None
        As the listing gives it (ISO 8601 for S3 and GCS).
    """

    key: str
    size_bytes: int
    etag: str | None = None
    last_modified: str | None = None


def listed_objects(rows: Iterable[tuple[str, int, str | None, str | None]]) -> tuple[ListedObject, ...]:
    """Rows of a listing from tuples of their fields, without a call of ours for each."""
    return tuple(map(partial(tuple.__new__, ListedObject), rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """One page of a listing.

    Attributes
    ----------
    objects : tuple of ListedObject
        In key order (UTF-8 binary, as S3 lists).
    folders : tuple of str
        Common prefixes, with trailing delimiter.
    last : bool
        Whether the listing ends here.
    start_ignored : bool
        Whether the server answered with keys that were not asked for, because it does not know ``start-after``. They
        were dropped.
    """

    objects: tuple[ListedObject, ...]
    folders: tuple[str, ...] = ()
    last: bool
    start_ignored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginStatistics:
    """A view of one origin's limiter and counters.

    Attributes
    ----------
    in_flight, limit, waiting : int
        Requests under way, most allowed, callers waiting for a slot.
    requests, retries, bytes_received : int
        Since the run began.
    held_until_s : float or None
        Monotonic time until which Retry-After holds the origin.
    cap : int
        What the policy allows at most; 0 where nobody knows.
    goodput_bytes_per_s : float
        Of the last second or so that was measured.
    phase : str
        What the limit is doing (:class:`~emasync.transport.adaptive.Phase`).
    flowed_s : float or None
        Monotonic time of the last byte, as seen a few times a second.
    asks_again_s : float or None
        Monotonic time at which a request that failed goes again.
    gives_up_s : float or None
        Monotonic time at which an origin that answers nothing is given up.
    patience_s : float or None
        How long the silence of one request is borne, by the policy.
    """

    origin: str
    in_flight: int
    limit: int
    waiting: int
    requests: int
    retries: int
    bytes_received: int
    held_until_s: float | None = None
    cap: int = 0
    goodput_bytes_per_s: float = 0.0
    phase: str = ""
    flowed_s: float | None = None
    asks_again_s: float | None = None
    gives_up_s: float | None = None
    patience_s: float | None = None
