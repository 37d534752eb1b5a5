from __future__ import annotations

import os
from pathlib import Path

import pytest
from bench.cases import Case, Group
from bench.content import Dataset, etag, make_dataset, page, write_object

from bench import content
from emasync.transport.listing import parse_page


def test_files_have_the_sizes_of_the_case_and_differ(dataset: Dataset) -> None:
    contents = [(dataset.folder / name).read_bytes() for name in dataset.names]
    assert [len(data) for data in contents] == list(dataset.sizes)
    assert len(set(contents)) == len(contents)


def test_pages_list_all_objects_once_and_lead_from_one_to_the_next(dataset: Dataset, tmp_path: Path) -> None:
    name: str | None = "tiny.first"
    listed = []
    while name is not None:
        answer = parse_page((tmp_path / "pages" / f"{name}.xml").read_bytes(), name)
        listed += [(item.key, item.size_bytes) for item in answer.objects]
        if answer.truncated:
            assert answer.token == f"tiny.{answer.objects[-1].key.removeprefix('tiny/')}"
        name = answer.token
    assert listed == [(f"tiny/{key}", size) for key, size in zip(dataset.names, dataset.sizes, strict=True)]


def test_a_large_object_is_not_compressible(tmp_path: Path) -> None:
    import zlib

    pool = os.urandom(1 << 16)
    write_object(tmp_path / "a", 40_000, 3, pool)
    data = (tmp_path / "a").read_bytes()
    assert len(zlib.compress(data)) > 39_000


def test_objects_beyond_the_distinct_ones_are_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "DISTINCT_BYTES", 5_000)
    (tmp_path / "pages").mkdir()
    case = Case(name="linked", groups=(Group(count=20, size_bytes=1_000),))
    made = make_dataset(case, tmp_path / "files", tmp_path / "pages")
    inodes = {(made.folder / name).stat().st_ino for name in made.names}
    assert len(inodes) == 5


def test_the_listed_entity_tag_is_a_quoted_text() -> None:
    listed = parse_page(page("x", [("a.bin", 256)], None).encode(), "x").objects[0]
    assert listed.etag == f'"{etag(256)}"'
    assert etag(256).endswith("-100")
