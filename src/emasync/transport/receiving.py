"""What a body says of itself, and where it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from emasync.model.digest import Validator


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
            To refuse the answer; it reaches the caller of :meth:`~emasync.transport.interface.Fetcher.transfer`.
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
            It reaches the caller of :meth:`~emasync.transport.interface.Fetcher.transfer`.
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
