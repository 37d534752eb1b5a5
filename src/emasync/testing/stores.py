"""The stores an archive can serve."""

from emasync.testing.folder import FolderStore
from emasync.testing.memory import MemoryStore
from emasync.testing.objects import Listed, ObjectStore, StoredObject
from emasync.testing.synthetic import SyntheticStore

__all__ = ["FolderStore", "Listed", "MemoryStore", "ObjectStore", "StoredObject", "SyntheticStore"]
