from __future__ import annotations

import math

import pytest

from emasync.manifest.scalars import Plain, free_value, resolve

CORE_SCHEMA = [
    # YAML 1.2.2, section 10.3.2
    ("null", None),
    ("Null", None),
    ("~", None),
    ("", None),
    ("true", True),
    ("FALSE", False),
    ("0", 0),
    ("-12", -12),
    ("+7", 7),
    ("000027", 27),
    ("0o17", 15),
    ("0x1f", 31),
    ("1.5", 1.5),
    (".5", 0.5),
    ("5.", 5.0),
    ("1e3", 1000.0),
    ("-.inf", -math.inf),
    ("+.INF", math.inf),
]


@pytest.mark.parametrize(("text", "value"), CORE_SCHEMA)
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    scalar = resolve(text)
    got = scalar.value if isinstance(scalar, Plain) else scalar
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    "text",
    ["no", "on", "Yes", "12:30", "1_000", "0b11", "017x", "-", ".", "tRUE", "nULL", "1e", "0o8", "2024-04-02", "-0x1f"],
)
def test_what_yaml_1_1_would_have_read_as_something_is_text(text: str) -> None:
    assert resolve(text) == text


def test_not_a_number_is_a_number() -> None:
    scalar = resolve(".nan")
    assert isinstance(scalar, Plain)
    assert math.isnan(scalar.value)


def test_a_number_keeps_what_it_was_written_as() -> None:
    assert resolve("000027") == Plain(27, "000027")


def test_digits_without_end_stay_text() -> None:
    assert resolve("9" * 5000) == "9" * 5000


@pytest.mark.parametrize(("text", "value"), [("27", 27), ("000027", "000027"), ("-01", "-01"), ("0", 0), ("no", "no")])
def test_free_values_keep_leading_zeros(text: str, value: object) -> None:
    assert free_value(resolve(text)) == value
