"""The header of MRC2014 files: values, labels."""

from __future__ import annotations

import math
import struct
from typing import Final

from emasync.formats.stored import ByteSource
from emasync.hooks.metadata.claims import Claims, text_of

_STATISTICS: Final = 76
_STAMP: Final = 212
_LABELS: Final = 220
_LABEL_BYTES: Final = 80
_MAX_LABELS: Final = 10
_BIG: Final = b"\x11\x11"


def mrc_claims(file: ByteSource, claims: Claims) -> None:
    """Extremes, mean and labels (Cheng et al. 2015, J. Struct. Biol. 192, 146, table 1).

    A maximum below the minimum, or a mean below both, says that they were not computed.

    Parameters
    ----------
    file : ByteSource
    claims : Claims
        Grows.
    """
    head = file.read(0, 1024)
    order = ">" if head[_STAMP : _STAMP + 2] == _BIG else "<"
    least, most, mean = struct.unpack_from(f"{order}3f", head, _STATISTICS)
    if least <= most and all(math.isfinite(value) for value in (least, most)):
        claims.number("value_min", least, "header: DMIN", positive=False)
        claims.number("value_max", most, "header: DMAX", positive=False)
        if least <= mean <= most:
            claims.number("value_mean", mean, "header: DMEAN", positive=False)
    (count,) = struct.unpack_from(f"{order}i", head, _LABELS)
    labels = [_label(head, number) for number in range(min(max(count, 0), _MAX_LABELS))]
    claims.text("description", "\n".join(label for label in labels if label), "header: LABEL")


def _label(head: bytes, number: int) -> str:
    start = _LABELS + 4 + number * _LABEL_BYTES
    return text_of(head[start : start + _LABEL_BYTES].rstrip(b"\0 ").decode("latin-1"))
