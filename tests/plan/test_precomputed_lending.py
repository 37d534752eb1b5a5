"""Boxes in the world, and datasets that lend theirs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.plan.conftest import Bench

from emasync.errors import SourceError
from emasync.formats.interface import (
    ArrayDescription,
    Axis,
    LevelDescription,
    MultiscaleDescription,
    Transform,
)
from emasync.manifest.crop import SameAsCrop
from emasync.manifest.load import manifest_from_object
from emasync.model.geometry import Box
from emasync.plan.choice import Choice
from emasync.plan.choose import pick
from emasync.plan.extents import Extent, box_of, extent_of
from emasync.plan.lending import borrowed_extent

BORROWER = Choice(dataset="b", digest="2", crop=SameAsCrop(same_as="a"), lender_digest="1")


def image(unit: str | None = "micrometer", size: float = 0.5, at: float = 0.25) -> MultiscaleDescription:
    array = ArrayDescription(path="s0", format="zarr2", shape=(20, 30, 40), chunks=(8, 8, 8), dtype="|u1")
    place = Transform(scale=(size,) * 3, translation=(at,) * 3)
    return MultiscaleDescription(
        path="",
        version="0.4",
        axes=tuple(Axis(name, "space", unit) for name in "zyx"),
        levels=(LevelDescription(number=0, array=array, transform=place),),
        transform=Transform(scale=(1.0,) * 3, translation=(0.0,) * 3),
    )


def test_a_box_is_carried_over_by_its_edges() -> None:
    extent = extent_of(image(), Box((2, 4, 6), (4, 8, 12)), 0)
    assert extent == Extent((1000.0, 2000.0, 3000.0), (2000.0, 4000.0, 6000.0))
    assert box_of(image(), extent) == Box((2, 4, 6), (4, 8, 12))
    assert box_of(image("nanometer", 400.0, 200.0), extent) == Box((2, 5, 7), (5, 10, 15)), "rounded outward"
    assert box_of(image("nanometer", 250.0, 125.0), extent) == Box((4, 8, 12), (8, 16, 24))


def test_sizes_with_float_noise_do_not_add_voxels() -> None:
    noisy = image("nanometer", 11.84 / 3, 11.84 / 6)
    box = Box((3, 6, 9), (9, 12, 15))
    assert box_of(noisy, extent_of(noisy, box, 0)) == box


def test_a_box_is_clipped_and_one_beside_is_refused() -> None:
    assert box_of(image(), Extent((-5.0,) * 3, (700.0,) * 3)) == Box((0, 0, 0), (2, 2, 2))
    with pytest.raises(SourceError, match="nothing of it lies in the box"):
        box_of(image(), Extent((10_000.0, 0.0, 0.0), (11_000.0, 500.0, 500.0)))
    with pytest.raises(SourceError, match="a box of 2 axes"):
        box_of(image(), Extent((0.0,) * 2, (500.0,) * 2))


@pytest.mark.parametrize("unit", [None, "pixel", ""])
def test_without_a_unit_nothing_is_carried_over(unit: str | None) -> None:
    with pytest.raises(SourceError, match="carried over"):
        extent_of(image(unit), Box((0, 0, 0), (1, 1, 1)), 0)


def test_sizes_that_are_none_are_refused() -> None:
    with pytest.raises(SourceError, match="voxels of size"):
        box_of(image(size=0.0), Extent((0.0,) * 3, (1.0,) * 3))


def test_an_array_without_a_place_takes_over_nothing() -> None:
    extent = Extent((0.0,) * 3, (500.0,) * 3)
    with pytest.raises(SourceError, match="without a place in the world"):
        pick([image().levels[0].array], BORROWER, extent)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "could not be planned"),
        (b"{", "could not be planned"),
        (b"[]", "could not be planned"),
        (b'{"version": 1, "digest": "0", "images": {}}', "could not be planned"),
        (b'{"version": 2, "digest": "1", "images": {}}', "could not be planned"),
        (b'{"version": 1, "digest": "1", "images": []}', "could not be planned"),
        (b'{"version": 1, "digest": "1", "images": {}}', "no one box"),
        (b'{"version": 1, "digest": "1", "images": {"s0": {"extent": null}}}', "no one box"),
        (b'{"version": 1, "digest": "1", "images": {"s0": {"extent": {"start": "x", "stop": [1]}}}}', "no one box"),
    ],
)
async def test_a_box_that_was_not_lent(bench: Bench, document: bytes | None, words: str) -> None:
    if document is not None:
        await bench.documents.write("a.source-metadata/boxes.json", document)
    async with bench.tools() as tools:
        with pytest.raises(SourceError, match=words):
            await borrowed_extent(BORROWER, "a", tools)


async def test_images_that_lie_elsewhere_lend_no_one_box(bench: Bench) -> None:
    boxes = [{"start": [0, 0, low], "stop": [1, 1, 9], "unit": "nanometer"} for low in (0, 1)]
    rows = {str(number): {"extent": box} for number, box in enumerate(boxes)}
    document = {"version": 1, "digest": "1", "images": rows}
    await bench.documents.write("a.source-metadata/boxes.json", json.dumps(document).encode())
    async with bench.tools() as tools:
        with pytest.raises(SourceError, match="which has 2 images and no one box"):
            await borrowed_extent(BORROWER, "a", tools)
    rows["1"] = rows["0"]
    await bench.documents.write("a.source-metadata/boxes.json", json.dumps(document).encode())
    async with bench.tools() as tools:
        assert await borrowed_extent(BORROWER, "a", tools) == Extent((0.0, 0.0, 0.0), (1.0, 1.0, 9.0))


def test_a_borrower_is_bound_to_all_lenders_before_it() -> None:
    def digests(start: int) -> dict[str, str]:
        crops = {"c": {"same_as": "b"}, "b": {"same_as": "a"}, "a": {"start": [start, 0, 0], "shape": [1, 1, 1]}}
        place = {"source": "bucket", "url": "s3://bucket/k"}
        datasets = [{"id": name, **place, "crop": crop} for name, crop in crops.items()]
        datasets.append({"id": "other", **place})
        manifest = manifest_from_object({"version": 1, "datasets": datasets})
        assert manifest.entry("b").lender_digest == manifest.entry("a").digest
        assert manifest.entry("other").lender_digest == ""
        return {entry.id: entry.digest for entry in manifest.datasets}

    one, two = digests(0), digests(1)
    assert {name for name in one if one[name] != two[name]} == {"a", "b", "c"}
    assert replace(BORROWER, lender_digest="").chooses
