"""Large objects: ranges bound to one validator, received into slabs, written in threads (laws 2, 3, 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import chain

from emasync.disk.interface import Partial
from emasync.engine.committer import Note, Release
from emasync.engine.context import MoveContext
from emasync.engine.digests import check_size
from emasync.engine.hashing import hash_landed
from emasync.engine.hedging import Flight, Flights
from emasync.engine.judging import Judge
from emasync.engine.parts import Aim
from emasync.engine.receiver import PartReceiver
from emasync.engine.sealing import LargeObjectDone
from emasync.engine.version import Version, trusted_parts
from emasync.errors import (
    EmasyncError,
    IntegrityError,
    MachineError,
    PreconditionFailedError,
    RangeNotSatisfiedError,
    RefusedError,
    SourceChangedError,
    TransportError,
)
from emasync.ledger.interface import Invalidated, Part, PartDone, PartialStarted, PartialState
from emasync.model.digest import Span, Validator
from emasync.model.redaction import redact
from emasync.model.task import Task, partial_name
from emasync.transport.interface import Head

MAX_RESTARTS = 2
"""An object that changes more often while it is fetched is given up (law 3)."""


class LargeObject:
    """State of one large object in flight. Methods without ``await`` change it; the others do what they returned.

    Parameters
    ----------
    task : Task
    context : MoveContext
    on_fan_out : callable
        Called when spans can be taken that could not before.
    """

    def __init__(self, task: Task, context: MoveContext, on_fan_out: Callable[[], None]) -> None:
        self.task = task
        self._context = context
        self._on_fan_out = on_fan_out
        policy = context.policy(task)
        self._aim = Aim(policy.part_bytes, context.wanted.get((task.set_id, task.key)))
        self._judge = Judge(task, context.settings.checksums, policy.etag_is_md5, context.seen_part_bytes)
        self._version = Version(generation=0)
        self._flights = Flights(context.hedges(task), policy.part_bytes, context.clock)
        self._reserving = asyncio.Lock()
        self._in_flight = 0
        self._restarts = 0
        self._error: EmasyncError | None = None
        self._finishing = False

    def __repr__(self) -> str:
        version = self._version
        return (
            f"<LargeObject {self.task.location} generation {version.generation}, {len(version.done)} parts done, "
            f"{self._in_flight} in flight, error {self._error!r}>"
        )

    # --- state -------------------------------------------------------------------------------------------------

    def take(self) -> Span | None:
        """Next span to fetch; None when nothing can start now. No fan-out before one valid answer (law 3)."""
        version = self._version
        if self._error is not None or self._finishing:
            return None
        if version.todo is None:
            if self._in_flight:
                return None
            self._in_flight += 1
            return self._first_span(version)
        span = next(version.todo, None)
        if span is not None:
            self._in_flight += 1
        return span

    def _first_span(self, version: Version) -> Span:
        if version.total_bytes is not None:
            return next(self._aim.missing(version.total_bytes, version.spans), Span(0, 0))
        return self._aim.first(self.task.size_bytes)

    def _has_all(self, version: Version) -> bool:
        """Whether all that is wanted is here: mostly the whole object."""
        if self._aim.wanted is None or version.complete or version.total_bytes is None:
            return version.complete
        return next(self._aim.missing(version.total_bytes, version.spans), None) is None

    def settled(self) -> bool:
        """Whether nothing is in flight and nothing is left to start."""
        if self._in_flight:
            return False
        version = self._version
        if self._error is None and not self._has_all(version) and version.todo is not None:
            self._require_rest(version, version.todo)
        return self._error is not None or self._has_all(version)

    def _require_rest(self, version: Version, todo: Iterator[Span]) -> None:
        """An object that is not whole has spans left, else it would wait for ever: say so instead."""
        span = next(todo, None)
        if span is not None:
            version.todo = chain((span,), todo)
            return
        self._error = RefusedError(
            f"{self.task.location}: {version.held_bytes} bytes came, {version.total_bytes} were announced; run again",
            location=redact(self.task.location),
        )

    def accept(self, version: Version, head: Head, span: Span) -> Span:
        """Take an answer for `span` of `version`; gives the span that the body will really fill.

        Raises
        ------
        IntegrityError, RefusedError
            The answer does not belong to this object.
        """
        if head.content_encoding is None:
            check_size(self.task, head.total_bytes)
        whole = head.status == 200  # noqa: PLR2004 - RFC 9110, section 15.3.1: the whole object
        if whole and not version.whole and (version.done or version.todo is not None):
            version.ranged = False
            raise PreconditionFailedError(f"{self.task.location}: the server no longer serves ranges")
        if None not in (version.total_bytes, head.total_bytes) and version.total_bytes != head.total_bytes:
            raise PreconditionFailedError(
                f"{self.task.location} had {version.total_bytes} bytes, now it has {head.total_bytes}"
            )
        if version.todo is None:
            self._first_answer(version, head, span, whole=whole)
        stop = span.stop if head.total_bytes is None else head.total_bytes
        return Span(0, stop) if whole else Span(span.start, min(span.stop, stop))

    def _first_answer(self, version: Version, head: Head, span: Span, *, whole: bool) -> None:
        version.head = head
        version.whole = whole
        if version.validator is None:
            version.validator, version.total_bytes = head.validator, head.total_bytes
        version.todo = iter(()) if whole else self._rest(version, span)
        self._begin_landing(version)
        self._on_fan_out()

    def _begin_landing(self, version: Version) -> None:
        version.landing = landing = self._judge.landing(version)
        version.prefix = version.prefix or self._judge.prefix(version)
        if landing is not None:
            for landed in version.spans:
                landing.add(landed)  # before it was known how parts are cut: hashed at the end

    def _rest(self, version: Version, first: Span) -> Iterator[Span]:
        total_bytes = version.total_bytes if version.total_bytes is not None else self.task.size_bytes
        if total_bytes is None:
            version.ranged = False  # "*" is allowed there (RFC 9110, section 14.4); a whole body ends by itself
            raise PreconditionFailedError(f"{self.task.location}: a range was answered without the object's size")
        version.total_bytes = total_bytes
        return self._aim.missing(total_bytes, (*version.spans, first))

    def _changed(self, version: Version, error: EmasyncError) -> bool:
        """The object is another one: begin the next generation. True for the first who notices."""
        if version is not self._version:
            return False
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            self._error = self._error or SourceChangedError(
                f"{self.task.location} changed {self._restarts} times while it was fetched ({error.message}); "
                "run again when the source is at rest",
                location=redact(self.task.location),
            )
        self._version = Version(generation=version.generation + 1, ranged=version.ranged)
        return True

    # --- I/O ---------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Find out what an earlier run left: parts under their validator, or nothing."""
        key = (self.task.set_id, self.task.key)
        state: PartialState | None = await self._context.ledger.call("partial", *key)
        if state is None:
            self._version.generation = await self._context.ledger.call("generation", *key)
            return
        name = partial_name(*key, state.generation)
        partial = await self._context.threads.submit(self._context.sink.reopen, name)
        if partial is None:
            await self._tell_invalidated()
            self._version = Version(generation=state.generation + 1)
            return
        suspect = self._context.suspect_after_epoch
        parts = await self._context.threads.submit(trusted_parts, partial, state.parts, suspect)
        self._version = Version(
            generation=state.generation,
            validator=state.validator,
            total_bytes=state.size_bytes,
            partial=partial,
            started=True,
            done={part.start: part for part in parts},
        )

    async def _tell_invalidated(self) -> None:
        fact = Invalidated(set_id=self.task.set_id, key=self.task.key)
        await self._context.ledger.call("record", [fact], durable=True)

    def race(self) -> tuple[Flight, Span] | None:
        """The slowest range, and what is missing of it, when all are under way and it may be raced."""
        if self._error is not None or self._finishing or not self._version.may_be_raced:
            return None
        found = self._flights.rest_to_race()
        self._in_flight += found is not None
        return found

    async def fetch(self, span: Span, slow: Flight | None = None) -> None:
        """Fetch one span; afterwards the object may be :meth:`settled`. Errors of the object are kept, not raised.

        Parameters
        ----------
        span : Span
        slow : Flight, optional
            Race this one: `span` is the rest of it.

        Raises
        ------
        MachineError
            The disk cannot go on.
        """
        version = self._version
        version.users += 1
        try:
            if span.size_bytes or not self._has_all(version):
                await self._fetch(version, span, slow)
        except (PreconditionFailedError, RangeNotSatisfiedError) as error:
            await self._restart(version, error)
        except MachineError:
            raise
        except EmasyncError as error:
            if version is self._version and slow is None:
                self._error = self._error or error
        finally:
            self._in_flight -= 1
            version.users -= 1
            self._release_unused(version)

    def _release_unused(self, version: Version) -> None:
        """Close the partial of a former version once its last part has left it (law 5)."""
        if version is not self._version and version.users == 0 and version.partial is not None:
            self._context.committer.submit_now(Release(version.partial))
            version.partial = None

    async def _fetch(self, version: Version, span: Span, slow: Flight | None) -> None:
        receiver = PartReceiver(self, version, span, self._context)
        asked = span if version.ranged and span.size_bytes else None
        flight = self._flights.begin(span, receiver, slow)
        received = False
        try:
            with flight.scope:
                await self._context.fetcher.transfer(
                    self.task.location, receiver, span=asked, validator=version.validator
                )
        except RangeNotSatisfiedError as error:
            if span.start == 0 and error.total_bytes == 0 and self.task.size_bytes in (None, 0):
                version.total_bytes, version.validator, version.todo = 0, version.validator or Validator(), iter(())
                await self.reserve(version)
                return
            raise
        else:
            received = not flight.scope.cancelled_caught
        finally:
            await receiver.settle()
            self._flights.end(flight, whole=received)
            if flight.lost or not received:  # its rival may have won while the last bytes were written
                self._park(version, flight, receiver)
        if flight.lost:
            return
        if version.total_bytes is None:
            version.total_bytes = receiver.result()[1]
        await self.reserve(version)
        done, whole = self._part_done(version, receiver), self._whole_parts(version, receiver)
        if done and version.partial is not None:
            await self._context.committer.tell_part(done, version.partial)
        await hash_landed(version, whole, self._context.threads)
        await self._ask_store(version)

    async def _ask_store(self, version: Version) -> None:
        """Ask for the store's own checksum of the whole, once, where nothing else vouches for the bytes."""
        if version.store_asked or version.total_bytes is None:
            return
        version.store_asked = True
        if not self._judge.lacks_proof(version):
            return
        try:
            stated = await self._context.fetcher.checksums(
                self.task.location, size_bytes=version.total_bytes, validator=version.validator
            )
        except TransportError:
            return  # what it would have said is no condition
        if stated is not None and stated.total_bytes == version.total_bytes and version is self._version:
            version.stated = stated
            self._begin_landing(version)

    def _whole_parts(self, version: Version, receiver: PartReceiver) -> list[Span]:
        """Parts of the object's digest that are whole with what came, where it is one of parts."""
        start, stop, _ = receiver.result()
        if version.landing is None or version is not self._version or start == stop:
            return []
        return version.landing.add(Span(start, stop))

    def _park(self, version: Version, flight: Flight, receiver: PartReceiver) -> None:
        """Keep what a broken or cancelled part brought: the next run asks for the rest only.

        Of two that race for the same bytes only one may tell of them.
        """
        if flight.races or version.partial is None or version.whole:
            return
        if done := self._part_done(version, receiver, flight.lost_at):
            self._context.committer.submit_now(Note(fact=done, partial=version.partial))

    def _part_done(self, version: Version, receiver: PartReceiver, upto: int | None = None) -> PartDone | None:
        start, stop, crc32c = receiver.result(upto)
        if version is not self._version or start == stop:
            return None
        version.keep(Part(start=start, stop=stop, crc32c=crc32c, epoch=0))
        if not version.started:
            return None
        return PartDone(
            set_id=self.task.set_id,
            key=self.task.key,
            generation=version.generation,
            start=start,
            stop=stop,
            crc32c=crc32c,
        )

    async def reserve(self, version: Version) -> Partial:
        """The open partial of `version`; made, and told to the ledger, at the first call.

        Raises
        ------
        PreconditionFailedError
            `version` is history.
        """
        async with self._reserving:
            if version is not self._version:
                raise PreconditionFailedError(f"{self.task.location} changed meanwhile")
            if version.partial is None:
                name = partial_name(self.task.set_id, self.task.key, version.generation)
                room_bytes = (
                    version.total_bytes if self._aim.wanted is None else None
                )  # the rest may never be asked for
                version.partial = await self._context.threads.submit(
                    self._context.sink.reserve, name, room_bytes, self.task.destination
                )
                await self._tell_started(version)
            return version.partial

    async def _tell_started(self, version: Version) -> None:
        if version.total_bytes is None or version.validator is None or version.whole:
            return  # a body that cannot be resumed leaves no parts behind
        version.started = True
        fact = PartialStarted(
            set_id=self.task.set_id,
            key=self.task.key,
            generation=version.generation,
            size_bytes=version.total_bytes,
            validator=version.validator,
        )
        await self._context.ledger.call("record", [fact])

    async def _restart(self, version: Version, error: EmasyncError) -> None:
        if not self._changed(version, error):
            return
        await self._tell_invalidated()
        name = partial_name(self.task.set_id, self.task.key, version.generation)
        async with self._reserving:  # else a file that is being made just now would outlive its version
            await self._context.threads.submit(self._context.sink.discard, name)
        self._release_unused(version)

    async def finish(self) -> None:
        """Judge the digests of a settled object and hand it to the committer, or let go of it where parts were wanted.

        Raises
        ------
        EmasyncError
            What went wrong with the object; its parts stay for the next run where they can be trusted.
        """
        self._finishing = True
        version = self._version
        if self._error is not None:
            self.abandon()
            raise self._error
        if self._aim.wanted is not None and not version.complete:
            self.abandon()  # it stays leased: the rest is not asked for in this run
            return
        partial = await self.reserve(version)
        try:
            with self._context.activities.on("hashing", redact(self.task.location)):
                findings = await self._context.threads.submit(self._judge.findings, version, partial)
        except IntegrityError as error:
            await self._restart(version, error)
            raise
        await self._context.committer.submit(
            LargeObjectDone(
                task=self.task,
                partial=partial,
                size_bytes=version.total_bytes or 0,
                validator=version.validator or Validator(),
                findings=findings,
                generation=version.generation,
            )
        )

    def abandon(self) -> None:
        """Let go of the partial: what is written becomes durable, then the file is closed. It stays on disk."""
        if self._version.partial is not None:
            self._context.committer.submit_now(Release(self._version.partial))
            self._version.partial = None
