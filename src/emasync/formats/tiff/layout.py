"""How the strips and tiles of TIFF files are stored, with what their codecs must know of rows and samples."""

from __future__ import annotations

from math import prod
from typing import Final

import numpy as np

from emasync.formats.json_document import Json, JsonObject
from emasync.formats.stored import Codec, StoredArray

_PICTURES: Final = frozenset(("jpeg", "jpeg2k", "lerc", "png", "jpegxr", "webp", "jpegxl"))
"""Codecs that know of samples: neither predictor nor order of bits is for them (TIFF Technical Note 2)."""

_PREDICTOR, _BITS, _FILL_ORDER = "tiff_predictor", "tiff_bits", "tiff_fill_order"


def tiff_codecs(array: StoredArray) -> tuple[Codec, ...]:
    """Codecs of a strip or tile, in the order of encoding.

    Beside what the file says, each has

    ``samples``
        A pixel, where they stand together; the last axis of the array then.
    ``bits``
        Of a sample.
    ``segment_bytes``
        Of a whole strip or tile before compression. The last strip of a page is shorter, and some writers fill it up.
    """
    by_name = {codec.name: codec for codec in array.codecs}
    if not _PICTURES.isdisjoint(by_name):
        by_name = {name: codec for name, codec in by_name.items() if name not in (_PREDICTOR, _FILL_ORDER)}
    facts = _facts(array, by_name.get(_BITS))
    return tuple(
        Codec(f"tiff.{name.removeprefix('tiff_')}", {**codec.configuration, **facts}) for name, codec in by_name.items()
    )


def _facts(array: StoredArray, packed: Codec | None) -> JsonObject:
    samples = array.chunks[-1] if array.axes[-1] == "s" else 1
    width = array.chunks[-2] if array.axes[-1] == "s" else array.chunks[-1]
    bits: Json = np.dtype(array.dtype).itemsize * 8 if packed is None else packed.configuration.get("bits")
    if not isinstance(bits, int):
        raise TypeError(f"{array.path}: samples of {bits!r} bits")
    rows = prod(array.chunks) // (width * samples)
    return {"samples": samples, "bits": bits, "segment_bytes": rows * -(-width * samples * bits // 8)}
