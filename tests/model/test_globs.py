from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.errors import InputError
from emasync.model.globs import MAX_GLOB_CHARACTERS, Selection, check_glob, translate


def matches(pattern: str, path: str) -> bool:
    return Selection((pattern,)).wants(path)


# --- a slow reference: try everything ---------------------------------------------------------------------------


def tokens(segment: str) -> list[str]:
    return re.findall(r"\[[!^]?\]?[^\]]*\]|.", segment)


def one(token: str, char: str) -> bool:
    if token == "?":
        return True
    if not token.startswith("["):
        return token == char
    members, negated = token[1:-1], token[1] in "!^"
    members = members[1:] if negated else members
    found, at = False, 0
    while at < len(members):
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            found |= members[at] <= char <= members[at + 2]
            at += 3
        else:
            found |= members[at] == char
            at += 1
    return found != negated


def segment_matches(parts: list[str], text: str) -> bool:
    if not parts:
        return not text
    if parts[0] == "*":
        return any(segment_matches(parts[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and one(parts[0], text[0]) and segment_matches(parts[1:], text[1:])


def path_matches(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern == ["**"]:
        return bool(path)
    if pattern[0] == "**":
        return any(path_matches(pattern[1:], path[at:]) for at in range(len(path)))
    return bool(path) and segment_matches(tokens(pattern[0]), path[0]) and path_matches(pattern[1:], path[1:])


SEGMENTS = st.lists(st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]", "[a-c]", "[]b]", "."]), min_size=1, max_size=6)
PATTERNS = (
    st.lists(st.just("**") | SEGMENTS.map("".join), min_size=1, max_size=5)
    .map("/".join)
    .filter(
        lambda text: not re.search(r"\*\*(?!/|$)|(?<!/)(?<!^)\*\*", text) and not re.search(r"(^|/)\.{1,2}(/|$)", text)
    )
)
PATHS = st.lists(st.text("abc.]", min_size=0, max_size=5), min_size=1, max_size=5).map("/".join)


@settings(max_examples=400, deadline=None)
@given(PATTERNS, PATHS)
def test_globs_match_what_trying_everything_matches(pattern: str, path: str) -> None:
    assert matches(pattern, path) == path_matches(pattern.split("/"), path.split("/")), translate(pattern)


CASES = [
    ("data/*.dm3", "data/a.dm3", True),
    ("data/*.dm3", "data/deep/a.dm3", False),
    ("*.json", "acquisition.json", True),
    ("*.json", "a/acquisition.json", False),
    ("**/*.json", "acquisition.json", True),
    ("**/*.json", "a/b/c.json", True),
    ("SPIM.ome.zarr/**", "SPIM.ome.zarr/.zattrs", True),
    ("SPIM.ome.zarr/**", "SPIM.ome.zarr/0/1/2", True),
    ("SPIM.ome.zarr/**", "SPIM.ome.zarr", False),
    ("SPIM.ome.zarr/**", "SPIM_ome.zarr/0", False),
    ("a/**/b", "a/b", True),
    ("a/**/b", "a/x/y/b", True),
    ("a/**/b", "ab", False),
    ("a/**/b/**/c", "a/b/x/b/y/c", True),
    ("**/a/**/a/c", "a/a/c", True),
    ("**", "anything/at all", True),
    ("s_[0-9]?.dm3", "s_07.dm3", True),
    ("[[]x]", "[x]", True),
    ("[a-]", "-", True),
    ("?", "/", False),
    ("[!a]", "/", False),
    ("A*", "abc", False),
    ("line*", "line\nbreak", True),
    ("a.b", "axb", False),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), CASES)
def test_globs_by_example(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


BAD = [
    ("", "1 to"),
    ("x" * (MAX_GLOB_CHARACTERS + 1), "1 to"),
    ("/data/*", "leading /"),
    ("data/", r"write data/\*\*"),
    (r"data\*.tif", "backslash"),
    ("a\0b", "NUL"),
    ("../x", "no name below"),
    ("a/./b", "no name below"),
    ("a**/b", "whole folders"),
    ("{a,b}.tif", "braces"),
    ("[abc", "no closing"),
    ("a[/]b", "no closing"),
    ("[z-a]", "backwards"),
    ("[[:alpha:]]", "named classes"),
]


@pytest.mark.parametrize(("pattern", "reason"), BAD)
def test_bad_globs_say_what_to_write(pattern: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        check_glob(pattern)


def test_exclude_wins() -> None:
    selection = Selection(("data/*.dm3", "readme.txt"), ("data/*_test.dm3",))
    assert selection.wants("data/a.dm3")
    assert selection.wants("readme.txt")
    assert not selection.wants("data/a_test.dm3")
    assert not selection.wants("other.txt")


def test_without_include_everything_is_wanted() -> None:
    assert Selection().wants("any/thing")
    assert Selection().everything
    assert not Selection((), ("x",)).everything
    assert not Selection((), ("x",)).wants("x")


def test_no_pattern_is_slow() -> None:
    # a backtracking matcher would need ages for each of these
    assert not matches("*a" * 200 + "b", "a" * 1000)
    assert not matches("**/*a*a*a*a*a*a/" * 20 + "b", "aaaaaaaaaaaaaaaaaaaa/" * 50 + "c")
    assert not matches("[ab]*" * 100 + "c", "ab" * 500)
    assert matches("*a" * 200, "a" * 1000)


@pytest.mark.parametrize(
    ("include", "folders"),
    [
        ((), ("",)),
        (("data/*.dm3",), ("data/",)),
        (("a/b/x.json", "a/b/**", "c/d*/e"), ("a/b/", "c/")),
        (("a/**", "a/b/**"), ("a/",)),
        (("*.json", "a/**"), ("",)),
        (("readme",), ("",)),
    ],
)
def test_listings_can_be_narrowed(include: tuple[str, ...], folders: tuple[str, ...]) -> None:
    assert Selection(include).folders == folders


@given(st.lists(PATTERNS, min_size=1, max_size=4), PATHS)
def test_what_is_wanted_lies_in_the_folders(patterns: list[str], path: str) -> None:
    selection = Selection(tuple(patterns))
    if selection.wants(path):
        assert path.startswith(selection.folders)


@pytest.mark.parametrize(
    ("include", "exclude", "folder", "reached"),
    [
        ((), (), "a/b/", True),
        (("data/*.dm3",), (), "", True),
        (("data/*.dm3",), (), "data/", True),
        (("data/*.dm3",), (), "data/trakem2/", False),
        (("data/*.dm3",), (), "other/", False),
        (("data/*/x",), (), "data/any/", True),
        (("data/*/x",), (), "data/any/x/", False),
        (("data/**/x",), (), "data/a/b/c/", True),
        (("data/**/x",), (), "elsewhere/", False),
        (("**",), (), "a/b/", True),
        ((), ("a/**",), "a/", False),
        ((), ("a/**",), "a/b/", False),
        ((), ("a/**",), "ab/", True),
        ((), ("a/*",), "a/", True),
        ((), ("**",), "", True),
    ],
)
def test_folders_that_hold_nothing_wanted_are_known(
    include: tuple[str, ...], exclude: tuple[str, ...], folder: str, reached: bool
) -> None:
    assert Selection(include, exclude).reaches(folder) is reached


@given(st.lists(PATTERNS, max_size=3), st.lists(PATTERNS, max_size=2), PATHS)
def test_the_folders_of_what_is_wanted_are_reached(include: list[str], exclude: list[str], path: str) -> None:
    selection = Selection(tuple(include), tuple(exclude))
    if selection.wants(path):
        folders = ["", *(path[: at + 1] for at, character in enumerate(path) if character == "/")]
        assert all(selection.reaches(folder) for folder in folders)
