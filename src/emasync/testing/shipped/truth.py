"""What a run must leave on disk of one dataset, known without the code that fetches it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from emasync.testing.objects import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a run must leave of one dataset.

    Attributes
    ----------
    archive : str
        Whom it is from, for people.
    what : str
        What is fetched, for people.
    files : mapping of str to bytes
        Content by path below the dataset's folder: these, and no others.
    rewritten : tuple of str
        Globs of metadata that a run writes anew for the part that is there (``*`` crosses folders): not compared.
    look : str
        Path below the dataset's folder of one thing worth looking at.
    shows : str
        What it shows.
    """

    archive: str
    what: str
    files: Mapping[str, bytes]
    rewritten: tuple[str, ...] = ()
    look: str
    shows: str

    @property
    def size_bytes(self) -> int:
        """Of all files that are compared."""
        return sum(map(len, self.files.values()))

    def differences(self, folder: Path) -> Iterator[str]:
        """What is wrong below the dataset's folder: missing, not wanted, other bytes. Nothing for a perfect copy."""
        there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        for name, content in self.files.items():
            if name not in there:
                yield f"{name} is missing"
            elif there[name].read_bytes() != content:
                yield f"{name} has other bytes"
        for name in sorted(there.keys() - self.files.keys()):
            if not any(fnmatchcase(name, pattern) for pattern in self.rewritten):
                yield f"{name} was not asked for"


def content(store: ObjectStore, path: str) -> bytes:
    """Bytes of the object at ``bucket/key``.

    Raises
    ------
    KeyError
        It is not there.
    """
    if (found := store.get(path)) is None:
        raise KeyError(path)
    return bytes(found.read(0, found.size_bytes))


def content_below(store: ObjectStore, bucket: str, prefix: str) -> dict[str, bytes]:
    """All objects of a bucket below a prefix, by the rest of their keys."""
    keys = [row.key for row in store.scan(bucket, prefix) if row.key.startswith(prefix)]
    return {key.removeprefix(prefix): content(store, f"{bucket}/{key}") for key in keys}


def files_below(folder: Path, prefix: str = "") -> dict[str, bytes]:
    """All files of a folder whose path begins with `prefix`, by path."""
    found = ((path.relative_to(folder).as_posix(), path) for path in sorted(folder.rglob("*")) if path.is_file())
    return {name: path.read_bytes() for name, path in found if name.startswith(prefix)}
