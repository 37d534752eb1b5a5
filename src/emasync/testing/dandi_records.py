"""Records of a DANDI twin: synthetic assets in the shapes of ``dandiapi/api/models/asset.py`` (``full_metadata``)."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any

PART_BYTES = 64 << 20

Record = dict[str, Any]
"""JSON object."""


def made_id(*words: str) -> str:
    """A UUID (version 4 in form) that follows from `words`."""
    return str(uuid.UUID(bytes=hashlib.blake2b("\0".join(words).encode(), digest_size=16).digest(), version=4))


def blob_key(blob_id: str) -> str:
    """Key of a blob in the bucket (``api/models/upload.py``)."""
    return f"blobs/{blob_id[:3]}/{blob_id[3:6]}/{blob_id}"


def dandi_etag(data: bytes) -> str:
    """Digest of a blob, up to 5 TiB and as long as parts have 64 MiB (``dandischema/digests/dandietag.py``)."""
    parts = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)]
    joined = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


@dataclass(slots=True)
class _Folder:
    """A folder of a Zarr on its way to the checksum."""

    folders: dict[str, _Folder] = field(default_factory=dict)
    files: dict[str, tuple[str, int]] = field(default_factory=dict)

    def digest(self) -> tuple[str, int, int]:
        """Checksum, objects and bytes below."""
        rows, objects, size_bytes = [], len(self.files), sum(size for _, size in self.files.values())
        for name, folder in sorted(self.folders.items()):
            checksum, count, size = folder.digest()
            rows.append({"digest": checksum, "name": name, "size": size})
            objects, size_bytes = objects + count, size_bytes + size
        leaves = [{"digest": md5, "name": name, "size": size} for name, (md5, size) in sorted(self.files.items())]
        text = _ascii_json({"directories": rows, "files": leaves})
        md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        return f"{md5}-{objects}--{size_bytes}", objects, size_bytes


def _ascii_json(value: object) -> str:
    import json  # noqa: PLC0415 - the one place that needs ASCII escapes

    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def zarr_checksum(rows: dict[str, tuple[str, int]]) -> str:
    """Checksum of a tree (``zarr_checksum/checksum.py``).

    Parameters
    ----------
    rows : dict of str to (str, int)
        MD5 and size by key.
    """
    root = _Folder()
    for key, row in rows.items():
        folder, *_ = root, None
        *names, last = key.split("/")
        for name in names:
            folder = folder.folders.setdefault(name, _Folder())
        folder.files[last] = row
    return root.digest()[0]


@dataclass(slots=True)
class TwinAsset:
    """One asset of a twin (mutable: tests bend it).

    Attributes
    ----------
    path : str
    asset_id : str
    size_bytes : int
    blob, zarr : str or None
        Id of either.
    digest : dict
        As the archive tells it.
    embargoed : bool
    created : int
        Order of creation, which listings follow by default.
    stale_query : str
        Appended to the bucket's URL, as old records have it.
    started : str
        Beginning of the session, ISO 8601; empty: the record does not tell.
    """

    path: str
    asset_id: str
    size_bytes: int
    created: int
    blob: str | None = None
    zarr: str | None = None
    digest: dict[str, str | None] = field(default_factory=dict)
    embargoed: bool = False
    stale_query: str = ""
    started: str = ""

    def metadata(self, api: str, bucket_url: str) -> Record:
        """Metadata of the asset, computed fields included."""
        place = blob_key(self.blob) if self.blob is not None else f"zarr/{self.zarr}/"
        status = "dandi:EmbargoedAccess" if self.embargoed else "dandi:OpenAccess"
        session = {"schemaKey": "Session", "name": "Acquisition session", "startDate": self.started}
        return {
            "@context": "https://raw.githubusercontent.com/dandi/schema/master/releases/0.6.3/context.json",
            "access": [{"schemaKey": "AccessRequirements", "status": status}],
            "contentSize": self.size_bytes,
            "contentUrl": [f"{api}/assets/{self.asset_id}/download/", f"{bucket_url}/{place}{self.stale_query}"],
            "dateModified": "2022-05-10T10:07:33.797834-04:00",
            "digest": self.digest,
            "encodingFormat": "application/x-zarr" if self.zarr is not None else "application/x-nwb",
            "id": f"dandiasset:{self.asset_id}",
            "identifier": self.asset_id,
            "path": self.path,
            "schemaKey": "Asset",
            "schemaVersion": "0.6.3",
            "wasAttributedTo": [{"schemaKey": "Participant", "identifier": self.path.partition("/")[0]}],
            "wasGeneratedBy": [session] if self.started else [],
        }

    def row(self, api: str, bucket_url: str, *, metadata: bool) -> Record:
        """Row of an API page; a field that is not there is left out or null, as it comes."""
        found: Record = {
            "asset_id": self.asset_id,
            "path": self.path,
            "size": self.size_bytes,
            "created": "2022-05-10T14:07:34.134564+00:00",
            "modified": "2023-10-17T19:55:40.394757Z",
        }
        found |= {"blob": self.blob} if self.zarr is None else {"zarr": self.zarr, "blob": None}
        return found | ({"metadata": self.metadata(api, bucket_url)} if metadata else {})
