"""Pages, files and slugs of the Registry of Open Data on AWS."""

from __future__ import annotations

import re

from emasync.model.location import Location
from emasync.sources.links.interface import Draft, Question, Reading
from emasync.sources.open_data import REGISTRY

_SLUG = r"(?P<slug>[A-Za-z0-9][A-Za-z0-9._-]*)"
_PAGE = re.compile(rf"https?://registry\.opendata\.aws/{_SLUG}/?(?:[?#].*)?")
_FILE = re.compile(
    rf"https?://(?:github\.com|raw\.githubusercontent\.com)/[^/]+/open-data-registry/.+/datasets/{_SLUG}\.ya?ml"
)
_BARE = re.compile(r"(?=.{3,100}$)(?=.*[a-z]{3})[a-z0-9]+(?:[._-][a-z0-9]+)*")
"""Slugs are lower case; numbers and short words are none, and not worth a request."""


class OpenDataLinks:
    """Reads pages of the registry, and its files on GitHub."""

    forms = ("https://registry.opendata.aws/allen-nd-open-data/",)

    def read(self, text: str) -> Reading | None:
        """A dataset of the registry."""
        if match := _PAGE.fullmatch(text):
            return _reading(match["slug"], match["slug"])
        match = _FILE.fullmatch(text)
        return None if match is None else _reading(match["slug"], text)


class Slugs:
    """Asks the registry whether a word that nothing else claims is a slug of it."""

    forms = ("allen-nd-open-data",)

    def read(self, text: str) -> Question | None:
        """The question; its answer is None in place of a reading where there is no such slug."""
        if not _BARE.fullmatch(text):
            return None
        return Question(
            location=Location.parse(f"{REGISTRY}{text}.yaml"),
            why="whether the Registry of Open Data has an entry of this name",
            answer=lambda data: None if data is None else _reading(text, text),
        )


def _reading(slug: str, registry: str) -> Reading:
    return Reading(drafts=(Draft(name=slug, entry={"source": "open_data", "registry": registry}),))
