"""The loopback archive: a real HTTP server on 127.0.0.1 that serves a store as S3, Google Cloud Storage and files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import Literal, Self

from emasync.testing.content import BucketRules
from emasync.testing.faults import FaultBook, FaultTable, load_faults
from emasync.testing.hosting import Host, ProcessHost, ThreadHost
from emasync.testing.listing import PAGE_LIMIT
from emasync.testing.misbehaviour import FaultySite
from emasync.testing.requestlog import Load, Seen
from emasync.testing.serving import Serving
from emasync.testing.site import App, Site
from emasync.testing.stores import MemoryStore, ObjectStore

_POLL_S = 0.002
"""The server is another thread or process: its state is looked at, not heard of."""


class Archive:
    """A running archive; a context manager, also ``async with``.

    ``GET /BUCKET/KEY`` answers objects and files, ``GET /BUCKET?list-type=2&...`` lists as S3 does,
    ``GET /storage/v1/b/BUCKET/o`` as Google's JSON API does.

    >>> with Archive.start(MemoryStore({"bucket/a": b"1"})) as archive:
    ...     archive.url.startswith("http://127.0.0.1:")
    True

    Attributes
    ----------
    url : str
        ``http://127.0.0.1:PORT`` as a rule, without trailing slash.
    store : ObjectStore
    """

    def __init__(self, host: Host, store: ObjectStore, scheme: str, address: str) -> None:
        self._host = host
        self.store = store
        self.url = f"{scheme}://{address}:{host.port}"

    @classmethod
    def start(
        cls,
        store: ObjectStore | Mapping[str, bytes],
        *,
        faults: FaultTable | Path | None = None,
        buckets: Mapping[str, BucketRules] | None = None,
        apps: Sequence[App] = (),
        latency_s: float = 0.0,
        rate_bytes_per_s: float | None = None,
        page_limit: int = PAGE_LIMIT,
        log_limit: int = 100_000,
        tls: SSLContext | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
        where: Literal["thread", "process"] = "thread",
    ) -> Self:
        """Start an archive on a free port.

        Parameters
        ----------
        store : ObjectStore or mapping of str to bytes
            A mapping becomes a :class:`MemoryStore`.
        faults : mapping or Path, optional
            What goes wrong, by glob over ``bucket/key``; a mapping or a JSON file, see :mod:`emasync.testing.faults`.
        buckets : mapping of str to BucketRules, optional
            Behaviour by bucket; ``"*"`` stands for all others.
        apps : sequence of App
            Parts that speak an API of their own, asked before buckets and files.
        latency_s : float
            Before each answer.
        rate_bytes_per_s : float, optional
            Of each connection's bodies.
        page_limit : int
            Most rows of a listing page.
        log_limit : int
            Requests kept in :attr:`requests`.
        tls : SSLContext, optional
            For https; in a thread only.
        address : str
            Another one of the loopback network (127.0.0.0/8), where the system has them.
        port : int
            0 for a free one.
        where : {"thread", "process"}
            A process of its own leaves the caller's core free; it sees a copy of the store.

        Raises
        ------
        InputError
            Faults that are none.
        """
        served: ObjectStore = MemoryStore(store) if isinstance(store, Mapping) else store
        site = Site(store=served, buckets=dict(buckets or {}), page_limit=page_limit, apps=tuple(apps))
        serving = Serving(
            site=FaultySite(site, FaultBook(load_faults(faults or {}))),
            latency_s=latency_s,
            rate_bytes_per_s=rate_bytes_per_s,
            log_limit=log_limit,
            tls=tls,
            address=address,
            port=port,
        )
        host: Host = ThreadHost(serving) if where == "thread" else ProcessHost(serving)
        return cls(host, served, "https" if tls else "http", address)

    def __repr__(self) -> str:
        return f"<Archive {self.url} of {self.store!r}>"

    @property
    def port(self) -> int:
        """TCP port on 127.0.0.1."""
        return self._host.port

    @property
    def requests(self) -> list[Seen]:
        """The last requests, oldest first: a copy."""
        return self._host.requests()

    def counts(self) -> dict[tuple[str, str], int]:
        """Requests by (method, class of path); classes are ``object``, ``list``, ``bucket`` and ``api``."""
        return self._host.counts()

    @property
    def load(self) -> Load:
        """Requests in flight, open connections, their peaks, and body bytes sent."""
        return self._host.load()

    @property
    def peak_in_flight(self) -> int:
        """Most requests in flight at once since the last reset; tells more with latency or :meth:`held`."""
        return self._host.load().peak_in_flight

    @property
    def bytes_sent(self) -> int:
        """Body bytes sent since the last reset."""
        return self._host.load().bytes_sent

    def reset(self) -> None:
        """Forget requests, counts and peaks."""
        self._host.reset()

    def set_faults(self, faults: FaultTable) -> None:
        """Replace all faults; ``{}`` for good weather."""
        self._host.set_faults(faults)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Take requests and answer none inside the block, so that what is in flight can be counted."""
        self._host.hold()
        try:
            yield
        finally:
            self._host.release()

    def wait_until(self, reached: Callable[[Load], bool], *, timeout_s: float = 20.0) -> Load:
        """Block until the load is as wanted, such as ``lambda load: load.in_flight == 8``; gives it.

        Raises
        ------
        TimeoutError
            It was not within `timeout_s`; the message has the last load.
        """
        deadline_s = time.monotonic() + timeout_s
        while not reached(load := self.load):
            _check(load, deadline_s)
            time.sleep(_POLL_S)
        return load

    async def until(self, reached: Callable[[Load], bool], *, timeout_s: float = 20.0) -> Load:
        """As :meth:`wait_until`, and the loop goes on meanwhile.

        Raises
        ------
        TimeoutError
            It was not within `timeout_s`; the message has the last load.
        """
        deadline_s = time.monotonic() + timeout_s
        while not reached(load := self.load):
            _check(load, deadline_s)
            await asyncio.sleep(_POLL_S)
        return load

    def close(self) -> None:
        """Stop; may be called twice.

        Raises
        ------
        ExceptionGroup
            Defects of the archive itself (a store that raised).
        """
        crashes = self._host.close()
        if crashes:
            raise ExceptionGroup(f"the archive at {self.url} failed", crashes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)


def _check(load: Load, deadline_s: float) -> None:
    if time.monotonic() > deadline_s:
        raise TimeoutError(f"the archive did not come to the wanted load, it is at {load}")
