"""``--log-file``: the log of the package, and what a run tells, as lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson

from emasync.errors import InputError
from emasync.model.events import Event, OnEvent

_log = logging.getLogger("emasync.run")

LINE: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"

_LEVELS: Final = {"failed": logging.ERROR, "warning": logging.WARNING, "stalled": logging.WARNING}
_UNSAID: Final = frozenset({"progress", "plan_progress", "host", "object_done"})
"""Too many to be read; they are in the NDJSON of ``--json``."""


@contextmanager
def log_to(path: Path | None) -> Iterator[None]:
    """Write the package's log to a file, after what is in it already; None writes none.

    Raises
    ------
    InputError
        The file cannot be opened.
    """
    if path is None:
        yield
        return
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--log-file {path}: cannot be written ({error.strerror}); choose another place") from error
    from logging.handlers import QueueHandler, QueueListener  # noqa: PLC0415 - pickles and sockets come with them
    from queue import SimpleQueue  # noqa: PLC0415 - as above

    handler.setFormatter(logging.Formatter(LINE))
    logger = logging.getLogger("emasync")
    level, lines = logger.level, QueueHandler(SimpleQueue())
    listener = QueueListener(lines.queue, handler)  # a thread: the run's loop does not wait for the log's disk
    listener.start()
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(lines)
        listener.stop()
        handler.close()


def logged(on_event: OnEvent) -> OnEvent:
    """The listener, and a line in the log for each event that matters."""

    def told(event: Event) -> None:
        if event.event not in _UNSAID:
            level = _LEVELS.get(event.event, logging.INFO)
            _log.log(level, "%s %s", event.event, orjson.dumps(event.fields).decode())
        on_event(event)

    return told
