"""Functions of imagecodecs, which is an extra: fast, without the interpreter's lock, into memory of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from emasync.formats.content import NoDecoderError

Function = Callable[..., Any]  # foreign functions, which publish no types

_THREADED: Final = frozenset(("blosc", "blosc2", "jpegxl", "jpeg2k"))
"""Those that start threads of their own: chunks are decoded side by side already, and children of a fork have none."""


def native(codec: str) -> Function | None:
    """The decoder of imagecodecs; None where it is not installed, or was built without that codec."""
    try:
        import imagecodecs  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    known = getattr(imagecodecs, codec.upper(), None)
    if known is None or not known.available:
        return None
    found: Function = getattr(imagecodecs, f"{codec}_decode")
    return partial(found, numthreads=1) if codec in _THREADED else found


def require_native(codec: str) -> Function:
    """The decoder of imagecodecs.

    Raises
    ------
    NoDecoderError
        It is not installed, or was built without that codec.
    """
    found = native(codec)
    if found is None:
        raise NoDecoderError(f"is undone by imagecodecs ({codec}), which is not here: pip install 'emasync[images]'")
    return found
