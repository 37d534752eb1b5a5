"""How long somebody waits who looks at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SOMEBODY_WAITS: Final[Mapping[str, float | int | bool | None]] = {"max_attempts": 4, "give_up_after_s": 15.0}
"""Policy of questions, for all hosts that nothing is said about: a run is patient, people ask again."""
