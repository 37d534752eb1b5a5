"""Small objects: received whole into pooled memory, then handed to the committer.

Most come by the express lane (:class:`SmallRun`); what the lane cannot carry takes the general way
(:func:`fetch_generally`).
"""

from __future__ import annotations

from collections.abc import Callable

from emasync.engine.committer import Committer
from emasync.engine.context import MoveContext
from emasync.engine.digest_told import told_digests
from emasync.engine.digests import check_size, promised_digests
from emasync.engine.scheduler import LOW_WATER, OriginQueue
from emasync.engine.sealing import SmallObject
from emasync.errors import EmasyncError, ErrorKind, IntegrityError
from emasync.model.digest import Digest, Validator
from emasync.model.redaction import redact
from emasync.model.task import Task
from emasync.transport.interface import HEAD_ROOM_BYTES, Detour, Head

DECODED_LIMIT = 16
"""A body with a content encoding may grow to this many times the small-object size (law 14)."""

RUN_BESIDE_LARGE = 32
"""Small objects that go in a row while spans of a large object may be waiting: files get finished."""

FIRST_GUESS_BYTES = 64 << 10
"""Room for an object of unknown size; a larger one gets more when its answer says so."""


class SmallParcel:
    """One small object and the memory for it; a :class:`~emasync.transport.interface.Parcel`."""

    __slots__ = ("key", "size_bytes", "space", "task")

    def __init__(self, task: Task, space: memoryview) -> None:
        key = task.key
        self.task = task
        self.key = key if key.__class__ is str else task.name  # a slice is no small object
        self.size_bytes = task.size_bytes
        self.space = space


def seems_small(task: Task, limit_bytes: int) -> bool:
    """Chunks of a grid are small until one says otherwise; other objects of unknown size are not."""
    size_bytes = task.size_bytes
    return isinstance(task.key, int) if size_bytes is None else size_bytes <= limit_bytes


def space_bytes(task: Task) -> int:
    """Memory that an object is given at first."""
    return HEAD_ROOM_BYTES + (FIRST_GUESS_BYTES if task.size_bytes is None else task.size_bytes)


async def pack(task: Task, context: MoveContext) -> SmallParcel:
    """Wait until the committer has room and memory is there."""
    await context.committer.room()
    return SmallParcel(task, await context.buffers.take(space_bytes(task)))


class SmallRun:
    """Deals the queued small objects of one task set to one lane; a :class:`~emasync.transport.interface.ParcelSource`.

    Parameters
    ----------
    queue : OriginQueue
    first : SmallParcel
        What the run begins with; counted as in flight.
    context : MoveContext
    on_low : callable
        Told when the queue runs low.
    """

    __slots__ = (
        "_buffers",
        "_coming_bytes",
        "_committer",
        "_context",
        "_dealt",
        "_limit",
        "_on_low",
        "_queue",
        "_set_id",
        "_vouched",
    )

    def __init__(
        self, queue: OriginQueue, first: SmallParcel, context: MoveContext, on_low: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._set_id = first.task.set_id
        self._context = context
        self._buffers = context.buffers
        self._committer = context.committer
        self._vouched = context.policy(first.task).etag_is_md5  # of the origin that all tasks of a set share
        self._on_low = on_low
        self._limit = context.settings.small_object_bytes
        self._dealt = 0
        self._coming_bytes = 0
        self._expect(first)

    def _expect(self, parcel: SmallParcel) -> None:
        self._queue.in_flight += 1
        size_bytes = parcel.size_bytes or 0
        self._coming_bytes += size_bytes
        self._committer.expect(1, size_bytes)

    def next(self) -> SmallParcel | None:
        """See :class:`~emasync.transport.interface.ParcelSource`."""
        queue = self._queue
        tasks = queue.tasks
        if not tasks or self._committer.full or (queue.open and self._dealt >= RUN_BESIDE_LARGE):
            return None
        task = tasks[0]
        if task.set_id != self._set_id or not seems_small(task, self._limit):
            return None
        space = self._buffers.take_now(space_bytes(task))
        if space is None:
            return None
        tasks.popleft()
        self._dealt += 1
        if len(tasks) == LOW_WATER:
            self._on_low()
        parcel = SmallParcel(task, space)
        self._expect(parcel)
        return parcel

    def enlarge(self, parcel: SmallParcel, size_bytes: int) -> memoryview | None:
        """See :class:`~emasync.transport.interface.ParcelSource`."""
        buffers = self._context.buffers
        if size_bytes > self._limit + HEAD_ROOM_BYTES or (space := buffers.take_now(size_bytes)) is None:
            return None
        old, parcel.space = parcel.space, space
        space[: len(old)] = old
        buffers.give(old)
        return space

    def arrived(self, parcel: SmallParcel, body: memoryview, validator: Validator) -> None:
        """See :class:`~emasync.transport.interface.ParcelSource`."""
        self._queue.in_flight -= 1
        size_bytes = parcel.size_bytes or 0
        self._coming_bytes -= size_bytes
        self._committer.expect(-1, -size_bytes)
        self._context.on_received(len(body))
        hand_over(parcel, body, validator, self._committer, vouched=self._vouched)

    def done(self) -> None:
        """The last object of the run ended outside of the lane."""
        self._queue.in_flight -= 1
        self._committer.expect(-1, -self._coming_bytes)
        self._coming_bytes = 0


def hand_over(
    parcel: SmallParcel,
    body: memoryview,
    validator: Validator,
    committer: Committer,
    *,
    vouched: bool,
    told: tuple[Digest, ...] = (),
) -> None:
    """Give a whole body to the committer, which tells how it ends.

    Parameters
    ----------
    vouched : bool
        The entity tag is the MD5 of what is here: the origin's policy says so, and nothing was decoded on its way.
    told : tuple of Digest
        What the answer said of its bytes.
    """
    task = parcel.task
    wanted = task.published or vouched or told
    promised = promised_digests((*task.digests, *told), validator, etag_is_md5=vouched) if wanted else ()
    committer.add(SmallObject(task, body, parcel.space, validator, promised))


class SmallReceiver:
    """Collects one body in a parcel's memory, bounded by the size that was announced.

    Parameters
    ----------
    parcel : SmallParcel
    context : MoveContext
    """

    def __init__(self, parcel: SmallParcel, context: MoveContext) -> None:
        self._parcel = parcel
        self._task = parcel.task
        self._context = context
        self._limit = parcel.size_bytes if parcel.size_bytes is not None else context.settings.small_object_bytes
        self.size_bytes = 0

    @property
    def body(self) -> memoryview:
        """What has come."""
        return self._parcel.space[: self.size_bytes]

    def begin(self, head: Head) -> None:
        """Accept an answer: the tail where we stand, or the beginning again."""
        if head.start != self.size_bytes:
            self.size_bytes = 0
        if head.content_encoding is None:
            check_size(self._task, head.total_bytes)
            if self._task.size_bytes is None and (head.total_bytes or 0) > self._limit:
                raise TooLargeError(f"{self._task.location} has {head.total_bytes} bytes")
        else:
            self._limit = DECODED_LIMIT * self._context.settings.small_object_bytes

    async def feed(self, data: bytes | memoryview) -> None:
        """Keep `data`; waits for memory where more is needed than was expected."""
        stop = self.size_bytes + len(data)
        if stop > self._limit:
            if self._task.size_bytes is None:
                raise TooLargeError(f"{self._task.location} has more than {self._limit} bytes")
            raise IntegrityError(
                f"{self._task.location}: more than the announced {self._limit} bytes arrived; the answer was dropped",
                kind=ErrorKind.SIZE_MISMATCH,
                location=redact(self._task.location),
            )
        if stop > len(self._parcel.space):
            await self._grow(stop)
        self._parcel.space[self.size_bytes : stop] = data
        self.size_bytes = stop
        self._context.on_received(len(data))

    async def _grow(self, size_bytes: int) -> None:
        """Twice the memory; what is held is given up first where there is not enough for both (law 4)."""
        buffers = self._context.buffers
        wanted = min(max(size_bytes, 2 * len(self._parcel.space)), max(self._limit, size_bytes))
        space = buffers.take_now(wanted)
        if space is None:
            held = bytes(self.body)
            buffers.give(self._parcel.space)
            self._parcel.space = memoryview(b"")
            space = await buffers.take(wanted)
            space[: len(held)] = held
        else:
            space[: self.size_bytes] = self.body
            buffers.give(self._parcel.space)
        self._parcel.space = space


async def fetch_generally(detour: Detour[SmallParcel], context: MoveContext) -> None:
    """Bring one small object to its end by the general way and hand it to the committer, which tells how it ended.

    Raises
    ------
    TooLargeError
        The object turned out to be large: nothing was kept of it.
    TransportError, IntegrityError
        The object could not be had.
    """
    parcel = detour.parcel
    receiver = SmallReceiver(parcel, context)
    task = parcel.task
    try:
        head = await detour.transfer(task.location, receiver)
        if head.content_encoding is None and task.size_bytes is not None:
            check_size(task, receiver.size_bytes)
    except BaseException:
        if parcel.space:
            context.buffers.give(parcel.space)
        raise
    told = told_digests(head, etag_is_md5=False).binding
    vouched = head.content_encoding is None and context.policy(task).etag_is_md5
    hand_over(parcel, receiver.body, head.validator, context.committer, vouched=vouched, told=told)


class TooLargeError(EmasyncError):
    """An object of unknown size is no small one."""
