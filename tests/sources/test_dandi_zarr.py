"""Zarr assets and embargoed ones, against the twin."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import pytest
import zarr
from tests.sources.dandi_desk import asked, described, on_disk, run, twin_of

import emasync
from emasync.model.events import Event
from emasync.model.location import Location
from emasync.model.receipt import Receipt
from emasync.plan.preview import DatasetPreview
from emasync.sources.dandi_zarr import END, Coverage, ZarrTree
from emasync.sources.walk import BucketTree, closing
from emasync.testing import Archive
from emasync.testing.content import BucketRules
from emasync.testing.dandi import DandiTwin
from emasync.testing.dandi_records import zarr_checksum
from emasync.testing.fetcher import MemoryFetcher
from emasync.testing.memory import MemoryStore
from emasync.testing.volumes import write_ome_zarr_04
from emasync.transport.interface import ListedObject

Start = Callable[..., Archive]
IMAGE = "sub-1/sub-1_SPIM.ome.zarr"
TOKEN = "5ecret"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("image") / "x.zarr"
    write_ome_zarr_04(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def serve(archive: Start) -> Callable[..., Archive]:
    def start(twin: DandiTwin, **options: Any) -> Archive:
        return archive(twin.store, apps=[twin], **options)

    return start


def below(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{key}": data for key, data in files.items()}


async def test_a_zarr_asset_is_a_tree_that_comes_from_the_bucket(
    serve: Start, tmp_path: Path, image: dict[str, bytes]
) -> None:
    twin = twin_of({"a.nwb": b"a"})
    twin.add_zarr("000027", IMAGE, image)
    server = serve(twin)
    receipt = await run(server, tmp_path, version="draft")
    assert receipt.ok, receipt.failures
    assert on_disk(tmp_path) == {"a.nwb": b"a", **below(IMAGE, image)}
    calls = [path for path in asked(server) if path.startswith("api/")]
    assert len(calls) == 2, "the API is asked for records, never for chunks"


async def test_scales_can_be_chosen_in_it(serve: Start, tmp_path: Path, image: dict[str, bytes]) -> None:
    twin = twin_of({})
    twin.add_zarr("000027", IMAGE, image)
    assert (await run(serve(twin), tmp_path, version="draft", scales=[2])).ok
    group = await asyncio.to_thread(zarr.open_group, tmp_path / "d" / IMAGE, mode="r")
    assert sorted(group.array_keys()) == ["s2"]
    chunks = {key for key in on_disk(tmp_path) if "/s" in key.removeprefix(IMAGE) and not key.endswith(".zarray")}
    assert {key.split("/")[2] for key in chunks} == {"s2"}


@pytest.fixture
def both(serve: Start, image: dict[str, bytes]) -> tuple[Archive, dict[str, bytes]]:
    """A file and a Zarr, served; and the Zarr's objects."""
    twin = twin_of({"sub-1/a.nwb": b"a"})
    twin.add_zarr("000027", IMAGE, image)
    return serve(twin), image


@pytest.mark.parametrize(
    ("include", "exclude", "wanted"),
    [
        ([IMAGE], [], lambda key: key.startswith(IMAGE)),
        (["sub-1/**"], [], lambda _: True),
        (["**/*.ome.zarr/s2/**"], [], lambda key: key.startswith(f"{IMAGE}/s2/")),
        ([f"{IMAGE}/.z*"], [], lambda key: key.startswith(f"{IMAGE}/.z")),
        ([], [IMAGE], lambda key: not key.startswith(IMAGE)),
        ([], ["**/s0/**"], lambda key: "/s0/" not in key),
        (["**/*.nwb"], [], lambda key: key.endswith(".nwb")),
    ],
)
async def test_globs_pick_zarr_assets_and_files_in_them(
    both: tuple[Archive, dict[str, bytes]],
    tmp_path: Path,
    include: list[str],
    exclude: list[str],
    wanted: Callable[[str], bool],
) -> None:
    server, image = both
    assert (await run(server, tmp_path, version="draft", include=include, exclude=exclude)).ok
    everything = {"sub-1/a.nwb": b"a", **below(IMAGE, image)}
    assert on_disk(tmp_path) == {key: data for key, data in everything.items() if wanted(key)}
    if not any(wanted(key) for key in below(IMAGE, image)):
        assert not [path for path in asked(server) if "zarr/" in path], "a Zarr that nobody wants is not looked at"


async def test_trap_14_a_zarr_with_fewer_objects_than_its_checksum_is_no_silent_subset(
    serve: Start, tmp_path: Path, image: dict[str, bytes]
) -> None:
    twin = twin_of({"z.nwb": b"z"})
    asset = twin.add_zarr("000027", IMAGE, image)
    lost = next(key for key in image if key.startswith("s0/") and not key.endswith(".zarray"))
    twin.store.delete(f"dandiarchive/zarr/{asset.zarr}/{lost}")
    receipt = await run(serve(twin), tmp_path, version="draft")
    (failure,) = receipt.datasets[0].failures
    assert f"{IMAGE}: the archive's checksum" in failure.message
    assert f"promises {len(image)} objects" in failure.message
    assert f"lists {len(image) - 1} of" in failure.message
    assert len(on_disk(tmp_path)) == len(image), "all the rest is fetched"


@pytest.mark.parametrize("glob", [[], ["sub-1/**"]])
async def test_a_zarr_that_cannot_be_listed_is_no_silent_subset(
    serve: Start, tmp_path: Path, image: dict[str, bytes], glob: list[str]
) -> None:
    """Its metadata lead to the chunks and to nothing else: the archive promises more."""
    twin = twin_of({"sub-1/z.nwb": b"z"})
    twin.add_zarr("000027", IMAGE, {**image, "OME/METADATA.ome.xml": b"<OME/>"})
    server = serve(twin, buckets={"dandiarchive": BucketRules(list_denied=True)})
    receipt = await run(server, tmp_path, version="draft", include=glob)
    (failure,) = receipt.datasets[0].failures
    assert (receipt.exit_code, failure.kind) == (1, "access_denied")
    assert f"{IMAGE}: {failure.location} could not be listed" in failure.message
    assert on_disk(tmp_path) == {"sub-1/z.nwb": b"z", **below(IMAGE, image)}, "what can be had is fetched"


async def test_a_level_of_a_zarr_that_cannot_be_listed_is_all_that_is_wanted(
    serve: Start, tmp_path: Path, image: dict[str, bytes]
) -> None:
    twin = twin_of({})
    twin.add_zarr("000027", IMAGE, image)
    server = serve(twin, buckets={"dandiarchive": BucketRules(list_denied=True)})
    assert (await run(server, tmp_path, version="draft", scales=[1])).ok


async def test_a_zarr_without_the_chosen_scale_does_not_keep_the_others_away(
    serve: Start, tmp_path: Path, image: dict[str, bytes]
) -> None:
    twin = twin_of({"z.nwb": b"z"})
    twin.add_zarr("000027", "a.ome.zarr", {key: data for key, data in image.items() if not key.startswith("s2/")})
    twin.add_zarr("000027", "b.ome.zarr", image)
    receipt = await run(serve(twin), tmp_path, version="draft", scales=[2])
    (failure,) = receipt.datasets[0].failures
    assert failure.message.startswith("a.ome.zarr: ")
    found = on_disk(tmp_path)
    assert "z.nwb" in found
    assert any(key.startswith("b.ome.zarr/s2/") for key in found)


async def test_trap_14_a_zarr_that_grows_is_told(serve: Start, tmp_path: Path, image: dict[str, bytes]) -> None:
    twin = twin_of({})
    told: list[Event] = []
    asset = twin.add_zarr("000027", IMAGE, image)
    twin.store.put(f"dandiarchive/zarr/{asset.zarr}/s0/9/9/9", b"new")
    manifest = described(serve(twin).url, version="draft")
    receipt = await emasync.arun(manifest, root=tmp_path, on_event=told.append)
    assert receipt.ok
    messages = [str(event.fields["message"]) for event in told if event.event == "warning"]
    assert any("is being changed" in message for message in messages)


async def test_a_chunk_that_is_another_of_the_same_size_is_told_from_the_listing(
    serve: Start, tmp_path: Path, image: dict[str, bytes]
) -> None:
    """Count and bytes are as promised, and each object is what its entity tag says: only the tree's digest tells."""
    twin = twin_of({})
    asset = twin.add_zarr("000027", IMAGE, image)
    key = next(key for key in image if key.startswith("s0/") and not key.endswith(".zarray"))
    twin.store.put(f"dandiarchive/zarr/{asset.zarr}/{key}", bytes(len(image[key]) - 1) + b"\7")
    receipt = await run(serve(twin), tmp_path, version="draft")
    (failure,) = receipt.datasets[0].failures
    assert failure.kind == "checksum_mismatch"
    assert str(asset.digest["dandi:dandi-zarr-checksum"]) in failure.message
    assert not receipt.ok


@pytest.mark.parametrize("options", [{"page_limit": 7}, {"page_limit": 1000}])
async def test_the_listing_of_a_zarr_gives_its_checksum(
    serve: Start, image: dict[str, bytes], options: dict[str, int]
) -> None:
    """Level by level, coarse ones first, and then what lies around them: as a plan lists it."""
    files = {**image, "labels/cells/.zattrs": b"{}", "labels/.zgroup": b"x", "zz": b"1", "s1-notes/a": b"2"}
    fetcher = MemoryFetcher({f"s3://b/z/{key}": data for key, data in files.items()}, **options)
    tree = ZarrTree(BucketTree(fetcher, Location.parse("s3://b/z")), summed=True)
    for folder in ("s2", "labels/cells", "s1", "s0"):
        async with closing(tree.list(folder)) as pages:
            assert [page async for page in pages]
    assert tree.checksum is None, "not all of it"
    async with closing(tree.list("")) as pages:
        assert [page async for page in pages]
    rows = {key: (hashlib.md5(data, usedforsecurity=False).hexdigest(), len(data)) for key, data in files.items()}
    assert tree.checksum == zarr_checksum(rows)


def big_zarr(twin: DandiTwin, chunks: int) -> None:
    """One volume of `chunks` chunks, 100 in a row, and what describes it."""
    meta = (
        f'{{"zarr_format":2,"shape":[{chunks // 100},10,10],"chunks":[1,1,1],"dtype":"|u1","compressor":null,'
        '"fill_value":0,"order":"C","filters":null,"dimension_separator":"/"}'
    )
    files = {".zgroup": b'{"zarr_format":2}', "0/.zarray": meta.encode()}
    files |= {f"0/{z}/{y}/{x}": b"\1" for z in range(chunks // 100) for y in range(10) for x in range(10)}
    twin.add_zarr("000027", "big.zarr", files)


def planned(server: Archive, **entry: Any) -> DatasetPreview:
    with emasync.plan(described(server.url, version="draft", **entry)) as found:
        return found.preview.datasets[0]


def test_seventeen_thousand_chunks_are_planned_with_their_listing(serve: Start) -> None:
    twin = twin_of({})
    big_zarr(twin, 17_000)
    server = serve(twin)
    dataset = planned(server)
    assert (dataset.planned, dataset.objects) == (True, 17_002), dataset.failures
    listings = [path for path in asked(server) if "list-type" in path]
    assert len(listings) < 2 * 18, "18 pages of a thousand, and a few looks at folders"
    assert not [path for path in asked(server) if re.search(r"/\d+/\d+/\d+$", path)], "no chunk is asked for"


@pytest.mark.parametrize("shape", [(5, 5, 5), (169, 10, 10)])
def test_a_box_of_seventeen_thousand_chunks_is_planned_with_metadata_only(
    serve: Start, shape: tuple[int, int, int]
) -> None:
    """As few requests for 16,900 chunks as for 125: documents, and two looks at what can be listed."""
    twin = twin_of({})
    big_zarr(twin, 17_000)
    server = serve(twin)
    dataset = planned(server, crop={"start": [1, 0, 0], "shape": shape})
    assert (dataset.planned, dataset.objects) == (True, prod(shape) + 1), dataset.failures
    calls = [path for path in asked(server) if not path.startswith("api/")]
    assert len([path for path in calls if "list-type" in path]) == 2, calls
    documents = {path.rpartition("/")[2] for path in calls if "list-type" not in path}
    assert documents <= {"zarr.json", ".zgroup", ".zarray", ".zattrs"}
    assert len(calls) <= 11, calls


# --- embargo ----------------------------------------------------------------------------------------------------------


def embargoed(**options: Any) -> DandiTwin:
    return DandiTwin(MemoryStore(buckets=("dandiarchive",)), token=TOKEN, **options)


def own_instance(server: Archive, **entry: Any) -> dict[str, Any]:
    """The twin under an address of its own: a token goes to its host only, and so to no mirror."""
    one = {"id": "d", "source": "dandi", "dandiset": "000027", "version": "draft", "instance": f"{server.url}/api"}
    return {
        "version": 1,
        "mirrors": {"s3://dandiarchive": f"{server.url}/dandiarchive"},
        "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
        "datasets": [one | entry],
    }


async def run_embargoed(server: Archive, root: Path, **entry: Any) -> Receipt:
    return await emasync.arun(own_instance(server, **entry), root=root)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMASYNC_TOKEN_127_0_0_1", f"token {TOKEN}")


def everything_written(root: Path) -> bytes:
    """Data, ledger, receipt, kept documents."""
    return b"\n".join(path.read_bytes() for path in root.rglob("*") if path.is_file())


@pytest.mark.usefixtures("token")
async def test_embargoed_files_come_through_the_api(serve: Start, tmp_path: Path) -> None:
    twin = embargoed()
    files = {"sub-1/a.nwb": bytes(range(256)) * 100, "sub-1/b.nwb": b"small"}
    for path, data in files.items():
        twin.add_blob("000027", path, data, embargoed=True)
    server = serve(twin)
    receipt = await run_embargoed(server, tmp_path)
    assert receipt.ok, receipt.failures
    assert on_disk(tmp_path) == files
    for seen in server.requests:
        assert seen.path.startswith("api/") or "X-Amz-Signature=" in seen.query, "the bucket is never tried directly"
        if "authorization" in seen.headers:
            assert seen.path.startswith("api/"), "the token never goes to the bucket"
    assert [seen.status for seen in server.requests].count(401) == 1, "open first, with the token from then on"
    written = await asyncio.to_thread(everything_written, tmp_path)
    assert TOKEN.encode() not in written
    assert b"X-Amz-Signature" not in written


async def test_an_embargoed_dandiset_says_what_it_wants(serve: Start, tmp_path: Path) -> None:
    twin = embargoed()
    twin.add_blob("000027", "a.nwb", b"a", embargoed=True)
    receipt = await run_embargoed(serve(twin), tmp_path)
    (failure,) = receipt.datasets[0].failures
    assert failure.kind == "access_denied"
    assert "it is embargoed, or not yours to read" in failure.message
    assert "EMASYNC_TOKEN_127_0_0_1" in failure.message


async def test_a_token_that_is_refused_is_told_by_the_name_of_its_variable(
    serve: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMASYNC_TOKEN_127_0_0_1", "token 0utdated")
    twin = embargoed()
    twin.add_blob("000027", "a.nwb", b"a", embargoed=True)
    server = serve(twin)
    receipt = await run_embargoed(server, tmp_path)
    (failure,) = receipt.datasets[0].failures
    assert (receipt.exit_code, failure.kind) == (1, "access_denied")
    assert "EMASYNC_TOKEN_127_0_0_1" in failure.message
    assert "with the token of the environment" in failure.message, "it was tried"
    assert "0utdated" not in failure.message
    assert len(server.requests) == 2, "once without it, once with it"


async def test_the_archives_token_does_not_go_to_a_mirror(
    serve: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANDI_API_KEY", TOKEN)
    twin = embargoed()
    twin.add_blob("000027", "a.nwb", b"a", embargoed=True)
    server = serve(twin)
    receipt = await run(server, tmp_path, version="draft")
    assert "DANDI_API_KEY" in receipt.datasets[0].failures[0].message
    assert not [seen for seen in server.requests if "authorization" in seen.headers]


@pytest.mark.usefixtures("token")
async def test_trap_11_and_nwb_trap_11_a_presigned_url_that_expires_is_renewed(serve: Start, tmp_path: Path) -> None:
    twin = embargoed(presigned_uses=2)
    data = bytes(range(256)) * (100 << 10)  # 25 MiB: several ranges
    twin.add_blob("000027", "a.nwb", data, embargoed=True)
    server = serve(twin)
    receipt = await run_embargoed(server, tmp_path)
    assert receipt.ok, receipt.failures
    assert on_disk(tmp_path) == {"a.nwb": data}
    assert [seen.status for seen in server.requests if "download" in seen.path].count(302) > 1


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("include", [[], [f"{IMAGE}/s1/**"], [IMAGE]])
async def test_trap_13_an_embargoed_zarr_comes_object_by_object(
    serve: Start, tmp_path: Path, image: dict[str, bytes], include: list[str]
) -> None:
    """Its download address answers 400, so it is never asked for."""
    twin = embargoed()
    twin.add_zarr("000027", IMAGE, image, embargoed=True)
    server = serve(twin)
    receipt = await run_embargoed(server, tmp_path, include=include)
    assert receipt.ok, receipt.failures
    inside = f"{IMAGE}/s1/" if include[:1] == [f"{IMAGE}/s1/**"] else IMAGE
    assert on_disk(tmp_path) == {key: data for key, data in below(IMAGE, image).items() if key.startswith(inside)}
    assert not [path for path in asked(server) if "/download/" in path or "inline" in path]


@pytest.mark.usefixtures("token")
async def test_trap_6_the_slash_of_a_zarr_prefix_is_not_relied_on(serve: Start, tmp_path: Path) -> None:
    twin = embargoed()
    files = {"0/1/0": b"1", "0/10/0": b"10", "0/a b&c#d": b"odd", ".zgroup": b"{}"}
    twin.add_zarr("000027", "x.zarr", files, embargoed=True)
    receipt = await run_embargoed(serve(twin), tmp_path, include=["x.zarr/0/1/**", "x.zarr/0/a*"])
    assert receipt.ok, receipt.failures
    assert on_disk(tmp_path) == {"x.zarr/0/1/0": b"1", "x.zarr/0/a b&c#d": b"odd"}


@pytest.mark.usefixtures("token")
async def test_trap_14_an_embargoed_zarr_with_fewer_objects_than_its_checksum_is_no_silent_subset(
    serve: Start, tmp_path: Path, image: dict[str, bytes]
) -> None:
    twin = embargoed()
    asset = twin.add_zarr("000027", IMAGE, image, embargoed=True)
    assert asset.zarr is not None
    del twin.zarr_files[asset.zarr][".zattrs"]
    receipt = await run_embargoed(serve(twin), tmp_path)
    (failure,) = receipt.datasets[0].failures
    assert f"{len(image) - 1} objects were listed, its checksum" in failure.message
    assert f"promises {len(image)}" in failure.message
    assert len(on_disk(tmp_path)) == len(image) - 1


@pytest.mark.usefixtures("token")
async def test_choosing_from_an_embargoed_zarr_says_that_it_is_not_built(
    serve: Start, tmp_path: Path, image: dict[str, bytes]
) -> None:
    twin = embargoed()
    twin.add_zarr("000027", IMAGE, image, embargoed=True)
    receipt = await run_embargoed(serve(twin), tmp_path, scales=[1])
    assert receipt.datasets[0].failures[0].kind == "not_built"


# --- pure -------------------------------------------------------------------------------------------------------------


def rows(*keys: str) -> list[ListedObject]:
    return [ListedObject(key=key, size_bytes=1) for key in keys]


def test_coverage_counts_what_is_listed_twice_once() -> None:
    seen = Coverage()
    seen.take("0/", "00", rows("0/a", "0/b"))
    seen.take("", "0/a\0", rows(".z", "0/a"))
    assert (seen.objects, seen.complete) == (3, False)
    seen.take("0/\U0010ffff\0", END, rows("1/a"))
    assert (seen.objects, seen.size_bytes, seen.complete) == (4, 4, True)


def test_coverage_with_a_gap_is_not_complete() -> None:
    seen = Coverage()
    seen.take("", "b", rows("a"))
    seen.take("c", END, rows("c"))
    assert not seen.complete
    seen.take("b", "c", ())
    assert seen.complete


def test_checksums_of_the_twin_are_those_of_the_archive() -> None:
    one = {"a/b": ("9dd4e461268c8034f5c8564e155c67a6", 1), "c": ("415290769594460e2e485922904f345d", 1)}
    assert zarr_checksum(one) == "26054e501f570a8bfa69a2bc75e7c82d-2--2"
    assert zarr_checksum({}) == "481a2f77ab786a0f45aafd5db0971caa-0--0"
