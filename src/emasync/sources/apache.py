"""Directory listings of web servers (Apache's mod_autoindex) as rows. No I/O.

The size column is rounded (``29M``): a row says between which sizes a file lies, never how long it is. A link's text
may be cut short, so names come from the link itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from itertools import zip_longest
from sys import intern
from urllib.parse import unquote

from emasync.errors import RefusedError
from emasync.model.task import escape_for_log

PAGE_BYTES = 64 << 20
"""Longest listing that is read: about 300,000 names of one folder."""

_UNITS = {unit: 1 << (10 * power) for power, unit in enumerate("KMGTPE", 1)}
_SIZE = re.compile(r"(\d{1,20})(\.\d)?([KMGTPE]?)")
_INDEX = re.compile(r"<title>\s*Index of ", re.IGNORECASE)
_END = re.compile(r"</html>\s*$", re.IGNORECASE)
_LINK = re.compile(r'<a\s[^<>]*?href="([^"]*)"[^<>]*>', re.IGNORECASE)
_SORT = re.compile(r"[^/]*\?C=[NMSD]\W{1,5}O=[AD]")
_CELLS = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d)\s*(?:</td>\s*<td[^<>]*>)?\s*([0-9.]+[KMGTPE]?)?")
_NAME = re.compile(r"(?:\./)?([^/?#]+)(/?)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class RoundedSize:
    """A size as a listing shows it.

    Attributes
    ----------
    text : str
        Such as ``29M``.
    least_bytes, most_bytes : int
        All sizes that are shown so, both inclusive.
    """

    text: str
    least_bytes: int
    most_bytes: int

    @classmethod
    def parse(cls, text: str) -> RoundedSize | None:
        """Read a size column; None for the dash of a folder and for what is no size.

        The rounding is that of ``apr_strfsize`` (Apache Portable Runtime, ``strings/apr_strings.c``): to the nearest
        tenth below 10 units, to the nearest unit above; below 973 bytes the number is exact.
        """
        match = _SIZE.fullmatch(text.strip())
        if match is None:
            return None
        whole, tenths, letter = match.groups()
        if not letter:
            return None if tenths else cls(match[0], int(whole), int(whole))
        unit = _UNITS[letter]
        tenfold = int(whole) * 10 + int((tenths or ".0")[1:])
        slack = 1 if tenths else 10
        step = unit >> 10  # what is rounded was cut to whole units of the next smaller kind before
        return cls(match[0], (2 * tenfold - slack) * unit // 20 - step, (2 * tenfold + slack) * unit // 20 + step)

    def allows(self, size_bytes: int) -> bool:
        """Whether a file of `size_bytes` is shown so."""
        return self.least_bytes <= size_bytes <= self.most_bytes


_shown = lru_cache(maxsize=4096)(RoundedSize.parse)
"""There are no more than some thousand roundings: a folder of 100,000 files shares them."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One name of a listing.

    Attributes
    ----------
    href : str
        As on the wire, percent-encoded, without slash.
    name : str
        Decoded once; the href itself where that is no UTF-8.
    folder : bool
    size : RoundedSize or None
    modified : str or None
        ``2023-11-01 10:00``, of no known time zone.
    """

    href: str
    name: str
    folder: bool
    size: RoundedSize | None = None
    modified: str | None = None

    @property
    def plain(self) -> bool:
        """Whether the name, escaped again, leads to the same place: not so where it is no UTF-8."""
        return self.name != self.href or "%" not in self.href


def parse_index(data: bytes, url: str) -> tuple[IndexRow, ...]:
    """Read a listing, in the order of its names; links to sort it and to the folder above are left out.

    Parameters
    ----------
    data : bytes
        At most :data:`PAGE_BYTES`.
    url : str
        For messages.

    Raises
    ------
    RefusedError
        No listing, half of one, or one that names something outside of its folder.
    """
    text = data.decode("utf-8", "replace")
    if _INDEX.search(text[:4096]) is None:
        seen = escape_for_log(text[:120])
        message = f"{url}: expected a directory listing (a page titled 'Index of'), got {seen!r}; run again later"
        raise RefusedError(message, location=url)
    if _END.search(text[-1024:]) is None:  # half a page would pass for all there is
        raise RefusedError(f"{url}: the listing breaks off after {len(data)} bytes; run again", location=url)
    return _rows(text, url)


def _rows(text: str, url: str) -> tuple[IndexRow, ...]:
    links = list(_LINK.finditer(text))
    rows = {}
    for link, following in zip_longest(links, links[1:]):
        end = len(text) if following is None else following.start()
        row = _row(unescape(link[1]), text[link.end() : end], url)
        if row is not None:
            rows[row.name] = row
    return tuple(rows[name] for name in sorted(rows))


def _row(href: str, rest: str, url: str) -> IndexRow | None:
    """Row of one link (entities decoded) and the text up to the next; None for links that lead elsewhere."""
    if href.startswith(("/", "../", "#")) or href in ("", "..", ".", "./") or _SORT.fullmatch(href):
        return None
    match = _NAME.fullmatch(href)
    name = None if match is None else _decoded(match[1])
    if match is None or name is None:
        shown = escape_for_log(href[:200])
        message = f"{url}: the listing names {shown!r}, which is no file or folder right below it; refused"
        raise RefusedError(message, location=url)
    cells = _CELLS.search(rest)
    return IndexRow(
        href=match[1],
        name=name,
        folder=bool(match[2]),
        size=_shown(cells[2]) if cells and cells[2] and not match[2] else None,
        modified=intern(cells[1]) if cells else None,
    )


def _decoded(href: str) -> str | None:
    """Name behind an href; None where it would lead out of its folder or hide something."""
    try:
        name = unquote(href, errors="strict")
    except UnicodeDecodeError:
        name = href
    if "/" in name or name in (".", "..") or _CONTROL.search(name):
        return None
    return name
