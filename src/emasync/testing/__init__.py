"""Shipped test gear: the loopback archive, faults, generated volumes."""

from emasync.testing.archive import Archive
from emasync.testing.content import BucketRules
from emasync.testing.faults import Fault, load_faults
from emasync.testing.requestlog import Load, Seen
from emasync.testing.stores import FolderStore, Listed, MemoryStore, ObjectStore, StoredObject, SyntheticStore

__all__ = [
    "Archive",
    "BucketRules",
    "Fault",
    "FolderStore",
    "Listed",
    "Load",
    "MemoryStore",
    "ObjectStore",
    "Seen",
    "StoredObject",
    "SyntheticStore",
    "load_faults",
]
