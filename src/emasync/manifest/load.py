"""Reading a manifest: file, text or plain object → :class:`Manifest`, or all that is wrong with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from emasync.errors import InputError
from emasync.manifest.crop import SameAsCrop
from emasync.manifest.crosscheck import borrowed_boxes, duplicate_ids, outlines
from emasync.manifest.document import MAX_BYTES, MappingNode, Node, SequenceNode, compose, too_large
from emasync.manifest.entry import Entry, canonical
from emasync.manifest.head import VERSION, Head
from emasync.manifest.kinds import entry_model
from emasync.manifest.manifest import Manifest
from emasync.manifest.plain_object import node_of
from emasync.manifest.positions import problems_of
from emasync.manifest.problems import Fault, KeyPath, manifest_error
from emasync.manifest.record import validated
from emasync.manifest.scalars import resolve
from emasync.manifest.substitute import Substitution

OBJECT_NAME: Final = "<manifest>"
"""File name in messages about a manifest that is an object."""


def load_manifest(path: Path, *, environ: Mapping[str, str]) -> Manifest:
    """Read a manifest file.

    Parameters
    ----------
    path : Path
    environ : mapping of str to str
        Values of ``${VAR}``.

    Raises
    ------
    InputError
        The file is not there or cannot be read.
    ManifestError
        All that is wrong with it, in order of position.
    """
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > MAX_BYTES:
                raise too_large(str(path), size_bytes)
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{path}: the manifest cannot be read: {reason}; check the name", location=str(path)
        ) from error
    return parse_manifest(text, file=str(path), environ=environ)


def parse_manifest(text: str | bytes, *, file: str, environ: Mapping[str, str], folder: Path | None = None) -> Manifest:
    """Read a manifest's text.

    Parameters
    ----------
    text : str or bytes
        YAML, UTF-8.
    file : str
        Name for messages.
    environ : mapping of str to str
        Values of ``${VAR}``.
    folder : Path, optional
        What relative folders are relative to; the folder of `file` by default.

    Raises
    ------
    ManifestError
        All that is wrong with it, in order of position.
    """
    return _build(compose(text, file=file), file, environ, Path(file).parent if folder is None else folder)


def manifest_from_object(
    data: Mapping[str, object], *, environ: Mapping[str, str] | None = None, folder: Path = Path()
) -> Manifest:
    """Read a manifest that is a mapping of plain values already.

    Parameters
    ----------
    data : mapping
        Text, numbers, booleans, None, paths, lists and mappings of them.
    environ : mapping of str to str, optional
        Values of ``${VAR}``; None leaves text as it is.
    folder : Path
        What relative folders are relative to; the working directory by default.

    Raises
    ------
    ManifestError
        All that is wrong with it; positions are those of nothing (1:1), the key paths tell.
    """
    return _build(node_of(data, file=OBJECT_NAME), OBJECT_NAME, environ, folder)


def _build(node: Node, file: str, environ: Mapping[str, str] | None, folder: Path) -> Manifest:
    faults: list[Fault] = []
    if environ is not None:
        node = Substitution(environ, faults).apply(node)
    unset = len(faults)
    manifest = _checked(node, file, folder, faults)
    if manifest is None or faults:
        raise manifest_error(problems_of(faults, unset, node, file))
    return manifest


def _checked(node: Node, file: str, folder: Path, faults: list[Fault]) -> Manifest | None:
    data = _data(node)
    if not isinstance(data, dict):
        faults.append(Fault((), "a manifest is a mapping; it starts with version: 1"))
        return None
    if not _version_fits(data, faults):
        return None
    head = validated(Head, {key: value for key, value in data.items() if key != "datasets"}, (), faults)
    entries = _entries(data, faults)
    if head is None or faults:
        return None
    kept = _with_lenders([entry.with_layout(head.layout.essence) for entry in entries])
    return Manifest(
        version=VERSION,
        file=file,
        folder=folder,
        root=head.root,
        state_dir=head.state_dir,
        settings=head.settings.build(head.mirrors),
        layout=head.layout,
        datasets=kept,
        digest=_digest(head, kept),
    )


def _with_lenders(entries: list[Entry]) -> tuple[Entry, ...]:
    """Bind datasets to those whose boxes they take over; lenders may borrow themselves, but not in a circle."""
    by_id = {entry.id: entry for entry in entries}
    bound: dict[str, Entry] = {}

    def bind(entry: Entry) -> Entry:
        if entry.id not in bound:
            crop = entry.crop
            lender = bind(by_id[crop.same_as]) if isinstance(crop, SameAsCrop) else None
            bound[entry.id] = entry if lender is None else entry.with_lender(lender.digest)
        return bound[entry.id]

    return tuple(map(bind, entries))


def _version_fits(data: Mapping[str, object], faults: list[Fault]) -> bool:
    """A manifest of another version is not judged by this version's rules."""
    version = data.get("version")
    number = getattr(version, "value", version)
    if isinstance(number, int) and not isinstance(number, bool) and number > VERSION:
        rule = f"this version of emasync reads version {VERSION}; a newer one may read this manifest"
        faults.append(Fault(("version",), rule))
        return False
    return True


def _entries(data: Mapping[str, object], faults: list[Fault]) -> list[Entry]:
    """Validate all datasets; faults say what is wrong with those that are left out."""
    items = data.get("datasets")
    if not isinstance(items, list) or not items:
        rule = "is missing; list what to fetch" if "datasets" not in data else "expected a list of at least one dataset"
        faults.append(Fault(("datasets",), rule))
        return []
    entries = []
    for number, item in enumerate(items):
        entry = _entry(item, ("datasets", number), faults)
        if entry is not None:
            entries.append(entry)
    sketch = outlines(items)
    faults.extend((*duplicate_ids(sketch), *borrowed_boxes(sketch)))
    return entries


def _entry(item: object, path: KeyPath, faults: list[Fault]) -> Entry | None:
    if not isinstance(item, dict):
        faults.append(Fault(path, "expected a mapping with id: and source:"))
        return None
    model = entry_model(item.get("source"), path, faults)
    if model is not None:
        return validated(model, item, path, faults)
    shared = {key: value for key, value in item.items() if key in Entry.model_fields}
    validated(Entry, shared, path, faults)  # what any source's dataset may say is judged in the same go
    return None


def _digest(head: Head, entries: tuple[Entry, ...]) -> str:
    parts = (canonical(head), *(entry.digest for entry in entries))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _data(node: Node) -> object:
    """Plain values of a tree; scalars that are no text keep what they were written as."""
    if isinstance(node, MappingNode):
        return {key: _data(value) for key, value in node.values.items()}
    if isinstance(node, SequenceNode):
        return [_data(item) for item in node.items]
    text = node.text if node.substituted is None else node.substituted
    return resolve(text) if node.plain else text
