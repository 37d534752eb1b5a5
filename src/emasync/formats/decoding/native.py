"""Functions of imagecodecs, which is an extra: fast, without the interpreter's lock, into memory of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emasync.formats.content import NoDecoderError

Function = Callable[..., Any]  # foreign functions, which publish no types


def native(codec: str) -> Function | None:
    """The decoder of imagecodecs; None where it is not installed, or was built without that codec."""
    try:
        import imagecodecs  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    if not getattr(imagecodecs, codec.upper()).available:
        return None
    found: Function = getattr(imagecodecs, f"{codec}_decode")
    return found


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
