"""Units of length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SECONDS: Final[Mapping[str, float]] = {
    "s": 1.0,
    "second": 1.0,
    "ms": 1e-3,
    "millisecond": 1e-3,
    "us": 1e-6,
    "microsecond": 1e-6,
}
"""Units of time that recordings state, lower case, in seconds: UDUNITS-2 names and symbols."""

NANOMETRES: Final[Mapping[str, float]] = {
    "angstrom": 0.1,
    "nanometer": 1.0,
    "micrometer": 1e3,
    "millimeter": 1e6,
    "centimeter": 1e7,
    "meter": 1e9,
    "å": 0.1,
    "nm": 1.0,
    "um": 1e3,
    "\u00b5m": 1e3,  # the micro sign
    "\u03bcm": 1e3,  # Greek mu looks alike
    "mm": 1e6,
    "cm": 1e7,
    "m": 1e9,
}
"""Units of length that images state, lower case, in nanometres: UDUNITS-2 names, as OME-NGFF 0.4 recommends, and the
symbols that N5 data is published with."""
