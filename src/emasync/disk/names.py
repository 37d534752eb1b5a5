r"""Names from the network as names of files: what is refused, and a reversible mapping for the rest.

A destination is a relative path of segments joined by ``/``. :func:`check_relative` is the guard: the sink
enforces it whatever a layout did. :func:`map_segment` is the layout's tool: it turns any segment into one that
is safe and portable, and :func:`unmap_segment` gives the original back.

The escape is ``%~`` and two upper-case hexadecimal digits for one byte of UTF-8, such as ``%~3A``. It was chosen
because ordinary keys hold ``%`` (``%20``, ``100%``) but never ``%~`` and two digits. Only when a segment does
hold what looks like an escape, its ``%`` is escaped (``%~25``); every other ``%`` stays. The empty segment
becomes ``%~`` alone, and a segment that is exactly ``%~`` becomes ``%~25~``. So each mapped name has one origin.

=============================  ==================================  ======================
problem                        example                             becomes
=============================  ==================================  ======================
empty segment                  ``a//b``                            ``a/%~/b``
``.`` and ``..``               ``..``                              ``.%~2E``
trailing dot or space          ``x.``                              ``x%~2E``
control character, NUL         newline                             ``%~0A``
lone surrogate                 U+D800                              ``%~ED%~A0%~80``
slash inside a segment         ``a/b`` as one segment              ``a%~2Fb``
reserved on Windows            ``con.txt``                         ``%~63on.txt``
looks like an escape           ``%~2F``                            ``%~25~2F``
=============================  ==================================  ======================

Backslash and ``: * ? " < > |`` are ordinary characters here and stay.
"""

from __future__ import annotations

import re
from enum import StrEnum

from emasync.errors import DestinationError

MAX_SEGMENT_BYTES = 255
"""NAME_MAX of Linux and macOS filesystems."""
MAX_PATH_BYTES = 4_000
"""PATH_MAX is 4,096 with the final NUL; the rest is left to tools that put a prefix before it."""


class NameProblem(StrEnum):
    """What keeps a segment from being a good file name."""

    EMPTY = "empty"
    DOTS = "dots"
    SEPARATOR = "separator"
    CONTROL = "control"
    UNENCODABLE = "unencodable"
    TOO_LONG = "too_long"
    TRAILING = "trailing"
    RESERVED = "reserved"
    ESCAPE_LIKE = "escape_like"


UNSAFE = frozenset(
    {
        NameProblem.EMPTY,
        NameProblem.DOTS,
        NameProblem.SEPARATOR,
        NameProblem.CONTROL,
        NameProblem.UNENCODABLE,
        NameProblem.TOO_LONG,
    }
)
"""Refused by :func:`check_relative`; the other problems are matters of portability and of our own escape."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ESCAPE = re.compile(r"%~[0-9A-F]{2}")
_ESCAPES = re.compile(r"(?:%~[0-9A-F]{2})+")
_EMPTY = "%~"
_ORDINARY = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_\-.]{0,119}(?<!\.)")
"""A cheap yes for nearly all segments of real keys."""
_MAPPED = re.compile(r"[\x00-\x1f\x7f-\x9f/\ud800-\udfff]|%(?=~[0-9A-F]{2})")
_RESERVED = re.compile(r"(?i:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[1-9¹²³])[ ]*(?:\.|\Z)")
"""Microsoft, "Naming Files, Paths, and Namespaces": reserved with any extension as well."""


def _size_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def problems_of(segment: str) -> tuple[NameProblem, ...]:
    """What is wrong with one path segment as a file name.

    Parameters
    ----------
    segment : str
        Between two slashes of a key.

    Returns
    -------
    tuple of NameProblem
        In the order of the enumeration; empty for a good name.
    """
    if _ORDINARY.fullmatch(segment) and not _RESERVED.match(segment):
        return ()
    found = {
        NameProblem.EMPTY: not segment,
        NameProblem.DOTS: segment in (".", ".."),
        NameProblem.SEPARATOR: "/" in segment,
        NameProblem.CONTROL: _CONTROL.search(segment) is not None,
        NameProblem.UNENCODABLE: _SURROGATE.search(segment) is not None,
        NameProblem.TOO_LONG: _size_bytes(segment) > MAX_SEGMENT_BYTES,
        NameProblem.TRAILING: segment.endswith((".", " ")),
        NameProblem.RESERVED: _RESERVED.match(segment) is not None,
        NameProblem.ESCAPE_LIKE: segment == _EMPTY or _ESCAPE.search(segment) is not None,
    }
    return tuple(problem for problem, present in found.items() if present)


def _escape(text: str) -> str:
    return "".join(f"%~{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def map_segment(segment: str) -> str:
    """Turn any segment into a safe, portable file name; ordinary names stay as they are.

    Parameters
    ----------
    segment : str

    Returns
    -------
    str
        A name without problems, but for escapes of its own; no two segments share one.

    Raises
    ------
    DestinationError
        ``unsafe_name``: the name would be longer than 255 bytes, which no reversible mapping can mend.
    """
    if _ORDINARY.fullmatch(segment) and not _RESERVED.match(segment):
        return segment
    if not segment:
        return _EMPTY
    mapped = "%~25~" if segment == _EMPTY else _MAPPED.sub(lambda match: _escape(match[0]), segment)
    if mapped.endswith((".", " ")):
        mapped = mapped[:-1] + _escape(mapped[-1])
    if _RESERVED.match(mapped):
        mapped = _escape(mapped[0]) + mapped[1:]
    if (size := _size_bytes(mapped)) > MAX_SEGMENT_BYTES:
        raise DestinationError(
            f"name {segment[:60]!r}... takes {size} bytes as a file name, at most {MAX_SEGMENT_BYTES} are possible; "
            "exclude the object or give it a shorter path",
            location=segment,
        )
    return mapped


def unmap_segment(name: str) -> str:
    """Give back the segment that :func:`map_segment` was called with.

    Raises
    ------
    ValueError
        `name` has escapes that no mapping makes (not UTF-8).
    """
    if name == _EMPTY:
        return ""

    def decode(match: re.Match[str]) -> str:
        return bytes.fromhex(match[0].replace("%~", "")).decode("utf-8", "surrogatepass")

    return _ESCAPES.sub(decode, name)


def map_path(path: str) -> str:
    """Map each segment of a relative path; a path without problems stays as it is.

    Raises
    ------
    DestinationError
        A segment or the whole is too long.
    """
    mapped = "/".join(map(map_segment, path.split("/")))
    if (size := _size_bytes(mapped)) > MAX_PATH_BYTES:
        raise _refusal(path, f"path of {size} bytes, at most {MAX_PATH_BYTES} are possible")
    return mapped


def _refusal(destination: str, reason: str) -> DestinationError:
    shown = destination if len(destination) <= MAX_SEGMENT_BYTES else destination[:MAX_SEGMENT_BYTES] + "..."
    return DestinationError(
        f"cannot store {shown!r}: {reason}; exclude the object or give it another path", location=destination
    )


is_ordinary = _ORDINARY.fullmatch
"""Whether a segment is safe at first sight; None says nothing: ask :func:`check_relative`."""


def check_relative(destination: str) -> None:
    """Refuse a destination that could leave the root or be no file name.

    Names that are only unportable (reserved on Windows, trailing dot) pass: mapping them is the layout's choice.

    Parameters
    ----------
    destination : str
        Relative path, ``/`` separated.

    Raises
    ------
    DestinationError
        ``unsafe_name``: absolute, empty, ``.`` or ``..``, an empty segment, control characters, lone surrogates,
        a segment longer than 255 bytes, a path longer than 4,000.
    """
    if destination.startswith("/"):
        raise _refusal(destination, "absolute path")
    for segment in destination.split("/"):
        if _ORDINARY.fullmatch(segment):
            continue
        for problem in problems_of(segment):
            if problem in UNSAFE:
                raise _refusal(destination, f"segment {segment[:60]!r} is unsafe ({problem})")
    if len(destination) > MAX_PATH_BYTES // 4 and (size := _size_bytes(destination)) > MAX_PATH_BYTES:
        raise _refusal(destination, f"path of {size} bytes, at most {MAX_PATH_BYTES} are possible")
