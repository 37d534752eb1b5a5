"""What an archive saw: a bounded list of requests, counts, and how many were in flight at once."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from emasync.testing.messages import Asked
from emasync.testing.site import PathClass


class Seen(NamedTuple):
    """One request as the archive saw it, and what it answered.

    Attributes
    ----------
    method : str
    path : str
        Decoded, without leading slash: ``bucket/key``.
    query : str
        As sent.
    range : str or None
        The Range header.
    headers : mapping of str to str
        All request headers, lower-case names.
    status : int
    """

    method: str
    path: str
    query: str
    range: str | None
    headers: Mapping[str, str]
    status: int


class Load(NamedTuple):
    """How busy an archive is and was.

    Attributes
    ----------
    in_flight, peak_in_flight : int
        Requests whose answer is not wholly handed over; most at once since the last reset.
    connections, peak_connections : int
        Open connections.
    bytes_sent : int
        Body bytes handed to connections since the last reset.
    """

    in_flight: int
    peak_in_flight: int
    connections: int
    peak_connections: int
    bytes_sent: int


def path_class(asked: Asked) -> PathClass:
    """What a request is about."""
    path = asked.path
    if path.startswith("/storage/v1/"):
        return "api"
    if "/" in path[1:].rstrip("/"):
        return "object"
    return "list" if asked.query else "bucket"


@dataclass(slots=True)
class RequestLog:
    """Written by the archive's thread; read from any thread through copies.

    Attributes
    ----------
    limit : int
        Requests kept; counts go on beyond it.
    """

    limit: int = 100_000
    _requests: deque[Seen] = field(init=False, repr=False)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter, repr=False)
    _in_flight: int = 0
    _peak_in_flight: int = 0
    _connections: int = 0
    _peak_connections: int = 0
    _bytes_sent: int = 0

    def __post_init__(self) -> None:
        self._requests = deque(maxlen=self.limit)

    def seen(self, asked: Asked, status: int) -> None:
        """Note one request and the status of its answer."""
        headers = asked.headers
        self._requests.append(Seen(asked.method, asked.key, asked.query, headers.get("range"), headers, status))
        self._counts[asked.method, path_class(asked)] += 1

    def began(self) -> None:
        """One more request is in flight."""
        self._in_flight += 1
        self._peak_in_flight = max(self._peak_in_flight, self._in_flight)

    def ended(self) -> None:
        """One request less is in flight."""
        self._in_flight -= 1

    def sent(self, size_bytes: int) -> None:
        """Note body bytes handed to a connection."""
        self._bytes_sent += size_bytes

    def opened(self) -> None:
        """One more connection is open."""
        self._connections += 1
        self._peak_connections = max(self._peak_connections, self._connections)

    def closed(self) -> None:
        """One connection less is open."""
        self._connections -= 1

    def requests(self) -> list[Seen]:
        """The last requests, oldest first."""
        return list(self._requests.copy())  # a deque's copy is one step, so a writer in another thread does no harm

    def counts(self) -> dict[tuple[str, str], int]:
        """Requests by method and class of path (object, list, bucket, api)."""
        return dict(self._counts)

    def load(self) -> Load:
        """How busy the archive is and was."""
        return Load(self._in_flight, self._peak_in_flight, self._connections, self._peak_connections, self._bytes_sent)

    def reset(self) -> None:
        """Forget requests, counts and peaks; what is in flight stays counted."""
        self._requests.clear()
        self._counts.clear()
        self._peak_in_flight, self._peak_connections, self._bytes_sent = self._in_flight, self._connections, 0
