"""Small objects: received whole into memory, written in batches with others."""

from __future__ import annotations

from emasync.engine.context import MoveContext
from emasync.engine.digests import promised_digests
from emasync.engine.sealing import SmallObject
from emasync.errors import EmasyncError, ErrorKind, IntegrityError
from emasync.model.task import Task
from emasync.transport.interface import Head

DECODED_LIMIT = 16
"""A body with a content encoding may grow to this many times the small-object size (law 14)."""


class SmallReceiver:
    """Collects one body, bounded by the size that was announced.

    Parameters
    ----------
    task : Task
    context : MoveContext
    """

    def __init__(self, task: Task, context: MoveContext) -> None:
        self._task = task
        self._context = context
        self._limit = task.size_bytes if task.size_bytes is not None else context.settings.small_object_bytes
        self._held = 0
        self.pieces: list[bytes] = []
        self.size_bytes = 0
        self.head: Head | None = None

    def begin(self, head: Head) -> None:
        """Accept an answer: the tail where we stand, or the beginning again."""
        if head.start != self.size_bytes:
            self.pieces.clear()
            self.size_bytes = 0
        if head.content_encoding is None:
            check_size(self._task, head.total_bytes)
            if self._task.size_bytes is None and (head.total_bytes or 0) > self._limit:
                raise _TooLargeError(f"{self._task.location} has {head.total_bytes} bytes")
        else:
            self._limit = DECODED_LIMIT * self._context.settings.small_object_bytes
        self.head = self.head or head

    async def feed(self, data: bytes | memoryview) -> None:
        """Keep `data`; waits for memory before the first byte."""
        if not self._held:
            announced = self.head.total_bytes if self.head is not None else None
            self._held = max(self._limit if announced is None else announced, 1)
            await self._context.memory.acquire(self._held)
        self.size_bytes += len(data)
        if self.size_bytes > self._limit:
            if self._task.size_bytes is None:
                raise _TooLargeError(f"{self._task.location} has more than {self._limit} bytes")
            raise IntegrityError(
                f"{self._task.location}: more than the announced {self._limit} bytes arrived; the answer was dropped",
                kind=ErrorKind.SIZE_MISMATCH,
                location=str(self._task.location),
            )
        self.pieces.append(bytes(data))
        self._context.on_received(len(data))

    def give_back(self) -> None:
        """Return the memory."""
        if self._held:
            self._context.memory.release(self._held)
            self._held = 0


def check_size(task: Task, total_bytes: int | None) -> None:
    """Compare the size a server states with the size that was planned.

    Raises
    ------
    IntegrityError
        ``size_mismatch``.
    """
    if total_bytes is not None and task.size_bytes is not None and total_bytes != task.size_bytes:
        raise IntegrityError(
            f"{task.location}: {task.size_bytes} bytes were listed or promised, the server now says {total_bytes}. "
            "If the source changed, run again with --refresh (or correct `size` in the manifest)",
            kind=ErrorKind.SIZE_MISMATCH,
            location=str(task.location),
        )


async def move_small(task: Task, context: MoveContext) -> bool:
    """Fetch one small object and hand it to the committer, which tells how it ended.

    Returns
    -------
    bool
        False when the object turned out to be large: nothing was kept of it.

    Raises
    ------
    TransportError, IntegrityError
        The object could not be had.
    """
    receiver = SmallReceiver(task, context)
    try:
        head = await context.fetcher.transfer(task.location, receiver)
        if head.content_encoding is None and task.size_bytes is not None:
            check_size(task, receiver.size_bytes)
        await context.committer.submit(
            SmallObject(
                task=task,
                pieces=tuple(receiver.pieces),
                size_bytes=receiver.size_bytes,
                validator=head.validator,
                promised=promised_digests(task.digests, head, etag_is_md5=context.policy(task).etag_is_md5),
                on_written=receiver.give_back,
            )
        )
    except _TooLargeError:
        receiver.give_back()
        return False
    except BaseException:
        receiver.give_back()
        raise
    return True


class _TooLargeError(EmasyncError):
    """An object of unknown size is no small one."""
