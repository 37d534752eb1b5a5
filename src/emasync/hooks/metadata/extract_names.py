"""Names of folders and files by documented rules: what nobody says in a document, marked as assumed.

AIND: ``<platform>_<subject>_<day>_<time>``, derived assets ``..._<label>_<day>_<time>`` (aind-data-schema-models,
``data_name_patterns.py``). DANDI and BIDS: ``sub-<label>`` and ``ses-<label>``.
"""

from __future__ import annotations

import re
from typing import Final

from emasync.hooks.metadata.claims import Claims

_MOMENT: Final = r"\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}"
_ASSET: Final = re.compile(
    rf"(?:(?P<platform>[A-Za-z][^_]*)_)?(?P<subject>[^_]+)_(?P<acquired>{_MOMENT})(?:_(?P<label>.+?)_(?P<made>{_MOMENT}))?"
)
_RECORDING: Final = re.compile(rf"(?P<subject>[^_]+)_(?P<acquired>{_MOMENT})_(?P<probe>[Pp]robe\w{{1,20}})")
_ENTITY: Final = re.compile(r"(?<![A-Za-z0-9])(?P<name>sub|ses)-(?P<label>[A-Za-z0-9+-]{1,64})")
_FIELDS: Final = {"sub": "subject_id", "ses": "session_id"}


def name_claims(path: str) -> Claims:
    """What the segments of a path say by those rules.

    Parameters
    ----------
    path : str
        Below the dataset's folder.
    """
    claims = Claims("assumed", "name", path)
    for segment in path.split("/"):
        found = _ASSET.fullmatch(segment)
        if found is not None and not found["subject"].endswith("template"):
            _moment(found["subject"], found["acquired"], segment, claims)
            if found["label"]:
                claims.text("parent_asset", segment[: found.start("label") - 1], segment)
        elif (found := _RECORDING.fullmatch(segment)) is not None:
            _moment(found["subject"], found["acquired"], segment, claims)
            claims.text("probe", found["probe"], segment)
        for entity in _ENTITY.finditer(segment):
            claims.text(_FIELDS[entity["name"]], entity["label"], segment)
    claims.found = list({claim.field: claim for claim in claims.found}.values())
    return claims


def _moment(subject: str, text: str, segment: str, claims: Claims) -> None:
    """Times in names are local, and no zone is stated."""
    day, _, time = text.partition("_")
    claims.text("subject_id", subject, segment)
    claims.text("acquired_at", f"{day}T{time.replace('-', ':')}", segment, note="local time of the institute")
