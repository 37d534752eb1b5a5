"""What ``metadata.json`` says, as far as a page has room for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import orjson

READ_BYTES: Final = 16 << 20
"""Of the document: some thousand assets. It has a line for each dataset and each asset."""

MOST_ASSETS: Final = 300

MOST_CONFLICTS: Final = 50
"""Of one asset."""

_OPENS: Final = b',"assets":['


@dataclass(frozen=True, slots=True)
class Statement:
    """One value, and who says so.

    Attributes
    ----------
    value : str
        Empty where what was said cannot be used.
    source : str
    where : str
    original : str
        As published, where that is another unit or spelling.
    rejected : str
        Why it is not used.
    """

    value: str
    source: str
    where: str = ""
    original: str = ""
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field about which sources disagree.

    Attributes
    ----------
    field : str
    chosen : Statement or None
    others : tuple of Statement
    rule : str
        That chose.
    """

    field: str
    chosen: Statement | None
    others: tuple[Statement, ...]
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedAsset:
    """An asset; of its arrays the finest.

    Attributes
    ----------
    dataset, asset, kind, format : str
    arrays : int
        Levels and arrays that it has.
    fields : mapping of str to Statement
    conflicts : tuple of Conflict
        Of the asset and all its arrays, a field once.
    """

    dataset: str
    asset: str
    kind: str = ""
    format: str = ""
    arrays: int = 0
    fields: Mapping[str, Statement] = field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()


def described_assets(beginning: bytes) -> tuple[DescribedAsset, ...]:
    """Read the first assets of the document; what cannot be read is passed over.

    Parameters
    ----------
    beginning : bytes
        The document, or its first :data:`READ_BYTES`.
    """
    return tuple(islice(_assets(beginning), MOST_ASSETS))


def _assets(beginning: bytes) -> Iterator[DescribedAsset]:
    for line in beginning.split(b"\n")[1:]:
        if line.endswith(_OPENS):
            continue  # a dataset begins
        try:
            yield _asset(orjson.loads(line.removesuffix(b",")))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue


def _asset(said: dict[str, Any]) -> DescribedAsset:
    """Any: JSON, from a file that anybody may have changed."""
    arrays = said["arrays"]
    fields = {**(arrays[0]["fields"] if arrays else {}), **said["fields"]}
    conflicts = [conflict for part in (said, *arrays) for conflict in part["conflicts"]]
    by_field = {str(conflict["field"]): _conflict(conflict) for conflict in reversed(conflicts)}
    return DescribedAsset(
        dataset=str(said["dataset"]),
        asset=str(said["asset"]),
        kind=str(said["kind"]),
        format=str(said["format"]),
        arrays=len(arrays),
        fields={str(name): _statement(value) for name, value in fields.items()},
        conflicts=tuple(reversed(by_field.values()))[:MOST_CONFLICTS],
    )


def _conflict(said: dict[str, Any]) -> Conflict:
    """Any: as above."""
    chosen = said["chosen"]
    return Conflict(
        field=str(said["field"]),
        chosen=None if chosen is None else _statement(chosen),
        others=tuple(map(_statement, said["others"])),
        rule=str(said["rule"]),
    )


def _statement(said: dict[str, Any]) -> Statement:
    """Any: as above."""
    texts = (str(said.get(name, "")) for name in ("where", "original", "rejected"))
    return Statement(_text(said["value"]), str(said["source"]), *texts)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case list():
            return "; ".join(map(_text, value))
        case _:
            return str(value)
