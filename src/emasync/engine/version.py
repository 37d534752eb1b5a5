"""One generation of a large object: what is known of its bytes under one validator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from emasync.disk.interface import Partial
from emasync.disk.writers import Turn
from emasync.engine.digest_parts import LandingParts
from emasync.engine.digest_prefix import PrefixHashes
from emasync.engine.digests import hash_pieces, read_pieces
from emasync.ledger.interface import Part
from emasync.model.digest import Span, Validator
from emasync.transport.interface import Head


@dataclass(slots=True)
class Version:
    """One generation of an object. Mutable: its object changes it, between two awaits.

    Attributes
    ----------
    generation : int
        Of the partial's name.
    validator : Validator or None
        Of the first accepted answer; every later one is bound to it.
    total_bytes : int or None
    partial : Partial or None
        Open while somebody may write to it.
    ranged, whole : bool
        Whether spans may be asked for; whether the body in flight is the whole object.
    started : bool
        Whether the ledger knows of it, so that parts may be recorded.
    users : int
        Parts in flight.
    done : dict of int to Part
        Finished parts by their start; :meth:`keep` adds to them.
    held_bytes : int
        In finished parts. Counted as they come: an object of terabytes has a hundred thousand, and is asked after each.
    todo : iterator of Span or None
        What nobody fetches yet; None before the first valid answer.
    head : Head or None
        The first accepted answer.
    stated : Head or None
        What the store says of the whole object.
    store_asked : bool
        Whether it was asked.
    writes : Turn
        Of the partial: one at a time.
    landing : LandingParts or None
        Parts that are hashed as they land, where a digest of parts is known.
    prefix : PrefixHashes or None
        Digests of the bytes in their order, where one is asked for.
    """

    generation: int
    validator: Validator | None = None
    total_bytes: int | None = None
    partial: Partial | None = None
    ranged: bool = True
    whole: bool = False
    started: bool = False
    users: int = 0
    done: dict[int, Part] = field(default_factory=dict)
    held_bytes: int = field(init=False)
    todo: Iterator[Span] | None = None
    head: Head | None = None
    stated: Head | None = None
    store_asked: bool = False
    writes: Turn = field(default_factory=Turn)
    landing: LandingParts | None = None
    prefix: PrefixHashes | None = None

    def __post_init__(self) -> None:
        """Count what an earlier run left."""
        self.held_bytes = sum(part.stop - part.start for part in self.done.values())

    def keep(self, part: Part) -> None:
        """Take a finished part, in place of one that began where it begins."""
        former = self.done.get(part.start)
        self.held_bytes += part.stop - (part.start if former is None else former.stop)
        self.done[part.start] = part

    @property
    def complete(self) -> bool:
        """Whether all bytes are there."""
        return self.held_bytes == self.total_bytes

    @property
    def may_be_raced(self) -> bool:
        """Whether one range may be asked for twice: both answers have to be bound to the same bytes."""
        bound = self.validator is not None and self.validator.strong
        return bound and self.ranged and not self.whole and self.todo is not None

    @property
    def spans(self) -> tuple[Span, ...]:
        """Finished spans."""
        return tuple(Span(part.start, part.stop) for part in self.done.values())


def trusted_parts(partial: Partial, parts: tuple[Part, ...], suspect_after_epoch: int | None) -> list[Part]:
    """Parts whose bytes are what the ledger says; read back only where an unclean stop makes them suspect."""
    return [
        part
        for part in parts
        if suspect_after_epoch is None or part.epoch <= suspect_after_epoch or _part_crc(partial, part) == part.crc32c
    ]


def _part_crc(partial: Partial, part: Part) -> int:
    def read(offset: int, size_bytes: int) -> bytes:
        return partial.read(part.start + offset, size_bytes)

    return hash_pieces(read_pieces(read, part.stop - part.start), ())[0]
