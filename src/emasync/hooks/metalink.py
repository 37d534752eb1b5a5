"""Metalink 4 (RFC 5854): sizes, digests of files and of their pieces, and where each file is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from emasync.hooks.export_files import ExportFile

NAMESPACE: Final = "urn:ietf:params:xml:ns:metalink"

HASHES: Final = {"md5": "md5", "sha1": "sha-1", "sha256": "sha-256"}
"""Names of the IANA registry of hash function textual names, which RFC 5854, section 4.2.4, asks for."""

_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0, section 2.2, has no spelling for."""


class Metalink:
    """A metalink that is being written. Close it; not well formed before :meth:`finish`.

    Parameters
    ----------
    path : Path
        Made here.
    generator : str
    published : str
        RFC 3339.
    """

    def __init__(self, path: Path, *, generator: str, published: str) -> None:
        self._file = path.open("x", encoding="utf-8", newline="\n")
        self.left_out = 0
        self._file.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<metalink xmlns="{NAMESPACE}">\n')
        self._file.write(f"  <generator>{escape(generator)}</generator>\n  <published>{published}</published>\n")

    def __repr__(self) -> str:
        return f"<Metalink {self._file.name}>"

    def close(self) -> None:
        """Give the descriptor back; may be called again."""
        self._file.close()

    def add(self, files: Iterable[ExportFile]) -> None:
        """Name files; those that are at no URL, or that XML cannot name, are counted in ``left_out``."""
        for file in files:
            if not file.urls or _NO_XML.search(file.destination):
                self.left_out += 1
            else:
                self._file.write("".join(_lines(file)))

    def finish(self) -> None:
        """Close the document."""
        self._file.write("</metalink>\n")
        self._file.close()


def _lines(file: ExportFile) -> Iterator[str]:
    yield f"  <file name={quoteattr(file.destination)}>\n    <size>{file.size_bytes}</size>\n"
    for kind, value in sorted(file.digests.items(), reverse=True):  # the strongest first
        yield f'    <hash type="{HASHES[kind]}">{value}</hash>\n'
    if file.pieces is not None:
        yield f'    <pieces length="{file.pieces.size_bytes}" type="sha-256">\n'
        yield from (f"      <hash>{value}</hash>\n" for value in file.pieces.digests)
        yield "    </pieces>\n"
    for priority, url in enumerate(file.urls, 1):
        yield f'    <url priority="{priority}">{escape(url)}</url>\n'
    yield "  </file>\n"
