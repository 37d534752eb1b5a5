"""What ``metadata.json`` says, as far as a page has room for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import msgspec
import orjson

from emasync.hooks.report.markup import cut

MOST_READ_BYTES: Final = 256 << 20
"""Of the document, which has a line for each dataset and each asset: read in a part of a second."""

MOST_ASSETS: Final = 300
"""From the beginning of the document on."""

MOST_FIRST: Final = 300
"""Datasets of which the first asset is wanted besides, wherever it stands: cards tell rights from it."""

MOST_KEPT_BYTES: Final = 16 << 20
"""Of what was read: an asset is some 6 kB, and one of hostile texts a thousand times that."""

MOST_FIELDS: Final = 300
"""Of one asset."""

MOST_CONFLICTS: Final = 50
"""Of one asset."""

MOST_OTHERS: Final = 20
"""Statements that were not taken, of one field."""

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


def described_assets(pieces: Iterable[bytes], datasets: int = MOST_FIRST) -> tuple[DescribedAsset, ...]:
    """Read the first assets of the document, and the first of each dataset; what cannot be read is passed over.

    Parameters
    ----------
    pieces : iterable of bytes
        The document, cut anywhere. No more of it is asked for than it takes.
    datasets : int
        How many there are, as far as known.
    """
    return tuple(_assets(_lines(pieces), min(datasets, MOST_FIRST)))


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    begun: list[bytes] = []
    for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield b"".join((*begun, line))
            begun.clear()
        begun.append(rest)
    yield b"".join(begun)


def _assets(lines: Iterator[bytes], datasets: int) -> Iterator[DescribedAsset]:
    begun, taken, room_bytes = 0, 0, MOST_KEPT_BYTES
    wants_first = False
    for line in islice(lines, 1, None):
        if line.endswith(_OPENS):
            begun, wants_first = begun + 1, begun < datasets
        elif (wants_first or taken < MOST_ASSETS) and (asset := _readable(line)) is not None:
            taken, wants_first = taken + 1, False
            room_bytes -= len(msgspec.json.encode(asset))
            if room_bytes < 0:
                return
            yield asset
        if taken >= MOST_ASSETS and begun >= datasets and not wants_first:
            return


def _readable(line: bytes) -> DescribedAsset | None:
    try:
        return _asset(orjson.loads(line.removesuffix(b",")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _asset(said: dict[str, Any]) -> DescribedAsset:
    """Any: JSON, from a file that anybody may have changed."""
    arrays = said["arrays"]
    fields = {**(arrays[0]["fields"] if arrays else {}), **said["fields"]}
    conflicts = [conflict for part in (said, *arrays) for conflict in part["conflicts"]]
    by_field = {str(conflict["field"]): _conflict(conflict) for conflict in reversed(conflicts)}
    return DescribedAsset(
        dataset=str(said["dataset"]),
        asset=cut(str(said["asset"])),
        kind=cut(str(said["kind"])),
        format=cut(str(said["format"])),
        arrays=len(arrays),
        fields={cut(str(name)): _statement(value) for name, value in islice(fields.items(), MOST_FIELDS)},
        conflicts=tuple(reversed(by_field.values()))[:MOST_CONFLICTS],
    )


def _conflict(said: dict[str, Any]) -> Conflict:
    """Any: as above."""
    chosen = said["chosen"]
    return Conflict(
        field=cut(str(said["field"])),
        chosen=None if chosen is None else _statement(chosen),
        others=tuple(map(_statement, said["others"][:MOST_OTHERS])),
        rule=cut(str(said["rule"])),
    )


def _statement(said: dict[str, Any]) -> Statement:
    """Any: as above."""
    texts = (cut(str(said.get(name, ""))) for name in ("where", "original", "rejected"))
    return Statement(cut(_text(said["value"])), cut(str(said["source"])), *texts)


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
