"""Files of which a run for metadata alone (``--metadata-only``) kept the headers, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from emasync.errors import FormatError
from emasync.formats.known_stretches import SUFFIX, KnownStretches
from emasync.formats.paths import join
from emasync.hooks.inventory import DataFile, kind_of
from emasync.hooks.local import LocalTree

FOLDER: Final = "headers"
"""In ``<dataset>.source-metadata/``; written by the planner."""

SERIES: Final = "series.json"
"""How many files of the manifest's series were listed."""

MAX_HEADERS: Final = 10_000
MAX_HEADER_BYTES: Final = 16 << 20


class KeptHeaders:
    """Headers that are kept beside a dataset.

    Parameters
    ----------
    originals : LocalTree
        What is kept beside the dataset.
    """

    def __init__(self, originals: LocalTree) -> None:
        self._tree = originals.below(FOLDER)

    def files(self) -> Iterator[DataFile]:
        """Files whose header is kept, by path below the dataset."""
        waiting, left = [""], MAX_HEADERS
        while waiting:
            folder = waiting.pop()
            names = self._tree.names(folder)
            waiting.extend(join(folder, name) for name in reversed(names.folders))
            for name in names.objects:
                path = join(folder, name.removesuffix(SUFFIX))
                kind = kind_of(path) if name.endswith(SUFFIX) else None
                if kind is not None and left > 0:
                    left -= 1
                    yield DataFile(path, kind)

    def file(self, path: str) -> KnownStretches | None:
        """What is known of a file; None where nothing is kept, or what is kept is broken."""
        place = f"{path}{SUFFIX}"
        data = self._tree.document(place, MAX_HEADER_BYTES)
        description = self._tree.document(f"{place}.json", MAX_HEADER_BYTES)
        if data is None or description is None:
            return None
        try:
            return KnownStretches.of(path, description, data)
        except FormatError:
            return None

    def series_files(self, pattern: str) -> int | None:
        """How many files of a series were listed; None where nobody counted them to the end."""
        try:
            told: Any = orjson.loads(self._tree.document(SERIES) or b"null")  # Any: JSON, checked below
        except orjson.JSONDecodeError:
            return None
        found = told.get("files") if isinstance(told, dict) and told.get("pattern") == pattern else None
        return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None
