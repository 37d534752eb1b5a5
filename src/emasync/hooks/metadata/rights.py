"""Licences and references as people write them: SPDX identifiers, links, DOIs; free text stays text."""

from __future__ import annotations

import re
from typing import Final

from emasync.hooks.metadata.claims import Claims, text_of

_SPDX: Final = {
    name.lower(): name
    for name in (
        *("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0"),
        *("CC-BY-NC-ND-4.0", "PDDL-1.0", "ODC-By-1.0", "ODbL-1.0", "MIT", "Apache-2.0", "BSD-3-Clause"),
        *("BSD-2-Clause", "GPL-3.0-or-later", "LGPL-3.0-or-later", "CDLA-Permissive-2.0", "Unlicense"),
    )
}
"""Identifiers of the SPDX licence list that data is published under."""

_SAME: Final = {
    "cc0": "CC0-1.0",
    "cc0 1.0": "CC0-1.0",
    "cc by 4.0": "CC-BY-4.0",
    "cc-by 4.0": "CC-BY-4.0",
    "cc by sa 4.0": "CC-BY-SA-4.0",
    "cc by-nc 4.0": "CC-BY-NC-4.0",
    "creative commons attribution 4.0 international": "CC-BY-4.0",
}
_URL: Final = re.compile(r"https?://[^\s)\]>\"']+")
_CREATIVE_COMMONS: Final = re.compile(r"(?i)creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)/(\d\.\d)")
_DOI: Final = re.compile(r"\b10\.\d{4,9}/[^\s\"'<>,;)\]]+")
_PREPRINT: Final = re.compile(r"(10\.1101/\d{4}\.\d\d\.\d\d\.\d+)v\d+(\.full)?")
"""What addresses of bioRxiv put behind the DOI: the version of the text."""

_MARKDOWN: Final = re.compile(r"\[([^\]]{1,200})\]\((https?://[^)\s]{1,500})\)")
_DATA_PREFIXES: Final = (
    *("10.6019/", "10.25378/", "10.17867/", "10.48324/"),
    *("10.5281/", "10.5061/", "10.6084/", "10.7910/", "10.17605/"),
)
"""Of registrants that name data: EMPIAR, Janelia's Figshare, IDR, DANDI, Zenodo, Dryad, Figshare, Dataverse, OSF."""


def license_claims(raw: object, where: str, claims: Claims) -> None:
    """A licence: its SPDX identifier where it names just one, else the text as it is, never parsed for one.

    Parameters
    ----------
    raw : object
        ``CC-BY-4.0``, ``spdx:CC0-1.0``, a link, markdown, or prose.
    where : str
    claims : Claims
        Grows.
    """
    text = text_of(raw)
    if not text:
        return
    found = spdx(text)
    if found:
        claims.claim("license_spdx", found, where, original="" if found == text else text)
    else:
        claims.claim("license_text", text, where)
    if link := _URL.search(text):
        claims.claim("license_url", link[0].rstrip(".,;"), where)


def spdx(text: str) -> str:
    """The SPDX identifier that a text is, as a whole; empty for anything else."""
    plain = text.strip().removeprefix("spdx:")
    if (whole := _MARKDOWN.fullmatch(plain)) is not None:
        return spdx(whole[1]) or spdx(whole[2])
    if _URL.fullmatch(plain) and (link := _CREATIVE_COMMONS.search(plain)):
        kind = "cc0" if link[1].lower() == "zero" else f"cc-{link[1].lower()}"
        return _SPDX.get(f"{kind}-{link[2]}", "")
    return _SPDX.get(plain.lower(), _SAME.get(plain.lower(), ""))


def reference_claims(raw: object, where: str, claims: Claims) -> None:
    """How to cite: the text, and the DOIs in it, those of data apart from those of papers.

    Parameters
    ----------
    raw : object
    where : str
    claims : Claims
        Grows.
    """
    text = text_of(raw)
    if text:
        claims.claim("citation", text, where)
        doi_claims(text, where, claims)


def doi_claims(raw: object, where: str, claims: Claims) -> None:
    """DOIs of a text."""
    found = dict.fromkeys(_PREPRINT.sub(r"\1", doi.rstrip(".")) for doi in _DOI.findall(text_of(raw)))
    data = [doi for doi in found if doi.startswith(_DATA_PREFIXES)]
    claims.texts("doi_data", data, where)
    claims.texts("doi_paper", [doi for doi in found if doi not in data], where)
