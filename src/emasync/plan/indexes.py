"""Parts of shards that say where chunks lie: asked for once, and bound to the version of the shard they came from."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final, TypeVar

from emasync.errors import AccessDeniedError, ErrorKind, NotFoundError, RefusedError, SourceError
from emasync.model.digest import Span, Tail, Validator
from emasync.model.location import Location
from emasync.plan.verdict import decisive
from emasync.transport.denials import hides_missing
from emasync.transport.interface import Document, Fetcher

T = TypeVar("T")

KEPT_BYTES: Final = 32 << 20
"""Of indexes that may be asked for again: those of a box that was looked at before it is taken."""

_ROW_BYTES: Final = 512
"""What an entry costs beside its bytes, and a shard that is not there."""


class Indexes:
    """Reads parts of shards, and keeps the last ones.

    Parameters
    ----------
    fetcher : Fetcher
    tells_missing : bool
        Whether a 404 is a statement of absence (law 9).
    kept_bytes : int
        How much is kept; 0 for readers that ask for nothing twice.
    documents : sequence of Location
        Metadata that were read: while they answer, a denied shard may be one that is not there.
    """

    def __init__(
        self, fetcher: Fetcher, *, tells_missing: bool, kept_bytes: int = 0, documents: Sequence[Location] = ()
    ) -> None:
        self._fetcher = fetcher
        self._tells_missing = tells_missing
        self._documents = documents
        self._room_bytes = kept_bytes
        self._kept: OrderedDict[tuple[Location, Span | Tail], Document | None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Indexes: {len(self._kept)} kept>"

    async def first(self, place: Location, span: Span | Tail) -> Document | None:
        """The part of a shard that is read before any other; None where there is no such shard.

        Raises
        ------
        TransportError
            As :meth:`~emasync.transport.interface.Fetcher.read`.
        """
        if (place, span) in self._kept:
            return self._kept[place, span]
        try:
            answer: Document | None = await self._read(place, span)
        except (NotFoundError, AccessDeniedError) as error:
            if not await self.says_missing(place, error):
                raise
            answer = None
        self._keep(place, span, answer)
        return answer

    async def _read(self, place: Location, span: Span | Tail) -> Document:
        """Read a part of a shard; where servers know no suffix ranges, in three questions instead of one."""
        try:
            return await self._fetcher.read(place, span=span)
        except RefusedError:
            if not isinstance(span, Tail):
                raise
        head = (await self._fetcher.read(place, span=Span(0, 1))).head
        if head.total_bytes is None:
            raise RefusedError(f"{place}: the server does not tell its size, so its end is not found")
        answer = await self._fetcher.read(place, span=span.of(head.total_bytes))
        require_same(place, answer.head.validator, head.validator)
        return answer

    async def says_missing(self, place: Location, error: NotFoundError | AccessDeniedError) -> bool:
        """Whether `error` says that there is no object at `place`, and nothing else (law 9)."""
        if not self._tells_missing or isinstance(error, NotFoundError):
            return self._tells_missing
        folder = Location(place.scheme, place.authority, place.path.rpartition("/")[0])
        return await hides_missing(self._fetcher, folder, self._documents)

    async def further(self, place: Location, span: Span, validator: Validator) -> bytes:
        """Another part of a shard that is there.

        Raises
        ------
        SourceError
            ``source_changed``: it is another shard now.
        TransportError
            As :meth:`~emasync.transport.interface.Fetcher.read`.
        """
        answer = self._kept.get((place, span)) or await self._fetcher.read(place, span=span)
        require_same(place, answer.head.validator, validator)
        self._keep(place, span, answer)
        return answer.data

    def _keep(self, place: Location, span: Span | Tail, answer: Document | None) -> None:
        if (place, span) in self._kept or not self._room_bytes:
            return
        self._kept[place, span] = answer
        self._room_bytes -= _weight(answer)
        while self._room_bytes < 0 and self._kept:
            self._room_bytes += _weight(self._kept.popitem(last=False)[1])


def _weight(answer: Document | None) -> int:
    return _ROW_BYTES + (0 if answer is None else len(answer.data))


def require_same(place: Location, came: Validator, expected: Validator) -> None:
    """Two answers speak of one version of an object.

    Raises
    ------
    SourceError
        ``source_changed``: they do not.
    """
    if not came.same_object(expected):
        raise SourceError(
            f"{place} changed while it was read; run again", kind=ErrorKind.SOURCE_CHANGED, location=str(place)
        )


async def side_by_side(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Results of `work` (Any: what a coroutine is made of), in its order.

    Raises
    ------
    EmasyncError
        Of several errors at once, the one that decides.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(item) for item in work]
    except ExceptionGroup as failures:
        raise decisive(failures) from failures
    return [task.result() for task in tasks]
