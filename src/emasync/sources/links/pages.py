"""Pages about data, and links to links: what a browser shows, and nobody wants as a file."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from emasync.errors import InputError
from emasync.manifest.problems import shown

PAGES: Final = (
    (re.compile(r"(?:dx\.)?doi\.org"), re.compile(r"/.+"), "a page about data"),
    (re.compile(r"zenodo\.org"), re.compile(r"/records?/[0-9]+/?"), "a page about data"),
    (re.compile(r"(?:[a-z0-9-]+\.)?figshare\.com"), re.compile(r"/(?:articles|collections)/.+"), "a page about data"),
    (re.compile(r"(?:tinyurl\.com|bit\.ly|goo\.gl|t\.co|ngl\.app)"), re.compile(r"/.+"), "a link to another link"),
)
"""Host, path, and what is there."""


class PageLinks:
    """Refuses pages that are known to be no data."""

    forms = ()

    def read(self, text: str) -> None:
        """None for all others.

        Raises
        ------
        InputError
            It is such a page.
        """
        if not text.lower().startswith(("http://", "https://")):
            return
        parts = urlsplit(text)
        for host, path, what in PAGES:
            if host.fullmatch(parts.hostname or "") and path.fullmatch(parts.path):
                raise InputError(f"{shown(text)} is {what}: open it in a browser, and copy the address of the data")
