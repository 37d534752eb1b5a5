"""Names, pages and folders of entries of EMPIAR."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from emasync.formats.json_document import Json
from emasync.manifest.dandi_links import globs_of
from emasync.sources.links.interface import Draft, Reading

_NUMBER = r"(?P<entry>[0-9]{1,9})"
_NAMED = re.compile(rf"(?:(?:https?://(?:dx\.)?doi\.org/|doi:)?10\.6019/)?EMPIAR[-:]{_NUMBER}/?", re.IGNORECASE)
"""The accession number, with or without the prefix of EMPIAR's DOIs."""

_PAGE = re.compile(rf"/(?:pdbe/emdb/)?empiar/(?:api/)?(?:entry/)?(?:EMPIAR-)?{_NUMBER}/?")
_TREE = re.compile(rf"/(?:pub/databases/)?empiar/world_availability/{_NUMBER}(?:/(?P<path>.*))?")
_PAGE_HOSTS = frozenset(("www.ebi.ac.uk", "ebi.ac.uk"))


class EmpiarLinks:
    """Reads accession numbers, pages, and folders or files of the public tree (also with ``ftp://``: one tree)."""

    forms = (
        "EMPIAR-11759",
        "https://www.ebi.ac.uk/empiar/EMPIAR-11759/",
        "https://ftp.ebi.ac.uk/empiar/world_availability/11759/data/",
    )

    def read(self, text: str) -> Reading | None:
        """An entry, or a part of it."""
        if match := _NAMED.fullmatch(text):
            return _reading(match["entry"])
        parts = urlsplit(text)
        if parts.scheme.lower() in ("http", "https") and parts.hostname in _PAGE_HOSTS:
            match = _PAGE.fullmatch(parts.path)
            return None if match is None else _reading(match["entry"])
        if parts.scheme.lower() in ("http", "https", "ftp") and parts.hostname == "ftp.ebi.ac.uk":
            match = _TREE.fullmatch(parts.path)
            return None if match is None else _reading(match["entry"], unquote(match["path"] or ""))
        return None


def _reading(number: str, path: str = "") -> Reading:
    include: dict[str, Json] = {"include": list(globs_of(path))} if path.strip("/") else {}
    entry: dict[str, Json] = {"source": "empiar", "entry": int(number), **include}
    return Reading(drafts=(Draft(name=f"empiar-{int(number)}", entry=entry),))
