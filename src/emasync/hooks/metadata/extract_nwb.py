"""NWB files and other HDF5: sessions, subjects, series (NWB core schema 1.0 to 2.9), from facts of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from emasync.hooks.metadata.claims import Claims, items, member, number_of, text_of
from emasync.hooks.metadata.extract_dandi import sex_claims, species_claims
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord
from emasync.hooks.metadata.rights import doi_claims
from emasync.hooks.metadata.storage import dtype_name

Facts = Mapping[str, Any]
"""JSON (Any)."""

MAX_ROWS: Final = 200
"""Arrays of one file that get a row."""

_NAMES: Final = {2: ("t", "c"), 1: ("t",)}
_LEAST_VALUES: Final = 1_000
"""Of arrays of plain HDF5 that are more than a setting."""


def describe_hdf5(path: str, facts: Facts) -> AssetRecord:
    """A file as an asset: a session where it is NWB.

    Parameters
    ----------
    path : str
        Below the dataset's folder.
    facts : mapping
        Of :func:`~emasync.hooks.metadata.hdf5_facts.facts_of`, or of the same shape.
    """
    claims = Claims("header", path, path)
    version = member(facts, "attributes", "nwb_version") or next(iter(_texts(facts, "nwb_version")), None)
    form = "nwb" if version is not None else "hdf5"
    claims.claim("format", form, "")
    if version is not None:
        claims.claim("metadata_convention", f"NWB {text_of(version).removeprefix('NWB-')}", "nwb_version")
        session_claims(facts, claims)
    numbers = member(facts, "numbers")
    claims.number("sampling_rate_hz", member(numbers, "info/recordings/fs"), "info/recordings/fs", unit="Hz")
    claims.number("duration_s", member(numbers, "info/recordings/duration"), "info/recordings/duration", unit="s")
    rows = _chosen(items_of(facts), nwb=version is not None)
    arrays = tuple(_array(row, path) for row in rows[:MAX_ROWS])
    return AssetRecord(
        path=path,
        kind="session" if version is not None else "file",
        format=form,
        claims=tuple(claims.found),
        arrays=arrays,
        files=(path,),
        details={"arrays": items_of(facts), "more_arrays": member(facts, "more_arrays") or 0},
    )


def items_of(facts: Facts) -> list[Any]:
    """Arrays that were told (Any: JSON)."""
    found = facts.get("arrays")
    return found if isinstance(found, list) else []


def _chosen(arrays: Sequence[Any], *, nwb: bool) -> list[Any]:
    """Of NWB the series that were recorded, of other files what is large enough (Any: JSON)."""
    if nwb:
        series = [row for row in arrays if _is_series(str(row["path"]), "acquisition/")]
        return series or [row for row in arrays if _is_series(str(row["path"]), "")]
    large = [row for row in arrays if _count(row["shape"]) >= _LEAST_VALUES]
    return large or list(arrays)


def _is_series(path: str, below: str) -> bool:
    return path.startswith(below) and path.endswith("/data")


def _count(shape: Sequence[int]) -> int:
    total = 1
    for length in shape:
        total *= int(length)
    return total


def session_claims(facts: Facts, claims: Claims) -> None:
    """Session and subject; either may be absent.

    Parameters
    ----------
    facts : mapping
        Any: JSON.
    claims : Claims
        Grows.
    """
    for name, path in (
        ("acquired_at", "session_start_time"),
        ("description", "session_description"),
        ("session_id", "general/session_id"),
        ("institution", "general/institution"),
        ("technique", "general/experiment_description"),
        ("preparation", "general/surgery"),
        ("subject_id", "general/subject/subject_id"),
        ("age", "general/subject/age"),
        ("date_of_birth", "general/subject/date_of_birth"),
        ("genotype", "general/subject/genotype"),
        ("strain", "general/subject/strain"),
    ):
        for text in _texts(facts, path)[:1]:
            claims.text(name, text, path)
    claims.texts("authors", _texts(facts, "general/experimenter"), "general/experimenter")
    for text in _texts(facts, "general/subject/sex")[:1]:
        sex_claims(text, "general/subject/sex", claims)
    for text in _texts(facts, "general/subject/species")[:1]:
        species_claims(text, "general/subject/species", claims)
    for text in _texts(facts, "general/related_publications"):
        doi_claims(text, "general/related_publications", claims)
    _say_devices(facts, claims)


def _texts(facts: Facts, path: str) -> list[str]:
    return [text for text in items(member(facts, "texts", path)) if isinstance(text, str)]


def _say_devices(facts: Facts, claims: Claims) -> None:
    devices = [text_of(member(one, "name")) for one in items(member(facts, "members", "general/devices"))]
    claims.text("instrument", ", ".join(filter(None, devices)), "general/devices")
    groups = items(member(facts, "members", "general/extracellular_ephys"))
    probes = [text_of(member(one, "description")) for one in groups if member(one, "rows") is None]
    claims.text("probe", ", ".join(dict.fromkeys(filter(None, probes))), "general/extracellular_ephys")
    for plane in items(member(facts, "members", "general/optophysiology")):
        where = f"general/optophysiology/{text_of(member(plane, 'name'))}"
        unit = member(plane, "grid_spacing_unit") or "meters"
        for axis, size in zip("xyz", items(member(plane, "grid_spacing")), strict=False):
            claims.length(f"voxel_size_{axis}_nm", size, unit, f"{where}/grid_spacing ({axis})")
        for rate in items(member(plane, "imaging_rate")):
            claims.number("sampling_rate_hz", rate, f"{where}/imaging_rate", unit="Hz")


def _array(row: Any, path: str) -> ArrayRecord:
    """One dataset (Any: JSON)."""
    claims = Claims("header", path, path)
    where = text_of(row["path"])
    shape = [int(length) for length in row["shape"]]
    axes = _NAMES.get(len(shape)) if row.get("series") or row.get("rate") else None
    if axes is not None:
        claims.claim("axes", ",".join(axes), where)
        for axis, length in zip(axes, shape, strict=True):
            claims.claim(f"shape_{axis}", length, where)
        _say_series(row, shape, where, claims)
    elif len(shape) == 3:  # noqa: PLR2004 - volumes
        for axis, length in zip("zyx", shape, strict=True):
            claims.claim(f"shape_{axis}", length, where)
        for axis, size in zip("zyx", items(row.get("element_size_um")), strict=False):
            claims.length(f"voxel_size_{axis}_nm", size, "micrometer", f"{where}: element_size_um")
    dtype, order = dtype_name(text_of(row["dtype"]))
    claims.text("dtype", dtype, where)
    claims.text("byte_order", order, where)
    ahead, behind = (name if row.get(name) else "" for name in ("shuffle", "fletcher32"))
    chain = (ahead, text_of(row.get("compression")), behind)
    claims.claim("codec_chain", ", ".join(filter(None, chain)) or "none", where)
    return ArrayRecord(path=where, claims=tuple(claims.found))


def _say_series(row: Any, shape: list[int], where: str, claims: Claims) -> None:
    """Rate, duration, unit of a time series (Any: JSON)."""
    rate = number_of(row.get("rate"))
    claims.number("sampling_rate_hz", rate, f"{where}: starting_time.rate", unit="Hz")
    claims.claim("n_samples", shape[0], where)
    if len(shape) > 1:
        claims.claim("n_channels", shape[1], where)
    if rate and rate > 0:
        claims.number("duration_s", shape[0] / rate, f"{where}: samples over rate", unit="s")
    claims.text("value_unit", row.get("unit"), f"{where}: unit")
    conversion = number_of(row.get("conversion"))
    if conversion is not None and conversion not in (0.0, 1.0):
        claims.number("value_scale", conversion, f"{where}: conversion", positive=False)
