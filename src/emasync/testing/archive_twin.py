"""An archive's synthetic twin as a value: content of the true layout, APIs besides, and whose place it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emasync.testing.archive import Archive
from emasync.testing.content import BucketRules
from emasync.testing.objects import ObjectStore
from emasync.testing.site import App
from emasync.testing.sparse import LayeredStore
from emasync.testing.volumes import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveTwin:
    """What one archive, or several, would answer.

    Attributes
    ----------
    store : ObjectStore
    stands_for : mapping of str to str
        Canonical place, such as ``https://host`` or ``s3://bucket``, to the path below the twin's URL that
        answers for it; empty for the URL itself.
    apps : tuple of App
        Parts that speak an API.
    buckets : mapping of str to BucketRules
    truth : mapping of str to ndarray
        Values that readers must find, by path in the store: of a file, or of an array in a file or folder.
    """

    store: ObjectStore
    stands_for: Mapping[str, str]
    apps: tuple[App, ...] = ()
    buckets: Mapping[str, BucketRules] = field(default_factory=dict)
    truth: Mapping[str, Volume] = field(default_factory=dict)

    def mirrors(self, url: str) -> dict[str, str]:
        """A manifest's ``mirrors`` for an archive at `url` that serves this twin."""
        return {place: f"{url}/{path}".rstrip("/") for place, path in self.stands_for.items()}

    def objects(self) -> dict[str, bytes]:
        """Content of everything below the places it stands for, by path: for small twins."""
        rows = ((name, row) for name in self.stands_for.values() if name for row in self.store.scan(name, ""))
        found = {path: self.store.get(path) for path in (f"{name}/{row.key}" for name, row in rows)}
        return {path: bytes(item.read(0, item.size_bytes)) for path, item in found.items() if item is not None}

    def serve(self, **options: Any) -> Archive:
        """Start a loopback archive with it.

        Parameters
        ----------
        **options
            Of :meth:`Archive.start` (Any: they are checked there).
        """
        return Archive.start(self.store, apps=self.apps, buckets=self.buckets, **options)


def together(*twins: ArchiveTwin) -> ArchiveTwin:
    """Several twins as one, for a single archive; where they share a host, their files lie side by side."""
    return ArchiveTwin(
        store=LayeredStore(tuple(twin.store for twin in twins)),
        stands_for={place: path for twin in twins for place, path in twin.stands_for.items()},
        apps=tuple(app for twin in twins for app in twin.apps),
        buckets={bucket: rules for twin in twins for bucket, rules in twin.buckets.items()},
        truth={path: values for twin in twins for path, values in twin.truth.items()},
    )
