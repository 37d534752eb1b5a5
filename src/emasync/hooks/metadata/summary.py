"""``METADATA_SUMMARY.md``: what is known of each dataset, who says so, who disagrees, and what nobody says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from emasync.hooks.metadata.description import DescribedAsset
from emasync.hooks.metadata.fields import FIELDS, SOURCED
from emasync.hooks.metadata.markdown import plain, table
from emasync.hooks.metadata.merging import PRECEDENCE, TOLERANCE, Chosen, conflicts
from emasync.model.version import VERSION

SUMMARY: Final = "METADATA_SUMMARY.md"

MAX_CONFLICTS: Final = 200
"""Lines; others are counted, and stand in ``metadata.json``."""

MAX_NOTES: Final = 50
_SOURCES: Final = frozenset(f"{name}_source" for name in SOURCED)
_MANY: Final = 12
"""Datasets beyond which coverage is told a dataset and not as a matrix."""

_FINEST: Final = ("shape_z", "shape_y", "shape_x", "voxel_size_z_nm", "voxel_size_y_nm", "voxel_size_x_nm", "dtype")
_WANTED: Final = (
    *("voxel_size_z_nm", "voxel_size_y_nm", "voxel_size_x_nm", "license_spdx", "citation", "doi_data", "organism"),
    *("tissue", "sample", "instrument", "technique", "acquired_at", "institution", "authors", "preparation"),
)
"""What somebody who uses the data asks for first."""


@dataclass(slots=True)
class _Dataset:
    """Counts of one dataset (mutable: counts)."""

    id: str
    complete: bool | None
    assets: int = 0
    rows: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    first: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def take(self, names: tuple[str, ...], rows: Sequence[Mapping[str, Any]]) -> None:
        """Count rows that know the same columns (Any: values of the table's kinds)."""
        if not self.rows or (not self.first and {"shape_x", "n_samples"} & set(names)):
            self.first = dict(rows[0])
        self.rows += len(rows)
        for name in names:
            self.known[name] += len(rows)
        for name in _SOURCES.intersection(names):
            self.sources.update([row[name] for row in rows])

    def known_in(self, name: str) -> float:
        """Share of rows that have the field."""
        return self.known[name] / self.rows if self.rows else 0.0


class Summary:
    """Collects what the document tells; memory does not grow with assets."""

    def __init__(self) -> None:
        self._datasets: list[_Dataset] = []
        self._conflicts: list[tuple[object, ...]] = []
        self._more_conflicts = 0

    def begin(self, dataset: Mapping[str, Any]) -> None:
        """Begin a dataset (Any: JSON, without its assets)."""
        self._datasets.append(
            _Dataset(id=dataset["id"], complete=dataset["complete"], notes=dataset["notes"][:MAX_NOTES])
        )

    def add(self, asset: DescribedAsset, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take one asset of the dataset begun last.

        Parameters
        ----------
        asset : DescribedAsset
        rows : sequence of mapping
            Its rows of the table (Any: values of the table's kinds).
        """
        counts = self._datasets[-1]
        counts.assets += 1
        counts.formats[asset.record.format or asset.record.kind] += 1
        for names, same in groupby(rows, key=tuple):
            counts.take(names, list(same))
        if any(row["n_conflicts"] for row in rows):
            self._take_conflicts(asset)
        room = MAX_NOTES - len(counts.notes)
        counts.notes += [f"{asset.id}: {note}" for note in asset.notes[: max(0, room)]]

    def _take_conflicts(self, asset: DescribedAsset) -> None:
        places = [(asset.id, asset.fields), *((f"{asset.id} {one.path}".strip(), one.fields) for one in asset.arrays)]
        for place, fields in places:
            for name, chosen in conflicts(fields).items():
                if len(self._conflicts) < MAX_CONFLICTS:
                    self._conflicts.append((asset.dataset, place, name, _said(chosen), _others(chosen)))
                else:
                    self._more_conflicts += 1

    # --- the document --------------------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """All lines, without line ends."""
        yield "# Metadata summary"
        yield ""
        total = sum(dataset.rows for dataset in self._datasets)
        assets = sum(dataset.assets for dataset in self._datasets)
        yield f"{len(self._datasets)} datasets, {assets:,} assets, {total:,} rows; written by emasync {VERSION}."
        yield "The values, each with where it stands, are in `metadata.json`; the flat table is `metadata.csv`."
        yield ""
        yield from _method()
        yield from self._overview()
        yield from self._coverage()
        yield from self._shared()
        yield from self._disagreement()
        yield from self._unknown()
        yield from self._told()

    def _overview(self) -> Iterator[str]:
        yield "## Datasets"
        yield ""
        yield "Shape and voxel size are those of the first array, as published, in the order z, y, x."
        yield ""
        header = ("dataset", "assets", "rows", "format", "shape", "voxel size (nm)", "type", "licence", "complete")
        yield from table(header, (_overview_row(dataset) for dataset in self._datasets))
        yield "## Who says so"
        yield ""
        yield "Values of the table by their source, over all rows of a dataset."
        yield ""
        rows = ((one.id, *(one.sources[source] for source in PRECEDENCE)) for one in self._datasets)
        yield from table(("dataset", *PRECEDENCE), rows)

    def _coverage(self) -> Iterator[str]:
        yield "## Field coverage"
        yield ""
        if len(self._datasets) > _MANY:
            yield "Fields that are known in all rows of a dataset, in some of them, and fields that nobody tells of."
            yield ""
            rows = ((one.id, *_counted(one)) for one in self._datasets)
            yield from table(("dataset", "all rows", "some rows", "none"), rows)
            return
        yield "Share of the rows of a dataset that have a value; fields that no dataset has are left out."
        yield ""
        names = [name for name in SOURCED if any(one.known[name] for one in self._datasets)]
        cells = ((name, *(_percent(one.known_in(name)) for one in self._datasets)) for name in names)
        yield from table(("field", *(plain(one.id) for one in self._datasets)), cells)

    def _shared(self) -> Iterator[str]:
        yield "## Common and unique fields"
        yield ""
        holders = {name: [one.id for one in self._datasets if one.known[name]] for name in SOURCED}
        common = [name for name, held in holders.items() if len(held) == len(self._datasets)]
        yield f"In every dataset: {_names(common)}."
        yield ""
        if len(self._datasets) > 1:
            for one in self._datasets:
                own = [name for name, held in holders.items() if held == [one.id]]
                if own:
                    yield f"- only in {plain(one.id)}: {_names(own)}"
            yield ""

    def _disagreement(self) -> Iterator[str]:
        yield "## Conflicts"
        yield ""
        if not self._conflicts:
            yield "None: nobody says anything else than what was chosen."
            yield ""
            return
        yield from table(("dataset", "asset", "field", "chosen", "others"), self._conflicts)
        if self._more_conflicts:
            yield f"And {self._more_conflicts:,} more, in `metadata.json`."
            yield ""

    def _unknown(self) -> Iterator[str]:
        yield "## Unknown"
        yield ""
        yield "What is often asked for and stands nowhere; it can be said under `metadata:` in the manifest."
        yield ""
        for one in self._datasets:
            missing = [name for name in _WANTED if not one.known[name]]
            yield f"- {plain(one.id)}: {_names(missing) if missing else 'nothing of these'}"
        yield ""

    def _told(self) -> Iterator[str]:
        notes = [(one.id, note) for one in self._datasets for note in one.notes]
        if notes:
            yield "## Notes"
            yield ""
            yield from table(("dataset", "note"), notes)


_METHOD: Final = """## How values were chosen

- Headers of arrays and files are read, sidecars beside them, answers of archives, and the manifest. Every value keeps
  its source and the place where it stands.
- Where sources differ: {order}. The manifest comes first for fields that it names under `override`.
- Numbers that differ by less than {tolerance} agree. All else is a conflict: other candidates are kept with the rule.
- Lengths are nanometres; what was published is kept beside them. One without a known unit is not used.
- Nothing is guessed: what nobody says is unknown. `assumed` marks what only a name says, by a documented rule.
"""


def _method() -> Iterator[str]:
    order = " over ".join(source for source in PRECEDENCE if source != "computed")
    yield from _METHOD.format(order=order, tolerance=f"{TOLERANCE:.1%}").split("\n")


def _overview_row(one: _Dataset) -> tuple[object, ...]:
    shape, voxel = ([one.first.get(name) for name in _FINEST[at : at + 3]] for at in (0, 3))
    return (
        *(one.id, one.assets, one.rows, ", ".join(name for name, _ in one.formats.most_common(3))),
        _triple(shape) if any(shape) else _recorded(one.first),
        _triple(voxel),
        *(one.first.get("dtype"), one.first.get("license_spdx") or one.first.get("license_text"), one.complete),
    )


def _recorded(first: Mapping[str, Any]) -> str:
    """Of recordings: samples and channels (Any: values of the table)."""
    samples, channels = first.get("n_samples"), first.get("n_channels")
    return f"{samples} samples x {channels or 1} channels" if samples else ""


def _triple(values: Iterable[object]) -> str:
    found = [plain(value) for value in values]
    return " x ".join(found) if any(value != "-" for value in found) else ""


def _counted(one: _Dataset) -> tuple[int, int, int]:
    every = sum(one.known_in(name) >= 1 for name in SOURCED)
    some = sum(0 < one.known_in(name) < 1 for name in SOURCED)
    return every, some, len(SOURCED) - every - some


def _percent(share: float) -> str:
    return "" if not share else f"{max(1, int(share * 100))} %"


def _names(names: Iterable[str]) -> str:
    order = {one.name: number for number, one in enumerate(FIELDS)}
    found = sorted(names, key=lambda name: order[name])
    return ", ".join(f"`{name}`" for name in found) or "none"


def _said(chosen: Chosen) -> str:
    claim = chosen.claim
    return "unknown" if claim is None else f"{plain(claim.value, 60)} ({claim.source})"


def _others(chosen: Chosen) -> str:
    told = []
    for claim in chosen.others:
        why = f", not used: {claim.rejected}" if claim.rejected else ""
        told.append(f"{claim.original if claim.value is None else claim.value} ({claim.source}{why})")
    return "; ".join(dict.fromkeys(told))
