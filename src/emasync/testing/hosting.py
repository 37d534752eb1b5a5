"""Where an archive's server runs: a thread of this process, or a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection as Pipe
from typing import Any, Protocol, cast

from emasync.testing.faults import FaultBook, FaultTable, load_faults
from emasync.testing.requestlog import Load, RequestLog, Seen
from emasync.testing.serving import ArchiveServer, Serving

START_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 10.0


class Host(Protocol):
    """Controls a running server from any thread."""

    port: int

    def requests(self) -> list[Seen]:
        """The last requests, oldest first."""
        ...

    def counts(self) -> dict[tuple[str, str], int]:
        """Requests by method and class of path."""
        ...

    def load(self) -> Load:
        """How busy the server is and was."""
        ...

    def reset(self) -> None:
        """Forget requests, counts and peaks."""
        ...

    def hold(self) -> None:
        """Answer nothing until :meth:`release`."""
        ...

    def release(self) -> None:
        """Answer again."""
        ...

    def set_faults(self, table: FaultTable) -> None:
        """Replace all faults; counts begin anew."""
        ...

    def close(self) -> list[Exception]:
        """Stop the server and wait for its end; gives the defects it met."""
        ...


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        return None
    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)


def _serve(server: ArchiveServer, ready: Callable[[int], None]) -> None:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(server.run(ready))


class ThreadHost:
    """Serves from a daemon thread: shares memory with the test, and its one lock.

    Parameters
    ----------
    serving : Serving
    """

    def __init__(self, serving: Serving) -> None:
        self._log = RequestLog(serving.log_limit)
        self._server = ArchiveServer(serving, self._log)
        self._loop: asyncio.AbstractEventLoop | None = None
        started: Future[int] = Future()
        self._thread = threading.Thread(target=self._main, args=(started,), name="emasync-archive", daemon=True)
        self._thread.start()
        self.port = started.result(START_TIMEOUT_S)

    def _main(self, started: Future[int]) -> None:
        def ready(port: int) -> None:
            self._loop = asyncio.get_running_loop()
            started.set_result(port)

        try:
            _serve(self._server, ready)
        except Exception as error:  # noqa: BLE001  # told to whoever started or closes the archive
            if started.done():
                self._server.crashed(error)
            else:
                started.set_exception(error)

    def _call(self, method: Callable[[], None]) -> None:
        """Run `method` in the server's loop and wait for it."""
        done: Future[None] = Future()

        def step() -> None:
            method()
            done.set_result(None)

        assert self._loop is not None  # noqa: S101  # set before the constructor returns
        self._loop.call_soon_threadsafe(step)
        done.result(CLOSE_TIMEOUT_S)

    def requests(self) -> list[Seen]:
        """The last requests, oldest first."""
        return self._log.requests()

    def counts(self) -> dict[tuple[str, str], int]:
        """Requests by method and class of path."""
        return self._log.counts()

    def load(self) -> Load:
        """How busy the server is and was."""
        return self._log.load()

    def reset(self) -> None:
        """Forget requests, counts and peaks."""
        self._call(self._log.reset)

    def hold(self) -> None:
        """Answer nothing until :meth:`release`."""
        self._call(self._server.hold)

    def release(self) -> None:
        """Answer again."""
        self._call(self._server.release)

    def set_faults(self, table: FaultTable) -> None:
        """Replace all faults; counts begin anew."""
        book = FaultBook(load_faults(table))
        self._call(lambda: self._server.set_faults(book))

    def close(self) -> list[Exception]:
        """Stop the server and wait for its end; gives the defects it met."""
        if self._thread.is_alive():
            self._call(self._server.stop)
            self._thread.join(CLOSE_TIMEOUT_S)
        return self._server.crashes


class ProcessHost:
    """Serves from a spawned process, so that the test's own core is free. It ends with its parent.

    Parameters
    ----------
    serving : Serving
        Must be picklable: no TLS context, and a store that is.
    """

    def __init__(self, serving: Serving) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_process_main, args=(serving, other), daemon=True)
        self._process.start()
        other.close()
        self._lock = threading.Lock()
        try:
            self.port: int = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(
                "the archive's process ended before it served; a script that starts one needs"
                ' `if __name__ == "__main__":`, as spawned processes import it'
            ) from None

    def _ask(self, command: str, *arguments: object) -> Any:
        # Any: each command has its own answer, typed by the callers below
        with self._lock:
            self._pipe.send((command, arguments))
            return self._pipe.recv()

    def requests(self) -> list[Seen]:
        """The last requests, oldest first."""
        return cast("list[Seen]", self._ask("requests"))

    def counts(self) -> dict[tuple[str, str], int]:
        """Requests by method and class of path."""
        return cast("dict[tuple[str, str], int]", self._ask("counts"))

    def load(self) -> Load:
        """How busy the server is and was."""
        return cast("Load", self._ask("load"))

    def reset(self) -> None:
        """Forget requests, counts and peaks."""
        self._ask("reset")

    def hold(self) -> None:
        """Answer nothing until :meth:`release`."""
        self._ask("hold")

    def release(self) -> None:
        """Answer again."""
        self._ask("release")

    def set_faults(self, table: FaultTable) -> None:
        """Replace all faults; counts begin anew."""
        self._ask("set_faults", FaultBook(load_faults(table)))

    def close(self) -> list[Exception]:
        """Stop the server and wait for its end; gives the defects it met."""
        if self._pipe.closed:
            return []
        try:
            crashes = [RuntimeError(text) for text in self._ask("stop")]
        except (EOFError, OSError):
            crashes = [RuntimeError("the archive's process had ended before")]
        self._pipe.close()
        self._process.join(CLOSE_TIMEOUT_S)
        self._process.close()
        return list(crashes)


def _process_main(serving: Serving, pipe: Pipe) -> None:
    server = ArchiveServer(serving, log := RequestLog(serving.log_limit))
    commands: dict[str, Callable[..., object]] = {
        "requests": log.requests,
        "counts": log.counts,
        "load": log.load,
        "reset": log.reset,
        "hold": server.hold,
        "release": server.release,
        "set_faults": server.set_faults,
        "stop": lambda: [repr(error) for error in server.crashes],
    }

    def command() -> None:
        try:
            name, arguments = pipe.recv()
            pipe.send(commands[name](*arguments))
        except (EOFError, OSError):
            name = "stop"  # the parent is gone
        if name == "stop":
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            server.stop()

    def ready(port: int) -> None:
        asyncio.get_running_loop().add_reader(pipe.fileno(), command)
        pipe.send(port)

    try:
        _serve(server, ready)
    except KeyboardInterrupt:  # the terminal's Ctrl-C reaches the whole process group
        return
