"""What an asset of a DANDI archive is a recording of: by its path and its record.

Paths: ``dandi-cli`` (``dandi/organize.py``: ``sub-<X>/sub-<X>_ses-<Y>_<modalities>.nwb``) and BIDS 1.9, "Microscopy"
(``_sample-<label>``, folder ``micr``). Records: ``dandischema`` (``Asset.wasGeneratedBy``: ``Session.startDate``;
``Asset.wasAttributedTo``: ``Participant.identifier``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from emasync.sources.interface import Recorded
from emasync.sources.moments import wall_clock

_SUBJECT: Final = re.compile(r"sub-[^/_]+")
_SESSION: Final = re.compile(r"(?:^|[/_])ses-([^/_]+)")
_SAMPLE: Final = re.compile(r"_sample-([^/_]+)")


def recorded_of(path: str, activities: object, agents: object) -> Recorded:
    """Tell what an asset is a recording of.

    Parameters
    ----------
    path : str
        Below the dandiset.
    activities, agents : object
        ``wasGeneratedBy`` and ``wasAttributedTo``, as received.
    """
    subject, session, sample = _SUBJECT.match(path), _SESSION.search(path), _SAMPLE.search(path)
    starts = {wall_clock(item.get("startDate")) for item in _objects(activities, "Session")}
    return Recorded(
        subject=subject[0] if subject else _only_subject(agents),
        specimen=sample[1] if sample else None,
        session=session[1] if session else None,
        started=starts.pop() if len(starts) == 1 else None,
        platform=None,
        ex_vivo=sample is not None or "/micr/" in path,
    )


def _only_subject(agents: object) -> str | None:
    names = {name for item in _objects(agents, "Participant") if isinstance(name := item.get("identifier"), str)}
    name = names.pop() if len(names) == 1 else ""
    return (name or None) if not name or name.startswith("sub-") else f"sub-{name}"


def _objects(value: object, key: str) -> Iterator[dict[str, Any]]:
    """Objects of one kind in a list (Any: JSON)."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict) and item.get("schemaKey") == key:
            yield item
