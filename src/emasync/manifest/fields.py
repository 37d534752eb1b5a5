"""Types of manifest fields: each reads what YAML or a Python object gives, and says what it expected."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

from pydantic import BeforeValidator, Field, JsonValue, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from emasync.errors import InputError
from emasync.manifest.problems import shown
from emasync.manifest.quantities import (
    DURATION_PATTERN,
    RATE_PATTERN,
    SIZE_PATTERN,
    parse_duration,
    parse_rate,
    parse_rate_or_none,
    parse_size,
)
from emasync.manifest.scalars import Plain, free_value
from emasync.model.globs import check_glob
from emasync.model.location import Location

T = TypeVar("T")
U = TypeVar("U")

RULE: Final = "manifest_rule"
"""Type of this package's own errors inside pydantic: context ``rule`` may always be shown, ``detail`` may not."""


def reject(rule: str, detail: str = "") -> PydanticCustomError:
    """Error of a validator.

    Parameters
    ----------
    rule : str
        What is expected; names no value.
    detail : str
        What came; hidden where a ``${VAR}`` was filled in.
    """
    return PydanticCustomError(RULE, "{rule}{detail}", {"rule": rule, "detail": detail})


def _got(rule: str, value: object) -> PydanticCustomError:
    return reject(rule, f"; got {shown(value)}")


def _as_text(value: object) -> str:
    if isinstance(value, Plain):
        return value.written
    if isinstance(value, str):
        return value
    raise _got("expected text", value)


def _number_in(value: object) -> int | float | None:
    """Number in a field's value; None for anything else, booleans too."""
    inner = value.value if isinstance(value, Plain) else value
    return inner if isinstance(inner, int | float) and not isinstance(inner, bool) else None


def _as_integer(value: object) -> int:
    number = _number_in(value)
    if isinstance(number, int):
        return number
    raise _got("expected a whole number", value)


def _as_number(value: object) -> float:
    number = _number_in(value)
    if number is not None and math.isfinite(number):
        return float(number)
    raise _got("expected a number", value)


def _as_flag(value: object) -> bool:
    inner = value.value if isinstance(value, Plain) else value
    if isinstance(inner, bool):
        return inner
    raise _got("expected true or false", value)


def _as_json(value: object) -> object:
    if isinstance(value, Plain):
        return free_value(value)
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, list | tuple) else value


def _as_size(value: object) -> int:
    return _quantity(parse_size, value, "expected bytes or a size such as 64KiB, 8MiB or 1GB")


def _as_rate(value: object) -> float:
    return _quantity(parse_rate, value, "expected a rate such as 200MB/s, or bytes per second, more than zero")


def _as_rate_or_none(value: object) -> float:
    return _quantity(parse_rate_or_none, value, "expected a rate such as 20MB/s, or 0 for nothing at all")


def _as_duration(value: object) -> float:
    rule = "expected a duration such as 12s, 5m, 1h or 500ms, more than zero and at most 30 days"
    return _quantity(parse_duration, value, rule)


def _quantity(read: Callable[[str], U], value: object, rule: str) -> U:
    """Read a number with or without a unit, as it was written."""
    text = str(value) if isinstance(value, int | float) else _as_text(value)
    try:
        return read(text)
    except InputError:
        raise _got(rule, value) from None


def not_empty(value: object) -> object:
    """Refuse an empty list; what is no list is the next validator's.

    Raises
    ------
    PydanticCustomError
        The list is empty.
    """
    if isinstance(value, list | tuple) and not value:
        raise reject("expected at least one, this list is empty")
    return value


def asked(read: Callable[[T], U], value: T, rule: str) -> U:
    """Call a reader that raises InputError; its message may name the value, so it becomes the detail.

    Parameters
    ----------
    read : callable
    value : object
        Its argument.
    rule : str
        What is expected, without the value.

    Raises
    ------
    PydanticCustomError
        In place of the InputError.
    """
    try:
        return read(value)
    except InputError as error:
        raise reject(rule, f"; {error.message}") from None


def _as_glob(value: object) -> str:
    return asked(check_glob, _as_text(value), "not a glob")


def _as_url(value: object) -> str:
    text = _as_text(value)
    asked(Location.parse, text, "not a URL that can be fetched")
    return text


def relative_path(text: str) -> str:
    """Check a path below a dataset: relative, no empty, ``.`` or ``..`` segment, no control character.

    Returns
    -------
    str
        Without a trailing slash.

    Raises
    ------
    PydanticCustomError
        Not such a path.
    """
    kept = text.removesuffix("/")
    if any(segment in ("", ".", "..") for segment in kept.split("/")) or not kept.isprintable():
        raise _got("expected a relative path below the dataset, without empty, . or .. segments", text)
    return kept


def _as_relative(value: object) -> str:
    return relative_path(_as_text(value))


def _as_segment(value: object) -> str:
    text = _as_text(value)
    if "/" in text or relative_path(text) != text:
        raise _got("expected one name, without a slash", text)
    return text


def _as_path(value: object) -> Path:
    text = _as_text(str(value) if isinstance(value, Path) else value)
    if not text or "\0" in text:
        raise reject("expected the path of a folder")
    return Path(text)


def _schema(name: str, pattern: str) -> WithJsonSchema:
    examples = {"size": "64KiB", "rate": "200MB/s", "duration": "12s"}
    return WithJsonSchema(
        {
            "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": pattern}],
            "description": f"a {name}",
            "examples": [examples[name]],
        }
    )


Text = Annotated[str, StringConstraints(min_length=1), BeforeValidator(_as_text)]
Integer = Annotated[int, BeforeValidator(_as_integer)]
Count = Annotated[int, Field(ge=0), BeforeValidator(_as_integer)]
Positive = Annotated[int, Field(ge=1), BeforeValidator(_as_integer)]
Number = Annotated[float, BeforeValidator(_as_number)]
PositiveNumber = Annotated[float, Field(gt=0), BeforeValidator(_as_number)]
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(_as_number)]
Flag = Annotated[bool, BeforeValidator(_as_flag)]
Json = Annotated[JsonValue, BeforeValidator(_as_json)]
SizeBytes = Annotated[int, BeforeValidator(_as_size), _schema("size", SIZE_PATTERN)]
RateBytes = Annotated[float, BeforeValidator(_as_rate), _schema("rate", RATE_PATTERN)]
RateOrNone = Annotated[float, BeforeValidator(_as_rate_or_none), _schema("rate", RATE_PATTERN)]
Seconds = Annotated[float, BeforeValidator(_as_duration), _schema("duration", DURATION_PATTERN)]
Glob = Annotated[str, BeforeValidator(_as_glob)]
Url = Annotated[str, BeforeValidator(_as_url)]
RelativePath = Annotated[str, BeforeValidator(_as_relative)]
Segment = Annotated[str, BeforeValidator(_as_segment)]
LocalPath = Annotated[Path, BeforeValidator(_as_path)]
