"""Claims of documents, by what they are about: a dataset, a folder of it, one file, things of one name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from emasync.hooks.metadata.claims import Claim, Claims

MAX_KEPT: Final = 500_000
"""Claims of one dataset's documents in memory."""

NAMED: Final = "**/"
"""Before the last segment of a scope: things of that name anywhere below, whatever their suffix."""

Record = tuple[bytes, Callable[[Mapping[str, Any], Claims], None], str]


@dataclass(slots=True)
class Scopes:
    """Claims by scope (mutable: grows).

    Attributes
    ----------
    left_out : int
        Claims beyond :data:`MAX_KEPT`.
    """

    left_out: int = 0
    _by_scope: dict[str, list[Claim]] = field(default_factory=dict)
    _records: dict[str, Record] = field(default_factory=dict)
    _named: set[str] = field(default_factory=set)
    _kept: int = 0

    def add(self, claims: Iterable[Claim]) -> None:
        """Take what a document says."""
        for claim in claims:
            if self._kept >= MAX_KEPT:
                self.left_out += 1
                continue
            self._kept += 1
            self._by_scope.setdefault(claim.scope, []).append(claim)
            folder, named, _ = claim.scope.rpartition(NAMED)
            if named:
                self._named.add(folder.rstrip("/"))

    def add_record(
        self, scope: str, record: bytes, extract: Callable[[Mapping[str, Any], Claims], None], document: str
    ) -> None:
        """Keep a record as it is: its claims are made when somebody asks, for there may be many.

        Parameters
        ----------
        record : bytes
            A JSON object.
        extract : callable
        document : str
            For `where`.
        """
        self._records[scope] = (record, extract, document)

    def about(self, path: str) -> Iterator[Claim]:
        """Claims about all that `path` lies in, the innermost first."""
        own = path.rpartition("/")[2].partition(".")[0]
        yield from self._at(path)
        while path:
            path = path.rpartition("/")[0]
            if path in self._named:
                yield from self._by_scope.get(f"{path}/{NAMED}{own}" if path else f"{NAMED}{own}", ())
            yield from self._at(path)

    def _at(self, scope: str) -> Iterator[Claim]:
        yield from self._by_scope.get(scope, ())
        kept = self._records.get(scope)
        if kept is not None:
            record, extract, document = kept
            claims = Claims("api", document, scope)
            extract(orjson.loads(record), claims)
            yield from claims.found

    def whole(self) -> tuple[Claim, ...]:
        """Claims about the dataset."""
        return tuple(self._at(""))
