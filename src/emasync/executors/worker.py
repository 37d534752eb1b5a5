"""The program of a worker process: an engine whose ledger is at the other end of a socket.

``python -P -m emasync.executors.worker DESCRIPTOR PARENT LOOP``, started by ``child.py`` only. It leaves at once when
the socket ends, whatever it is doing: without the owner nothing it does would be remembered.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from emasync.disk.outlying import open_root
from emasync.disk.pace import WriterPlace
from emasync.disk.writers import WriterPool
from emasync.engine.endings import EngineOutcome
from emasync.engine.engine import Engine
from emasync.errors import EmasyncError
from emasync.executors import messages as wire
from emasync.executors.channel import Channel
from emasync.executors.proxy import BorrowedUpkeep, LedgerProxy, Questions
from emasync.executors.rows import CountsRow, FailureRow
from emasync.executors.tenancy import Tenancy
from emasync.executors.values import clean, error_of, error_row
from emasync.ledger.rebuild import KnownFiles
from emasync.model.clock import SystemClock
from emasync.model.events import Event
from emasync.settings import WRITER_THREADS
from emasync.transport.governed import GovernedFetcher

REPORT_S = 0.25
"""How often a worker says where it stands; a limit that is wanted is asked for at once."""

OWNER_GONE = 75
"""Exit code: EX_TEMPFAIL of sysexits(3)."""

PR_SET_PDEATHSIG = 1
"""``prctl(2)``: the signal to get when the parent dies."""


def die_with(parent: int) -> None:
    """Be killed when the process `parent` dies; leave now if it is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(OWNER_GONE)


class Worker:
    """One worker's life: what the owner says, turned into calls."""

    def __init__(self) -> None:
        self._channel: Channel[wire.FromOwner] | None = None
        self._hello: asyncio.Future[wire.Hello] = asyncio.get_running_loop().create_future()
        self._complete = asyncio.Event()
        self._tell_news: Callable[[], None] = lambda: None
        self._questions: Questions | None = None
        self._tenancy: Tenancy | None = None
        self._fetcher: GovernedFetcher | None = None
        self._engine: Engine | None = None
        self._stop: EmasyncError | None = None
        self._events: list[tuple[str, dict[str, Any]]] = []

    # --- what comes --------------------------------------------------------------------------------------------

    def heard(self, message: wire.FromOwner) -> None:
        """Act on a message of the owner."""
        match message:
            case wire.Answer() if self._questions is not None:
                self._questions.answered(message)
            case wire.Refusal() if self._questions is not None:
                self._questions.refused(message)
            case wire.News():
                self._tell_news()
            case wire.Complete():
                self._complete.set()
            case wire.Hello() if not self._hello.done():
                self._hello.set_result(message)
            case wire.Stop():
                self._stop = error_of(message.error)
                if self._engine is not None:
                    self._engine.stop(self._stop)
            case wire.Grant() if self._fetcher is not None:
                self._fetcher.grant(message.origin, message.access)
            case _:
                self._heard_of_limits(message)

    def _heard_of_limits(self, message: wire.FromOwner) -> None:
        tenancy = self._tenancy
        if tenancy is None:
            return
        match message:
            case wire.Share():
                tenancy.offer(message)
            case wire.Hold():
                tenancy.hold(message.origin, message.delay_s)
            case wire.GivenUp():
                tenancy.give_up(message.origin, message.reason)
            case wire.Alive():
                tenancy.alive(message.origin)
            case _:
                pass

    def closed(self, wrong: Exception | None) -> None:
        """Leave at once: the owner is gone, or does not speak as it should."""
        if wrong is not None:
            os.write(2, f"the owner said what no owner says: {wrong}\n".encode("utf-8", "replace"))
        os._exit(OWNER_GONE)

    # --- what goes ---------------------------------------------------------------------------------------------

    def _send(self, message: wire.Message) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def _tell(self, event: Event) -> None:
        """Events of one turn of the loop go together."""
        if not self._events:
            asyncio.get_running_loop().call_soon(self._flush)
        self._events.append((event.event, dict(event.fields)))

    def _flush(self) -> None:
        events, self._events = self._events, []
        if not events:
            return
        try:
            self._send(wire.Told(events))
        except UnicodeEncodeError:  # a name that is no Unicode
            self._send(wire.Told([(name, _sendable(fields)) for name, fields in events]))

    def _report(self, engine: Engine, tenancy: Tenancy, threads: WriterPool) -> None:
        done = engine.outcome
        counts = CountsRow(
            done.placed,
            done.placed_bytes,
            done.failed,
            done.bytes_received,
            done.races,
            done.races_won,
            done.raced_bytes,
        )
        self._send(wire.Report(counts, tenancy.rows(), threads.statistics()))

    async def _keep_reporting(self, engine: Engine, tenancy: Tenancy, threads: WriterPool) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            tenancy.tick()
            self._report(engine, tenancy, threads)

    # --- life --------------------------------------------------------------------------------------------------

    async def live(self, own: socket.socket) -> None:
        """Say that we are here, do what the owner asks for, say how it ended. Never returns."""
        self._channel = await Channel.open(own, wire.FromOwner, self.heard, self.closed)
        self._questions = Questions(self._channel)
        self._send(wire.Ready(wire.PROTOCOL, wire.VERSION, os.getpid()))
        hello = await self._hello
        forward_log(self._send, asyncio.get_running_loop())
        async with AsyncExitStack() as stack:
            threads = WriterPool(WRITER_THREADS)
            engine, tenancy = await self._furnish(hello, self._questions, threads, stack)
            reporting = asyncio.create_task(self._keep_reporting(engine, tenancy, threads))
            outcome = await engine.run(self._planned)
            reporting.cancel()
            self._flush()
            self._report(engine, tenancy, threads)
            self._send(_finished(outcome))
            await asyncio.Event().wait()  # the owner closes the socket

    async def _furnish(
        self, hello: wire.Hello, questions: Questions, threads: WriterPool, stack: AsyncExitStack
    ) -> tuple[Engine, Tenancy]:
        settings, clock = hello.settings, SystemClock()
        sink = await threads.submit(open_root, Path(os.fsdecode(hello.root)))
        self._tenancy = tenancy = Tenancy(self._send, bandwidth_capped=settings.bandwidth_capped)
        self._fetcher = fetcher = await stack.enter_async_context(
            GovernedFetcher(settings, clock=clock, on_event=self._tell)
        )
        tenancy.govern(fetcher.share_limits(tenancy))
        self._engine = engine = Engine(
            fetcher=fetcher,
            sink=sink,
            ledger=LedgerProxy(questions),
            threads=threads,
            place=WriterPlace(create_s=hello.create_s, network=hello.network_disk),
            settings=settings,
            on_event=self._tell,
            adopt=hello.adopt,
            known=await threads.submit(KnownFiles.of, Path(os.fsdecode(hello.root))),
            objects=hello.objects,
            upkeep=BorrowedUpkeep(questions, hello.suspect_after_epoch),
        )
        if self._stop is not None:
            engine.stop(self._stop)
        return engine, tenancy

    async def _planned(self, tell_news: Callable[[], None]) -> None:
        """The planner of this engine: the owner plans, and says when there is more and when there will be no more."""
        self._tell_news = tell_news
        await self._complete.wait()


def _sendable(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: clean(value) if isinstance(value, str) else value for name, value in fields.items()}


def _finished(outcome: EngineOutcome) -> wire.Finished:
    lost = [
        FailureRow(dataset, clean(failure.location), str(failure.kind), clean(failure.message), failure.attempts)
        for dataset, failure in outcome.unreachable.items()
    ]
    return wire.Finished(None if outcome.stopped is None else error_row(outcome.stopped), lost)


class _Forwarder(logging.Handler):
    """Sends log records to the owner."""

    def __init__(self, send: Callable[[wire.Message], None], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(logging.WARNING)
        self._send = send
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; from any thread."""
        line = wire.Logged(record.levelno, record.name, clean(self.format(record)))
        self._loop.call_soon_threadsafe(self._send, line)


def forward_log(send: Callable[[wire.Message], None], loop: asyncio.AbstractEventLoop) -> None:
    """Let warnings of this package appear in the owner's log."""
    log = logging.getLogger("emasync")
    log.addHandler(_Forwarder(send, loop))
    log.propagate = False


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if name == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.new_event_loop


def main() -> None:
    """Run a worker; see the module."""
    descriptor, parent, loop = sys.argv[1:4]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(int(parent))
    own = socket.socket(fileno=int(descriptor))
    os.set_inheritable(own.fileno(), False)

    async def live() -> None:
        await Worker().live(own)

    try:
        with asyncio.Runner(loop_factory=_loop_factory(loop)) as runner:
            runner.run(live())
    except BaseException:  # noqa: BLE001 - threads that wait for work would keep a broken worker alive
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main()
