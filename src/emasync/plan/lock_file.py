"""The lock: what a manifest meant when it was locked, as a text that diffs line by line."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import msgspec

from emasync.errors import InputError
from emasync.model.geometry import Box
from emasync.plan.lock_tree import DIGEST_BYTES, TOP, Listing, Range

SCHEMA: Final = 1
"""Version of the lock's form. An older program refuses a newer lock."""


@dataclass(frozen=True, slots=True)
class ChosenBox:
    """A box that was cut out of one image: spatial, source coordinates of level `scale`."""

    box: Box
    scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetLock:
    """What one dataset meant.

    Attributes
    ----------
    entry : str
        Digest of the manifest entry.
    resolved : mapping of str to str
        What the source made of it, such as the version that was the newest one.
    boxes : mapping of str to ChosenBox
        By image: named, drawn, or taken over.
    documents : Listing
        Metadata and API answers that the plan was made from, by name below ``<id>.source-metadata``.
    objects : Listing
        Everything that the plan names, by path below the dataset, with sizes, validators and published digests as the
        source tells them; a grid of chunks is one name.
    chunks : int
        Members of grids.
    """

    entry: str
    resolved: Mapping[str, str] = field(default_factory=dict)
    boxes: Mapping[str, ChosenBox] = field(default_factory=dict)
    documents: Listing
    objects: Listing
    chunks: int = 0

    @property
    def digest(self) -> str:
        """Of all that is said here, hexadecimal."""
        return sha256(json.dumps(_section(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What a manifest meant.

    Attributes
    ----------
    manifest : str
        Digest of the manifest.
    tool : str
        Who wrote the lock.
    datasets : mapping of str to DatasetLock
        By id.
    """

    manifest: str
    tool: str
    datasets: Mapping[str, DatasetLock]

    def to_text(self) -> str:
        """As JSON: keys sorted, one line a name or range."""
        document = {
            "schema": SCHEMA,
            "tool": self.tool,
            "manifest": self.manifest,
            "datasets": {name: _section(dataset) for name, dataset in self.datasets.items()},
        }
        return json.dumps(document, indent=1, sort_keys=True) + "\n"

    def require(self, entries: Mapping[str, str], known: Collection[str], name: str) -> None:
        """Compare with a manifest.

        Parameters
        ----------
        entries : mapping of str to str
            Digests of the datasets that are wanted, by id.
        known : collection of str
            Ids of all datasets of the manifest.
        name : str
            Of the lock, for messages.

        Raises
        ------
        InputError
            The lock is another manifest's, or an older state's of this one.
        """
        gone = sorted(set(self.datasets) - set(known))
        new = sorted(set(entries) - set(self.datasets))
        other = sorted(key for key, digest in entries.items() if key not in new and self.datasets[key].entry != digest)
        said = [
            f"{what}: {', '.join(ids[:_MAX_NAMED])}{' ...' if len(ids) > _MAX_NAMED else ''}"
            for what, ids in (("not in the manifest", gone), ("not in the lock", new), ("wanted differently", other))
            if ids
        ]
        if said:
            raise InputError(
                f"{name} is the lock of another manifest, or of an older state of this one ({'; '.join(said)}); make "
                "it anew with `emasync plan --lock`"
            )


_MAX_NAMED: Final = 5


def _section(dataset: DatasetLock) -> dict[str, object]:
    return {
        "entry": dataset.entry,
        "resolved": dict(dataset.resolved),
        "boxes": {
            image: {"start": list(chosen.box.start), "shape": list(chosen.box.shape), "scale": chosen.scale}
            for image, chosen in dataset.boxes.items()
        },
        "documents": _listing(dataset.documents),
        "objects": _listing(dataset.objects),
        "chunks": dataset.chunks,
    }


def _listing(listing: Listing) -> dict[str, object]:
    return {
        "count": listing.objects,
        "bytes": listing.size_bytes,
        "digest": listing.digest.hex(),
        "level": listing.level,
        "ranges": [f"{row.digest.hex()} {row.objects} {row.size_bytes} {row.first}" for row in listing.ranges],
    }


# --- reading ---------------------------------------------------------------------------------------------------------


class _Box(msgspec.Struct, forbid_unknown_fields=True):
    start: list[int]
    shape: list[int]
    scale: int

    def value(self) -> ChosenBox:
        return ChosenBox(Box.from_shape(self.start, self.shape), self.scale)


class _Listing(msgspec.Struct, forbid_unknown_fields=True):
    count: int
    bytes: int
    digest: str
    level: int
    ranges: list[str]

    def value(self) -> Listing:
        if not 0 <= self.level <= TOP:
            raise ValueError(f"level {self.level}")
        return Listing(self.count, self.bytes, _digest(self.digest), self.level, tuple(map(_range, self.ranges)))


class _Dataset(msgspec.Struct, forbid_unknown_fields=True):
    entry: str
    resolved: dict[str, str]
    boxes: dict[str, _Box]
    documents: _Listing
    objects: _Listing
    chunks: int

    def value(self) -> DatasetLock:
        return DatasetLock(
            entry=self.entry,
            resolved=self.resolved,
            boxes={image: box.value() for image, box in self.boxes.items()},
            documents=self.documents.value(),
            objects=self.objects.value(),
            chunks=self.chunks,
        )


class _Lock(msgspec.Struct, forbid_unknown_fields=True):
    schema: int
    tool: str
    manifest: str
    datasets: dict[str, _Dataset]


def _digest(text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != DIGEST_BYTES:
        raise ValueError(f"a digest of {len(digest)} bytes")
    return digest


def _range(line: str) -> Range:
    digest, objects, size_bytes, first = line.split(" ", 3)
    return Range(first, int(objects), int(size_bytes), _digest(digest))


def read_lock(text: str, name: str) -> Lock:
    """Read a lock.

    Parameters
    ----------
    text : str
    name : str
        Of the file, for messages.

    Raises
    ------
    InputError
        No lock, or a newer one than this program knows.
    """
    try:
        value: Any = json.loads(text)  # Any: JSON, checked below
        schema = value.get("schema") if isinstance(value, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise InputError(
                f"{name}: is a lock of schema {schema}, this program knows up to {SCHEMA}; use the newer emasync, or "
                "make the lock anew with `emasync plan --lock`"
            )
        found = msgspec.convert(value, _Lock)
        datasets = {key: dataset.value() for key, dataset in found.datasets.items()}
    except (ValueError, RecursionError) as error:  # msgspec.ValidationError and json.JSONDecodeError are ValueErrors
        raise InputError(
            f"{name}: is no lock of emasync, or broken: {error}; make it anew with `emasync plan --lock`"
        ) from error
    return Lock(manifest=found.manifest, tool=found.tool, datasets=datasets)
