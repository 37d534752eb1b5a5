"""The headers that come over one connection: most are like the one before, and those cost two fifths of the others.

An origin's answers differ in a few values (entity tag, date, length). What a strict parser has accepted once, line by
line, need not be parsed again: a line that is the same byte for byte means the same, and one whose value alone changed,
to visible ASCII, means that value. Every other header goes to :func:`~emasync.transport.response_head.parse_head`.
No I/O.
"""

from __future__ import annotations

import re

from emasync.transport.response_head import (
    MAX_FIELD_BYTES,
    MAX_LENGTH_DIGITS,
    ResponseHead,
    parse_head,
)

_END = b"\r\n\r\n"
_PLAIN_VALUE = re.compile(rb"[!-~](?:[ -~]*[!-~])?")
"""No blanks around it, which would be taken off, and nothing beyond visible ASCII (RFC 9110, section 5.5)."""

_CONTENT_LENGTH = "content-length"
_USUAL = frozenset({200, 206})  # those without a body end otherwise, whatever length they tell
_NEVER_TOLD_APART = frozenset({"connection", "proxy-connection", "transfer-encoding", "upgrade"})
"""Fields that say how a message ends and what becomes of the connection: parsed whenever they change."""


class HeadReader:
    """Reads one header after the other; gives what :func:`~emasync.transport.response_head.parse_head` would give.

    Bounds are those of the parser.
    """

    __slots__ = ("_before", "_fields", "_lines", "_parts", "_varies")

    def __init__(self) -> None:
        self._before: ResponseHead | None = None
        self._fields: dict[str, str] = {}
        self._lines: list[bytes] = []
        self._parts: list[tuple[bytes, str]] = []  # of each line: what comes before the value, and key
        self._varies: list[int] = []  # lines whose values were seen to change

    def read(self, data: bytes) -> ResponseHead | None:
        """Read a header from the beginning of `data`.

        Parameters
        ----------
        data : bytes
            As for :func:`~emasync.transport.response_head.parse_head`.

        Returns
        -------
        ResponseHead or None
            None: more bytes are needed.

        Raises
        ------
        MalformedHeadError
        """
        before = self._before
        if before is not None and 0 < (end := data.find(_END)) <= MAX_FIELD_BYTES:
            head = self._like(before, data[:end].split(b"\r\n"), end + len(_END))
            if head is not None:
                return head
        head = parse_head(data)
        if head is not None:
            self._remember(head, data)
        return head

    def _like(self, before: ResponseHead, lines: list[bytes], end: int) -> ResponseHead | None:
        """A header of which only values differ from the one before; None when more does."""
        known = self._lines
        if len(lines) != len(known):
            return None
        fields, length = self._fields.copy(), before.length
        for at in self._varies:
            line, (prefix, key) = lines[at], self._parts[at]
            start = len(prefix)
            if not line.startswith(prefix) or _PLAIN_VALUE.fullmatch(line, start) is None:
                return None
            fields[key] = value = line[start:].decode("ascii")
            if key == _CONTENT_LENGTH:
                if not value.isdigit() or len(value) > MAX_LENGTH_DIGITS:
                    return None
                length = int(value)
            lines[at] = known[at]
        if lines != known:  # one comparison for all that never vary
            return None
        return ResponseHead(before.status, fields, before.framing, length, before.keep_alive, end)

    def _remember(self, head: ResponseHead, data: bytes) -> None:
        lines = data[: head.end - len(_END)].split(b"\r\n")
        fields = dict(head.fields)
        parts = [_taken_apart(line, fields) for line in lines]
        alike = len(lines) == len(self._lines)
        changed = (at for at, line in enumerate(lines) if alike and (at in self._varies or line != self._lines[at]))
        self._varies = [at for at in changed if parts[at][0]]
        self._lines, self._parts, self._fields = lines, parts, fields
        self._before = head if head.status in _USUAL else None


def _taken_apart(line: bytes, fields: dict[str, str]) -> tuple[bytes, str]:
    """What comes before the value, and the key; nothing where the line may never differ."""
    name, _, value = line.partition(b": ")
    key = name.lower().decode("ascii", "replace")
    plain = _PLAIN_VALUE.fullmatch(value) is not None and fields.get(key) == value.decode("ascii")
    return (name + b": ", key) if plain and key not in _NEVER_TOLD_APART else (b"", key)
