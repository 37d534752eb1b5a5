from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emasync.disk.sink import LocalSink
from emasync.errors import AccessDeniedError, ErrorKind, TransientError
from emasync.ledger.interface import Placed, Sealed
from emasync.model.digest import Span, Tail
from emasync.model.grid import ChunkGrid
from emasync.model.location import Location, missing_key
from emasync.model.task import Rank, State
from emasync.plan import whole
from emasync.plan.compile import compile_dataset
from emasync.plan.order import DOCUMENTS_ASSET
from emasync.plan.tools import SinkDocuments
from emasync.plan.written import RECORD
from emasync.sources.bucket import BucketSource
from emasync.sources.interface import Finding, TreeFound
from emasync.sources.walk import BucketTree
from emasync.testing.fetcher import MemoryFetcher
from emasync.transport.interface import Document, ListPage

Bench = Any
"""The fixture of conftest.py: test modules cannot import it by name."""

SHAPES = ((64, 64, 64), (32, 32, 32), (16, 16, 16))
CHUNK = 16


def zarray(shape: tuple[int, ...], chunk: int = CHUNK, separator: str = "/") -> bytes:
    data = {
        "zarr_format": 2,
        "shape": shape,
        "chunks": [chunk] * len(shape),
        "dtype": "|u1",
        "compressor": None,
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": separator,
    }
    return json.dumps(data).encode()


def image(path: str = "", shapes: tuple[tuple[int, int, int], ...] = SHAPES, separator: str = "/") -> dict[str, bytes]:
    """A Zarr v2 image of three levels, with all chunks."""
    lead = f"{path}/" if path else ""
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    levels = [
        {
            "path": f"s{number}",
            "coordinateTransformations": [
                {"type": "scale", "scale": [4.0 * 2**number] * 3},
                {"type": "translation", "translation": [2.0 * (2**number - 1)] * 3},
            ],
        }
        for number in range(len(shapes))
    ]
    attributes = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": levels, "name": ""}]}
    objects = {f"{lead}.zgroup": b'{"zarr_format": 2}', f"{lead}.zattrs": json.dumps(attributes).encode()}
    for number, shape in enumerate(shapes):
        objects[f"{lead}s{number}/.zarray"] = zarray(shape, separator=separator)
        for chunk in chunks(shape):
            objects[f"{lead}s{number}/{separator.join(map(str, chunk))}"] = b"x" * (10 + number)
    return objects


def chunks(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    grid = ChunkGrid(start=(0,) * len(shape), shape=tuple(-(-size // CHUNK) for size in shape), prefix="")
    return [grid.coordinates(number) for number in range(len(grid))]


def under(prefix: str, objects: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{prefix}/{key}": data for key, data in objects.items()}


def level_keys(objects: dict[str, bytes], *levels: str) -> set[str]:
    return {key for key in objects if key.split("/")[0] in levels and not key.endswith(".zarray")}


async def test_a_whole_hierarchy_comes_whole_and_coarse_levels_first(bench: Bench) -> None:
    objects = {**image(), "OME/METADATA.ome.xml": b"<OME/>", "notes/x.bin": b"1"}
    bench.put(under("p", objects))
    assert await bench.compile()
    assert await bench.destinations() == {key: len(data) for key, data in objects.items()}
    assert await bench.order() == [
        (Rank.DOCUMENT, DOCUMENTS_ASSET),
        (Rank.LEVELS, "s2"),
        (Rank.LEVELS + 1, "s1"),
        (Rank.LEVELS + 2, "s0"),
        (Rank.BULK, ""),
    ]
    listed = [call.location for call in bench.fetcher.log if call.verb == "list" and call.location.endswith("/s0/")]
    assert len(listed) == 1, "a level is listed once"


async def test_the_rest_is_listed_around_the_levels(bench: Bench) -> None:
    objects = image(separator=".")
    bench.fetcher = MemoryFetcher({f"s3://bucket/p/{key}": data for key, data in objects.items()}, page_limit=10)
    assert await bench.compile()
    assert set(await bench.destinations()) == set(objects)
    flat = -(-len(objects) // 10)
    lists = sum(call.verb == "list" for call in bench.fetcher.log)
    assert lists < 3 * flat, f"{lists} listings where a flat one takes {flat}, and some guesses more"


async def test_what_cannot_be_understood_is_taken_as_it_is(bench: Bench) -> None:
    objects = {**image(), "s1/.zarray": b"{broken"}
    bench.put(under("p", objects))
    assert await bench.compile()
    assert set(await bench.destinations()) == set(objects)
    assert any("object by object" in str(fields["message"]) for fields in bench.told("warning"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_every_object_below_a_prefix_is_named_exactly_once(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, bench: Bench
) -> None:
    names = st.sampled_from(["a", "a.zarr", "b-c", "s0", ".zattrs", "zarr.json", "x.tif", "é"])
    extra = data.draw(st.lists(st.lists(names, min_size=1, max_size=3).map("/".join), max_size=12))
    where = data.draw(st.sampled_from(["", "im", "a/im"]))
    shapes = data.draw(st.sampled_from([SHAPES, SHAPES[1:], SHAPES[:1]]))
    objects = {**dict.fromkeys(extra, b"1"), **image(where, shapes, data.draw(st.sampled_from("/.")))}
    files = {key for key in objects if not any(other.startswith(f"{key}/") for other in objects)}
    page = data.draw(st.integers(2, 20))
    bench.folder = tmp_path_factory.mktemp("root")
    bench.fetcher = MemoryFetcher({f"s3://bucket/p/{key}": text for key, text in objects.items()}, page_limit=page)
    assert await bench.compile(format=data.draw(st.sampled_from(["auto", "raw", "zarr"])))
    found = await bench.destinations()
    assert files <= set(found) <= set(objects)
    assert {key: len(objects[key]) for key in files} == {key: found[key] for key in files}


async def test_levels_are_chosen_and_metadata_says_what_is_there(bench: Bench) -> None:
    objects = {**image("em/one"), "em/one/thumb.png": b"1", "em/.zgroup": b'{"zarr_format": 2}', "em/two/big": b"2"}
    bench.put(under("p", objects))
    assert await bench.compile(arrays=["em/one"], scales=[1, 2])
    inside = {key.removeprefix("em/one/") for key in objects if key.startswith("em/one/")}
    chunk_keys = level_keys(dict.fromkeys(inside, b""), "s1", "s2")
    fetched = {"em/one/.zgroup", "em/.zgroup", "em/one/s1/.zarray", "em/one/s2/.zarray", "em/one/thumb.png"}
    assert set(await bench.destinations()) == fetched | {f"em/one/{key}" for key in chunk_keys}
    rows = {row.key: row for row in await bench.rows()}
    assert rows["em/one/s1/0/0/1"].size_bytes == 11, "whole levels are listed, so sizes are known"
    written = json.loads(await bench.documents.read("d/em/one/.zattrs") or b"")
    assert [level["path"] for level in written["multiscales"][0]["datasets"]] == ["s1", "s2"]
    assert await bench.documents.read("d.source-metadata/em/one/.zattrs") == objects["em/one/.zattrs"]
    assert await bench.documents.read("d.source-metadata/em/one/s0/.zarray") == objects["em/one/s0/.zarray"]


async def test_a_box_becomes_grids_that_count_from_zero(bench: Bench) -> None:
    bench.put(under("p", image()))
    assert await bench.compile(scales=[0, 1], crop={"start": [20, 0, 40], "shape": [20, 10, 20]})
    rows = [row for row in await bench.rows() if isinstance(row.key, int)]
    places = {row.location.removeprefix("s3://bucket/p/"): row.destination for row in rows}
    assert places == {
        "s1/0/0/1": "d/s1/0/0/0",
        "s1/1/0/1": "d/s1/1/0/0",
        "s0/1/0/2": "d/s0/0/0/0",
        "s0/1/0/3": "d/s0/0/0/1",
        "s0/2/0/2": "d/s0/1/0/0",
        "s0/2/0/3": "d/s0/1/0/1",
    }
    array = json.loads(await bench.documents.read("d/s0/.zarray") or b"")
    assert array["shape"] == [32, 16, 32]
    async with bench.tools() as tools:
        sets = {item.spec.asset: item.spec for item in await tools.ledger.call("open_sets")}
    assert sets["s0"].absent_ok, "the policy of s3:// trusts 404"
    boxes = {fields["array"]: fields for fields in bench.told("asset_planned") if "array" in fields}
    assert (boxes["s0"]["box_start"], boxes["s0"]["hull_shape"]) == ([20, 0, 40], [32, 16, 32])


async def test_mirror_keeps_keys_and_metadata(bench: Bench) -> None:
    objects = image()
    bench.put(under("p", objects))
    assert await bench.compile(subset="mirror", scales=[0], crop={"start": [20, 0, 40], "shape": [4, 4, 4]})
    documents = {key for key in objects if "/." in f"/{key}"}
    assert set(await bench.destinations()) == documents | {"s0/1/0/2"}
    assert await bench.documents.read("d/s0/.zarray") is None


async def test_written_documents_are_restored_without_a_request(bench: Bench) -> None:
    bench.put(under("p", image()))
    choice: dict[str, Any] = {"scales": [2]}
    assert await bench.compile(**choice)
    bench.requests()
    before = await bench.documents.read("d/.zattrs")
    assert before
    del bench.documents._documents["d/.zattrs"]
    assert await bench.compile(**choice)
    assert await bench.documents.read("d/.zattrs") == before
    assert bench.requests() == []


async def test_without_the_record_the_dataset_is_planned_again(bench: Bench) -> None:
    bench.put(under("p", image()))
    assert await bench.compile(scales=[2])
    bench.documents._documents.clear()
    bench.requests()
    assert await bench.compile(scales=[2])
    assert bench.requests()
    assert await bench.documents.read(f"d.source-metadata/{RECORD}")
    bench.requests()
    assert await bench.compile(scales=[2])
    assert bench.requests() == []


@pytest.mark.parametrize("record", [b"{", b"[1]", b'{"version": 9}', b'{"version": 1, "documents": []}'])
async def test_a_damaged_record_counts_as_none(bench: Bench, record: bytes) -> None:
    bench.put(under("p", image()))
    assert await bench.compile(scales=[2])
    bench.documents._documents[f"d.source-metadata/{RECORD}"] = record
    assert await bench.compile(scales=[2])
    assert await bench.documents.read(f"d.source-metadata/{RECORD}") != record


async def test_what_somebody_else_put_there_is_not_replaced(bench: Bench) -> None:
    bench.put(under("p", image()))
    await bench.documents.write("d/.zattrs", b"mine")
    assert not await bench.compile(scales=[2])
    (failure,) = await bench.failures()
    assert failure.kind == ErrorKind.DESTINATION_EXISTS
    assert await bench.documents.read("d/.zattrs") == b"mine"


async def test_another_choice_replaces_our_own_metadata(bench: Bench) -> None:
    objects = image()
    bench.put(under("p", objects))
    await bench.documents.write("d/.zattrs", objects[".zattrs"])  # fetched by an earlier, whole run
    for scales in ([2], [1], [0, 1]):
        assert await bench.compile(scales=scales)
        written = json.loads(await bench.documents.read("d/.zattrs") or b"")
        paths = [level["path"] for level in written["multiscales"][0]["datasets"]]
        assert paths == [f"s{number}" for number in scales]


async def test_the_source_s_own_metadata_comes_back_with_the_whole(bench: Bench) -> None:
    objects = image()
    bench.put(under("p", objects))
    assert await bench.compile(scales=[1])
    assert await bench.compile(scales=[2])
    await bench.documents.write("d/s2/.zattrs", b"mine")
    assert await bench.compile()
    assert await bench.documents.read("d/.zattrs") is None, "ours is out of the way"
    assert await bench.documents.read("d/s2/.zattrs") == b"mine"
    assert set(await bench.destinations()) == set(objects)


async def test_a_file_that_a_subset_replaced_is_fetched_again_for_the_whole(bench: Bench) -> None:
    bench.put(under("p", image()))
    assert await bench.compile()
    async with bench.tools() as tools:
        (row,) = [row for row in await tools.ledger.call(lambda ledger: list(ledger.rows())) if row.key == ".zattrs"]
        sealed = Sealed(set_id=row.set_id, key=row.key, size_bytes=row.size_bytes, crc32c=1)
        await tools.ledger.call("record", [sealed, Placed(set_id=row.set_id, key=row.key)])
    assert await bench.compile(scales=[1])
    assert (await bench.tally()).unwanted == 0, "the file there is ours now"
    assert await bench.compile()
    states = {row.key: row.state for row in await bench.rows()}
    assert states[".zattrs"] == State.PENDING


async def test_what_somebody_changed_since_is_not_taken_back(bench: Bench) -> None:
    bench.put(under("p", image()))
    assert await bench.compile(scales=[2])
    await bench.documents.write("d/.zattrs", b"changed")
    assert await bench.compile(subset="mirror", scales=[2])
    assert await bench.documents.read("d/.zattrs") == b"changed"


async def test_documents_lie_in_the_root(bench: Bench) -> None:
    bench.put(under("p", image()))
    sink = await asyncio.to_thread(LocalSink, bench.folder)
    documents = SinkDocuments(sink)
    try:
        for choice in ({"scales": [2]}, {}):
            entry = await bench.manifest_entry(**choice)
            async with bench.tools() as tools:
                assert await compile_dataset(entry, replace(tools, documents=documents))
            there = await documents.read("d/.zattrs")
            assert (there is not None) == bool(choice)
        kept = await documents.read("d.source-metadata/.zattrs")
        assert kept == image()[".zattrs"]
        assert await asyncio.to_thread(lambda: list(sink.partials())) == []
    finally:
        await asyncio.to_thread(sink.close)


async def test_trees_in_folders_of_their_own_share_one_dataset(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Assets(BucketSource):
        async def resolve(self, entry: Any) -> AsyncIterator[Finding]:
            for name in ("one", "two"):
                base = Location.parse(f"s3://bucket/{name}")
                yield TreeFound(tree=BucketTree(bench.fetcher, base), path=f"asset-{name}")

    monkeypatch.setattr("emasync.sources.bucket.BucketSource", Assets)
    objects = {**image(), "session.json": b"{}"}
    bench.put({**under("one", objects), **under("two", objects)})
    choice: dict[str, Any] = {"scales": [2], "include": ["asset-one/**", "asset-two/s2/**"]}
    assert await bench.compile(**choice)
    assert set(await bench.destinations()) == {
        *(f"asset-{name}/{key}" for name in ("one", "two") for key in (".zgroup", "s2/.zarray", "s2/0/0/0")),
        "asset-one/session.json",
    }
    for name in ("one", "two"):
        assert await bench.documents.read(f"d/asset-{name}/.zattrs")
        assert await bench.documents.read(f"d.source-metadata/asset-{name}/.zattrs") == objects[".zattrs"]
    bench.documents._documents.pop("d/asset-one/.zattrs")
    assert await bench.compile(**choice)
    assert await bench.documents.read("d/asset-one/.zattrs")
    assert await bench.compile(include=["asset-two/s*/0/**"], format="raw")
    wanted = {f"asset-two/{key}" for key in objects if key.startswith(("s0/0/", "s1/0/", "s2/0/"))}
    assert set(await bench.destinations()) == wanted


# --- what a source allows ---------------------------------------------------------------------------------------


class Strict(MemoryFetcher):
    """An http(s) origin, so that no policy speaks for its 404; `hide`: missing keys are answered with 403."""

    def __init__(self, objects: dict[str, bytes], *, hide: bool = False, list_denied: bool = False) -> None:
        super().__init__({f"http://h:1/bucket/p/{key}": data for key, data in objects.items()})
        self.hide = hide
        self.list_denied = list_denied

    async def read(
        self, location: Location, *, span: Span | Tail | None = None, limit_bytes: int = 64 << 20
    ) -> Document:
        if self.hide and location not in self._objects:
            self.log.clear()
            raise AccessDeniedError(f"403 for {location}", location=str(location))
        return await super().read(location, span=span, limit_bytes=limit_bytes)

    async def list(
        self, prefix: Location, *, start_after: str | None = None, delimiter: str | None = None
    ) -> AsyncIterator[ListPage]:
        if self.list_denied:
            raise AccessDeniedError(f"403 for {prefix}", location=str(prefix))
        async for page in super().list(prefix, start_after=start_after, delimiter=delimiter):
            yield page


CROP = {"start": [20, 0, 40], "shape": [20, 10, 20]}
URL = "http://h:1/bucket/p"


async def specs(bench: Bench) -> dict[str, Any]:
    async with bench.tools() as tools:
        return {item.spec.asset: item.spec for item in await tools.ledger.call("open_sets")}


async def test_a_probe_makes_404_a_statement(bench: Bench) -> None:
    bench.fetcher = Strict(image())
    assert await bench.compile(url=URL, scales=[0], crop=CROP)
    assert (await specs(bench))["s0"].absent_ok
    probes = [call.location for call in bench.fetcher.log if "emasync-probe" in call.location]
    assert len(probes) == 1


async def test_where_missing_is_403_a_listing_says_what_is_there(bench: Bench) -> None:
    objects = image()
    del objects["s0/1/0/3"]
    bench.fetcher = Strict(objects, hide=True)
    assert await bench.compile(url=URL, scales=[0], crop=CROP)
    spec = (await specs(bench))["s0"]
    assert spec.grid is None
    places = {row.key: row.destination for row in await bench.rows() if "/." not in f"/{row.key}"}
    assert places == {"s0/1/0/2": "d/s0/0/0/0", "s0/2/0/2": "d/s0/1/0/0", "s0/2/0/3": "d/s0/1/0/1"}


async def test_where_nothing_can_be_listed_levels_are_grids(bench: Bench) -> None:
    bench.fetcher = Strict(image(), list_denied=True)
    assert await bench.compile(url=URL, scales=[1])
    spec = (await specs(bench))["s1"]
    assert spec.grid is not None
    assert (len(spec.grid), spec.absent_ok) == (8, True)


async def test_where_nothing_is_told_404_is_a_failure(bench: Bench) -> None:
    bench.fetcher = Strict(image(), hide=True, list_denied=True)
    assert await bench.compile(url=URL, scales=[1])
    spec = (await specs(bench))["s1"]
    assert not spec.absent_ok


async def test_a_whole_hierarchy_that_cannot_be_listed_is_its_grids(bench: Bench) -> None:
    bench.fetcher = Strict(image(), list_denied=True)
    assert await bench.compile(url=URL)
    grids = {asset: len(spec.grid) for asset, spec in (await specs(bench)).items() if spec.grid is not None}
    assert grids == {"s0": 64, "s1": 8, "s2": 1}


async def test_an_origin_that_answers_anything_tells_nothing(bench: Bench) -> None:
    base = Location.parse(URL)
    bench.fetcher = Strict({**image(), missing_key(base): b"!"}, list_denied=True)
    assert await bench.compile(url=URL, scales=[1])
    assert not (await specs(bench))["s1"].absent_ok


async def test_many_levels_share_one_listing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "MAX_LEVEL_SETS", 2)
    objects = image()
    bench.put(under("p", objects))
    assert await bench.compile()
    assert set(await bench.destinations()) == set(objects)
    assert {asset for _, asset in await bench.order()} == {DOCUMENTS_ASSET, ""}


async def test_images_of_different_depth_give_the_levels_they_have(bench: Bench) -> None:
    objects = {".zgroup": b'{"zarr_format": 2}', **image("deep"), **image("flat", SHAPES[:1])}
    objects |= {"plain/.zarray": zarray((16,)), "plain/0": b"1"}
    bench.put(under("p", objects))
    assert await bench.compile(scales=[2])
    assert {path for path in await bench.destinations() if path[-1].isdecimal()} == {"deep/s2/0/0/0"}
    assert await bench.compile(scales=[0], include=["plain/**", "flat/**"], format="zarr")
    assert {path for path in await bench.destinations() if path[-1].isdecimal()} == {
        "plain/0",
        *(f"flat/s0/{z}/{y}/{x}" for z, y, x in chunks(SHAPES[0])),
    }


async def test_arrays_of_format_3_are_known_by_their_first_chunk(bench: Bench) -> None:
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [32],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [16]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
    }
    bench.put(under("p", {"a/zarr.json": json.dumps(metadata).encode(), "a/c/0": b"1", "a/c/1": b"1"}))
    group = b'{"zarr_format": 3, "node_type": "group"}'
    bench.put({"p/zarr.json": group})
    assert await bench.compile(scales=[0], include=["a/c/*"])
    assert {"a/c/0", "a/c/1"} < set(await bench.destinations())


async def test_an_array_without_extent_has_no_chunks(bench: Bench) -> None:
    bench.put(under("p", {"a/.zarray": zarray((0, 16)), ".zgroup": b'{"zarr_format": 2}'}))
    assert await bench.compile(arrays=["a"])
    assert "a/.zarray" in await bench.destinations()


async def test_a_document_that_cannot_be_read_fails_the_dataset(bench: Bench) -> None:
    bench.put(under("p", image()))
    bench.fetcher.fail("s3://bucket/p/s1/.zarray", TransientError("cut", location="s3://bucket/p/s1/.zarray"))
    assert not await bench.compile(scales=[1])
    (failure,) = await bench.failures()
    assert (failure.kind, failure.message) == (ErrorKind.TRANSIENT, "cut")


# --- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "kind", "words"),
    [
        ({"scales": [7]}, ErrorKind.SOURCE, "no scale 7"),
        ({"arrays": ["nothing"]}, ErrorKind.SOURCE, "nothing"),
        ({"crop": {"start": [0, 0, 60], "shape": [8, 8, 8]}}, ErrorKind.SOURCE, "not inside"),
        ({"crop": {"start": [0, 0, 0], "shape": [8, 8, 8], "scale": 5}}, ErrorKind.SOURCE, "crop.scale 5"),
        ({"scales": [0], "exclude": ["**"]}, ErrorKind.SOURCE, "include and exclude"),
        ({"format": "n5", "scales": [0]}, ErrorKind.SOURCE, "another format than N5"),
    ],
)
async def test_what_cannot_be_chosen_is_named(
    bench: Bench, choice: dict[str, Any], kind: ErrorKind, words: str
) -> None:
    bench.put(under("p", image()))
    assert not await bench.compile(**choice)
    (failure,) = await bench.failures()
    assert failure.kind == kind
    assert words in failure.message


async def test_levels_of_something_without_arrays_are_an_error(bench: Bench) -> None:
    bench.put({"p/a.tif": b"1", "p/b/c.tif": b"1"})
    assert not await bench.compile(scales=[0])
    (failure,) = await bench.failures()
    assert failure.kind == ErrorKind.SOURCE
    assert "array" in failure.message


async def test_a_box_is_drawn_from_its_seed(bench: Bench) -> None:
    bench.put(under("p", image()))
    crop = {"at": "random", "shape": [8, 8, 8], "seed": 7}
    assert await bench.compile(scales=[0], crop=crop)
    assert await bench.compile(scales=[0], crop=crop, refresh=True)
    first, second = [fields["box_start"] for fields in bench.told("asset_planned") if "box_start" in fields]
    assert first == second
    assert await bench.compile(scales=[0], crop={**crop, "at": "center"} | {"seed": None})
    assert [fields["box_start"] for fields in bench.told("asset_planned") if "box_start" in fields][-1] == [28, 28, 28]


async def test_plain_arrays_are_cropped_too(bench: Bench) -> None:
    objects = {"tile/.zarray": zarray((32, 32)), **{f"tile/{y}/{x}": b"1" for y in "01" for x in "01"}}
    bench.put(under("p", {".zgroup": b'{"zarr_format": 2}', **objects}))
    assert await bench.compile(arrays=["tile"], crop={"start": [0, 16, 0], "shape": [1, 4, 4]})
    rows = [row for row in await bench.rows() if isinstance(row.key, int)]
    assert [(row.location, row.destination) for row in rows] == [("s3://bucket/p/tile/1/0", "d/tile/0/0")]
    assert not await bench.compile(arrays=["tile"], crop={"start": [0, 0, 0], "shape": [1, 4, 4], "scale": 1})


@given(
    start=st.lists(st.integers(0, 20), min_size=0, max_size=3),
    encoding=st.sampled_from(["v2", "default"]),
    separator=st.sampled_from(["/", "."]),
    data=st.data(),
)
def test_numbers_of_chunks_invert_their_keys(
    start: list[int], encoding: Any, separator: Any, data: st.DataObject
) -> None:
    shape = tuple(data.draw(st.integers(1, 4)) for _ in start)
    grid = ChunkGrid(start=tuple(start), shape=shape, prefix="a/b/", encoding=encoding, separator=separator)
    assert [grid.number_of(grid.key(number)) for number in range(len(grid))] == list(range(len(grid)))
    beside = ChunkGrid(
        start=tuple(low + size for low, size in zip(start, shape, strict=True)),
        shape=shape,
        prefix="a/b/",
        encoding=encoding,
        separator=separator,
    )
    if start:
        assert grid.number_of(beside.key(0)) is None
    for key in ("a/b/.zarray", "a/c", "a/b/1e3", "a/b/01", "a/b/c/c/1/1/1"):
        assert grid.number_of(key) is None or grid.key(grid.number_of(key) or 0) == key
