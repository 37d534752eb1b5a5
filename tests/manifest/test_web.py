"""Templates, paths and digests of plain web files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emasync.manifest.manifest import Manifest
from emasync.manifest.web import FileTemplate, WebEntry, WebFile
from emasync.model.digest import Digest

Read = Callable[..., Manifest]


def first(manifest: Manifest) -> WebEntry:
    entry = manifest.datasets[0]
    assert isinstance(entry, WebEntry)
    return entry


def web(dataset: Callable[..., WebEntry], **fields: object) -> list[WebFile]:
    return list(dataset(source="web", files=[fields]).expanded())


def test_placeholders_multiply_the_last_fastest(dataset: Callable[..., WebEntry]) -> None:
    files = web(dataset, url="https://h/{run}/{z:2}_{{x}}.tif", run=["a", "b"], z="9..10", path="{run}/{z:02d}.tif")
    assert [(file.url, file.path) for file in files] == [
        ("https://h/a/ 9_{x}.tif", "a/09.tif"),
        ("https://h/a/10_{x}.tif", "a/10.tif"),
        ("https://h/b/ 9_{x}.tif", "b/09.tif"),
        ("https://h/b/10_{x}.tif", "b/10.tif"),
    ]


def test_lists_keep_what_was_written(read: Read) -> None:
    text = "version: 1\ndatasets: [{id: a, source: web, files: [{url: 'https://h/{z}', z: [007, 8, no, '9']}]}]"
    files = first(read(text)).expanded()
    assert [file.path for file in files] == ["007", "8", "no", "9"]


def test_the_default_path_is_the_last_segment_decoded(dataset: Callable[..., WebEntry]) -> None:
    assert web(dataset, url="https://h/a%20b/c%20d_{z}.tif?x=/y", z="1..1")[0].path == "c d_1.tif"
    assert web(dataset, url="s3://bucket/a/100%.bin")[0].path == "100%.bin"
    assert web(dataset, url="s3://bucket/a/b?c_{z}#d", z="1..1")[0].path == "b?c_1#d"
    assert web(dataset, url="https://h/x_{z}#/part", z="1..1")[0].path == "x_1"


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("md5", "14FC2FB6A5061EA4EA9B69A090C327C9", "14fc2fb6a5061ea4ea9b69a090c327c9"),
        ("md5", "FPwvtqUGHqTqm2mgkMMnyQ==", "14fc2fb6a5061ea4ea9b69a090c327c9"),
        ("crc32c", "AAAAAQ==", "00000001"),
        ("crc32c", "DEADBEEF", "deadbeef"),
        ("sha1", "a" * 40, "a" * 40),
        ("sha256", "0" * 64, "0" * 64),
        ("etag", '"abc-3"', "abc-3"),
        ("etag", "abc", "abc"),
    ],
)
def test_digests_are_written_in_many_ways(
    dataset: Callable[..., WebEntry], field: str, value: str, expected: str
) -> None:
    (file,) = web(dataset, url="https://h/x", **{field: value})
    assert [(item.kind, item.value) for item in file.digests] == [(field, expected)]


def test_digests_of_digits_are_text(read: Read) -> None:
    text = f"version: 1\ndatasets: [{{id: a, source: web, files: [{{url: 'https://h/x', md5: {'0' * 31}1}}]}}]"
    (file,) = first(read(text)).expanded()
    assert file.digests == (Digest("md5", "0" * 31 + "1"),)


def test_ten_million_files_are_never_a_list(dataset: Callable[..., WebEntry]) -> None:
    entry = dataset(source="web", files=[{"url": "https://h/{a}_{b}", "a": "0..4999", "b": "0..1999"}])
    assert sum(item.count for item in entry.files) == 10_000_000
    assert next(entry.expanded()).path == "0_0"


def test_a_template_made_in_python() -> None:
    item = FileTemplate.model_validate({"url": "https://h/{z}", "z": "0..1"})
    again = FileTemplate(url=item.url, axes=item.axes)
    assert again == item
    assert [file.path for file in again.files()] == ["0", "1"]
