from __future__ import annotations

import pytest

from emasync.model.digest import Span, Validator


@pytest.mark.parametrize(
    ("validator", "strong"),
    [
        (Validator(etag='"a"'), True),
        (Validator(etag='W/"a"'), False),
        (Validator(generation="7"), True),
        (Validator(last_modified="Sat, 21 Nov 2026 10:00:00 GMT"), False),
        (Validator(), False),
    ],
)
def test_only_strong_tags_and_generations_guard_a_range(validator: Validator, strong: bool) -> None:
    assert validator.strong == strong


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Validator(generation="1", etag='"x"'), Validator(generation="2", etag='"x"'), False),
        (Validator(generation="1"), Validator(generation="1"), True),
        (Validator(etag='"a"'), Validator(etag='"a"'), True),
        (Validator(etag='"a"', last_modified="d"), Validator(etag='"b"', last_modified="d"), False),
        (Validator(etag='W/"a"', last_modified="d"), Validator(etag='W/"b"', last_modified="d"), True),
        (Validator(etag='W/"a"', last_modified="d"), Validator(etag='W/"a"', last_modified="e"), False),
        (Validator(etag='W/"a"'), Validator(etag='W/"b"'), False),
        (Validator(), Validator(), True),
    ],
)
def test_the_strongest_common_field_decides(one: Validator, other: Validator, same: bool) -> None:
    assert one.same_object(other) == same
    assert other.same_object(one) == same


def test_a_span_is_half_open() -> None:
    assert Span(3, 10).size_bytes == 7
