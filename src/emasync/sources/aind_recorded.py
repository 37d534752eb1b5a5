"""What an asset of a flat bucket is a recording of: by its name, and by its sidecars where that does not tell.

Names and fields: ``aind-data-schema-models`` (``data_name_patterns.py``, ``platforms.py``, ``modalities.py``) and
``aind-data-schema`` (``data_description``, ``subject``, ``session``, ``acquisition``) of both generations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson

from emasync.sources.aind_names import AssetName
from emasync.sources.aind_tree import AssetTree
from emasync.sources.interface import Recorded
from emasync.sources.moments import wall_clock

_MOMENT: Final = "%Y-%m-%d_%H-%M-%S"

_EX_VIVO: Final = frozenset(
    (
        *("exaspim", "smartspim", "mesospim", "dispim", "spim", "confocal", "brightfield", "stpt", "fmost", "em"),
        *("hcr", "merfish", "barseq", "mapseq", "scrnaseq"),
    )
)
"""Platforms and modalities that look at tissue, case folded."""

_IN_VIVO: Final = frozenset(
    (
        *("ecephys", "icephys", "emg", "behavior", "behavior-videos", "motor-observatory", "fip", "hsfp", "fib"),
        *("isi", "ophys", "pophys", "multiplane-ophys", "single-plane-ophys", "one-photon", "slap2"),
    )
)
"""Those that look at an animal. What is in neither list (MRI) may be either."""

_SPECIMEN: Final = re.compile(r"(?P<subject>[0-9]{5,})-(?P<specimen>.+)")
"""Ids of specimens begin with the subject's (``732195-ROI2-cell1``)."""

_STARTS: Final = (
    ("session.json", "session_start_time"),
    ("acquisition.json", "session_start_time"),
    ("acquisition.json", "acquisition_start_time"),
)


async def recorded_by(name: str, tree: AssetTree) -> Recorded:
    """Tell what an asset is a recording of.

    Parameters
    ----------
    name : str
        Of the asset.
    tree : AssetTree
        Its sidecars are read where the name does not tell all: the newer names tell no platform.

    Raises
    ------
    TransportError
        A sidecar does not come.
    """
    parsed = AssetName.parse(name)
    told = Recorded() if parsed is None else _by_name(parsed)
    if told.subject is None or told.started is None or told.ex_vivo is None:
        told = await _with_sidecars(told, tree)
    match = _SPECIMEN.fullmatch(told.subject or "")
    return told if match is None else replace(told, subject=match["subject"], specimen=match["specimen"])


def _by_name(name: AssetName) -> Recorded:
    label = None if name.label is None else f"{name.label}_{name.processed}"
    return Recorded(
        subject=name.subject,
        started=wall_clock(name.acquired, _MOMENT),
        platform=name.platform,
        ex_vivo=_ex_vivo(name.platform),
        derived=label,
    )


def _ex_vivo(*names: str | None) -> bool | None:
    """Whether tissue was looked at, by platform or modalities; None where they do not say, or contradict each other."""
    folded = {name.casefold() for name in names if name}
    tissue, animal = bool(folded & _EX_VIVO), bool(folded & _IN_VIVO)
    return tissue if tissue != animal else None


async def _with_sidecars(told: Recorded, tree: AssetTree) -> Recorded:
    description = await _read(tree, "data_description.json")
    kinds = tuple(_abbreviations(description))
    subject = told.subject or _text(description, "subject_id") or _text(await _read(tree, "subject.json"), "subject_id")
    return replace(
        told,
        subject=subject,
        started=told.started or await _start(tree),
        platform=told.platform or (kinds[0] if kinds else None),
        ex_vivo=_ex_vivo(*kinds) if told.ex_vivo is None else told.ex_vivo,
    )


async def _start(tree: AssetTree) -> datetime | None:
    for sidecar, key in _STARTS:
        if (found := wall_clock((await _read(tree, sidecar)).get(key))) is not None:
            return found
    return None


async def _read(tree: AssetTree, key: str) -> Mapping[str, Any]:
    """A sidecar (Any: JSON); empty where there is none that can be read."""
    try:
        value = orjson.loads(await tree.read(key) or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(document: Mapping[str, Any], key: str) -> str | None:
    value = document.get(key)
    return value if isinstance(value, str) and value else None


def _abbreviations(description: Mapping[str, Any]) -> Iterator[str]:
    """Platform and modalities: objects, lists of them, or plain text, as the versions of the schema have it."""
    for key in ("platform", "modality", "modalities"):
        value = description.get(key)
        for item in value if isinstance(value, list) else [value]:
            found = item.get("abbreviation") if isinstance(item, dict) else item
            if isinstance(found, str) and found:
                yield found
