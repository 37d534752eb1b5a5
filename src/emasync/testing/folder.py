"""A folder on disk as a store: first-level folders are buckets, files below them are keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

from emasync.testing.objects import Listed, StoredObject, md5_tag

DIGEST_LIMIT_BYTES = 64 << 20
"""Larger files wear an opaque tag (with a dash): reading them to answer HEAD would take too long."""

_UNSAFE = frozenset(("", ".", ".."))


@dataclass(frozen=True, slots=True)
class FolderStore:
    """Files below `folder`, served as they are; symbolic links are followed only by whoever made the folder.

    Attributes
    ----------
    folder : Path
        First-level folders are buckets.
    """

    folder: Path
    _tags: dict[tuple[str, int, int], str] = field(default_factory=dict, repr=False, compare=False)

    def has_bucket(self, bucket: str) -> bool:
        """Whether a first-level folder of that name exists."""
        return bucket not in _UNSAFE and "\0" not in bucket and (self.folder / bucket).is_dir()

    def get(self, path: str) -> StoredObject | None:
        """File at ``bucket/key``; None when there is no regular file, or the path would leave the folder."""
        if "\0" in path or not _UNSAFE.isdisjoint(path.split("/")):
            return None
        place = f"{self.folder}/{path}"
        if (facts := _regular(place)) is None:
            return None
        return StoredObject(
            size_bytes=facts.st_size,
            modified_s=facts.st_mtime,
            tag=self._tag(place, facts),
            read=lambda start, stop: _pread(place, start, stop),
        )

    def scan(self, bucket: str, floor: str) -> Iterator[Listed]:
        """Rows with ``key >= floor`` in key order; folders that end before `floor` are not opened."""
        if self.has_bucket(bucket):
            yield from self._walk(f"{self.folder}/{bucket}", "", floor)

    def _walk(self, place: str, prefix: str, floor: str) -> Iterator[Listed]:
        with os.scandir(place) as entries:
            # "a/" sorts after "a-b" and before "a0": a folder takes part in the order with its slash
            names = sorted(entry.name + "/" if entry.is_dir() else entry.name for entry in entries)
        for name in names:
            key = prefix + name
            if name.endswith("/"):
                if key[:-1] + "0" > floor:  # "0" follows "/": no key below this folder is larger
                    yield from self._walk(f"{place}/{name[:-1]}", key, floor)
            elif key >= floor and (row := self._row(f"{place}/{name}", key)) is not None:
                yield row

    def _row(self, place: str, key: str) -> Listed | None:
        if (facts := _regular(place)) is None:
            return None
        return Listed(key, facts.st_size, facts.st_mtime, self._tag(place, facts))

    def _tag(self, place: str, facts: os.stat_result) -> str:
        known = (place, facts.st_mtime_ns, facts.st_size)
        if (tag := self._tags.get(known)) is None:
            if facts.st_size > DIGEST_LIMIT_BYTES:
                tag = f"{md5_tag(repr(known).encode())}-1"
            else:
                tag = md5_tag(_pread(place, 0, facts.st_size))
            self._tags[known] = tag
        return tag


def _regular(place: str) -> os.stat_result | None:
    try:
        facts = os.stat(place)  # noqa: PTH116  # a Path costs more than the answer
    except OSError:
        return None
    return facts if S_ISREG(facts.st_mode) else None


def _pread(place: str, start: int, stop: int) -> bytes:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while start < stop and (part := os.pread(descriptor, stop - start, start)):
            parts.append(part)
            start += len(part)
    finally:
        os.close(descriptor)
    return parts[0] if len(parts) == 1 else b"".join(parts)
