"""What a caller can say beyond the manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from emasync.errors import InputError

if TYPE_CHECKING:
    from emasync.manifest.manifest import Manifest
    from emasync.settings import Settings

ManifestLike: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any] | Manifest"
"""A path, a mapping as YAML would give it (Any: checked by the manifest models), or a loaded manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line can say about a run; each field overrides the manifest.

    Attributes
    ----------
    only : tuple of str
        Dataset ids; empty for all.
    mirrors : mapping of str to str or None
    max_bandwidth : float or None
        Bytes per second, at all hours.
    max_total_bytes : int or None
    checksums : {"published", "sha256", "size"} or None
    refresh : bool
        List sources again, but for those that cannot change.
    metadata_only : bool
        Only what describes the datasets, no bulk. What a root holds of a full run stays as it is.
    locked : bool
        Compare with the lock before any data move; any drift is a failure.
    lock_file : Path or None
        The lock; None: beside the manifest, ``manifest.lock`` for ``manifest.yaml``.
    adopt : bool
        Check and take over files that are there already.
    break_lock : bool
        Take the root whoever holds it.
    objects : bool
        An event for each placed object.
    workers : int or "auto" or None
        Processes.
    allow_private : bool
        Loopback, private and link-local addresses and local paths may be asked, whatever the manifest says.
    executor : {"local", "processes"} or None
        Where engines run; None: here for one worker, in processes for more.
    hooks : bool
        Run what is registered for the end of a run; receipt and checksums are written in any case.
    """

    only: tuple[str, ...] = ()
    mirrors: Mapping[str, str] | None = None
    max_bandwidth: float | None = None
    max_total_bytes: int | None = None
    checksums: Literal["published", "sha256", "size"] | None = None
    refresh: bool = False
    metadata_only: bool = False
    locked: bool = False
    lock_file: Path | None = None
    adopt: bool = False
    break_lock: bool = False
    objects: bool = False
    workers: int | Literal["auto"] | None = None
    executor: Literal["local", "processes"] | None = None
    allow_private: bool = False
    hooks: bool = True

    def wanted(self, manifest: Manifest) -> tuple[str, ...]:
        """Ids of the datasets a run is about.

        Raises
        ------
        InputError
            `only` names one that the manifest has not.
        """
        known = tuple(entry.id for entry in manifest.datasets)
        if unknown := [name for name in self.only if name not in known]:
            raise InputError(f"--only {', '.join(unknown)}: no such dataset; the manifest has {', '.join(known)}")
        return self.only or known

    def settings(self, settings: Settings) -> Settings:
        """The manifest's settings with what was said here."""
        if self.mirrors:
            settings = replace(settings, mirrors={**settings.mirrors, **self.mirrors})
        if self.max_bandwidth is not None:
            settings = replace(settings, max_bandwidth=self.max_bandwidth, bandwidth_timetable=())
        if self.max_total_bytes is not None:
            settings = replace(settings, max_total_bytes=self.max_total_bytes)
        if self.checksums is not None:
            settings = replace(settings, checksums=self.checksums)
        if self.workers is not None:
            settings = replace(settings, workers=self.workers)
        if self.allow_private:
            settings = replace(settings, allow_private=True)
        return settings


def load(manifest: ManifestLike) -> Manifest:
    """Read and check a manifest.

    Raises
    ------
    InputError
        It cannot be read, or is wrong; all problems at once.
    """
    from emasync.manifest.load import load_manifest, manifest_from_object  # noqa: PLC0415 - pydantic and yaml
    from emasync.manifest.manifest import Manifest  # noqa: PLC0415 - as above

    if isinstance(manifest, Manifest):
        return manifest
    if isinstance(manifest, Mapping):
        return manifest_from_object(manifest)
    return load_manifest(Path(manifest), environ=os.environ)


def schema() -> dict[str, Any]:
    """JSON Schema of the manifest (Any: JSON)."""
    from emasync.manifest.schema import json_schema  # noqa: PLC0415 - all records of the manifest

    return json_schema()
