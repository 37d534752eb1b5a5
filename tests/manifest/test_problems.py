"""What is told of wrong manifests as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emasync.errors import InputError, ManifestError, Problem
from emasync.manifest.load import load_manifest, manifest_from_object
from emasync.manifest.problems import MAX_PROBLEMS, clipped, key_path, manifest_error, shown

Problems = Callable[[str], list[str]]


def test_all_at_once_in_order_of_position(problems: Problems) -> None:
    told = problems("""\
        version: 1
        datasets:
        - id: a
          source: bucket
          url: ftp://x
          scales: [x]
        - id: a
          source: dandi
          dandiset: 12
          colour: red
        settings: {workers: 0}
        """)
    assert [message.split(": ")[0] for message in told] == [
        "m.yaml:5:8",
        "m.yaml:6:12",
        "m.yaml:7:7",
        "m.yaml:9:13",
        "m.yaml:10:3",
        "m.yaml:11:21",
    ]


def test_no_more_is_told_than_can_be_read(problems: Problems) -> None:
    told = problems("version: 1\ndatasets:\n" + "- []\n" * (MAX_PROBLEMS + 5))
    assert len(told) == MAX_PROBLEMS + 1
    assert told[-1].endswith("and 5 more problems after this line; mend these first")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml: the manifest cannot be read: No such file"):
        load_manifest(tmp_path / "nowhere.yaml", environ={})
    with pytest.raises(InputError, match="Is a directory"):
        load_manifest(tmp_path, environ={})


def test_the_file_is_named_as_the_user_named_it(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("version: 1\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, environ={})
    assert caught.value.problems[0].file == str(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"version": 1, 2: 3}, "<manifest>:1:1: keys are text; got 2"),
        ({"version": object()}, "<manifest>:1:1: version: a object cannot stand in a manifest"),
        ({"version": 1, "datasets": [{"id": b"x"}]}, "<manifest>:1:1: datasets[0].id: a bytes cannot stand"),
        ({"version": 1, "datasets": [{"id": "a", "source": "idr", "images": [float("nan")]}]}, "expected a whole"),
        ({"version": 1, "datasets": [{"id": "a", "source": "idr", "images": [-float("inf")]}]}, "got -.inf"),
    ],
)
def test_objects_pass_the_same_checks(data: dict[str, object], message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        manifest_from_object(data)
    assert message in str(caught.value)


def test_an_object_that_holds_itself_is_refused() -> None:
    data: dict[str, object] = {"version": 1}
    data["datasets"] = [data]
    with pytest.raises(ManifestError, match="64 levels"):
        manifest_from_object(data)


def test_key_paths() -> None:
    assert key_path(("datasets", 2, "crop", "shape")) == "datasets[2].crop.shape"
    assert key_path(("settings", "hosts", "ftp.ebi.ac.uk")) == 'settings.hosts["ftp.ebi.ac.uk"]'


def test_values_are_shown_bounded_and_printable() -> None:
    assert len(clipped("x" * 1000)) == 80
    assert clipped("a\x1b[31m\n") == "a\\x1b[31m\\n"
    assert shown({"a": 1}) == "a mapping"
    assert shown(None) == "null"


def test_the_same_problem_is_told_once() -> None:
    problem = Problem(file="m", line=1, column=1, path="", message="x")
    assert manifest_error([problem, problem]).problems == (problem,)
