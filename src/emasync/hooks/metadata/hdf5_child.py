"""The process that tells of HDF5 files, one after the other: asks for their bytes on standard output.

Frames are those of :mod:`emasync.formats.hdf5.message`. A job is a frame of kind ``done`` (JSON: name, size, bounds);
the answer is one of kind ``done`` (JSON), ``format`` or ``input`` (a message).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from resource import RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RUSAGE_SELF, getrlimit, getrusage, setrlimit
from typing import Any, Final

import orjson

from emasync.errors import FormatError, InputError
from emasync.formats.hdf5.child import AskedSource
from emasync.formats.hdf5.message import receive, send
from emasync.hooks.metadata.hdf5_facts import facts_of

MAX_JOB_BYTES: Final = 1 << 20


def main() -> None:
    """Tell of files until nobody asks any more."""
    asks = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    jobs = sys.stdin.buffer
    with suppress(ValueError, OSError):
        setrlimit(RLIMIT_CORE, (0, 0))
    while (frame := receive(jobs, MAX_JOB_BYTES)) is not None:
        job: dict[str, Any] = orjson.loads(frame[1])  # Any: JSON of our own
        _confine(job["processor_s"], job["memory_bytes"])
        source = AskedSource(job["name"], job["size_bytes"], asks, jobs)
        try:
            data = as_json(facts_of(source))
        except FormatError as error:
            send(asks, "format", str(error).encode())
        except InputError as error:
            send(asks, "input", str(error).encode())
        else:
            send(asks, "done", data)


def as_json(facts: dict[str, Any]) -> bytes:
    """As bytes (Any: JSON); h5py gives what is not UTF-8 as halves of characters, which JSON has no place for."""
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    try:
        return orjson.dumps(facts, option=options)
    except TypeError:
        return orjson.dumps(_of_whole_characters(facts), option=options)


def _of_whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_of_whole_characters(key): _of_whole_characters(inner) for key, inner in value.items()}
    return [_of_whole_characters(inner) for inner in value] if isinstance(value, list | tuple) else value


def _confine(processor_s: int, memory_bytes: int) -> None:
    """Bounds of one file; the soft ones, so that the next file gets its own."""
    used = getrusage(RUSAGE_SELF)
    wanted = ((RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + processor_s), (RLIMIT_AS, memory_bytes))
    for limit, value in wanted:
        with suppress(ValueError, OSError):
            setrlimit(limit, (value, getrlimit(limit)[1]))


if __name__ == "__main__":
    main()
