"""Names of flexiznam's tree: sessions, recordings, and where each lies below a data root."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, Literal

from emasync.disk.names import map_segment

HOME: Final = "flexiznam"
"""Folder of the root that both data roots lie in, or are linked into."""

TreeName = Literal["raw", "processed"]
"""Data roots, as flexiznam's configuration calls them (``data_root``)."""

CREATED: Final = "%Y-%m-%d %H:%M:%S"
"""Moments in acquisition files; neither ``T`` nor a zone is understood."""

SIDECARS: Final = "sidecars"
"""Folder of the documents that describe an asset."""

BRAIN: Final = "brain"
"""Sample of what was imaged ex vivo where nothing is said of a smaller specimen."""

_RECORDING: Final = re.compile(r"R[0-9]{6}_?.*")
_SESSION: Final = re.compile(r"S[0-9]*")
_ODD: Final = re.compile(r"[^A-Za-z0-9.+-]+")


def session_name(started: datetime) -> str:
    """``SYYYYMMDD``."""
    return f"S{started:%Y%m%d}"


def recording_name(started: datetime, protocol: str) -> str:
    """``RHHMMSS`` and, where it is known, the protocol."""
    name = f"R{started:%H%M%S}"
    return f"{name}_{protocol}" if protocol else name


def protocol_of(text: str | None) -> str:
    """A platform as part of a name: lower case, nothing odd in it; empty where there is none."""
    return _ODD.sub("-", text or "").strip("-").lower()


def kind_by_name(name: str) -> Literal["session", "recording"] | None:
    """What flexiznam takes a folder for by its name alone; another type in the file is a conflict that stops it.

    Rules: v0.4, ``camp/sync_data.py`` (``_create_yaml_dict``).
    """
    if _RECORDING.fullmatch(name):
        return "recording"
    return "session" if _SESSION.fullmatch(name) else None


def segment(name: str) -> str:
    """One name as one folder or file, also where it holds a slash.

    Raises
    ------
    DestinationError
        It is too long.
    """
    return map_segment(name)


def beside(entity: str, name: str) -> str:
    """Where a folder lies that the tool must not walk into: beside the entity, right below the top one.

    ``parse_yaml`` visits only what is declared right below the one top child, and walks all that lies in an entity
    below that, datasets included (v0.4, ``camp/sync_data.py``: ``_create_yaml_dict``).

    Parameters
    ----------
    entity : str
        ``<project>/<mouse>/<top>/<...>``.
    name : str
        Of the folder.
    """
    project, mouse, top, *rest = entity.split("/")
    return "/".join((project, mouse, top, ".".join((*rest, name))))


def is_top(entity: str) -> bool:
    """Whether an entity hangs right below its mouse."""
    return entity.count("/") == len(("project", "mouse"))
