"""Public 3D microscopy and neurophysiology data on your disk, whole and checked."""

from __future__ import annotations

__version__ = "0.1.0"
