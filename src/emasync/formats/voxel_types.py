"""Types of voxels that can be read: those of numpy itself, of a fixed size."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from emasync.formats.content import NoDecoderError
from emasync.model.task import escape_for_log

_REGISTERED: Final = 2
"""numpy's mark of types that came with another package: what there is must not depend on what was imported."""


def voxel_type(name: str) -> np.dtype[Any]:
    """The type that is called `name`.

    Returns
    -------
    numpy.dtype
        Any: whatever the publisher has.

    Raises
    ------
    NoDecoderError
        numpy has none, or one without a fixed size, or a record of several.
    """
    try:
        dtype = np.dtype(name)
    except (TypeError, ValueError, SyntaxError):
        dtype = np.dtype(object)
    several = dtype.fields is not None or dtype.subdtype is not None
    if dtype.hasobject or not dtype.itemsize or several or dtype.isbuiltin == _REGISTERED:
        raise NoDecoderError(f"voxels of type {escape_for_log(name)}, which are no numbers of a fixed size")
    return dtype
