"""The headers that come over one connection: most are like the one before, and those are read at a third of the price.

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
    Framing,
    ResponseHead,
    parse_head,
)

_END = b"\r\n\r\n"
_PLAIN_VALUE = re.compile(rb"[!-~](?:[ -~]*[!-~])?")
"""No blanks around it, which would be taken off, and nothing beyond visible ASCII (RFC 9110, section 5.5)."""

_CONTENT_LENGTH = "content-length"
_USUAL = frozenset({200, 206})
_NEVER_TOLD_APART = frozenset({"connection", "proxy-connection", "transfer-encoding", "upgrade"})
"""Fields that say how a message ends and what becomes of the connection: parsed whenever they change."""


class HeadReader:
    """Reads one header after the other; gives what :func:`~emasync.transport.response_head.parse_head` would give.

    Bounds are those of the parser.
    """

    __slots__ = ("_before", "_fields", "_known")

    def __init__(self) -> None:
        self._before: ResponseHead | None = None
        self._fields: dict[str, str] = {}
        self._known: list[tuple[bytes, bytes, str]] = []  # line, its part before the value, key; no part: never differs

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
        if len(lines) != len(self._known):
            return None
        fields, length = self._fields.copy(), before.length
        for line, (same, prefix, key) in zip(lines, self._known, strict=True):
            if line == same:
                continue
            start = len(prefix)
            if not prefix or not line.startswith(prefix) or _PLAIN_VALUE.fullmatch(line, start) is None:
                return None
            fields[key] = value = line[start:].decode("ascii")
            if key == _CONTENT_LENGTH:
                if not value.isdigit() or len(value) > MAX_LENGTH_DIGITS:
                    return None
                length = int(value)
        return ResponseHead(before.status, fields, before.framing, length, before.keep_alive, end)

    def _remember(self, head: ResponseHead, data: bytes) -> None:
        lines = data[: head.end - len(_END)].split(b"\r\n")
        fields = dict(head.fields)
        usual = head.status in _USUAL and head.framing is Framing.LENGTH
        self._before, self._fields = head if usual else None, fields
        self._known = [(lines[0], b"", ""), *(_taken_apart(line, fields) for line in lines[1:])]


def _taken_apart(line: bytes, fields: dict[str, str]) -> tuple[bytes, bytes, str]:
    name, _, value = line.partition(b": ")
    key = name.lower().decode("ascii", "replace")
    plain = _PLAIN_VALUE.fullmatch(value) is not None and fields.get(key) == value.decode("ascii")
    return (line, name + b": ", key) if plain and key not in _NEVER_TOLD_APART else (line, b"", key)
