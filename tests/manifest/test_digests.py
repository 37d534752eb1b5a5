"""What changes the digest of a dataset, and what does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emasync.manifest.bucket import BucketEntry
from emasync.manifest.entry import Entry
from emasync.manifest.layout import MirrorLayout
from emasync.manifest.manifest import Manifest

Read = Callable[..., Manifest]

BASE = "version: 1\ndatasets:\n- id: a\n  source: bucket\n  url: s3://bucket/x\n  scales: [0]\n"


def digest(read: Read, text: str, **environ: str) -> str:
    return read(text, **environ).datasets[0].digest


@pytest.mark.parametrize(
    "text",
    [
        BASE + "# a comment\n",
        "datasets:\n- scales: [0]\n  url: 's3://bucket/x'\n  source: bucket\n  id: a\nversion: 1\n",
        BASE + "  role: image\n  anonymous: true\n",
        BASE.replace("[0]", "[0x0]"),
        "layout: {kind: mirror}\n" + BASE,
        "settings: {workers: 2}\nroot: /elsewhere\nmirrors: {'s3://bucket': 'https://h'}\n" + BASE,
        BASE + "- id: b\n  source: idr\n  images: [1]\n",
    ],
)
def test_a_digest_stays_where_the_same_is_wanted(read: Read, text: str) -> None:
    assert digest(read, text) == digest(read, BASE)


@pytest.mark.parametrize(
    "text",
    [
        "layout: {kind: flexiznam, project: p, flavour: legacy}\n",
        "layout: {kind: flexiznam, project: p, data_root: {raw: /a, processed: /b}}\n",
    ],
)
def test_what_no_place_depends_on_is_not_wanted(read: Read, text: str) -> None:
    """Data roots that were moved are listed no more than once; nor is all of a root whose flavour changes."""
    assert digest(read, text + BASE) == digest(read, "layout: {kind: flexiznam, project: p}\n" + BASE)
    assert digest(read, text.replace("project: p", "project: q") + BASE) != digest(read, text + BASE)


@pytest.mark.parametrize(
    "text",
    [
        BASE.replace("[0]", "[1]"),
        BASE.replace("id: a", "id: c"),
        BASE.replace("/x", "/y"),
        BASE + "  crop: {start: [0, 0, 0], shape: [1, 1, 1]}\n",
        BASE + "  include: ['a']\n",
        "layout: {kind: flexiznam, project: p}\n" + BASE,
    ],
)
def test_a_digest_changes_with_what_is_wanted(read: Read, text: str) -> None:
    assert digest(read, text) != digest(read, BASE)


def test_sources_with_equal_fields_differ(dataset: Callable[..., Entry]) -> None:
    class Twin(BucketEntry):
        source: str = "twin"  # type: ignore[assignment]  # another source

    entry = dataset(source="bucket", url="s3://bucket")
    assert Twin(id="d", url="s3://bucket").with_layout(MirrorLayout()).digest != entry.digest


def test_keys_of_later_versions_leave_old_digests_alone(dataset: Callable[..., Entry]) -> None:
    class Later(BucketEntry):
        novelty: int = 0

    entry = dataset(source="bucket", url="s3://bucket")
    assert Later(id="d", url="s3://bucket").with_layout(MirrorLayout()).digest == entry.digest


def test_variables_change_a_digest_without_standing_in_it(read: Read) -> None:
    text = BASE.replace("/x", "/${A}")
    assert digest(read, text, A="x") == digest(read, BASE)
    assert digest(read, text, A="y") != digest(read, BASE)


def test_the_manifest_has_a_digest_of_all_it_says(read: Read) -> None:
    assert len(read(BASE).digest) == 64
    assert read(BASE).digest == read(BASE + "# comment\n").digest
    assert read(BASE).digest != read("settings: {workers: 2}\n" + BASE).digest
    assert read(BASE).digest != read(BASE.replace("/x", "/y")).digest
