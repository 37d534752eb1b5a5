"""How often a worker may die before the run gives up. Pure."""

from __future__ import annotations

from collections import deque

RESTARTS = 3
WINDOW_S = 60.0


class RestartBudget:
    """Restarts of one worker within a sliding window.

    Parameters
    ----------
    restarts : int
        Most restarts within `window_s`.
    window_s : float
    """

    def __init__(self, restarts: int = RESTARTS, window_s: float = WINDOW_S) -> None:
        self.restarts = restarts
        self.window_s = window_s
        self._at_s: deque[float] = deque()

    def take(self, now_s: float) -> bool:
        """Whether the worker may be started once more; counts it.

        Parameters
        ----------
        now_s : float
            Of the monotonic clock.
        """
        while self._at_s and now_s - self._at_s[0] > self.window_s:
            self._at_s.popleft()
        if len(self._at_s) >= self.restarts:
            return False
        self._at_s.append(now_s)
        return True
