from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emasync.disk.names import (
    UNSAFE,
    NameProblem,
    check_relative,
    map_path,
    map_segment,
    problems_of,
    unmap_segment,
)
from emasync.errors import DestinationError, ErrorKind

ALPHABET = "%~0A2F.%/ cCoOnNuUlL1:\\\n\0é¹\ud800\udc00\x85-"
"""Characters that meet in escapes and special names more often than chance would have it."""

SEGMENTS = st.one_of(
    st.text(alphabet=ALPHABET, max_size=12),
    st.text(alphabet=st.characters(), max_size=20),
    st.sampled_from(["", ".", "..", "...", "%~", "%~2F", "%~25~2F", "%~25~", "con", "CON.txt", "nul ", "aux .", " "]),
)


@pytest.mark.parametrize(
    "name",
    [
        "volumedata.tif",
        " ElectronMicroscopy_Hippocampus",
        "%20leading",
        "100%",
        "a%2Fb",
        "%2f",
        "%~2f",
        "%~",
        "~",
        "0",
        "c",
        ".zarray",
        "..a",
        "-x",
        "a:b",
        "a\\b",
        'q?*"<>|',
        "日本語",
        "console.log",
        "com",
        "com10",
        "auxiliary",
        "x" * 255,
    ],
)
def test_ordinary_names_stay(name: str) -> None:
    if name == "%~":
        assert map_segment(name) == "%~25~"  # the one exception: alone it stands for the empty segment
    else:
        assert map_segment(name) == name
        assert problems_of(name) == ()


@pytest.mark.parametrize(
    ("segment", "mapped", "problem"),
    [
        ("", "%~", NameProblem.EMPTY),
        (".", "%~2E", NameProblem.DOTS),
        ("..", ".%~2E", NameProblem.DOTS),
        ("x.", "x%~2E", NameProblem.TRAILING),
        ("x ", "x%~20", NameProblem.TRAILING),
        ("a\nb", "a%~0Ab", NameProblem.CONTROL),
        ("\0", "%~00", NameProblem.CONTROL),
        ("\x85", "%~C2%~85", NameProblem.CONTROL),
        ("\ud800", "%~ED%~A0%~80", NameProblem.UNENCODABLE),
        ("a/b", "a%~2Fb", NameProblem.SEPARATOR),
        ("con.txt", "%~63on.txt", NameProblem.RESERVED),
        ("LPT¹", "%~4CPT¹", NameProblem.RESERVED),
        ("nul .x", "%~6Eul .x", NameProblem.RESERVED),
        ("%~2F", "%~25~2F", NameProblem.ESCAPE_LIKE),
        ("a%~00", "a%~25~00", NameProblem.ESCAPE_LIKE),
    ],
)
def test_names_that_are_mapped(segment: str, mapped: str, problem: NameProblem) -> None:
    assert problem in problems_of(segment)
    assert map_segment(segment) == mapped
    assert unmap_segment(mapped) == segment


@settings(deadline=None)  # the machine may be busy
@given(SEGMENTS)
@example("%~25~")
@example("%~25~2F")
@example("%%~2F")
@example("%~2F.")
def test_mapping_can_be_undone_and_mends(segment: str) -> None:
    mapped = map_segment(segment)
    assert unmap_segment(mapped) == segment
    assert set(problems_of(mapped)) <= {NameProblem.ESCAPE_LIKE}
    check_relative(mapped)
    if not problems_of(segment):
        assert mapped == segment


@settings(deadline=None)  # the machine may be busy
@given(SEGMENTS, SEGMENTS)
def test_no_two_segments_share_a_name(a: str, b: str) -> None:
    assert (map_segment(a) == map_segment(b)) == (a == b)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(SEGMENTS, min_size=1, max_size=5))
def test_paths_stay_inside(segments: list[str]) -> None:
    path = "/".join(segment.replace("/", "") for segment in segments)
    mapped = map_path(path)
    check_relative(mapped)
    assert "/".join(map(unmap_segment, mapped.split("/"))) == path


@pytest.mark.parametrize("segment", ["x" * 256, "é" * 128, "\n" * 64])
def test_what_grows_too_long_is_refused(segment: str) -> None:
    with pytest.raises(DestinationError) as caught:
        map_segment(segment)
    assert caught.value.kind is ErrorKind.UNSAFE_NAME


def test_long_paths_are_refused() -> None:
    path = "/".join(["x" * 200] * 20)
    with pytest.raises(DestinationError, match="4019 bytes"):
        map_path(path)
    with pytest.raises(DestinationError, match="4019 bytes"):
        check_relative(path)
    check_relative(path[:4000])
    with pytest.raises(DestinationError, match="bytes"):
        check_relative("/".join(["é" * 100] * 20))


def test_the_guard_refuses_what_is_unsafe_only() -> None:
    for segment in ("con.txt", "x.", "x ", "%~2F", "a\\b", "%~"):
        check_relative(f"set/{segment}/0")
    assert NameProblem.RESERVED not in UNSAFE
    for segment in ("", ".", "..", "a\0", "\x1f", "\x7f", "\x9f", "x" * 256, "\udc80"):
        with pytest.raises(DestinationError):
            check_relative(f"set/{segment}/0")


def test_escapes_that_no_mapping_makes() -> None:
    with pytest.raises(ValueError, match="decode"):
        unmap_segment("%~FF")
