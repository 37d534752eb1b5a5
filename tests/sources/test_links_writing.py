"""Manifests made of links: they say the same when they are read again, whatever was pasted."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from emasync.errors import InputError
from emasync.manifest.crop import BoxCrop, DrawnCrop, SameAsCrop
from emasync.manifest.load import parse_manifest
from emasync.sources.links.interface import Draft, Reading
from emasync.sources.links.narrowing import Narrowing, parse_crop, parse_scales
from emasync.sources.links.reading import read_link
from emasync.sources.links.writing import ids_of, manifest_text


def draft(name: str = "x", **entry: Any) -> Draft:
    return Draft(name=name, entry=entry or {"source": "bucket", "url": "s3://bucket/x"})


def loaded(text: str, **environ: str) -> Any:
    return parse_manifest(text, file="made", environ=environ)


def made(*drafts: Draft, **options: Any) -> str:
    return manifest_text(drafts, ids_of(drafts), **options)


def test_variables_of_a_pasted_text_are_none() -> None:
    found = read_link("https://host.org/${HOME}/$$x/$.tif")
    assert isinstance(found, Reading)

    (entry,) = loaded(made(*found.drafts), HOME="/root/secret").datasets

    (file,) = entry.expanded()
    assert file.url == "https://host.org/$%7BHOME%7D/$$x/$.tif"


def test_variables_in_a_key_of_a_bucket_are_none() -> None:
    (entry,) = loaded(made(draft(source="bucket", url="s3://bucket/${AWS_SECRET_ACCESS_KEY}"))).datasets

    assert entry.url == "s3://bucket/${AWS_SECRET_ACCESS_KEY}"


def test_line_breaks_in_comments_stay_comments() -> None:
    bad = Draft(name="x", entry=draft().entry, comments=("a\n  - id: evil\n    source: web", "b\x1b[2J", "c" * 1_000))

    text = made(bad, comments=("from s3://x\nroot: /",))

    assert len(loaded(text).datasets) == 1
    assert loaded(text).root is None
    assert max(map(len, text.splitlines())) < 300
    assert "\x1b" not in text


@pytest.mark.parametrize("value", ["no", "000027", "12:30", "1e3", "~", "a: b", "- x", "# x", "'", '"', "é ü", "|"])
def test_texts_that_yaml_would_read_as_something_else(value: str) -> None:
    (entry,) = loaded(made(draft(source="bucket", url=f"s3://bucket/{value}", include=[value]))).datasets

    assert entry.url == f"s3://bucket/{value}"
    assert entry.include == (value,)


@pytest.mark.parametrize("url", ["https://host.org/{z}.tif", "https://host.org/a%20b.tif", "https://host.org/x?a={b}"])
def test_braces_of_a_url_are_no_template(url: str) -> None:
    found = read_link(url)
    assert isinstance(found, Reading)

    (entry,) = loaded(made(*found.drafts)).datasets

    (file,) = entry.expanded()
    assert str(file.location) == url.replace("{", "%7B").replace("}", "%7D")


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (("em", "EM", "em"), ("em", "EM-2", "em-3")),
        (("seg (v1.2)",), ("seg-v1.2",)),
        (("Hémibrain / données",), ("Hemibrain-donnees",)),
        (("..", "", "///", "日本"), ("dataset", "dataset-2", "dataset-3", "dataset-4")),
        (("metadata", "receipt.json"), ("metadata-data", "receipt.json-data")),
        (("x.source-metadata",), ("x.source-metadata-data",)),
        (("-x-",), ("x",)),
    ],
)
def test_ids_are_legal_and_different(names: tuple[str, ...], ids: tuple[str, ...]) -> None:
    drafts = [draft(name) for name in names]

    assert ids_of(drafts) == ids
    assert [entry.id for entry in loaded(manifest_text(drafts, ids)).datasets] == list(ids)


def test_long_names_leave_room() -> None:
    drafts = [draft("x" * 100_000)] * 2

    assert [len(name) for name in ids_of(drafts)] == [192, 194]
    assert len(loaded(made(*drafts)).datasets) == 2


def test_ids_of_others_are_left_alone() -> None:
    assert ids_of([draft("em")], lambda name: name in ("em", "em-2")) == ("em-3",)


def uncommented(text: str) -> str:
    return re.sub(r"^    # ", "    ", text, flags=re.MULTILINE)


def test_hints_show_what_else_may_be_said_and_are_right() -> None:
    text = made(draft(), hints=True)
    hints = [line.strip().removeprefix("# ") for line in text.splitlines() if line.startswith("    # ")]

    assert [hint.partition(":")[0] for hint in hints] == ["arrays", "scales", "crop"]
    (entry,) = loaded(uncommented(text)).datasets
    assert (entry.arrays, entry.scales) == (("path/below/the/url",), (3,))
    assert isinstance(entry.crop, BoxCrop)
    files = made(draft(source="empiar", entry=11759), hints=True)
    assert loaded(uncommented(files)).datasets[0].include == ("**/*.tif",)
    assert "# " not in made(draft(source="web", files=[{"url": "https://host.org/x"}]), hints=True)


def test_short_lists_stand_on_one_line() -> None:
    text = made(draft(source="idr", images=[1, 2, 3]))

    assert "    images: [1, 2, 3]\n" in text
    assert yaml.safe_load(text)["datasets"][0]["images"] == [1, 2, 3]


# --- what is chosen ---------------------------------------------------------------------------------------------------


def test_a_crop_is_the_first_datasets_and_the_others_take_it_over() -> None:
    drafts = (draft("em"), draft("labels", source="bucket", url="s3://bucket/y", role="labels"))
    ids = ids_of(drafts)

    chosen = Narrowing(scales=(1,), crop="0:64,10:74,-5:59@1").applied(drafts, ids)

    first, second = loaded(manifest_text(chosen, ids)).datasets
    assert first.crop == BoxCrop(start=(0, 10, -5), shape=(64, 64, 64), scale=1)
    assert second.crop == SameAsCrop(same_as="em")
    assert first.scales == second.scales == (1,)


def test_what_is_said_takes_the_place_of_what_the_link_says() -> None:
    (chosen,) = Narrowing(include=("a/*",), exclude=("b",), arrays=("em",)).applied(
        [draft(source="bucket", url="s3://bucket/x", include=["c"])], ("x",)
    )

    assert chosen.entry == {
        "source": "bucket",
        "url": "s3://bucket/x",
        "include": ["a/*"],
        "exclude": ["b"],
        "arrays": ["em"],
    }


def test_a_path_names_the_one_file() -> None:
    file = draft(source="web", files=[{"url": "https://host.org/x"}])
    (chosen,) = Narrowing(path="a/{b}.tif").applied([file], ("x",))

    (entry,) = loaded(manifest_text([chosen], ("x",))).datasets
    assert [item.path for item in entry.expanded()] == ["a/{b}.tif"]
    for drafts in ([file, file], [draft()]):
        with pytest.raises(InputError, match="more than one"):
            Narrowing(path="x").applied(drafts, ("x", "y")[: len(drafts)])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0:1,2:4,-3:6", BoxCrop(start=(0, 2, -3), shape=(1, 2, 9))),
        ("center:64,128,256", DrawnCrop(at="center", shape=(64, 128, 256))),
        ("random:1,2,3@2", DrawnCrop(at="random", shape=(1, 2, 3), scale=2)),
    ],
)
def test_crops_as_the_command_line_has_them(text: str, kind: object) -> None:
    cut = draft(source="bucket", url="s3://bucket/x", crop=parse_crop(text))

    assert loaded(made(cut)).datasets[0].crop == kind


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "1",
            "0:1,0:1",
            "0:1,0:1,0:1,0:1",
            "1:0,0:1,0:1",
            "0:0,0:1,0:1",
            "a:b,c:d,e:f",
            "0:1,0:1,0:1@",
            "x:1,2,3",
        ),
        *("center:1,2", "center:0:1,0:1,0:1", "center:-1,2,3", "0:1,0:1,0:1@-1", "1,2,3", "0:1,0:1,0:1@x", ":,:,:"),
    ],
)
def test_crops_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="expected Z0:Z1"):
        parse_crop(text)


def test_levels_as_the_command_line_has_them() -> None:
    assert parse_scales("3") == (3,)
    assert parse_scales("0, 3") == (0, 3)
    for text in ("", "a", "1,", "-1", "1.5"):
        with pytest.raises(InputError, match="expected levels"):
            parse_scales(text)
