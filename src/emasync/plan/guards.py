"""Guards: stop before the machine is full, while listing still goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.interface import Tally
from emasync.model.task import State

RESERVE_INODES = 1_000
"""Files that stay free for everybody else on the root's filesystem."""

WANTED = (State.PENDING, State.SEALED, State.PLACED, State.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the root's filesystem has left, at one moment.

    Attributes
    ----------
    free_bytes : int
        For this user.
    free_inodes : int or None
        None where the filesystem does not count them.
    unfinished_bytes : int
        Already allocated to unfinished files of this root: taken from `free_bytes`, and pending all the same.
    """

    free_bytes: int
    free_inodes: int | None = None
    unfinished_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a plan wants, as far as it is known.

    Attributes
    ----------
    wanted_bytes, wanted_objects : int
        Everything, on disk or not.
    missing_bytes, missing_objects : int
        Still to be fetched.
    unknown_sizes : int
        Missing objects whose size nobody said; not part of the bytes.
    """

    wanted_bytes: int = 0
    wanted_objects: int = 0
    missing_bytes: int = 0
    missing_objects: int = 0
    unknown_sizes: int = 0

    @classmethod
    def of(cls, tallies: Iterable[Tally]) -> Demand:
        """Sum over all datasets of a root."""
        wanted_bytes = wanted_objects = missing_bytes = missing_objects = unknown = 0
        for tally in tallies:
            wanted_bytes += sum(tally.bytes.get(state, 0) for state in WANTED)
            wanted_objects += sum(tally.objects.get(state, 0) for state in WANTED)
            missing_bytes += tally.bytes.get(State.PENDING, 0)
            missing_objects += tally.objects.get(State.PENDING, 0)
            unknown += tally.unknown_size
        return cls(
            wanted_bytes=wanted_bytes,
            wanted_objects=wanted_objects,
            missing_bytes=missing_bytes,
            missing_objects=missing_objects,
            unknown_sizes=unknown,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Limits of one root.

    Attributes
    ----------
    max_total_bytes : int or None
        Most bytes that may be wanted; None for no such limit.
    reserve_bytes : int
        Free space that is never used.
    measure : callable
        Gives the :class:`Room` left; blocking (statvfs), so the caller chooses the thread.
    """

    max_total_bytes: int | None
    reserve_bytes: int
    measure: Callable[[], Room]

    def check(self, demand: Demand) -> None:
        """Compare what is wanted with what there is.

        Raises
        ------
        MachineError
            ``guard``: more is wanted than `max_total_bytes`, or more is missing than fits. The run can be resumed.
        """
        if reason := self.problem(demand, self.measure()):
            raise MachineError(reason, kind=ErrorKind.GUARD)

    def problem(self, demand: Demand, room: Room) -> str | None:
        """Why the demand does not fit, with numbers and remedy; None when it does."""
        return self._over_limit(demand) or self._over_space(demand, room) or self._over_inodes(demand, room)

    def _over_limit(self, demand: Demand) -> str | None:
        if self.max_total_bytes is None or demand.wanted_bytes <= self.max_total_bytes:
            return None
        return (
            f"{demand.wanted_bytes:,} bytes in {demand.wanted_objects:,} objects are wanted so far and max_total is "
            f"{self.max_total_bytes:,} bytes; raise max_total or choose less (include, scales, crop)"
        )

    def _over_space(self, demand: Demand, room: Room) -> str | None:
        usable = room.free_bytes + room.unfinished_bytes - self.reserve_bytes
        if demand.missing_bytes <= usable:
            return None
        return (
            f"{demand.missing_bytes:,} bytes are still to be fetched and {max(0, usable):,} bytes may be used "
            f"({room.free_bytes:,} free, {room.unfinished_bytes:,} held by unfinished files, {self.reserve_bytes:,} "
            "kept in reserve); free some space, use another root, or choose less (include, scales, crop)"
        )

    def _over_inodes(self, demand: Demand, room: Room) -> str | None:
        if room.free_inodes is None or demand.missing_objects + RESERVE_INODES <= room.free_inodes:
            return None
        return (
            f"{demand.missing_objects:,} files are still to be made and the filesystem has {room.free_inodes:,} inodes "
            f"left ({RESERVE_INODES:,} of them kept in reserve); use another filesystem, or choose less"
        )
