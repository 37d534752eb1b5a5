"""The one thread that owns the ledger, and how coroutines call it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar, final, overload

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.interface import Ledger, Row
from emasync.ledger.store import SqliteLedger
from emasync.model.task import State

_log = logging.getLogger("emasync.ledger")

P = ParamSpec("P")
T = TypeVar("T")

_PAGE: Final = 1_000

_Call = tuple[Callable[[SqliteLedger], Any], asyncio.Future[Any] | None]
"""What to do and whom to tell (Any: each call has its own result)."""


@final
class LedgerThread:
    """Runs every ledger call in one thread, in the order of the calls.

    A call that was made is carried out, also when the caller is cancelled while it waits, and also when the caller
    was being cancelled already: the call is queued before the first wait (law 5). The thread is no daemon: whoever
    opened it closes it (``async with``, or :meth:`aclose`).

    Parameters
    ----------
    opener : callable
        Opens the ledger; runs in the thread, as SQLite wants.
    """

    def __init__(self, opener: Callable[[], SqliteLedger]) -> None:
        self._opener = opener
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._thread is not None else "new"
        return f"<LedgerThread {state} [{self._calls.qsize()} queued]>"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose(clean=error is None)

    async def open(self) -> None:
        """Start the thread and open the ledger in it.

        Raises
        ------
        MachineError
            As :meth:`SqliteLedger.open`.
        """
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._work, args=(opened,), name="emasync-ledger")
        self._thread.start()
        try:
            await opened
        except asyncio.CancelledError:
            self._stop(clean=False)
            raise
        except BaseException:
            self._closed = True
            await asyncio.to_thread(self._thread.join)
            raise

    @overload
    async def call(
        self, method: Callable[Concatenate[SqliteLedger, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...

    @overload
    async def call(self, method: str, /, *args: Any, **kwargs: Any) -> Any: ...

    async def call(self, method: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> Any:
        """Call the ledger and wait for the answer.

        Parameters
        ----------
        method : str or callable
            A method's name (``"lease"``, ``"seal_rows"``, ``"place_rows"``), the method itself
            (``SqliteLedger.lease``, ``Ledger.lease``), or a function that takes the ledger first; several steps in one
            function are not interrupted by other calls.

        Returns
        -------
        object
            What the method returned (Any: each has its own). Do not return generators: they would run in the
            caller's thread; see :meth:`rows`.

        Raises
        ------
        MachineError
            The thread is closed.
        EmasyncError
            What the call raised.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        self._queue(_bind(method, args, kwargs), done)
        return await done

    def post(self, method: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> None:
        """Queue a call and go on; an error is logged (Any: as :meth:`call`)."""
        self._queue(_bind(method, args, kwargs), None)

    def _queue(self, action: Callable[[SqliteLedger], Any], done: asyncio.Future[Any] | None) -> None:
        if self._closed or self._thread is None:
            raise MachineError("the ledger is closed; open it before use", kind=ErrorKind.LEDGER)
        self._calls.put((action, done))

    async def rows(
        self, *, dataset: str | None = None, state: State | None = None, after_epoch: int | None = None
    ) -> AsyncIterator[Row]:
        """Walk objects as :meth:`Ledger.rows` does, a page a call: other calls run in between."""
        walker = await self.call(lambda ledger: ledger.rows(dataset=dataset, state=state, after_epoch=after_epoch))
        async for row in self._pages(walker):
            yield row

    async def unwanted(self, dataset: str | None = None) -> AsyncIterator[Row]:
        """Walk unwanted objects as :meth:`SqliteLedger.unwanted` does, a page a call."""
        walker = await self.call(lambda ledger: ledger.unwanted(dataset))
        async for row in self._pages(walker):
            yield row

    async def _pages(self, walker: Iterator[Row]) -> AsyncIterator[Row]:
        def next_page(_ledger: SqliteLedger) -> list[Row]:
            return list(islice(walker, _PAGE))

        while page := await self.call(next_page):
            for row in page:
                yield row

    async def aclose(self, *, clean: bool = True) -> None:
        """Carry out what is queued, close the ledger, end the thread. A second close does nothing.

        Raises
        ------
        MachineError
            The last commit failed.
        """
        thread = self._thread
        if self._closed or thread is None:
            return
        done = self._stop(clean=clean)
        try:
            await asyncio.shield(done)
        finally:
            if done.done():
                await asyncio.to_thread(thread.join)  # it has nothing left to do

    def _stop(self, *, clean: bool) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        done.add_done_callback(_look_at)
        self._calls.put((lambda ledger: ledger.close(clean=clean), done))
        self._calls.put(None)
        self._closed = True
        return done

    # --- in the thread ------------------------------------------------------------------------------------------

    def _work(self, opened: asyncio.Future[None]) -> None:
        try:
            ledger = self._opener()
        except BaseException as error:  # noqa: BLE001  # whatever it is belongs to the one who opens
            self._tell(opened, None, error)
            return
        self._tell(opened, None, None)
        while (queued := self._calls.get()) is not None:
            self._carry_out(ledger, *queued)

    def _carry_out(
        self, ledger: SqliteLedger, action: Callable[[SqliteLedger], Any], done: asyncio.Future[Any] | None
    ) -> None:
        try:
            result = action(ledger)
        except BaseException as error:  # noqa: BLE001  # whatever it is belongs to the caller
            self._tell(done, None, error)
        else:
            self._tell(done, result, None)

    def _tell(self, done: asyncio.Future[Any] | None, result: object, error: BaseException | None) -> None:
        if done is None:
            _log_lost(error)
            return
        try:
            done.get_loop().call_soon_threadsafe(_settle, done, result, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            _log_lost(error)


def _bind(
    method: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[SqliteLedger], Any]:
    """The call as a function of the ledger; methods of the Protocol become those of the ledger."""
    if not isinstance(method, str):
        name = getattr(method, "__name__", "")
        if getattr(Ledger, name, None) is not method:
            function = method
            return lambda ledger: function(ledger, *args, **kwargs)
        method = name
    chosen = method
    return lambda ledger: getattr(ledger, chosen)(*args, **kwargs)


def _settle(done: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if done.done():  # the caller was cancelled; the call was carried out all the same
        _log_lost(error)
    elif error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)


def _look_at(done: asyncio.Future[None]) -> None:
    """Take note of an error, so that a cancelled close does not warn of one nobody fetched."""
    if not done.cancelled():
        done.exception()


def _log_lost(error: BaseException | None) -> None:
    if error is not None:
        _log.error("a ledger call that nobody waits for failed: %s", error)
