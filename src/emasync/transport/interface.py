"""What the move and plan wings ask of the network: small Protocols and the values they exchange."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from emasync.model.digest import Span, Tail, Validator
from emasync.model.location import Location
from emasync.transport.pages import ListedObject, ListPage, listed_objects
from emasync.transport.parcels import HEAD_ROOM_BYTES, Detour, P, Parcel, ParcelSource
from emasync.transport.receiving import Document, Head, LendingReceiver, Receiver

__all__ = [
    "HEAD_ROOM_BYTES",
    "BucketAccess",
    "Detour",
    "Document",
    "Fetcher",
    "Head",
    "LendingReceiver",
    "ListPage",
    "ListedObject",
    "OriginStatistics",
    "P",
    "Parcel",
    "ParcelSource",
    "Receiver",
    "listed_objects",
]


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
