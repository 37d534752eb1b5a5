"""What must begin anew in a forked child: locks may be held by threads that are not there, and pools have no threads.

A data loader forks its workers while a volume is open. Whoever holds a lock, a pool or a cache registers here, and is
told in the child before anything else runs there.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class ForkSensitive(Protocol):
    """Something with locks, threads or descriptors."""

    def after_fork(self) -> None:
        """Begin anew, in the child; takes no lock that existed before."""
        ...


_SENSITIVE: WeakSet[ForkSensitive] = WeakSet()


def begin_anew_after_fork(one: ForkSensitive) -> None:
    """Have `one` told in every forked child, as long as somebody else holds it."""
    _SENSITIVE.add(one)


def _tell_child() -> None:
    for one in list(_SENSITIVE):
        one.after_fork()


os.register_at_fork(after_in_child=_tell_child)
