"""Croissant 1.0 (MLCommons): a dataset as JSON-LD, with the table of its assets.

A folder of two files: ``croissant.json`` names the dataset's files, with digests, and says how the columns of
``metadata.csv`` are read.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from emasync.errors import InputError
from emasync.hooks.export_files import ExportFile
from emasync.hooks.metadata.tables import COLUMNS, Dtype
from emasync.hooks.metadata.writers import CSV

CONFORMS_TO: Final = "http://mlcommons.org/croissant/1.0"

MAX_FILE_OBJECTS: Final = 1_000
"""Files that are named one by one; a dataset of more is a set of files, without digests of each."""

_CR: Final = (
    "equivalentProperty",
    *("citeAs", "column", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes"),
    *("isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated"),
    *("replace", "samplingRate", "separator", "source", "subField", "transform"),
)
CONTEXT: Final[Mapping[str, object]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "sc": "https://schema.org/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in _CR},
}
"""Croissant 1.0, appendix "JSON-LD context"."""

_TYPES: Final[Mapping[Dtype, str]] = {
    "string": "sc:Text",
    "Int64": "sc:Integer",
    "float64": "sc:Float",
    "boolean": "sc:Boolean",
}
_MIME: Final = {
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".json": "application/json",
    ".nwb": "application/x-hdf5",
    ".h5": "application/x-hdf5",
    ".mp4": "video/mp4",
    ".avi": "video/x-msvideo",
    ".csv": "text/csv",
    ".xml": "application/xml",
}
_ANY: Final = "application/octet-stream"


class Croissant:
    """A description that is being written. Close it; not there before :meth:`finish`.

    Parameters
    ----------
    folder : Path
        Made here.
    dataset : mapping
        Its metadata document (Any: JSON).
    table : Path
        ``metadata.csv`` of the root.
    one_by_one : bool
        Whether files are named one by one.
    """

    def __init__(self, folder: Path, dataset: Mapping[str, Any], table: Path, *, one_by_one: bool) -> None:
        folder.mkdir()
        self._folder = folder
        self._dataset = dataset
        self._table = table
        self._one_by_one = one_by_one
        self._files: list[dict[str, object]] = []

    def __repr__(self) -> str:
        return f"<Croissant {self._folder}>"

    def add(self, files: Iterable[ExportFile]) -> None:
        """Name files."""
        self._files.extend(_file_object(file) for file in files)

    def close(self) -> None:
        """Nothing is open between calls."""

    def finish(self) -> None:
        """Write both files.

        Raises
        ------
        InputError
            The table does not know the dataset.
        """
        target = self._folder / CSV
        columns, digest = _copy_rows(self._table, target, str(self._dataset["dataset"]))
        table = {
            "@type": "cr:FileObject",
            "@id": CSV,
            "name": CSV,
            "description": "One row an asset and scale; docs/metadata.md of emasync lists the columns.",
            "contentUrl": CSV,
            "contentSize": f"{target.stat().st_size} B",
            "encodingFormat": "text/csv",
            "sha256": digest,
        }
        distribution = [table, *(self._files if self._one_by_one else [_file_set(self._dataset)])]
        document = {
            **describe_dataset(self._dataset),
            "distribution": distribution,
            "recordSet": [_record_set(columns)],
        }
        data = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        (self._folder / "croissant.json").write_bytes(data)


def describe_dataset(dataset: Mapping[str, Any]) -> dict[str, object]:
    """What a dataset's metadata document says, in the words of schema.org.

    Parameters
    ----------
    dataset : mapping
        Any: JSON.
    """
    told = {name: field.get("value") for name, field in dataset.get("fields", {}).items()}
    licence = told.get("license_spdx")
    said = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": dataset["dataset"],
        "alternateName": told.get("title"),
        "description": told.get("description") or told.get("title") or f"The dataset {dataset['dataset']}.",
        "license": f"https://spdx.org/licenses/{licence}" if licence else told.get("license_text"),
        "url": told.get("source_url") or _link(dataset.get("location")),
        "citeAs": told.get("citation"),
        "version": told.get("version"),
        "identifier": [f"https://doi.org/{doi}" for doi in told.get("doi_data") or ()] or told.get("accession"),
        "creator": [{"@type": "sc:Person", "name": name} for name in told.get("authors") or ()],
    }
    return {name: value for name, value in said.items() if value}


def _link(location: object) -> str | None:
    return location if isinstance(location, str) and location.startswith(("http://", "https://")) else None


def _file_object(file: ExportFile) -> dict[str, object]:
    suffix = Path(file.path).suffix.lower()
    return {
        "@type": "cr:FileObject",
        "@id": f"files/{_identifier(file.path)}",
        "name": Path(file.path).name,
        "contentUrl": file.urls[0] if file.urls else file.destination,
        "contentSize": f"{file.size_bytes} B",
        "encodingFormat": _MIME.get(suffix, _ANY),
        "sha256": file.digests["sha256"],
    }


def _identifier(path: str) -> str:
    """A path as part of an ``@id``: mlcroissant takes none with blanks, nor with ``%20``.

    What is neither letter nor digit of any script stands as ``=`` and its bytes in hexadecimal, so that no two are one.
    """
    return "".join(
        mark
        if mark.isalnum() or mark in "/._-+@~"
        else "".join(f"={byte:02X}" for byte in mark.encode("utf-8", "surrogatepass"))
        for mark in path
    )


def _file_set(dataset: Mapping[str, Any]) -> dict[str, object]:
    """All files, relative to the root (Any: JSON)."""
    return {
        "@type": "cr:FileSet",
        "@id": "files",
        "name": "files",
        "description": f"{dataset.get('objects')} files, {dataset.get('bytes')} bytes, below the root",
        "encodingFormat": _ANY,
        "includes": f"{dataset['folder']}/**",
    }


def _record_set(columns: Iterable[str]) -> dict[str, object]:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"assets/{name}",
            "name": name,
            "dataType": _TYPES[COLUMNS[name]],
            "source": {"fileObject": {"@id": CSV}, "extract": {"column": name}},
        }
        for name in columns
    ]
    return {"@type": "cr:RecordSet", "@id": "assets", "name": "assets", "field": fields}


def _copy_rows(table: Path, target: Path, dataset: str) -> tuple[list[str], str]:
    """Copy the rows of a dataset; gives the columns that hold anything, and the SHA-256 of what was written."""
    used: dict[str, None] = {}
    with table.open(newline="", encoding="utf-8") as source, target.open("x", newline="", encoding="utf-8") as copy:
        writer = csv.DictWriter(copy, list(COLUMNS), lineterminator="\r\n", extrasaction="ignore")
        writer.writeheader()
        for row in _rows(source, dataset):
            writer.writerow(row)
            used.update({name: None for name, value in row.items() if value})
    if not used:
        raise InputError(f"{table} has no row of dataset {dataset}; run `emasync metadata` on the root first")
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return [name for name in COLUMNS if name in used], digest


def _rows(lines: Iterable[str], dataset: str) -> Iterator[dict[str, str]]:
    return (row for row in csv.DictReader(lines) if row.get("dataset_id") == dataset)
