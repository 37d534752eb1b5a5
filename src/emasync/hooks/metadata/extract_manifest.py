"""What the manifest says: ``metadata:``, ``series:``, ``role:``, and where the dataset is from."""

from __future__ import annotations

from typing import Final

from emasync.hooks.interface import DatasetFacts
from emasync.hooks.metadata.claims import Claims, items
from emasync.hooks.metadata.fields import BY_NAME
from emasync.hooks.metadata.rights import license_claims, reference_claims

_LETTERS: Final = frozenset("tczyx")
_KNOWN: Final = frozenset(("axes", "voxel_size", "unit", "license", "citation", "override"))


def manifest_claims(facts: DatasetFacts) -> Claims:
    """Claims of one dataset's entry; keys of ``metadata:`` that are fields of the table are taken as these.

    Parameters
    ----------
    facts : DatasetFacts
    """
    claims = Claims("manifest", f"datasets[{facts.id}]")
    told = facts.metadata
    unit = told.get("unit")
    axes = told.get("axes")
    letters = axes if isinstance(axes, str) and sorted(axes) == sorted(_LETTERS.intersection(axes)) else ""
    if letters:
        claims.claim("axes", ",".join(letters), "metadata.axes")
    elif axes:
        claims.reject("axes", axes, "not letters of tczyx, each once", "metadata.axes")
    for axis, size in zip(letters or "zyx", items(told.get("voxel_size")), strict=False):
        claims.voxel(axis, size, unit, f"metadata.voxel_size ({axis})")
    if facts.series is not None:
        claims.voxel("z", facts.series.spacing, facts.series.unit, "series.spacing")
    license_claims(told.get("license"), "metadata.license", claims)
    reference_claims(told.get("citation"), "metadata.citation", claims)
    if facts.role == "labels":
        claims.claim("is_label", value=True, where="role")
    for name, value in told.items():
        if name in BY_NAME and name not in _KNOWN:
            _direct(name, value, claims)
    return claims


def _direct(name: str, value: object, claims: Claims) -> None:
    """A key that is a field of the table, in the field's unit."""
    where, kind = f"metadata.{name}", BY_NAME[name].kind
    if kind == "boolean":
        if isinstance(value, bool):
            claims.claim(name, value, where)
        else:
            claims.reject(name, value, "neither true nor false", where)
    elif kind == "texts":
        claims.texts(name, value if isinstance(value, list) else [value], where)
    elif kind == "text":
        claims.text(name, value, where)
    elif name.startswith(("voxel_size_", "origin_")):
        claims.length(name, value, "nanometer", where)
    else:
        claims.number(name, value, where, positive=not name.startswith("value_"))


def overridden(facts: DatasetFacts) -> frozenset[str]:
    """Fields for which the manifest is to be believed first; ``voxel_size`` stands for its axes."""
    named = {name for name in items(facts.metadata.get("override")) if isinstance(name, str)}
    sizes = {f"voxel_size_{axis}_nm" for axis in "zyx"} if "voxel_size" in named else set()
    return frozenset(name for name in named | sizes if name in BY_NAME)


def unknown_keys(facts: DatasetFacts) -> dict[str, object]:
    """What else ``metadata:`` says: kept as it is."""
    return {name: value for name, value in facts.metadata.items() if name not in _KNOWN and name not in BY_NAME}
