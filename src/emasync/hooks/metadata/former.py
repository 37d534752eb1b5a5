"""Documents of assets that earlier runs left: what they knew of coverage, and those that nobody describes any more."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from secrets import token_hex
from typing import Any, Final

import orjson

from emasync.disk.interface import Sink
from emasync.errors import EmasyncError
from emasync.hooks.local import LocalTree
from emasync.hooks.metadata.description import VERSION

MAX_FORMER_BYTES: Final = 64 << 20
_BEGIN: Final = f'{{\n  "version": {VERSION},\n  "dataset": "'.encode()
"""Of every document of ours."""


def former_coverage(sink: Sink, document: str) -> dict[str, Any]:
    """Coverage by array path and scale, as an earlier run wrote it (Any: JSON); none where it cannot be read.

    Parameters
    ----------
    sink : Sink
    document : str
        Relative to the root.
    """
    try:
        facts = sink.stat(document)
        if facts is None or facts.size_bytes > MAX_FORMER_BYTES:
            return {}
        value: Any = orjson.loads(sink.read_final(document, 0, facts.size_bytes))
        arrays = value["arrays"] if value["version"] == VERSION else []
        return {key_of(array["path"], array["scale"]): array["coverage"] for array in arrays}
    except (EmasyncError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def key_of(path: str, scale: int | None) -> str:
    """One array of an asset."""
    return f"{path}#{scale}"


def stale(tree: LocalTree, written: Collection[str]) -> Iterator[str]:
    """Documents of ours below `tree` that were not written again, relative to the root.

    Parameters
    ----------
    tree : LocalTree
    written : collection of str
        Relative to the root.
    """
    waiting = [""]
    while waiting:
        path = waiting.pop()
        names = tree.names(path)
        waiting.extend(f"{path}/{name}".lstrip("/") for name in names.folders)
        for name in names.objects:
            place = f"{path}/{name}".lstrip("/")
            file = tree.file(place)
            if file is not None and file.name not in written and file.read(0, len(_BEGIN)) == _BEGIN:
                yield file.name


def remove(sink: Sink, document: str) -> None:
    """Take a document of ours away."""
    name = f"withdrawn-{token_hex(4)}"
    sink.retract(document, name)
    sink.discard(name)
