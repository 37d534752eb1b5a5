"""What is known of an asset from here: where it came from, when, its digests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from emasync.formats.n5.attributes import ATTRIBUTES
from emasync.formats.paths import join
from emasync.formats.precomputed.info import INFO
from emasync.formats.zarr.keys import METADATA_NAMES
from emasync.hooks.interface import DatasetFacts
from emasync.hooks.local import LocalTree
from emasync.hooks.metadata.claims import Claim, Claims
from emasync.hooks.metadata.counting import Counts
from emasync.hooks.metadata.records import AssetRecord
from emasync.ledger.interface import Row
from emasync.model.redaction import redact

_DOCUMENTS: Final = (*sorted(METADATA_NAMES), ATTRIBUTES, INFO)


def origin_claims(record: AssetRecord, disk: LocalTree, facts: DatasetFacts, counts: Counts) -> list[Claim]:
    """Claims about one asset that nobody else makes.

    Parameters
    ----------
    record : AssetRecord
    disk : LocalTree
        Of the dataset.
    facts : DatasetFacts
    counts : Counts
    """
    claims = Claims("computed", "ledger", scope=record.path)
    claims.text("source_portal", facts.source, "")
    if record.volume is not None:
        claims.claim("volume_asset", record.volume[0], "")
        claims.claim("volume_array", record.volume[1], "")
    if record.files:
        _say_files(record, disk, facts, counts, claims)
    elif record.path or record.volume is not None:
        _say_folder(record, disk, facts, claims)
    if not any(claim.field == "access_url" for claim in claims.found):
        claims.text("access_url", facts.location, "")
    return claims.found


def _say_folder(record: AssetRecord, disk: LocalTree, facts: DatasetFacts, claims: Claims) -> None:
    """Of a hierarchy: when its first metadata came, and where it is in the bucket."""
    found = [file for name in _DOCUMENTS if (file := disk.file(join(record.path, name))) is not None]
    if found:
        claims.claim("retrieved_at", _moment(min(file.mtime_ns for file in found)), "mtime of its metadata")
    if facts.source == "bucket" and record.volume is not None:
        claims.text("access_url", join(facts.location, record.path), "")


def _say_files(record: AssetRecord, disk: LocalTree, facts: DatasetFacts, counts: Counts, claims: Claims) -> None:
    found = [file for path in record.files if (file := disk.file(path)) is not None]
    claims.claim("n_files", len(found), "")
    claims.claim("bytes_on_disk", sum(file.size_bytes for file in found), "")
    if found:
        claims.claim("retrieved_at", _moment(min(file.mtime_ns for file in found)), "mtime")
    row = counts.files.get(f"{facts.folder}/{record.files[0]}") if len(record.files) == 1 else None
    if row is not None:
        _say_digests(row, claims)


def _moment(time_ns: int) -> str:
    """RFC 3339, whole seconds."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")


def _say_digests(row: Row, claims: Claims) -> None:
    """Digests of one file."""
    claims.text("access_url", redact(row.spec.locate(row.key)), "")
    if row.crc32c is not None:
        claims.claim("crc32c", f"{row.crc32c:08x}", "")
    others = []
    for digest in (*row.published, *row.computed):
        if digest.kind in ("sha256", "md5"):
            claims.claim(digest.kind, digest.value, "")
        else:
            others.append(f"{digest.kind}:{digest.value}")
    claims.claim("other_digests", ",".join(dict.fromkeys(others)), "")
    claims.claim("checksum_source", "publisher, computed" if row.published else "computed", "")
