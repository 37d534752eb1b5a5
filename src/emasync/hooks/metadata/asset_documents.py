"""The documents of assets: many small files, made durable some at a time."""

from __future__ import annotations

import hashlib
from contextlib import closing
from io import BytesIO
from typing import IO, Any, Final

import orjson

from emasync.disk.interface import Sink, WholeFile
from emasync.hooks.metadata.former import remove
from emasync.hooks.metadata.writers import same_document

BATCH_FILES: Final = 256
BATCH_BYTES: Final = 8 << 20


class AssetDocuments:
    """Writes documents that differ from what lies there. After a crash one may be missing: the next run writes it.

    Parameters
    ----------
    sink : Sink

    Attributes
    ----------
    named : set of str
        All that were given, relative to the root.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting: dict[str, bytes] = {}
        self._waiting_bytes = 0
        self.named: set[str] = set()

    def write(self, document: str, value: dict[str, Any]) -> str:
        """Take one (Any: JSON), indented for people; gives its place."""
        data = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
        self.named.add(document)
        if not same_document(self._sink, document, _file(data)):
            self._waiting[document] = data
            self._waiting_bytes += len(data)
        if len(self._waiting) >= BATCH_FILES or self._waiting_bytes >= BATCH_BYTES:
            self.flush()
        return document

    def flush(self) -> None:
        """Put all that waits into its place.

        Raises
        ------
        DestinationError
            A folder or a link is in the way.
        MachineError
            Disk full, no permission.
        """
        waiting, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        if not waiting:
            return
        names = {document: _name(document) for document in waiting}
        files = [WholeFile(names[document], (data,), len(data)) for document, data in waiting.items()]
        with closing(self._sink.write_whole(files)) as batch:
            for error in batch.errors:
                if error is not None:
                    raise error
            self._sink.sync_batches([batch])
        for document in waiting:
            if self._sink.stat(document) is not None:
                remove(self._sink, document)
        for failed in self._sink.place_many([(name, document) for document, name in names.items()]):
            if failed is not None:
                raise failed
        self._sink.sync_folders()


def _file(data: bytes) -> IO[bytes]:
    return BytesIO(data)


def _name(document: str) -> str:
    """Of the unfinished file: the same each time, so that a killed run leaves nothing to collect."""
    return f"document-{hashlib.blake2b(document.encode(), digest_size=12).hexdigest()}"
