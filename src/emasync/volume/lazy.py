"""Chunks that are fetched when they are read: a chunk map that asks for what is not here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Literal, final

import numpy as np

from emasync.errors import NotDownloaded
from emasync.volume.forking import begin_anew_after_fork
from emasync.volume.interface import ABSENT, NOT_DOWNLOADED, WHOLE_FILE, ChunkMap, ChunkPlaces, Numbers

Fetch = Callable[[Sequence[str]], frozenset[str]]
"""Fetches files of a root by path, and says which of them the publisher left out.

Raises what kept the others from coming.
"""


@final
class LazyMap:
    """A map of chunks that are files of their own; what was not downloaded is fetched, a whole batch at once.

    Parameters
    ----------
    chunks : ChunkMap
        Of kind ``formula``.
    fetch : callable
    here : callable
        Whether there is a file of that path now.
    """

    def __init__(self, chunks: ChunkMap, fetch: Fetch, here: Callable[[str], bool]) -> None:
        self._chunks = chunks
        self._fetch = fetch
        self._here = here
        self._absent: set[int] = set()
        self.after_fork()
        begin_anew_after_fork(self)

    def after_fork(self) -> None:
        """A lock of one's own."""
        self._lock = threading.Lock()

    @property
    def kind(self) -> Literal["affine", "pages", "formula", "dense", "sparse"]:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return self._chunks.kind

    def path(self, file: int) -> str:
        """See :class:`~emasync.volume.interface.ChunkMap`."""
        return self._chunks.path(file)

    def find(self, numbers: Numbers) -> ChunkPlaces:
        """See :class:`~emasync.volume.interface.ChunkMap`; returns when everything is here.

        Checksums of files that came after the index was made are not in it: such a batch has none.

        Raises
        ------
        NotDownloaded
            It is not among what the manifest wants any more.
        EmasyncError
            What kept a chunk from coming.
        """
        places = self._chunks.find(numbers)
        rows = np.flatnonzero(places.files == NOT_DOWNLOADED)
        if not len(rows):
            return places
        wanted: list[int] = numbers[rows].tolist()
        self._get(wanted)
        files, sizes = places.files.copy(), places.sizes.copy()
        files[rows] = [ABSENT if number in self._absent else number for number in wanted]
        sizes[rows] = [0 if number in self._absent else WHOLE_FILE for number in wanted]
        return ChunkPlaces(files=files, starts=places.starts, sizes=sizes, skipped=places.skipped)

    def _get(self, wanted: Sequence[int]) -> None:
        """Fetch what is neither here nor known to be nowhere; one thread at a time, as the root has one owner."""
        with self._lock:
            missing = {self.path(number): number for number in wanted if number not in self._absent}
            missing = {path: number for path, number in missing.items() if not self._here(path)}
            if not missing:
                return
            absent = self._fetch(list(missing))
            self._absent |= {missing[path] for path in absent}
            for path in missing:
                if path not in absent and not self._here(path):
                    raise NotDownloaded(
                        f"{path} is not among what the manifest wants of its source now; run it again, then "
                        "`emasync index`",
                        location=path,
                    )
