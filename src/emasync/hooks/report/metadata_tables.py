"""What is known of each asset, with marks that say who says so, and where sources disagree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final
from xml.etree.ElementTree import Element

from emasync.hooks.report.described import Conflict, DescribedAsset, Statement
from emasync.hooks.report.markup import Child, tag
from emasync.hooks.report.tables import table
from emasync.model.amounts import counted

MARKS: Final = {
    "header": "H",
    "sidecar": "S",
    "api": "A",
    "webpage": "W",
    "manifest": "M",
    "assumed": "?",
    "computed": "C",
}
"""Who says so, in a letter."""

COLUMNS: Final[Sequence[tuple[str, Sequence[str]]]] = (
    ("Size in voxels", ("shape_z", "shape_y", "shape_x")),
    ("Type", ("dtype",)),
    ("Voxel size, nm", ("voxel_size_z_nm", "voxel_size_y_nm", "voxel_size_x_nm")),
    ("Modality", ("modality",)),
    ("Organism", ("organism",)),
    ("Sample", ("sample", "tissue")),
    ("Instrument", ("instrument",)),
    ("Channels", ("n_channels",)),
    ("Rate, Hz", ("sampling_rate_hz",)),
    ("Duration, s", ("duration_s",)),
)
"""Columns of the table, and the fields that each joins; those that nobody fills are left out."""

MOST_CONFLICTS: Final = 300
MOST_DETAILED: Final = 40
"""Assets whose fields are all listed."""

MOST_DETAIL_BYTES: Final = 48 << 10
"""Of one of these lists: some hundred fields."""

_ZYX: Final = ("z", "y", "x")
_UNITS: Final = ("nm", "um", "hz", "kv", "na", "us", "s", "mhz")


def metadata_section(assets: Sequence[DescribedAsset]) -> Element | None:
    """The tables; None where nothing was described."""
    if not assets:
        return None
    return tag(
        "section",
        tag("h2", "Metadata"),
        _legend(),
        _overview(assets),
        _conflicts(assets),
        [_details(asset) for asset in assets[:MOST_DETAILED]],
        tag("p", "All of it: metadata.json, metadata.csv and the folder metadata."),
        id="metadata",
    )


def _legend() -> Element:
    who: list[Child] = [(tag("abbr", letter, class_="mark"), f" {source} ") for source, letter in MARKS.items()]
    doubt = tag("span", "\u26a0", class_="conflict")
    return tag("p", "Who says so: ", who, doubt, " others say something else", class_="sum")


def _overview(assets: Sequence[DescribedAsset]) -> Element:
    used = [(head, names) for head, names in COLUMNS if any(name in asset.fields for asset in assets for name in names)]
    rows = [(_name(asset), asset.format, *(_joined(asset, names) for _, names in used)) for asset in assets]
    return table("Assets, of each its finest array", ("Asset", "Format", *(head for head, _ in used)), rows)


def _name(asset: DescribedAsset) -> str:
    return asset.dataset if asset.asset == asset.dataset else f"{asset.dataset}/{asset.asset}"


def _joined(asset: DescribedAsset, names: Sequence[str]) -> Child:
    """Values of some fields, each source marked once."""
    found = [(name, said) for name in names if (said := asset.fields.get(name)) is not None]
    if not found:
        return _doubt(asset, names)
    sources = dict.fromkeys(said.source for _, said in found)
    return [_along_axes(found), [mark(source) for source in sources], _doubt(asset, names)]


def _along_axes(found: Sequence[tuple[str, Statement]]) -> str:
    """Values along z, y and x in this order; named where one of them is not known. Other values one after the other."""
    values = [said.value for _, said in found]
    axes = [axis for name, _ in found for axis in name.removesuffix("_nm").split("_")[-1:] if axis in _ZYX]
    if len(axes) < len(values):
        return "; ".join(values)
    if len(axes) < len(_ZYX):
        values = [f"{axis} {value}" for axis, value in zip(axes, values, strict=True)]
    return "\u00a0\u00d7\u00a0".join(values)


def _doubt(asset: DescribedAsset, names: Sequence[str]) -> Child:
    disputed = [conflict.field for conflict in asset.conflicts if conflict.field in names]
    return tag("a", "\u26a0", href="#conflicts", class_="conflict", title=", ".join(disputed)) if disputed else None


def mark(source: str, where: str = "") -> Element:
    """A letter that says who says so."""
    told = f"{source}: {where}" if where else source
    return tag("abbr", MARKS.get(source, source[:1]), class_="mark", title=told)


def _conflicts(assets: Sequence[DescribedAsset]) -> Child:
    disputed = ((asset, conflict) for asset in assets for conflict in asset.conflicts)
    rows = [_conflict(asset, conflict) for asset, conflict in islice(disputed, MOST_CONFLICTS)]
    count = sum(len(asset.conflicts) for asset in assets)
    if not rows:
        return tag("p", "No two sources disagree.")
    heads = ("Asset", "Field", "Taken", "Others say", "Because")
    title = f"Where sources disagree: {counted(count, 'field')}"
    return tag("div", table(title, heads, rows, more=count - len(rows)), id="conflicts")


def _conflict(asset: DescribedAsset, conflict: Conflict) -> tuple[Child, ...]:
    taken = "nothing: unknown" if conflict.chosen is None else _told(conflict.chosen)
    others = tag("ul", [tag("li", _told(other)) for other in conflict.others])
    return _name(asset), words(conflict.field), taken, others, conflict.rule


def _told(said: Statement) -> Child:
    original = f" (published as {said.original})" if said.original and said.original != said.value else ""
    refused = f" \u2013 not used: {said.rejected}" if said.rejected else ""
    return [said.value or "", original, refused, " ", mark(said.source, said.where)]


def _details(asset: DescribedAsset) -> Element:
    heads = ("Field", "Value", "As published", "Who says so", "Where")
    levels = f", {asset.arrays} arrays and levels" if asset.arrays > 1 else ""
    title = f"{_name(asset)}: {counted(len(asset.fields), 'field')}{levels}"
    fields = table(f"All fields of {_name(asset)}", heads, _fields(asset), most_bytes=MOST_DETAIL_BYTES)
    return tag("details", tag("summary", title), fields)


def _fields(asset: DescribedAsset) -> Iterator[tuple[Child, ...]]:
    for name, said in asset.fields.items():
        yield words(name), said.value, said.original, said.source, said.where


def words(name: str) -> str:
    """A field's name for people: ``voxel_size_z_nm`` is "voxel size z, nm"."""
    *parts, last = name.split("_")
    return f"{' '.join(parts)}, {last}" if parts and last in _UNITS else " ".join((*parts, last))
