from __future__ import annotations

import re

import pytest

from emasync.errors import InputError
from emasync.manifest.quantities import (
    DURATION_PATTERN,
    RATE_PATTERN,
    SIZE_PATTERN,
    parse_duration,
    parse_rate,
    parse_rate_or_none,
    parse_size,
)

SIZES = [("64KiB", 65536), ("8MiB", 8 << 20), ("1GB", 10**9), ("1kB", 1000), ("1KB", 1000), ("12", 12), ("0", 0)]
SIZES += [("1.5MiB", 1572864), ("2 TB", 2 * 10**12), ("7B", 7), ("0.1KiB", 102), ("1PiB", 1 << 50)]
RATES = [("200MB/s", 2e8), ("1KiB/s", 1024.0), ("5", 5.0), ("1 MB / s", 1e6)]
DURATIONS = [("12s", 12.0), ("5m", 300.0), ("1h", 3600.0), ("500ms", 0.5), ("1.5s", 1.5), ("2d", 172800.0), ("9", 9.0)]


@pytest.mark.parametrize(("text", "value"), SIZES)
def test_sizes(text: str, value: int) -> None:
    assert parse_size(text) == value
    assert re.match(SIZE_PATTERN, text)


@pytest.mark.parametrize("text", ["", "KiB", "-1", "1 mb", "1Kib", "1e3", "8M", "1,5GB", "9223372036854775808", "8EB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError, match="size"):
        parse_size(text)


def test_the_largest_size_is_what_a_file_system_counts_to() -> None:
    assert parse_size("9223372036854775807") == (1 << 63) - 1


@pytest.mark.parametrize(("text", "value"), RATES)
def test_rates(text: str, value: float) -> None:
    assert parse_rate(text) == value


@pytest.mark.parametrize("text", ["0", "0MB/s", "MB/s", "1MB/m", "1MB/", "200Mb/s"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(InputError, match="rate"):
        parse_rate(text)


def test_a_rate_may_be_nothing_where_that_means_something() -> None:
    assert [parse_rate_or_none(text) for text in ("0", "0MB/s", "1MB/s")] == [0.0, 0.0, 1e6]
    with pytest.raises(InputError, match="or 0"):
        parse_rate_or_none("-1MB/s")


@pytest.mark.parametrize(("text", "value"), DURATIONS)
def test_durations(text: str, value: float) -> None:
    assert parse_duration(text) == value
    assert re.match(DURATION_PATTERN, text)


@pytest.mark.parametrize("text", ["0s", "12:30", "-1s", "31d", "1y", "s", "1h30m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InputError, match="duration"):
        parse_duration(text)


def test_the_rate_pattern_asks_for_seconds() -> None:
    assert re.match(RATE_PATTERN, "200MB/s")
    assert not re.match(RATE_PATTERN, "200MB")
