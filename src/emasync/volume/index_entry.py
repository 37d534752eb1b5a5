"""One array of an index as a line of JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from emasync.formats.chunks import ChunkLayout
from emasync.formats.json_document import Json, JsonObject
from emasync.formats.stored import Codec, Measure
from emasync.model.geometry import Box
from emasync.model.grid import grid_of
from emasync.volume.index_columns import Columns, stale
from emasync.volume.index_paths import FileTable
from emasync.volume.interface import ChunkMap, IndexedArray
from emasync.volume.maps import AffineMap, RecordMap, SparseMap
from emasync.volume.maps_formula import FormulaMap
from emasync.volume.states import ChunkState

Role = Literal["image", "labels", "thumbnail", "reduced"]
MapKind = Literal["affine", "pages", "formula", "dense", "sparse"]

_ROLES: Final[Mapping[str, Role]] = {
    "image": "image", "labels": "labels", "thumbnail": "thumbnail", "reduced": "reduced",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many chunks of an array are where.

    Attributes
    ----------
    chunks : int
        All of the part that was asked for.
    present, absent, not_downloaded, unknown : int
        `absent`: left out by the publisher. All but `chunks` are 0 where nobody counted; see :attr:`known`.
    """

    chunks: int
    present: int = 0
    absent: int = 0
    not_downloaded: int = 0
    unknown: int = 0

    @property
    def known(self) -> bool:
        """Whether chunks were counted: without a ledger nobody does that."""
        return self.present + self.absent + self.not_downloaded + self.unknown == self.chunks

    @property
    def complete(self) -> bool:
        """Whether every chunk is here, or left out by the publisher."""
        return self.present + self.absent == self.chunks


def coverage_of(counts: list[int]) -> Coverage:
    """Counts by :class:`~emasync.volume.states.ChunkState`."""
    return Coverage(
        chunks=sum(counts),
        present=counts[ChunkState.PRESENT],
        absent=counts[ChunkState.ABSENT],
        not_downloaded=counts[ChunkState.NOT_DOWNLOADED],
        unknown=counts[ChunkState.UNKNOWN],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayEntry:
    """What is written of one array: as :class:`~emasync.volume.interface.IndexedArray`, and how its chunks are kept.

    Attributes
    ----------
    chunks : mapping
        ``kind`` and what that kind needs, see ``docs/chunk-index.md``.
    coverage : Coverage
    sources : tuple of int
        Numbers of files that this was read from: documents, or the files that hold the array, some hundred at most.
    """

    asset: str
    array: str
    scale: int
    path: str
    format: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    layout: ChunkLayout
    chunks: Mapping[str, Json]
    origin: tuple[int, ...]
    bounds: Box
    measures: tuple[Measure | None, ...]
    translation_nm: Mapping[str, float] = field(default_factory=dict)
    role: Role = "image"
    attributes: Mapping[str, Json] = field(default_factory=dict)
    coverage: Coverage
    sources: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        """How chunks are kept."""
        return str(self.chunks["kind"])

    def to_line(self) -> bytes:
        """As one line of JSON; NaN and infinities stay what they are."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> ArrayEntry:
        """Back from :meth:`to_line`.

        Raises
        ------
        SourceError
            ``stale_index``: it is no such line.
        """
        try:
            return _entry(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise stale(f"a line of the index cannot be read ({type(error).__name__}: {error})") from error

    def indexed(self, dataset: str, root: Path, columns: Columns) -> IndexedArray:
        """The array with its chunk map."""
        return self.over(dataset, chunk_map(self.chunks, root, columns))

    def over(self, dataset: str, chunks: ChunkMap) -> IndexedArray:
        """The array over a chunk map."""
        return IndexedArray(
            dataset=dataset,
            asset=self.asset,
            array=self.array,
            scale=self.scale,
            path=self.path,
            format=self.format,
            shape=self.shape,
            axes=self.axes,
            layout=self.layout,
            chunks=chunks,
            origin=self.origin,
            bounds=self.bounds,
            measures=self.measures,
            translation_nm=self.translation_nm,
            role=self.role,
            attributes=self.attributes,
        )


def _entry(value: dict[str, Any]) -> ArrayEntry:
    """Any: JSON that we wrote, taken apart member by member."""
    layout = value["layout"]
    return ArrayEntry(
        asset=str(value["asset"]),
        array=str(value["array"]),
        scale=int(value["scale"]),
        path=str(value["path"]),
        format=str(value["format"]),
        shape=_integers(value["shape"]),
        axes=tuple(map(str, value["axes"])),
        layout=ChunkLayout(
            chunks=_integers(layout["chunks"]),
            dtype=str(layout["dtype"]),
            codecs=tuple(Codec(str(codec["name"]), codec["configuration"]) for codec in layout["codecs"]),
            edges=layout["edges"],
            fill_value=layout["fill_value"],
        ),
        chunks=value["chunks"],
        origin=_integers(value["origin"]),
        bounds=Box(_integers(value["bounds"]["start"]), _integers(value["bounds"]["stop"])),
        measures=tuple(None if measure is None else Measure(**measure) for measure in value["measures"]),
        translation_nm={str(axis): float(at) for axis, at in value["translation_nm"].items()},
        role=_ROLES[value["role"]],
        attributes=value["attributes"],
        coverage=Coverage(**value["coverage"]),
        sources=_integers(value["sources"]),
    )


def _integers(values: list[Any]) -> tuple[int, ...]:
    return tuple(map(int, values))


def chunk_map(value: Mapping[str, Any], root: Path, columns: Columns) -> ChunkMap:
    """The map that ``chunks`` of an array tells of (Any: JSON that we wrote).

    Raises
    ------
    SourceError
        ``stale_index``: it tells of none.
    """
    files = FileTable(columns)
    match value.get("kind"):
        case "affine":
            return AffineMap(files, value["file"], value["start"], value["size_bytes"])
        case "dense" | "pages" as kind:
            return RecordMap(columns, files, value["first"], kind, value.get("skipped"), value.get("crc32c"))
        case "sparse":
            places = {name: value[name] for name in ("keys", "first", "count", "missing")}
            return SparseMap(columns, files, **places, skipped=value.get("skipped"), crc32c=value.get("crc32c"))
        case "formula":
            return FormulaMap(
                columns,
                value["folder"],
                grid_of(value["grid"]),
                state=None if value["state"] is None else ChunkState(value["state"]),
                blocks=value["blocks"],
                probe=root if value["probe"] else None,
                crc32c=value.get("crc32c"),
            )
    raise stale(f"chunks are kept in a way that is not known: {str(value.get('kind'))[:40]!r}")


def formula(folder: str, grid: object, **more: Json) -> JsonObject:
    """What is written of a :class:`~emasync.volume.maps_formula.FormulaMap`."""
    told: JsonObject = {"state": None, "blocks": None, "probe": False, **more}
    fields: JsonObject = asdict(grid)  # type: ignore[call-overload]
    return {"kind": "formula", "folder": folder, "grid": fields, **told}
