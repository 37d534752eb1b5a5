"""Claims of documents, by what they are about: a dataset, a folder of it, one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from emasync.hooks.metadata.claims import Claim

MAX_KEPT: Final = 500_000
"""Claims of one dataset's documents in memory."""


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
    _kept: int = 0

    def add(self, claims: Iterable[Claim]) -> None:
        """Take what a document says."""
        for claim in claims:
            if self._kept >= MAX_KEPT:
                self.left_out += 1
                continue
            self._kept += 1
            self._by_scope.setdefault(claim.scope, []).append(claim)

    def about(self, path: str) -> Iterator[Claim]:
        """Claims about all that `path` lies in, the innermost first."""
        yield from self._by_scope.get(path, ())
        while path:
            path = path.rpartition("/")[0]
            yield from self._by_scope.get(path, ())

    def whole(self) -> tuple[Claim, ...]:
        """Claims about the dataset."""
        return tuple(self._by_scope.get("", ()))

    def folders(self) -> tuple[str, ...]:
        """Scopes that something is said of, but for the dataset."""
        return tuple(scope for scope in self._by_scope if scope)
