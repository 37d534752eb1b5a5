"""One spawned worker process: how it begins, what it says at the end, and that it surely ends.

A worker may never write beside the run that comes after its own. Three things see to that:

- the kernel kills it with its parent (Linux, ``prctl(2)``, PR_SET_PDEATHSIG), and everywhere the end of its socket
  ends it;
- it inherits the root's run lock: the kernel's lock (``flock(2)``) belongs to the open file, so it is held until the
  last process that has it is gone, threads that wait for a disk included. The next run cannot take the lock before,
  and nothing of a run is done without it. (Names of unfinished files therefore need no mark of their run, and an
  unfinished file of one run is the next one's to go on with.)
- where another worker takes its place in the same run, the owner has seen its end (``waitpid(2)``) before.

Spawned from the loop's own thread: the kernel's "parent" is the thread that spawned, and that of a pool may end early.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Literal

from emasync.errors import ErrorKind, MachineError

LoopName = Literal["auto", "asyncio"]
"""``auto``: uvloop where it is."""

LAST_WORDS_BYTES = 4096
"""Kept of what a worker prints: nothing, unless it breaks."""


class Child:
    """A worker process. Made by :meth:`spawn`; ended by :meth:`end`."""

    def __init__(self, process: Process, own: socket.socket) -> None:
        self.socket = own
        self._process = process
        self._said = bytearray()
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    def __repr__(self) -> str:
        return f"<Child {self.pid} {self._process.returncode}>"

    @classmethod
    async def spawn(cls, lock: int | None, loop: LoopName) -> Child:
        """Start a worker.

        Parameters
        ----------
        lock : int or None
            Descriptor of the run lock.
        loop : {"auto", "asyncio"}

        Raises
        ------
        MachineError
            The system starts no process.
        """
        own, theirs = socket.socketpair()
        with theirs:
            inherited = (theirs.fileno(), *(() if lock is None else (lock,)))
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",  # nothing of the working folder is imported
                    "-m",
                    "emasync.executors.worker",
                    str(theirs.fileno()),
                    str(os.getpid()),
                    loop,
                    stdin=DEVNULL,
                    stdout=DEVNULL,
                    stderr=PIPE,
                    pass_fds=inherited,
                    start_new_session=True,  # ctrl-C is the owner's to hear
                )
            except BaseException as error:
                own.close()
                if isinstance(error, OSError):
                    raise MachineError(f"cannot start a worker process: {error}", kind=ErrorKind.DISK) from error
                raise
        return cls(process, own)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def last_words(self) -> str:
        """The end of what it printed."""
        return self._said.decode("utf-8", "replace").strip()

    @property
    def fate(self) -> str:
        """How it ended, for messages."""
        code = self._process.returncode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        words = self.last_words.rpartition("\n")[2]
        return f"worker process {self.pid} {how}" + (f" ({words})" if words else "")

    async def _listen(self) -> None:
        stream = self._process.stderr
        while stream is not None and (data := await stream.read(LAST_WORDS_BYTES)):
            self._said += data
            del self._said[:-LAST_WORDS_BYTES]

    async def gone(self) -> None:
        """Wait until the process has ended."""
        await self._process.wait()

    async def end(self, patience_s: float) -> None:
        """See the process end: by itself within `patience_s`, else killed."""
        try:
            async with asyncio.timeout(patience_s):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # Process.kill would reap it, and the loop could not say how it ended
            await self._process.wait()
        await self._listening
