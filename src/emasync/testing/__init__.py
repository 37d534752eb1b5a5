"""Shipped test gear: the loopback archive, faults, generated volumes."""

from emasync.testing.archive import Archive
from emasync.testing.content import BucketRules
from emasync.testing.folder import FolderStore
from emasync.testing.requestlog import Load, Seen
from emasync.testing.stores import Listed, MemoryStore, ObjectStore, StoredObject

__all__ = [
    "Archive",
    "BucketRules",
    "FolderStore",
    "Listed",
    "Load",
    "MemoryStore",
    "ObjectStore",
    "Seen",
    "StoredObject",
]
