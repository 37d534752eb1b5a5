from __future__ import annotations

from emasync.errors import ErrorKind, SourceError
from emasync.plan.setbacks import named, together


def test_one_setback_stays_as_it_is() -> None:
    error = SourceError("gone", kind=ErrorKind.NOT_FOUND, location="s3://bk/a")
    assert together([error]) is error


def test_many_are_named_up_to_a_bound() -> None:
    errors = [named(SourceError("no array", location="x"), f"asset-{number:02d}") for number in range(12)]
    error = together(errors)
    assert error.message.startswith("12 parts cannot be had, the others are fetched: asset-00: no array; asset-01: ")
    assert error.message.endswith("asset-09: no array; and 2 more")
    assert (error.kind, error.location) == (ErrorKind.SOURCE, "x")
