"""From candidates to one value a field: a stated rule, and nothing thrown away.

Candidates are put in the order of :data:`PRECEDENCE`, those of one source in the order they were found. The first
usable one is the value. Candidates that differ from it are a conflict, and stay beside it with the rule.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from emasync.hooks.metadata.claims import MAX_ITEMS, Claim, Source
from emasync.hooks.metadata.fields import BY_NAME, Field, Value

PRECEDENCE: Final[tuple[Source, ...]] = ("computed", "header", "sidecar", "api", "webpage", "manifest", "assumed")

TOLERANCE: Final = 1e-3
"""Numbers that differ by less, relatively, agree: 8 nm is 7.99825 nm, rounded."""

MOMENT_S: Final = 60.0
"""Moments that are not further apart agree: a folder is named when it is made, a session begins soon after."""

MAX_CANDIDATES: Final = 20
"""Of one field that are kept beside its value."""

RULE: Final = "header over sidecar over api over webpage over manifest over assumed"
OVERRIDE: Final = "the manifest names this field under override"
NO_USE: Final = "nothing that can be used was said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The value of one field.

    Attributes
    ----------
    claim : Claim or None
        None where nothing that was said can be used.
    others : tuple of Claim
        That say something else, or cannot be used.
    rule : str
        Why it is this one; empty where nobody disagrees.
    """

    claim: Claim | None
    others: tuple[Claim, ...] = ()
    rule: str = ""

    @property
    def value(self) -> Value | None:
        """None for unknown."""
        return None if self.claim is None else self.claim.value


def merge(claims: Iterable[Claim], override: Collection[str] = ()) -> dict[str, Chosen]:
    """One value a field, by field name.

    Parameters
    ----------
    claims : iterable of Claim
        About one thing.
    override : collection of str
        Fields for which the manifest is to be believed before all others; structural fields are not among them.
    """
    by_field: dict[str, list[Claim]] = {}
    for claim in claims:
        by_field.setdefault(claim.field, []).append(claim)
    return {name: _choose(BY_NAME[name], found, override) for name, found in by_field.items()}


def _choose(field: Field, found: list[Claim], override: Collection[str]) -> Chosen:
    first = field.name in override and not field.structural
    ranked = sorted(_nearest(field, found, manifest_first=first), key=lambda claim: _rank(claim, manifest_first=first))
    usable = [claim for claim in ranked if not claim.rejected]
    if field.kind == "texts":
        usable = _joined(usable)
    refused = [claim for claim in ranked if claim.rejected]
    if not usable:
        return Chosen(claim=None, others=tuple(refused[:MAX_CANDIDATES]), rule=NO_USE)
    chosen, *rest = usable
    others = [*(claim for claim in rest if not agree(claim.value, chosen.value)), *refused]
    if not others or field.quiet:
        return Chosen(claim=chosen)
    rule = OVERRIDE if first and chosen.source == "manifest" else RULE
    return Chosen(claim=chosen, others=tuple(others[:MAX_CANDIDATES]), rule=rule)


def _joined(claims: list[Claim]) -> list[Claim]:
    """Lists that one source tells of one thing in several places are one list: each paper of an entry adds to it."""
    found: dict[tuple[str, str], Claim] = {}
    for claim in claims:
        key = claim.source, claim.scope
        known = found.get(key)
        items = dict.fromkeys([*(_items(known) if known is not None else ()), *_items(claim)])
        found[key] = replace(known or claim, value=tuple(items)[:MAX_ITEMS])
    return list(found.values())


def _items(claim: Claim) -> tuple[str, ...]:
    return claim.value if isinstance(claim.value, tuple) else ()


def _nearest(field: Field, found: list[Claim], *, manifest_first: bool) -> list[Claim]:
    """Of a field that what lies nearer replaces: what is told at the deepest scope.

    Beside it stay whatever is only assumed, and the manifest where it is to be believed first.
    """
    if not field.nearest:
        return found
    kept = {"assumed", "manifest"} if manifest_first else {"assumed"}
    usable = [claim for claim in found if not claim.rejected]
    told = [claim for claim in usable if claim.source != "assumed"] or usable
    depth = max((len(claim.scope) for claim in told), default=0)
    return [claim for claim in found if len(claim.scope) == depth or claim.rejected or claim.source in kept]


def _rank(claim: Claim, *, manifest_first: bool) -> int:
    return -1 if manifest_first and claim.source == "manifest" else PRECEDENCE.index(claim.source)


def agree(one: Value | None, other: Value | None) -> bool:
    """Whether a candidate says nothing that the other one does not.

    Numbers agree up to rounding, texts without regard to case and blanks; a list agrees with one that holds all of it.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one == other
    if isinstance(one, int | float) and isinstance(other, int | float):
        if isinstance(one, int) and isinstance(other, int):
            return one == other
        return abs(one - other) <= TOLERANCE * max(abs(one), abs(other))
    if isinstance(one, tuple) and isinstance(other, tuple):
        return {item.casefold() for item in one} <= {item.casefold() for item in other}
    return _same_text(one, other) if isinstance(one, str) and isinstance(other, str) else one == other


def _same_text(one: str, other: str) -> bool:
    apart_s = _apart_s(one, other)
    if apart_s is not None:
        return apart_s <= MOMENT_S
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()


def _apart_s(one: str, other: str) -> float | None:
    """Seconds between two moments of ISO 8601; local times where one of them has no zone. None for other texts."""
    if min(len(one), len(other)) < len("2026-11-21T00:00") or not (one[:4].isdigit() and other[:4].isdigit()):
        return None
    try:
        first, second = datetime.fromisoformat(one), datetime.fromisoformat(other)
    except ValueError:
        return None
    if (first.tzinfo is None) != (second.tzinfo is None):
        first, second = first.replace(tzinfo=None), second.replace(tzinfo=None)
    return abs((first - second).total_seconds())


def conflicts(chosen: Mapping[str, Chosen]) -> dict[str, Chosen]:
    """Fields about which somebody says something else, or something that cannot be used."""
    return {name: one for name, one in chosen.items() if one.others}
