"""Rows of ``checksums/<dataset id>.tsv``: what is written of each object, and how it is read back. Pure.

Columns: path (relative to the root), size in bytes, published digests, computed digests, how the object was verified.
Digests are ``kind:hex``, comma separated. Tabs, line ends and backslashes in paths are escaped with a backslash, as
in the checksum files of GNU coreutils.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

HEADER: Final = "path\tsize\tpublished\tcomputed\tverified\n"
FOLDER: Final = "checksums"

VERIFIED: Final = ("published", "computed", "size_only")
_COLUMNS: Final = 5
_ESCAPED: Final = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}
_CRC: Final = re.compile(r"(?:^|,)crc32c:([0-9a-f]{8})(?:,|$)")


class ChecksumRow(NamedTuple):
    """What a table says of one file, as far as the file can be compared with it.

    Attributes
    ----------
    path : str
        Relative to the root.
    size_bytes, crc32c : int
    verified : str
    """

    path: str
    size_bytes: int
    crc32c: int
    verified: str


def escaped(path: str) -> str:
    """A path as the table has it."""
    if path.isprintable() and "\\" not in path:
        return path
    return path.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def read_row(line: str) -> ChecksumRow | None:
    """Read one line back; None for what is no row, or was cut off."""
    columns = line.removesuffix("\n").split("\t")
    if len(columns) != _COLUMNS or not line.endswith("\n") or columns[4] not in VERIFIED:
        return None
    crc = _CRC.search(columns[3])
    if crc is None or not columns[1].isascii() or not columns[1].isdigit():
        return None
    path = re.sub(r"\\[\\tnr]", lambda match: _ESCAPED[match[0]], columns[0])
    return ChecksumRow(path, int(columns[1]), int(crc[1], 16), columns[4])
