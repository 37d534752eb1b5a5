"""Boxes that must hold data: drawn again with a bound, the same ones for a seed, at a price that is known."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from tests.plan.conftest import Bench

from emasync.errors import AccessDeniedError, ErrorKind, NotFoundError
from emasync.formats.interface import ArrayDescription
from emasync.model.digest import Span, Tail
from emasync.model.geometry import Box
from emasync.model.location import Location
from emasync.model.receipt import Failure
from emasync.plan import sampling
from emasync.plan.sampling import MAX_DRAWS
from emasync.plan.select import select_array
from emasync.plan.spread import spread
from emasync.testing.fetcher import MemoryFetcher
from emasync.transport.interface import Document

URL = "s3://bucket/em.zarr"
CHUNK = 8
ARRAY = {
    "zarr_format": 2,
    "shape": [64, 64, 64],
    "chunks": [CHUNK] * 3,
    "dtype": "<u2",
    "compressor": None,
    "fill_value": 7,
    "filters": None,
    "order": "C",
    "dimension_separator": "/",
}
FILL = np.full(CHUNK**3, 7, "<u2").tobytes()
ZERO = bytes(len(FILL))
DATA = np.arange(CHUNK**3, dtype="<u2").tobytes()
MIXED = np.where(np.arange(CHUNK**3) % 2, 7, 0).astype("<u2").tobytes()

Content = Callable[[int, int, int], bytes | None]


def fetcher_of(content: Content, **metadata: Any) -> MemoryFetcher:
    """An array of 8^3 chunks, each as `content` has it; None for none."""
    objects = {f"{URL}/.zarray": json.dumps({**ARRAY, **metadata}).encode()}
    for cell in product(range(8), repeat=3):
        if (data := content(*cell)) is not None:
            objects[f"{URL}/{'/'.join(map(str, cell))}"] = data
    return MemoryFetcher(objects)


def crop(min_nonzero: float = 1.0, **changes: Any) -> dict[str, Any]:
    return {"at": "random", "shape": [16, 16, 16], "seed": 3, "min_nonzero": min_nonzero, **changes}


async def drawn(bench: Bench, fetcher: MemoryFetcher, **changes: Any) -> dict[str, Any]:
    """Fields of the one array that was planned."""
    bench.events.clear()
    assert await bench.compile(fetcher=fetcher, url=URL, crop=crop(**changes), refresh=True), bench.told("failed")
    return next(dict(fields) for fields in bench.told("asset_planned") if "box_start" in fields)


async def refused(bench: Bench, fetcher: MemoryFetcher, **changes: Any) -> Failure:
    """Why the box could not be drawn."""
    assert not await bench.compile(fetcher=fetcher, url=URL, crop=crop(**changes))
    (failure,) = await bench.failures()
    return failure


def looked_at(fetcher: MemoryFetcher) -> list[str]:
    """Chunks that were read, each by its place in the array."""
    chunks = (seen.location.removeprefix(f"{URL}/") for seen in fetcher.log if seen.verb == "read")
    return [chunk for chunk in chunks if chunk[0].isdecimal()]


# --- which chunks are looked at ---------------------------------------------------------------------------------------


def described(shape: tuple[int, ...], axes: tuple[str, ...]) -> ArrayDescription:
    return ArrayDescription(
        path="", format="zarr2", shape=shape, chunks=(8,) * len(shape), dtype="<u2", itemsize_bytes=2, axes=axes
    )


def test_few_chunks_are_all_looked_at_and_of_many_those_in_the_middle_of_thirds() -> None:
    chosen = select_array(described((200, 200, 200), ("z", "y", "x")), box=Box((0, 8, 0), (16, 16, 200)))
    assert chosen.grid is not None
    assert [chosen.grid.coordinates(number) for number in spread(chosen)] == [
        (z, 0, x) for z in (0, 1) for x in (4, 12, 20)
    ]
    whole = select_array(described((800,) * 3, ("z", "y", "x")), box=Box((0,) * 3, (800,) * 3))
    assert len(set(spread(whole))) == 27


def test_axes_that_are_not_spatial_give_their_first_chunk() -> None:
    chosen = select_array(described((40, 40, 24, 24, 24), ("t", "c", "z", "y", "x")), select={"t": 30})
    assert chosen.grid is not None
    cells = {chosen.grid.coordinates(number) for number in spread(chosen)}
    assert {cell[:2] for cell in cells} == {(0, 0)}
    assert len(cells) == 27


# --- drawing ----------------------------------------------------------------------------------------------------------


async def test_a_box_that_holds_data_is_taken_at_once(bench: Bench) -> None:
    fetcher = fetcher_of(lambda *_: DATA)
    told = await drawn(bench, fetcher)
    assert (told["draws"], told["sampled"], told["nonzero"]) == (1, len(looked_at(fetcher)), len(looked_at(fetcher)))
    assert told["box_shape"] == [16, 16, 16]
    assert len(looked_at(fetcher)) == len(set(looked_at(fetcher))) <= 27


@pytest.mark.parametrize("nothing", [None, FILL, ZERO, MIXED], ids=["missing", "fill", "zeros", "zeros and fill"])
async def test_boxes_of_nothing_are_drawn_again(bench: Bench, nothing: bytes | None) -> None:
    """Only the far half holds data; what reads as zero or fill value does not count, present or not."""
    fetcher = fetcher_of(lambda z, y, x: DATA if z >= 4 else nothing)
    told = await drawn(bench, fetcher)
    assert told["draws"] > 1
    assert told["box_start"][0] >= 32
    assert told["nonzero"] == told["sampled"]


async def test_a_share_is_enough(bench: Bench) -> None:
    fetcher = fetcher_of(lambda z, y, x: DATA if x % 2 else None)
    told = await drawn(bench, fetcher, min_nonzero=0.3)
    assert told["draws"] == 1
    assert 0.3 <= told["nonzero"] / told["sampled"] < 1


async def test_a_seed_finds_the_same_box_in_any_root_and_another_seed_another(bench: Bench, tmp_path: Any) -> None:
    def content(z: int, y: int, x: int) -> bytes | None:
        return DATA if z >= 4 and x < 6 else None

    boxes = []
    for name, seed in (("a", 3), ("b", 3), ("c", 6)):
        root = Bench(tmp_path / name)
        (tmp_path / name).mkdir()
        boxes.append((await drawn(root, fetcher_of(content), min_nonzero=0.7, seed=seed))["box_start"])
    assert boxes[0] == boxes[1] != boxes[2]


async def test_the_box_is_kept_and_not_looked_for_again(bench: Bench) -> None:
    """Also when the publisher has filled in chunks since: a dataset does not move."""
    first = await drawn(bench, fetcher_of(lambda z, y, x: DATA if z >= 4 else None))
    kept = json.loads(bench.documents._documents["d.source-metadata/boxes.json"])
    (row,) = kept["images"].values()
    assert row["draw"] == {"draws": first["draws"], "sampled": first["sampled"], "nonzero": first["nonzero"]}
    assert row["crop"]["start"] == first["box_start"]
    later = fetcher_of(lambda *_: DATA)
    assert await drawn(bench, later) == first
    assert looked_at(later) == []


async def test_another_entry_is_another_box(bench: Bench) -> None:
    fetcher = fetcher_of(lambda z, y, x: DATA if z >= 4 else None)
    first = await drawn(bench, fetcher)
    other = await drawn(bench, fetcher, seed=6)
    assert other["box_start"] != first["box_start"]


async def test_draws_end_and_the_best_is_told(bench: Bench) -> None:
    """At a bounded price: no box is looked at twice, and no more than so many are."""
    fetcher = fetcher_of(lambda z, y, x: DATA if (z, y, x) == (4, 4, 4) else None)
    failure = await refused(bench, fetcher)
    assert failure.kind == ErrorKind.NO_DATA
    assert f"none of {MAX_DRAWS} different boxes drawn" in failure.message
    assert "holds data in 100% of the chunks looked at; the best, number" in failure.message
    assert " in 1 of 27. Lower min_nonzero" in failure.message or " in 1 of 1" in failure.message
    assert len(looked_at(fetcher)) <= 27 * MAX_DRAWS


async def test_bytes_end_draws_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The box that the bound is passed in is looked at to its end."""
    monkeypatch.setattr(sampling, "MAX_SAMPLED_BYTES", 10_000)
    fetcher = fetcher_of(lambda *_: ZERO)
    assert "none of 1 different boxes drawn" in (await refused(bench, fetcher)).message
    assert len(looked_at(fetcher)) == 27


async def test_one_possible_place_is_looked_at_once(bench: Bench) -> None:
    fetcher = fetcher_of(lambda *_: None)
    failure = await refused(bench, fetcher, shape=[64, 64, 64])
    assert "none of 1 different boxes" in failure.message
    assert len(looked_at(fetcher)) == 27


class Guarded(MemoryFetcher):
    """Denies chunks."""

    async def read(
        self, location: Location, *, span: Span | Tail | None = None, limit_bytes: int = 64 << 20
    ) -> Document:
        if location.path[-1].isdecimal():
            raise AccessDeniedError(f"403 for {location}", location=str(location))
        return await super().read(location, span=span, limit_bytes=limit_bytes)


async def test_a_chunk_that_cannot_be_had_is_no_empty_chunk(bench: Bench) -> None:
    guarded = Guarded({f"{URL}/.zarray": json.dumps(ARRAY).encode(), f"{URL}/0/0/0": DATA})
    assert (await refused(bench, guarded)).kind == ErrorKind.ACCESS_DENIED


class Hiding(MemoryFetcher):
    """As S3 where listing is not allowed: what is not there is denied."""

    async def read(
        self, location: Location, *, span: Span | Tail | None = None, limit_bytes: int = 64 << 20
    ) -> Document:
        try:
            return await super().read(location, span=span, limit_bytes=limit_bytes)
        except NotFoundError:
            raise AccessDeniedError(f"403 for {location}", location=str(location)) from None


async def test_a_chunk_that_is_left_out_may_be_denied(bench: Bench) -> None:
    """Law 9: a name that nobody wrote is denied as well, and the array's own metadata are not."""
    hiding = Hiding({f"{URL}/.zarray": json.dumps(ARRAY).encode(), f"{URL}/4/4/4": DATA})
    assert (await refused(bench, hiding, shape=[64, 64, 64])).kind == ErrorKind.NO_DATA


async def test_a_chunk_that_is_damaged_is_named(bench: Bench) -> None:
    failure = await refused(bench, fetcher_of(lambda *_: DATA[:-1]))
    assert failure.kind == ErrorKind.FORMAT
    assert re.search(
        r"em.zarr/\d/\d/\d: the chunk cannot be decoded: has 1023 bytes of voxels, 1024 were expected", failure.message
    )


async def test_what_cannot_be_decoded_is_named_before_a_box_is_drawn(bench: Bench) -> None:
    fetcher = fetcher_of(lambda *_: DATA, compressor={"id": "zfpy"})
    failure = await refused(bench, fetcher)
    assert failure.kind == ErrorKind.NOT_BUILT
    assert "nothing here undoes codec zfpy; leave min_nonzero out" in failure.message
    assert looked_at(fetcher) == []


async def test_chunks_too_large_to_be_looked_into(bench: Bench) -> None:
    fetcher = fetcher_of(lambda *_: None, shape=[4096] * 3, chunks=[1024] * 3)
    assert "its chunks have 2,147,483,648 bytes of voxels" in (await refused(bench, fetcher)).message
    assert looked_at(fetcher) == []


# --- other formats ----------------------------------------------------------------------------------------------------


def n5_objects(url: str) -> dict[str, bytes]:
    """Blocks of zeros where z is small; N5 names the last axis last."""
    header = struct.pack(">HH3I", 0, 3, CHUNK, CHUNK, CHUNK)
    stated = {"dimensions": [64] * 3, "blockSize": [CHUNK] * 3, "dataType": "uint16", "compression": {"type": "raw"}}
    objects = {f"{url}/attributes.json": json.dumps(stated).encode()}
    for z, y, x in product(range(8), repeat=3):
        objects[f"{url}/{x}/{y}/{z}"] = header + (DATA if z >= 4 else ZERO)
    return objects


def jpeg_objects(url: str) -> dict[str, bytes]:
    """Black chunks where z is small; chunks at the far edge are cut to 4 voxels."""
    imagecodecs = pytest.importorskip("imagecodecs")
    scale = {"key": "8", "size": [60, 60, 60], "resolution": [8, 8, 8], "chunk_sizes": [[8, 8, 8]], "encoding": "jpeg"}
    info = {
        "type": "image",
        "data_type": "uint8",
        "num_channels": 1,
        "scales": [{**scale, "voxel_offset": [0, 0, 100]}],
    }
    objects = {f"{url}/info": json.dumps(info).encode()}
    for cell in product(range(8), repeat=3):
        (depth, height, width) = (min(8, 60 - 8 * at) for at in cell)
        grey = np.full((depth * height, width), 90 if cell[0] >= 4 else 0, np.uint8)
        spans = [f"{low}-{high}" for low, high in ((8 * at, min(60, 8 * at + 8)) for at in cell)]
        z, y, x = f"{100 + 8 * cell[0]}-{100 + min(60, 8 * cell[0] + 8)}", spans[1], spans[2]
        objects[f"{url}/8/{x}_{y}_{z}"] = imagecodecs.jpeg8_encode(grey, level=90)
    return objects


@pytest.mark.parametrize(
    ("url", "objects", "low"),
    [("s3://bucket/em.n5", n5_objects, 32), ("s3://bucket/em", jpeg_objects, 132)],
    ids=["n5", "jpeg"],
)
async def test_blocks_of_n5_and_jpeg_chunks_are_looked_into(
    bench: Bench, url: str, objects: Callable[[str], dict[str, bytes]], low: int
) -> None:
    """Boxes of the far half, edges included; z is counted as at the source."""
    fetcher = MemoryFetcher(objects(url))
    starts = []
    for seed in range(4):
        wanted = crop(seed=seed, shape=[20, 20, 20])
        assert await bench.compile(fetcher=fetcher, url=url, crop=wanted, refresh=True), bench.told("failed")
        (fields,) = [dict(told) for told in bench.told("asset_planned") if "box_start" in told][-1:]
        assert fields["nonzero"] == fields["sampled"] == 27
        starts.append(fields["box_start"][0])
    assert min(starts) >= low
    assert len(set(starts)) > 1
