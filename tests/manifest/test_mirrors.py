from __future__ import annotations

import pytest

from emasync.errors import InputError
from emasync.manifest.mirrors import parse_mirror


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://b=https://m/x", ("s3://b", "https://m/x")),
        ("gs://b=s3://m/", ("gs://b", "s3://m")),
        ("https://H/a/=file:///mnt/x", ("https://h/a", "file:///mnt/x")),
    ],
)
def test_mirrors_of_the_command_line(text: str, expected: tuple[str, str]) -> None:
    assert parse_mirror(text) == expected


@pytest.mark.parametrize(
    "text",
    ["s3://b", "s3://b=gs://m", "s3://b/key=https://m", "https://h?a=https://m", "file:///x=https://m", "=s3://b"],
)
def test_what_is_no_mirror(text: str) -> None:
    with pytest.raises(InputError):
        parse_mirror(text)
