"""DANDI archives by name, and the links to dandisets that people paste.

The forms are those of dandi-cli ("Resource identifiers"), with DOIs beside them. Nothing is asked of the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from emasync.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class DandiInstance:
    """One DANDI archive.

    Attributes
    ----------
    name : str
    api : str
        URL of its API, without slash at the end.
    web : tuple of str
        Hosts of its web pages.
    bucket : str or None
        S3 bucket with its published manifests and bytes; None where it is not known beforehand.
    """

    name: str
    api: str
    web: tuple[str, ...] = ()
    bucket: str | None = None


INSTANCES: Final = {
    instance.name: instance
    for instance in (
        DandiInstance(
            name="dandi",
            api="https://api.dandiarchive.org/api",
            web=("dandiarchive.org", "www.dandiarchive.org", "gui.dandiarchive.org"),
            bucket="dandiarchive",
        ),
        DandiInstance(
            name="dandi-sandbox",
            api="https://api.sandbox.dandiarchive.org/api",
            web=("sandbox.dandiarchive.org",),
        ),
        DandiInstance(
            name="ember-dandi", api="https://api-dandi.emberarchive.org/api", web=("dandi.emberarchive.org",)
        ),
        DandiInstance(
            name="ember-dandi-sandbox",
            api="https://api-dandi.sandbox.emberarchive.org/api",
            web=("dandi.sandbox.emberarchive.org",),
        ),
        DandiInstance(name="linc", api="https://api.lincbrain.org/api", web=("lincbrain.org",)),
        DandiInstance(name="linc-staging", api="https://staging-api.lincbrain.org/api", web=("staging.lincbrain.org",)),
        DandiInstance(name="dandi-api-local-docker-tests", api="http://localhost:8000/api"),
    )
}
"""``known_instances`` of ``dandi/consts.py``. The last one is reachable from this machine only; where it runs on
another (``DANDI_INSTANCEHOST``), the URL of its API is its name."""

DANDISET: Final = re.compile(r"[0-9]{6}")
VERSION: Final = re.compile(r"draft|0\.[0-9]{6}\.[0-9]{4}")
_ID = rf"(?P<dandiset>{DANDISET.pattern})"
_VERSION = rf"(?P<version>{VERSION.pattern})"
_DOI_PREFIX = "10.48324"
"""Of the main archive; DataCite gives other archives prefixes of their own."""

_NAMED = re.compile(rf"(?P<instance>[A-Za-z][A-Za-z-]*):{_ID}(?:/{_VERSION})?/?")
_DANDI_URL = re.compile(rf"dandi://(?P<instance>[A-Za-z][A-Za-z-]*)/{_ID}(?:@{_VERSION})?(?:/(?P<path>.*))?")
_DOI = re.compile(
    rf"(?:https?://(?:dx\.)?doi\.org/|doi:)?{re.escape(_DOI_PREFIX)}/dandi\.{_ID}(?:/{_VERSION})?", re.IGNORECASE
)
_IDENTIFIERS = re.compile(rf"https?://identifiers\.org/DANDI:{_ID}(?:/{_VERSION})?/?", re.IGNORECASE)
_WEB_PATH = re.compile(rf"/(?:dandiset/)?{_ID}(?:/{_VERSION})?(?:/files)?/?")
_API_PATH = re.compile(rf"/dandisets/{_ID}(?:/versions(?:/{_VERSION}(?P<assets>/assets)?)?)?/?")
_WILD = re.compile(r"[*?\[{]")


@dataclass(frozen=True, slots=True, kw_only=True)
class DandiLink:
    """What a link names.

    Attributes
    ----------
    dandiset : str
        Six digits.
    version : str or None
    instance : str or None
        Name of a known archive, or the URL of an API; None: the link does not say.
    include : tuple of str
        Globs of the paths it names; none: the whole dandiset.
    """

    dandiset: str
    version: str | None = None
    instance: str | None = None
    include: tuple[str, ...] = ()


def is_link(text: str) -> bool:
    """Whether `text` may be a link and not a bare number."""
    return "/" in text or ":" in text


def parse_link(text: str) -> DandiLink:
    """Read a link to a dandiset.

    Parameters
    ----------
    text : str
        ``DANDI:000027/0.210831.2033``, ``dandi://dandi/000027@draft/sub-1/``, a web page, an API URL, a DOI.

    Raises
    ------
    InputError
        No link to a dandiset; says which forms there are.
    """
    if match := _DOI.fullmatch(text) or _IDENTIFIERS.fullmatch(text):
        return _link(match, "dandi")
    if match := _DANDI_URL.fullmatch(text):
        return _link(match, _known(match["instance"]), globs_of(unquote(match["path"] or "")))
    if match := _NAMED.fullmatch(text):
        return _link(match, _known(match["instance"]))
    if text.startswith(("http://", "https://")) and (link := _web_page(text) or _api_call(text)):
        return link
    raise InputError(
        "expected a link to a dandiset such as DANDI:000027/0.210831.2033, dandi://dandi/000027@draft/sub-1/, "
        "https://dandiarchive.org/dandiset/000027 or https://api.dandiarchive.org/api/dandisets/000027/"
    )


def _link(match: re.Match[str], instance: str, include: tuple[str, ...] = ()) -> DandiLink:
    return DandiLink(dandiset=match["dandiset"], version=match["version"], instance=instance, include=include)


def _known(name: str) -> str:
    if name.lower() in INSTANCES:
        return name.lower()
    raise InputError(f"no archive is called {name!r} here; known: {', '.join(INSTANCES)}")


def _web_page(text: str) -> DandiLink | None:
    """``https://<web>/[#/]dandiset/<id>[/<version>[/files?location=<folder>]]``."""
    parts = urlsplit(text.replace("/#/", "/", 1))
    for instance in INSTANCES.values():
        if parts.hostname in instance.web and (match := _WEB_PATH.fullmatch(parts.path)):
            folder = _query(parts.query, "location")
            return _link(match, instance.name, globs_of(f"{folder}/" if folder.strip("/") else ""))
    return None


def _api_call(text: str) -> DandiLink | None:
    """``<api>/dandisets/<id>[/versions/<version>[/assets/?path=<path>]]``, also of archives without a name here."""
    parts = urlsplit(text)
    root, marker, rest = parts.path.partition("/dandisets/")
    match = _API_PATH.fullmatch(marker + rest)
    if match is None:
        return None
    if _query(parts.query, "glob"):
        raise InputError("this link holds a glob of the archive's own kind; write it as include: [...] instead")
    api = f"{parts.scheme}://{parts.netloc}{root}"
    names = [instance.name for instance in INSTANCES.values() if instance.api == api]
    return _link(match, names[0] if names else api, globs_of(_query(parts.query, "path")))


def _query(query: str, name: str) -> str:
    return parse_qs(query).get(name, [""])[0]


def globs_of(path: str) -> tuple[str, ...]:
    """Globs of a path: of a folder when it ends with a slash, else of a file, a Zarr or a folder."""
    return tuple(_patterns(path.lstrip("/")))


def _patterns(path: str) -> Iterator[str]:
    plain = _WILD.sub(lambda found: f"[{found[0]}]", path.rstrip("/"))
    if plain and not path.endswith("/"):
        yield plain
    if plain:
        yield f"{plain}/**"
