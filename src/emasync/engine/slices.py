"""Slices of objects, each a file of its own: neighbours come with one request and part as they arrive.

Law 1 holds for every slice as for any small object: it is handed to the committer once it is whole and unpacked, and
what came before a break stays.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from emasync.engine.context import MoveContext
from emasync.engine.scheduler import OriginQueue
from emasync.engine.sealing import SmallObject
from emasync.errors import EmasyncError, ErrorKind, IntegrityError, MachineError, PreconditionFailedError, RefusedError
from emasync.model.digest import Span, Validator
from emasync.model.redaction import redact
from emasync.model.task import Task
from emasync.settings import KIB, MIB
from emasync.transport.interface import Head

GAP_BYTES: Final = 128 * KIB
"""Bytes between two slices that are fetched and dropped: a request of its own costs more than they do."""

MERGED_BYTES: Final = 256 * MIB
"""Longest request. An aligned region of 512^3 voxels has 128 MiB before compression."""

UNPACKED_BYTES: Final = 64 * MIB
"""Most that a packed slice may grow to (law 14). Chunks of volumes have 0.25 to 16 MiB."""

INLINE_BYTES: Final = 32 * KIB
"""Packed slices up to this are unpacked on the loop: a thread would cost as much."""

_GZIP: Final = 31


def take_neighbours(queue: OriginQueue, first: Task, part_bytes: int) -> list[Task]:
    """Take the queued tasks that go with `first` in one request, in the order of their bytes.

    Parameters
    ----------
    queue : OriginQueue
    first : Task
        Taken already.
    part_bytes : int
        Requests of at least this size end where bytes are not adjacent.
    """
    run, begin, stop = [first], span_of(first).start, span_of(first).stop
    while queue.tasks and _same_object(first, queue.tasks[0]):
        span = span_of(queue.tasks[0])
        gap = span.start - stop
        if not 0 <= gap <= GAP_BYTES or span.stop - begin > MERGED_BYTES or (gap and stop - begin >= part_bytes):
            break
        run.append(queue.tasks.popleft())
        stop = span.stop
    return run


def _same_object(one: Task, other: Task) -> bool:
    return one.set_id == other.set_id and one.listed == other.listed and one.name == other.name


def span_of(task: Task) -> Span:
    """Where a slice lies in its object."""
    span = task.span
    if span is None:
        raise AssertionError(f"{task.key!r} is no slice")
    return span


class SliceReceiver:
    """Parts one body into slices; a :class:`~emasync.transport.interface.Receiver`.

    Parameters
    ----------
    tasks : sequence of Task
        Slices of one object, in the order of their bytes, not overlapping.
    context : MoveContext

    Attributes
    ----------
    done : int
        Slices that were handed over, or refused.
    refused : list of (Task, EmasyncError)
        Slices that came and are not what they should be.
    """

    def __init__(self, tasks: Sequence[Task], context: MoveContext) -> None:
        self.done = 0
        self.refused: list[tuple[Task, EmasyncError]] = []
        self._tasks = tasks
        self._spans = [span_of(task) for task in tasks]
        self._context = context
        self._validator = Validator()
        self._space = memoryview(b"")
        self._filled = 0
        self._position = self._spans[0].start

    def begin(self, head: Head) -> None:
        """Accept an answer. One that begins again brings what is here already: that is passed over."""
        if head.content_encoding is not None:
            raise RefusedError(f"{self._tasks[0].location}: a range came {head.content_encoding}-encoded")
        if head.start > self._wanted:
            raise RefusedError(
                f"{self._tasks[0].location}: byte {self._wanted} was asked for, the answer starts at {head.start}"
            )
        self._validator = head.validator
        self._position = head.start

    @property
    def _wanted(self) -> int:
        """Offset of the next byte that is not here: what comes before it is passed over."""
        return self._spans[self.done].start + self._filled if self.done < len(self._spans) else self._spans[-1].stop

    async def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes; waits while memory or disk is behind."""
        view = memoryview(data)
        self._context.on_received(len(view))
        while view and self.done < len(self._spans):
            skipped = min(self._wanted - self._position, len(view))
            self._position, view = self._position + skipped, view[skipped:]
            if view:
                view = await self._fill(view)

    async def _fill(self, view: memoryview) -> memoryview:
        """Put the beginning of `view` into the present slice; gives the rest."""
        size_bytes = self._spans[self.done].size_bytes
        if not self._space:
            await self._context.committer.room()
            self._space = await self._context.buffers.take(size_bytes)
        count = min(size_bytes - self._filled, len(view))
        self._space[self._filled : self._filled + count] = view[:count]
        self._filled += count
        self._position += count
        if self._filled == size_bytes:
            await self._hand_over(self._tasks[self.done], size_bytes)
        return view[count:]

    async def _hand_over(self, task: Task, size_bytes: int) -> None:
        if task.spec.slices == "gzip":
            try:
                size_bytes = await self._unpack(task, size_bytes)
            except IntegrityError as error:
                self.refused.append((task, error))
                self.put_down()
                self.done += 1
                return
        space, self._space, self._filled = self._space, memoryview(b""), 0
        self.done += 1
        self._context.committer.add(SmallObject(task, space[:size_bytes], space, self._validator, ()))

    async def _unpack(self, task: Task, size_bytes: int) -> int:
        """Replace what came by what is in it; gives its size. Memory is given back before more is asked for (law 4)."""
        packed = bytes(self._space[:size_bytes])
        if size_bytes <= INLINE_BYTES:
            plain = gunzip(packed, task)
        else:
            plain = await self._context.threads.submit(gunzip, packed, task)
        filled = self._filled
        self.put_down()
        self._space, self._filled = await self._context.buffers.take(len(plain)), filled
        self._space[: len(plain)] = plain
        return len(plain)

    def put_down(self) -> None:
        """Give back the memory of a slice that did not come to its end."""
        if self._space:
            self._context.buffers.give(self._space)
        self._space, self._filled = memoryview(b""), 0


def gunzip(packed: bytes, task: Task) -> bytes:
    """Undo gzip (RFC 1952), also of several members.

    Raises
    ------
    IntegrityError
        It is none, ends early, or grows beyond :data:`UNPACKED_BYTES`.
    """
    pieces: list[bytes] = []
    room = UNPACKED_BYTES
    try:
        while packed:
            unpacker = zlib.decompressobj(_GZIP)
            pieces.append(unpacker.decompress(packed, room))
            room -= len(pieces[-1])
            if not unpacker.eof or room <= 0:
                raise _unusable(task, f"ends early, or has more than {UNPACKED_BYTES} bytes")
            packed = unpacker.unused_data
    except zlib.error as error:
        raise _unusable(task, f"is not gzip ({error})") from error
    return b"".join(pieces)


def _unusable(task: Task, what: str) -> IntegrityError:
    span = span_of(task)
    return IntegrityError(
        f"{task.location}, bytes {span.start} to {span.stop} ({task.destination}): the chunk {what}; it was dropped. "
        "Run again to fetch anew; where that does not help the source is damaged",
        location=redact(task.location),
    )


async def fetch_slices(tasks: Sequence[Task], context: MoveContext) -> list[tuple[Task, EmasyncError]]:
    """Fetch neighbours with one request and hand them to the committer, which tells how they end.

    Parameters
    ----------
    tasks : sequence of Task
        As :func:`take_neighbours` gives them.
    context : MoveContext

    Returns
    -------
    list of (Task, EmasyncError)
        Slices that could not be had, and why.

    Raises
    ------
    MachineError
        The disk cannot go on.
    """
    receiver = SliceReceiver(tasks, context)
    span = Span(span_of(tasks[0]).start, span_of(tasks[-1]).stop)
    place, hint = tasks[0].location, tasks[0].hint
    validator = hint if hint != Validator() else None
    try:
        await context.fetcher.transfer(place, receiver, span=span, validator=validator)
    except MachineError:
        raise
    except PreconditionFailedError as error:
        return [*receiver.refused, *((task, _changed(task, error)) for task in tasks[receiver.done :])]
    except EmasyncError as error:
        return [*receiver.refused, *((task, error) for task in tasks[receiver.done :])]
    finally:
        receiver.put_down()
    return receiver.refused


def _changed(task: Task, error: EmasyncError) -> EmasyncError:
    """Offsets are those of another version: only a new plan knows better."""
    return IntegrityError(
        f"{task.location} changed since its index was read ({error.message}); run again with --refresh",
        kind=ErrorKind.SOURCE_CHANGED,
        location=redact(task.location),
    )
