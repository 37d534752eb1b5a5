"""What happens at an origin between two looks of its controller. Pure: told, with the time."""

from __future__ import annotations

from emasync.transport.adaptive import OBJECT_BYTES, Window


class Meter:
    """Counts of the present window.

    Parameters
    ----------
    now_s : float
        Of the monotonic clock, as all times here.

    Attributes
    ----------
    active : int
        Holders of slots that wait for the network.
    answers, stalled, objects, large_bytes, received_bytes : int
        See :class:`~emasync.transport.adaptive.Window`.
    """

    __slots__ = (
        "_busy_s",
        "_changed_s",
        "_since_s",
        "active",
        "answers",
        "large_bytes",
        "objects",
        "received_bytes",
        "stalled",
    )

    def __init__(self, now_s: float) -> None:
        self.active = 0
        self.restart(now_s)

    def restart(self, now_s: float) -> None:
        """Begin the next window."""
        self._since_s = self._changed_s = now_s
        self._busy_s = 0.0
        self.answers = self.stalled = 0
        self.objects = self.large_bytes = self.received_bytes = 0

    def change(self, by: int, now_s: float) -> None:
        """So many more (or fewer) holders of slots wait for the network."""
        self._busy_s += self.active * (now_s - self._changed_s)
        self._changed_s = now_s
        self.active += by

    def delivered(self, size_bytes: int) -> None:
        """A small answer came whole."""
        if size_bytes < OBJECT_BYTES:
            self.objects += 1
            self.received_bytes += size_bytes
        else:
            self.came(size_bytes)

    def came(self, size_bytes: int) -> None:
        """So many bytes of a large answer."""
        self.large_bytes += size_bytes
        self.received_bytes += size_bytes

    def window(self, now_s: float, limit: int) -> Window:
        """The window up to now."""
        self.change(0, now_s)
        duration_s = max(now_s - self._since_s, 1e-6)
        return Window(
            ended_s=now_s,
            duration_s=duration_s,
            used=self._busy_s / (duration_s * limit),
            objects=self.objects,
            large_bytes=self.large_bytes,
            received_bytes=self.received_bytes,
            answers=self.answers,
            stalled=self.stalled,
        )
