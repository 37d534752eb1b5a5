"""What the program leaves with when it does not leave with 0."""

from __future__ import annotations

EXIT_FAILED = 1
"""Something failed, drifted or did not verify; each thing was named."""
EXIT_INPUT = 2
"""The manifest or the command line is wrong."""
EXIT_INTERRUPTED = 3
"""The same command goes on."""
EXIT_STOPPED = 4
"""This machine or a guard had enough."""
