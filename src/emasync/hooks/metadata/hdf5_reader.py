"""Asks a process about HDF5 files: one process for all of a root, another one after it crashed."""

from __future__ import annotations

import os
import subprocess
import sys
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, Final, Self

import orjson

from emasync.errors import FormatError, InputError
from emasync.formats.hdf5.apart import answer_ask, ended, limits_for
from emasync.formats.hdf5.message import receive, send
from emasync.formats.known_stretches import UnreadError
from emasync.formats.stored import ByteSource

MAX_FACTS_BYTES: Final = 16 << 20
_LAST_WORDS: Final = 400


class Hdf5Reader:
    """Gives the facts of files; a context manager, whose end ends the process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def facts(self, source: ByteSource) -> dict[str, Any]:
        """What :func:`~emasync.hooks.metadata.hdf5_facts.facts_of` tells of a file (Any: JSON).

        Raises
        ------
        FormatError
            The file is damaged, or reading it crashed, or took too much, or only a part of its header is known.
        InputError
            h5py is missing or too old.
        """
        process = self._process or self._start()
        limits = limits_for(source.size_bytes)
        job = {"name": source.name, "size_bytes": source.size_bytes}
        job |= {"processor_s": limits.processor_s, "memory_bytes": limits.memory_bytes}
        asks, answers = process.stdout, process.stdin
        assert asks is not None and answers is not None  # noqa: PT018, S101 - both are pipes
        try:
            send(answers, "done", orjson.dumps(job))
            found = self._serve(source, asks, answers)
        except BrokenPipeError:
            found = None
        except UnreadError:
            self._stop()  # it waits for bytes that nobody has
            raise
        if found is None:
            raise self._ended(source.name)
        return found

    def _serve(self, source: ByteSource, asks: IO[bytes], answers: IO[bytes]) -> dict[str, Any] | None:
        """Answer what the process asks for; None where it ends before it is done (Any: JSON)."""
        while (frame := receive(asks, MAX_FACTS_BYTES)) is not None:
            kind, body = frame
            match kind:
                case "read":
                    if not answer_ask(source, answers, body):
                        return None
                case "done":
                    value: Any = orjson.loads(body)
                    return value if isinstance(value, dict) else None
                case "format":
                    raise FormatError(body.decode("utf-8", "replace"), location=source.name)
                case "input":
                    raise InputError(body.decode("utf-8", "replace"))
        return None

    def _start(self) -> subprocess.Popen[bytes]:
        self._words = TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "emasync.hooks.metadata.hdf5_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # its threads take address space and compute nothing here
        )
        return self._process

    def _ended(self, name: str) -> FormatError:
        """How the process ended; the next file gets another one."""
        process, words = self._process, self._words
        assert process is not None and words is not None  # noqa: PT018, S101 - it was started
        try:
            status = process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        words.seek(0)
        said = words.read()[-_LAST_WORDS:].decode("utf-8", "replace")
        self._stop()
        return ended(name, status, said)

    def _stop(self) -> None:
        process, words = self._process, self._words
        self._process = self._words = None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    _close(pipe)
        if words is not None:
            words.close()


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        pipe.close()  # what was to be flushed is dropped by the first
