"""Directory listings as Apache's mod_autoindex draws them (FancyIndexing, HTMLTable), over any store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from itertools import count
from urllib.parse import quote

from emasync.testing.listing import Page, page_of
from emasync.testing.messages import Answer, Asked, of_bytes
from emasync.testing.objects import Listed, ObjectStore

HTML = (("Content-Type", "text/html;charset=UTF-8"),)
_ALL = 1 << 40

_HEAD = """\
<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html>
 <head>
  <title>Index of {title}</title>
 </head>
 <body>
<h1>Index of {title}</h1>
  <table>
   <tr><th valign="top"><img src="/icons/blank.gif" alt="[ICO]"></th><th><a href="?C=N;O=D">Name</a></th>\
<th><a href="?C=M;O=A">Last modified</a></th><th><a href="?C=S;O=A">Size</a></th>\
<th><a href="?C=D;O=A">Description</a></th></tr>
   <tr><th colspan="5"><hr></th></tr>
<tr><td valign="top"><img src="/icons/back.gif" alt="[PARENTDIR]"></td><td><a href="{parent}">Parent Directory</a></td>\
<td>&nbsp;</td><td align="right">  - </td><td>&nbsp;</td></tr>
"""
_ROW = """\
<tr><td valign="top"><img src="/icons/{icon}.gif" alt="[{alt}]"></td><td><a href="{href}">{text}</a></td>\
<td align="right">{date}  </td><td align="right">{size}</td><td>&nbsp;</td></tr>
"""
_TAIL = """\
   <tr><th colspan="5"><hr></th></tr>
</table>
</body></html>
"""


@dataclass(slots=True)
class IndexApp:
    """Answers the folders of one bucket with listings; files are left to the archive.

    Attributes
    ----------
    store : ObjectStore
    bucket : str
        First segment of the path; stands for a host.
    servers : tuple of frozenset of str
        Servers that take turns, each by the keys that its listings leave out. They serve the files all the same.
    name_width : int or None
        Characters of a link's text, as ``IndexOptions NameWidth``; None for all.
    """

    store: ObjectStore
    bucket: str
    servers: tuple[frozenset[str], ...] = (frozenset(),)
    name_width: int | None = None
    _turn: Iterator[int] = field(default_factory=count, repr=False)

    def answer(self, asked: Asked) -> Answer | None:
        """Listing of a folder; None for what is none of this bucket."""
        bucket, _, folder = asked.key.partition("/")
        if bucket != self.bucket or asked.method not in ("GET", "HEAD") or (folder and not folder.endswith("/")):
            return None
        left_out = self.servers[next(self._turn) % len(self.servers)]
        page = page_of(
            lambda floor: (row for row in self.store.scan(bucket, floor) if row.key not in left_out),
            prefix=folder,
            floor="",
            delimiter="/",
            limit=_ALL,
        )
        if folder and not page.objects and not page.folders:
            return None
        return of_bytes(
            200, HTML, self._page(folder, page).encode("utf-8", "surrogateescape"), bodiless=asked.method == "HEAD"
        )

    def _page(self, folder: str, page: Page) -> str:
        above = folder.removesuffix("/").rpartition("/")[0]
        rows = {item.key: self._file(item.key[len(folder) :], item) for item in page.objects}
        rows |= {name: self._folder(name[len(folder) :]) for name in page.folders}
        head = _HEAD.format(title=escape(f"/{folder.removesuffix('/')}"), parent=quote(f"/{above}/") if above else "/")
        return head + "".join(rows[key] for key in sorted(rows)) + _TAIL

    def _file(self, name: str, item: Listed) -> str:
        date = datetime.fromtimestamp(item.modified_s, UTC).strftime("%Y-%m-%d %H:%M")
        return self._row(name, icon="unknown", alt="   ", date=date, size=rounded(item.size_bytes))

    def _folder(self, name: str) -> str:
        return self._row(name, icon="folder", alt="DIR", date="2023-11-01 10:00", size="  - ")

    def _row(self, name: str, *, icon: str, alt: str, date: str, size: str) -> str:
        width = self.name_width
        text = name if width is None or len(name) <= width else name[: width - 3] + "..>"
        href = escape(quote(name, safe="/~!$&'()*+,=:@;", errors="surrogateescape"))
        # a colon before the first slash would be a scheme (os_escape_path of httpd)
        lead = "./" if ":" in name else ""
        return _ROW.format(icon=icon, alt=alt, href=lead + href, text=escape(text), date=date, size=size)


def rounded(size_bytes: int) -> str:
    """Size as ``apr_strfsize`` writes it (Apache Portable Runtime, ``strings/apr_strings.c``): four characters."""
    if size_bytes < 973:  # noqa: PLR2004  # three digits of the next unit begin at 0.95
        return f"{size_bytes:3d} "
    size, rest = size_bytes, 0
    for unit in "KMGTPE":
        rest, size = size & 1023, size >> 10
        if size >= 973:  # noqa: PLR2004  # as above
            continue
        if size < 9 or (size == 9 and rest < 973):  # noqa: PLR2004  # one decimal below ten
            tenths = (rest * 5 + 256) // 512
            return f"{size + tenths // 10}.{tenths % 10}{unit}"
        return f"{size + (rest >= 512):3d}{unit}"  # noqa: PLR2004  # half of a unit
    raise ValueError(f"size {size_bytes}")
