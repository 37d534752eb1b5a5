"""Small objects in batches: plain rows in place of a value for each fact."""

from __future__ import annotations

from typing import NamedTuple

from emasync.model.digest import Digest, Validator
from emasync.model.task import TaskKey


class SealedRow(NamedTuple):
    """What :class:`~emasync.ledger.interface.Sealed` says, as a plain tuple: one is made for every object.

    Attributes
    ----------
    set_id : int
    key : str or int
    size_bytes : int
        On disk.
    crc32c : int
        Of the bytes on disk.
    verified : {"published", "computed", "size_only"}
    validator : Validator
        Of the answer that delivered the bytes.
    digests : tuple of Digest
        Computed beyond the CRC.
    generation : int
        Of the partial name.
    """

    set_id: int
    key: TaskKey
    size_bytes: int
    crc32c: int
    verified: str = "computed"
    validator: Validator = Validator()
    digests: tuple[Digest, ...] = ()
    generation: int = 0


Name = tuple[int, TaskKey]
"""Set id and key."""
