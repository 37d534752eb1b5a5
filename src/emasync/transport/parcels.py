"""Small whole objects that come one after the other (:meth:`~emasync.transport.interface.Fetcher.express`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from emasync.model.digest import Validator
from emasync.model.location import Location
from emasync.transport.receiving import Head, Receiver

HEAD_ROOM_BYTES = 4 << 10
"""Space of a parcel beyond its body: a header lands in front of it. A longer header goes the general way."""


class Parcel(Protocol):
    """One small whole object on its way (:meth:`~emasync.transport.interface.Fetcher.express`).

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
        ``await transfer(location, receiver)``: as :meth:`~emasync.transport.interface.Fetcher.transfer` of the whole
        object, going on with what has come already. To be called once, at once: it may hold a slot of the origin.
    """

    parcel: P
    transfer: Callable[[Location, Receiver], Awaitable[Head]]
