"""Small JSON files of our own beside the ledger: read with bounds, replaced whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_MAX_BYTES: Final = 16 << 20


def read_note(path: Path) -> dict[str, Any] | None:
    """What a note says (Any: a JSON object); None when it is not there, not legible, or larger than 16 MiB."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        found = json.loads(data) if len(data) <= _MAX_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def write_note(path: Path, fields: Mapping[str, Any], *, durable: bool = False) -> None:
    """Replace a note (Any: JSON values): readers see the old text or the new one.

    Parameters
    ----------
    path : Path
        Its folder is made when it is not there.
    fields : mapping
    durable : bool
        Whether the text must survive a power cut; a torn note is read as none.

    Raises
    ------
    OSError
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(fields, file, ensure_ascii=True, separators=(",", ":"))
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
