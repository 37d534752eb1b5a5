"""Describes a file in a process of its own, which asks this one for bytes and can only crash itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Final

import msgspec

from emasync.errors import FormatError, InputError
from emasync.formats.hdf5.message import PLACE, receive, send, unpacked
from emasync.formats.stored import ByteSource, FileDescription
from emasync.model.task import escape_for_log

SMALL_FILE_BYTES: Final = 64 << 20
_LAST_WORDS: Final = 400


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the process.

    Attributes
    ----------
    processor_s : int
        Seconds of processor time; waiting for bytes does not count.
    memory_bytes : int
        Of address space, half of which the program and its libraries take.
    """

    processor_s: int
    memory_bytes: int


def limits_for(size_bytes: int) -> Limits:
    """Enough for a million chunks of a small file, and for the largest table of another."""
    small = size_bytes <= SMALL_FILE_BYTES
    return Limits(processor_s=20, memory_bytes=1 << 30) if small else Limits(processor_s=300, memory_bytes=8 << 30)


def run_apart(source: ByteSource, limits: Limits, *, program: Sequence[str] = ()) -> FileDescription:
    """What :func:`~emasync.formats.hdf5.contents.contents_of` finds in a file, or how its process ended.

    Parameters
    ----------
    source : ByteSource
        Read in this process.
    limits : Limits
    program : sequence of str
        What to run; by default :mod:`emasync.formats.hdf5.child` with this interpreter.

    Raises
    ------
    FormatError
        The file contradicts the format, or reading it crashed, or took too much.
    InputError
        h5py is missing or too old.
    """
    told = [str(source.size_bytes), str(limits.processor_s), str(limits.memory_bytes), source.name]
    module = [sys.executable, "-P", "-m", "emasync.formats.hdf5.child", *told]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # its threads take address space and compute nothing here
    with (
        TemporaryFile() as words,
        subprocess.Popen(  # noqa: S603  # this interpreter, own module; the name of the file is an argument, no option
            list(program) or module, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, env=environment
        ) as process,
    ):
        try:
            found = _serve(source, process, limits)
        finally:
            process.kill()
        if found is not None:
            return found
        status = process.wait()
        words.seek(0)
        raise ended(source.name, status, words.read()[-_LAST_WORDS:].decode("utf-8", "replace"))


def _serve(source: ByteSource, process: subprocess.Popen[bytes], limits: Limits) -> FileDescription | None:
    """Answer what the process asks for until it is done; None where it ends before."""
    asks, answers = process.stdout, process.stdin
    assert asks is not None and answers is not None  # noqa: PT018, S101 - both are pipes
    while (frame := receive(asks, limits.memory_bytes)) is not None:
        kind, body = frame
        match kind:
            case "read":
                if not answer_ask(source, answers, body):
                    return None
            case "done":
                try:
                    return unpacked(body)
                except (msgspec.MsgspecError, ValueError):
                    return None
            case "format":
                raise FormatError(body.decode("utf-8", "replace"), location=source.name)
            case "input":
                raise InputError(body.decode("utf-8", "replace"))
    process.wait()
    return None


def answer_ask(source: ByteSource, answers: IO[bytes], body: bytes) -> bool:
    """Send what was asked for; False where the process is gone, or asks for what is not in the file.

    Parameters
    ----------
    source : ByteSource
    answers : binary file
        Where the process reads.
    body : bytes
        Of its frame of kind ``read``.
    """
    if len(body) != PLACE.size:
        return False
    offset, size_bytes = PLACE.unpack(body)
    if offset + size_bytes > source.size_bytes:
        return False
    data = source.read(offset, size_bytes)
    try:
        send(answers, "read", data)
    except BrokenPipeError:
        with suppress(BrokenPipeError):
            answers.close()  # or it would try once more, later
        return False
    return True


def ended(name: str, status: int, words: str) -> FormatError:
    """How a process that did not answer came to its end: a signal or a status, and its last words."""
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    said = f": {escape_for_log(words.strip())}" if words.strip() else ""
    return FormatError(
        f"{escape_for_log(name)}: the library that reads HDF5 ended with {how}{said}; the file is damaged, or "
        "needs more memory or time than is allowed",
        location=name,
    )
