"""Small bodies, whole in memory."""

from __future__ import annotations

from dataclasses import replace

from emasync.errors import RefusedError
from emasync.model.digest import Span, Tail
from emasync.transport.interface import Document, Head


class Collector:
    """A receiver that keeps the body, bounded.

    Parameters
    ----------
    name : str
        Of the object, for messages.
    span : Span, Tail or None
        What was asked for.
    limit_bytes : int
    """

    def __init__(self, name: str, span: Span | Tail | None, limit_bytes: int) -> None:
        self._name = name
        self._span = span
        self._start = None if isinstance(span, Tail) else span.start if span else 0
        self._limit_bytes = limit_bytes
        self._data = bytearray()

    def begin(self, head: Head) -> None:
        """Take the tail where we stand, or begin again.

        Raises
        ------
        RefusedError
            The body will be longer than the limit.
        """
        start = self._start = head.start if self._start is None else self._start
        del self._data[max(0, head.start - start) :]
        if head.stop is not None and head.stop - start > self._limit_bytes:
            raise self._too_long(f"{head.stop - start} bytes")

    async def feed(self, data: bytes | memoryview) -> None:
        """Keep `data`.

        Raises
        ------
        RefusedError
            The body is longer than the limit.
        """
        if len(self._data) + len(data) > self._limit_bytes:
            raise self._too_long("more")
        self._data += data

    def _too_long(self, what: str) -> RefusedError:
        message = f"{self._name}: expected a document of up to {self._limit_bytes} bytes, got {what}; refused"
        return RefusedError(message, location=self._name)

    def document(self, head: Head) -> Document:
        """What was kept; of a server without ranges only the span that was asked for."""
        data = bytes(self._data)
        if isinstance(self._span, Span) and head.start == 0 and len(data) > self._span.size_bytes:
            data = data[: self._span.size_bytes]
            head = replace(head, stop=self._span.stop)
        return Document(data, head)
