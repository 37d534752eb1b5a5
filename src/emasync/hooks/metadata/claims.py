"""Claims: one value for one field, who says so, and where exactly; bounded and checked, never guessed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from emasync.hooks.metadata.fields import BY_NAME, Value
from emasync.model.units import NANOMETRES

Source = Literal["header", "sidecar", "api", "webpage", "manifest", "assumed", "computed"]
"""``computed``: counted or derived here, from files and ledger."""

MAX_TEXT: Final = 2_000
"""Characters of a text that are kept."""

MAX_ITEMS: Final = 200
"""Of a list."""

MAX_CLAIMS: Final = 20_000
"""Of one collector; beyond they are counted."""

_SHOWN: Final = 100
_SHORT: Final = 10
_MARKS: Final = "#?-_.* "
"""Short texts of nothing else hold a place: ``###``."""

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?")
_MOST_NM: Final = 1e10
"""Ten metres: no voxel is longer."""

_LEAST_NM: Final = 1e-4
_LONG_FORMS: Final = {
    "inch": 2.54e7,
    "in": 2.54e7,
    "micron": 1e3,
    "microns": 1e3,
    "picometer": 1e-3,
    "pm": 1e-3,
    "\u212b": 0.1,
    "a": 0.1,
    "ångström": 0.1,
    "ångstrom": 0.1,
}
"""More spellings than images use: TIFF, DigitalMicrograph, people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One candidate.

    Attributes
    ----------
    field : str
    value : str, int, float, bool, tuple of str or None
        None where what was said cannot be used, see `rejected`.
    source : str
    where : str
        Document, and place in it.
    original : str
        As published, where that is another unit or spelling.
    rejected : str
        Why it is not used.
    note : str
        What was made of it.
    scope : str
        Path below the dataset that it is about, with all below it; empty for all of the dataset.
    scale : int or None
        Level that it is about, where it says so.
    """

    field: str
    value: Value | None
    source: Source
    where: str
    original: str = ""
    rejected: str = ""
    note: str = ""
    scope: str = ""
    scale: int | None = None


@dataclass(slots=True)
class Claims:
    """Collects what one document says (mutable: grows).

    Attributes
    ----------
    source : str
    document : str
        Named in every claim.
    scope : str
        Of claims that name none.
    found : list of Claim
    notes : list of str
    """

    source: Source
    document: str
    scope: str = ""
    found: list[Claim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, claim: Claim) -> None:
        """Take one."""
        if len(self.found) < MAX_CLAIMS:
            self.found.append(claim)

    def claim(self, name: str, value: Value | None, where: str, **more: str | int | None) -> None:
        """A value that was checked by the caller, a text but for its length; None for nothing said."""
        if value is not None and value not in ("", ()):
            whole = not isinstance(value, str) or len(value) <= MAX_TEXT
            self.add(self._made(name, value if whole else text_of(value), where, more))

    def place(self, where: str) -> str:
        """Document and member."""
        return f"{self.document}: {where}" if where else self.document

    def reject(self, name: str, raw: object, why: str, where: str, **more: str | int | None) -> None:
        """Keep what was said, and that it is not used."""
        self.add(self._made(name, None, where, {"original": shown(raw), "rejected": why, **more}))

    def _made(self, name: str, value: Value | None, where: str, more: Mapping[str, str | int | None]) -> Claim:
        told = {"scope": self.scope, **more} if "scope" not in more else more
        place = self.place(where)
        return Claim(field=name, value=value, source=self.source, where=place, **told)  # type: ignore[arg-type]  # texts

    def text(self, name: str, raw: object, where: str, **more: str | int | None) -> None:
        """A text; null, blank, and what is none are nothing said."""
        found = text_of(raw)
        if BY_NAME[name].kind == "texts":
            self.texts(name, [raw], where, **more)
        elif found:
            self.claim(name, found, where, **more)

    def texts(self, name: str, raw: Iterable[object], where: str, **more: str | int | None) -> None:
        """A list of texts, each once."""
        items = list(dict.fromkeys(found for item in raw if (found := text_of(item))))
        self.claim(name, tuple(items[:MAX_ITEMS]), where, **more)

    def number(
        self,
        name: str,
        raw: object,
        where: str,
        *,
        factor: float = 1.0,
        unit: str = "",
        positive: bool = True,
        **more: str | int | None,
    ) -> None:
        """A number, also one in quotes, which is noted; what cannot be one is rejected.

        Parameters
        ----------
        factor : float
            From what is published to the field's unit.
        unit : str
            As published, for people.
        positive : bool
            Whether 0 and less cannot be.
        """
        if raw is None or raw == "":
            return
        value = number_of(raw)
        if value is None:
            self.reject(name, raw, "not a finite number", where, **more)
        elif positive and value <= 0:
            self.reject(name, raw, "not positive", where, **more)
        else:
            self._accept(name, raw, value * factor, where, f"{shown(raw)} {unit}".strip(), **more)

    def _accept(self, name: str, raw: object, value: float, where: str, said: str, **more: str | int | None) -> None:
        notes = ("a number in quotes" if isinstance(raw, str) else "", str(more.pop("note", "")))
        note = "; ".join(filter(None, notes))
        if BY_NAME[name].kind == "integer":
            if not float(value).is_integer() or abs(value) >= 1 << 63:
                self.reject(name, raw, "not a whole number", where, **more)
                return
            self.claim(name, int(value), where, note=note, **more)
            return
        self.claim(name, tidy(value), where, original=said, note=note, **more)

    def length(self, name: str, raw: object, unit: object, where: str, **more: str | int | None) -> None:
        """A length in nanometres; one without a unit that is known is rejected, never taken for nanometres."""
        if raw is None or raw == "":
            return
        factor = nanometres(unit)
        said = f"{shown(raw)} {shown(unit) if unit else '(no unit)'}"
        value = number_of(raw)
        problem = _length_problem(value, factor, unit, signed=name.startswith("origin_"))
        if problem or value is None or factor is None:
            self.reject(name, said, problem or "no number", where, **more)
            return
        self._accept(name, raw, value * factor, where, said, **more)

    def voxel(self, axis: str, raw: object, unit: object, where: str, **more: str | int | None) -> None:
        """The voxel size along `axis`; axes that are not spatial are passed over."""
        if axis.lower() in ("z", "y", "x"):
            self.length(f"voxel_size_{axis.lower()}_nm", raw, unit, where, **more)
            if nanometres(unit) is not None:
                self.text("voxel_unit", unit, where, **more)


def _length_problem(value: float | None, factor: float | None, unit: object, *, signed: bool) -> str:
    if value is None:
        return "not a finite number"
    if factor is None:
        return f"the unit {shown(unit)} is no unit of length" if unit else "no unit is given"
    if signed:
        return "" if abs(value * factor) < _MOST_NM else "absurd: beyond ten metres"
    if value <= 0:
        return "not positive"
    return "" if _LEAST_NM <= value * factor <= _MOST_NM else "absurd: no voxel is as large or small as that"


def nanometres(unit: object) -> float | None:
    """How many nanometres a unit of length is; None for what is none."""
    if not isinstance(unit, str):
        return None
    name = unit.strip().lower().replace("metre", "meter")
    known = NANOMETRES.get(name, _LONG_FORMS.get(name))
    return known if known is not None else NANOMETRES.get(name.removesuffix("s"))


def number_of(raw: object) -> float | None:
    """A finite number, also from a decimal text; None for anything else."""
    if isinstance(raw, str):
        text = raw.strip()
        raw = float(text) if len(text) <= _SHOWN and _NUMBER.fullmatch(text) else None
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    try:
        value = float(raw)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def tidy(value: float) -> float:
    """Without the noise of float arithmetic: 12 digits."""
    return float(f"{value:.12g}")


def text_of(raw: object) -> str:
    """A text without blanks around it, bounded, without control characters; empty for ``###`` and for anything else."""
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        raw = f"{raw}"
    if not isinstance(raw, str):
        return ""
    kept = raw[: 2 * MAX_TEXT]
    if not kept.isprintable():
        kept = "".join(mark if mark.isprintable() or mark in "\n\t" else " " for mark in kept)
    found = kept.strip()
    if len(found) <= _SHORT and not found.strip(_MARKS):
        return ""
    return found if len(found) <= MAX_TEXT else found[:MAX_TEXT] + "..."


def shown(raw: object) -> str:
    """What was said, for people, bounded."""
    text = raw if isinstance(raw, str) else f"{raw}"
    clean = text[: _SHOWN + 1]
    if not clean.isprintable():
        clean = "".join(mark if mark.isprintable() else " " for mark in clean)
    return clean if len(clean) <= _SHOWN else clean[:_SHOWN] + "..."


def member(value: object, *names: str) -> object:
    """A member of nested objects; None where one is missing or no object is."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def items(value: object) -> Sequence[object]:
    """The items of a list, :data:`MAX_ITEMS` at most; none of anything else."""
    return value[:MAX_ITEMS] if isinstance(value, list) else ()
