"""DANDI against its twin: whole runs, request counts, and each numbered trap of the archive's API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from tests.sources.dandi_desk import PUBLISHED, asked, described, kept, on_disk, run, twin_of

import emasync
from emasync.plan.preview import DryDocuments
from emasync.testing import Archive
from emasync.testing.dandi import DandiTwin
from emasync.testing.dandi_records import blob_key
from emasync.testing.memory import MemoryStore

Start = Callable[..., Archive]
SHIPPED = Path(__file__).resolve().parents[2] / "manifests" / "dandi-000728.yaml"
NWB = {
    "sub-1/sub-1_ses-a_ecephys.nwb": b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 40,
    "sub-1/sub-1_ses-b_ecephys.nwb": b"\x89HDF\r\n\x1a\n" + bytes(range(255)) * 50,
    "sub-10/sub-10_ses-a_ophys.nwb": b"\x89HDF\r\n\x1a\n" + bytes(100),
}


@pytest.fixture
def serve(archive: Start) -> Callable[..., Archive]:
    def start(twin: DandiTwin, **options: Any) -> Archive:
        return archive(twin.store, apps=[twin], **options)

    return start


async def test_a_published_version_comes_byte_for_byte_and_is_not_asked_for_again(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(NWB)
    twin.publish("000027", PUBLISHED)
    server = serve(twin)
    receipt = await run(server, tmp_path, version=PUBLISHED)
    assert receipt.ok, receipt.failures
    assert on_disk(tmp_path) == NWB
    assert receipt.datasets[0].verified.published == len(NWB), "by the SHA-256 of the archive"
    folder = f"dandiarchive/dandisets/000027/{PUBLISHED}"
    metadata = [path for path in asked(server) if "/blobs/" not in path]
    assert metadata == [f"{folder}/dandiset.jsonld", f"{folder}/assets.jsonld"]
    assert kept(tmp_path, "dandiset.json")["license"] == ["spdx:CC-BY-4.0"]
    assert [record["path"] for record in kept(tmp_path, "assets-00001.json")] == list(NWB)
    server.reset()
    assert (await run(server, tmp_path, version=PUBLISHED)).ok
    assert not server.requests


async def test_the_newest_version_costs_three_requests(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(NWB)
    twin.publish("000027", "0.200101.0000")
    twin.publish("000027", PUBLISHED)
    server = serve(twin)
    assert (await run(server, tmp_path)).ok
    metadata = [path for path in asked(server) if "/blobs/" not in path]
    assert len(metadata) == 3
    assert metadata[0] == "api/dandisets/000027/"
    assert f"{PUBLISHED}/assets.jsonld" in metadata[2]
    assert kept(tmp_path, "resolved.json")["version"] == PUBLISHED


# --- drafts: the API, page by page ------------------------------------------------------------------------------------


def crowd(count: int) -> dict[str, bytes]:
    return {f"sub-{number:04d}/{number:04d}.nwb": f"nwb {number}".encode() for number in range(count)}


async def test_trap_1_count_is_told_on_the_first_page_only(serve: Start, tmp_path: Path) -> None:
    server = serve(twin_of(crowd(1_200)))
    assert (await run(server, tmp_path, version="draft")).ok
    assert len(on_disk(tmp_path)) == 1_200
    pages = [path for path in asked(server) if "/assets/" in path]
    assert len(pages) == 2, "two pages of up to a thousand, listed once, because nothing changed"
    assert "page=2" in pages[1]


async def test_trap_2_a_path_is_a_prefix_that_ignores_case(serve: Start, tmp_path: Path) -> None:
    twin = twin_of({**NWB, "SUB-1/x.nwb": b"another subject"})
    server = serve(twin)
    assert (await run(server, tmp_path, version="draft", include=["sub-1/*"])).ok
    assert set(on_disk(tmp_path)) == {path for path in NWB if path.startswith("sub-1/")}
    (page,) = [path for path in asked(server) if "/assets/" in path]
    assert "path=sub-1%2F" in page, "the slash keeps sub-10 out"


async def test_trap_3_globs_are_matched_here(serve: Start, tmp_path: Path) -> None:
    twin = twin_of({"a/b/c.nwb": b"1", "a/c.nwb": b"2", "a/d.nwb": b"3", "A/c.nwb": b"4"})
    server = serve(twin)
    assert (await run(server, tmp_path, version="draft", include=["a/[cd].nwb"], exclude=["a/?.nwb"])).ok is False
    assert (await run(server, tmp_path, version="draft", include=["a/[c].nwb"])).ok
    assert on_disk(tmp_path) == {"a/c.nwb": b"2"}, "one folder deep, one case"
    assert not [path for path in asked(server) if "glob=" in path]


async def test_trap_4_a_draft_that_changes_is_listed_again(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(crowd(1_500))

    def drop_one(twin: DandiTwin) -> None:
        calls.append(1)
        if len(calls) == 2:  # between the first page and the second: all rows behind it move up
            del twin.version("000027").assets[3]

    calls: list[int] = []
    twin.before_page = drop_one
    server = serve(twin)
    assert (await run(server, tmp_path, version="draft")).ok
    missed = {"sub-1000/1000.nwb"}
    assert missed <= set(on_disk(tmp_path)), "the row that moved onto the first page is not lost"
    assert len([path for path in asked(server) if "/assets/" in path]) == 4
    assert "order=path" in asked(server)[1]


async def test_trap_4_a_draft_that_never_holds_still_is_no_silent_subset(serve: Start, tmp_path: Path) -> None:
    def drop_one(twin: DandiTwin) -> None:
        del twin.version("000027").assets[0]

    twin = twin_of(crowd(1_100))
    twin.before_page = drop_one
    receipt = await run(serve(twin), tmp_path, version="draft")
    (failure,) = receipt.datasets[0].failures
    assert "keeps changing while it is listed" in failure.message
    assert len(on_disk(tmp_path)) > 1_000, "what was named is fetched all the same"


async def test_trap_5_metadata_comes_with_the_pages(serve: Start, tmp_path: Path) -> None:
    server = serve(twin_of(NWB))
    assert (await run(server, tmp_path, version="draft")).ok
    assert [path for path in asked(server) if "/blobs/" not in path] == [
        "api/dandisets/000027/versions/draft/",
        "api/dandisets/000027/versions/draft/assets/?metadata=true&order=path&page_size=1000",
    ]
    (record, *_) = kept(tmp_path, "assets-00001.json")
    assert record["metadata"]["wasAttributedTo"][0]["identifier"] == "sub-1"


async def test_trap_7_only_the_archive_itself_is_asked_for_the_next_page(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(crowd(1_001))
    evil = serve(DandiTwin(MemoryStore()))
    twin.next_host = evil.url
    assert (await run(serve(twin), tmp_path, version="draft")).ok
    assert len(on_disk(tmp_path)) == 1_001
    assert not evil.requests


async def test_trap_8_a_dead_signature_in_a_record_is_cut_off(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(NWB)
    for asset in twin.version("000027").assets:
        asset.stale_query = "?X-Amz-Signature=dead&X-Amz-Expires=21600"
    server = serve(twin)
    assert (await run(server, tmp_path, version="draft")).ok
    assert on_disk(tmp_path) == NWB
    assert not [path for path in asked(server) if "Amz" in path]


async def test_trap_9_digests_may_be_missing_or_null(serve: Start, tmp_path: Path) -> None:
    twin = twin_of({})
    twin.add_blob("000027", "a.nwb", b"without", sha256=False)
    twin.add_blob("000027", "b.nwb", b"null").digest["dandi:sha2-256"] = None
    twin.add_zarr("000027", "c.zarr", {".zgroup": b'{"zarr_format":2}', ".zattrs": b"{}"}, checksum=False)
    receipt = await run(serve(twin), tmp_path, version="draft")
    assert receipt.ok
    assert set(on_disk(tmp_path)) == {"a.nwb", "b.nwb", "c.zarr/.zgroup", "c.zarr/.zattrs"}


async def test_trap_10_paths_may_hold_spaces_and_signs(serve: Start, tmp_path: Path) -> None:
    files = {"sub 1/a & b, (c) #1+2~3_=.nwb": b"1", "sub 1/d.ome.zarr/0/a b#c": b"2"}
    twin = twin_of({"sub 1/a & b, (c) #1+2~3_=.nwb": b"1"})
    twin.add_zarr("000027", "sub 1/d.ome.zarr", {"0/a b#c": b"2"})
    assert (await run(serve(twin), tmp_path, version="draft", include=["sub 1/**"])).ok
    assert on_disk(tmp_path) == files


async def test_trap_12_an_etag_of_the_archive_is_no_md5(serve: Start, tmp_path: Path) -> None:
    twin = twin_of({})
    twin.add_blob("000027", "a.nwb", b"123", sha256=False)
    assert twin.version("000027").assets[0].digest == {"dandi:dandi-etag": "d022646351048ac0ba397d12dfafa304-1"}
    assert (await run(serve(twin), tmp_path, version="draft")).ok


async def test_a_blob_of_several_parts_is_held_against_its_etag(serve: Start, tmp_path: Path) -> None:
    """70 MiB of zeros, as dandischema digests them: parts of 64 MiB, ranges of 8 MiB."""
    twin = twin_of({})
    twin.add_blob("000027", "a.nwb", bytes(70 << 20), sha256=False)
    (asset,) = twin.version("000027").assets
    assert asset.digest == {"dandi:dandi-etag": "0ef6853a49de0853d16d64fa8190564d-2"}
    receipt = await run(serve(twin), tmp_path, version="draft")
    assert receipt.datasets[0].verified.published == 1
    table = (tmp_path / "checksums" / "d.tsv").read_text()
    assert table.count("dandi-etag:0ef6853a49de0853d16d64fa8190564d-2") == 2, "published, and computed"


async def test_a_blob_whose_second_part_is_another_is_no_file(serve: Start, tmp_path: Path) -> None:
    twin = twin_of({})
    twin.add_blob("000027", "a.nwb", bytes(70 << 20), sha256=False)
    (asset,) = twin.version("000027").assets
    assert asset.blob is not None
    twin.store.put(f"dandiarchive/{blob_key(asset.blob)}", bytes((70 << 20) - 1) + b"\1")
    receipt = await run(serve(twin), tmp_path, version="draft")
    (failure,) = receipt.datasets[0].failures
    assert failure.kind == "checksum_mismatch"
    assert "dandi-etag is" in failure.message
    assert on_disk(tmp_path) == {}


async def test_trap_15_a_record_may_lack_blob_or_zarr(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(NWB)
    assert "zarr" not in twin.version("000027").assets[0].row("", "", metadata=False)
    assert (await run(serve(twin), tmp_path, version="draft")).ok
    assert on_disk(tmp_path) == NWB


async def test_equal_files_are_one_blob_and_several_files(serve: Start, tmp_path: Path) -> None:
    """BIDS: the same sidecar beside every image."""
    files = {f"sub-{number}/task.json": b'{"task": "rest"}' for number in range(5)}
    twin = twin_of({**files, "other.json": b"{}"})
    twin.publish("000027", PUBLISHED)
    receipt = await run(serve(twin), tmp_path, version=PUBLISHED)
    assert receipt.ok, receipt.failures
    assert on_disk(tmp_path) == {**files, "other.json": b"{}"}


# --- what goes wrong --------------------------------------------------------------------------------------------------


async def failure_of(server: Archive, root: Path, **entry: Any) -> str:
    receipt = await run(server, root, **entry)
    assert not receipt.ok
    return receipt.datasets[0].failures[0].message


async def test_an_unknown_dandiset_is_named(serve: Start, tmp_path: Path) -> None:
    server = serve(twin_of(NWB))
    message = await failure_of(server, tmp_path, dandiset="999999")
    assert "dandiset 999999 is not at https://api.dandiarchive.org/api" in message
    assert len(server.requests) == 1


async def test_an_unknown_version_is_named(serve: Start, tmp_path: Path) -> None:
    message = await failure_of(serve(twin_of(NWB)), tmp_path, version="0.999999.9999")
    assert "dandiset 000027/0.999999.9999 is not at" in message


async def test_an_html_page_instead_of_an_answer_is_named(serve: Start, tmp_path: Path) -> None:
    server = serve(twin_of(NWB), faults={"api/*": [{"html_error": True}]})
    message = await failure_of(server, tmp_path, version="draft")
    assert "expected a JSON object from https://api.dandiarchive.org/api/dandisets/000027/versions/draft/" in message
    assert "DOCTYPE" in message


async def test_an_api_that_is_down_is_named(serve: Start, tmp_path: Path) -> None:
    server = serve(twin_of(NWB), faults={"api/*": [{"status": 502}]})
    message = await failure_of(server, tmp_path, version="draft")
    assert "https://api.dandiarchive.org/api/dandisets/000027/versions/draft/" in message
    assert "502" in message


async def test_a_manifest_that_is_cut_off_is_no_silent_subset(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(NWB)
    twin.publish("000027", PUBLISHED)
    path = f"dandiarchive/dandisets/000027/{PUBLISHED}/assets.jsonld"
    found = twin.store.get(path)
    assert found is not None
    twin.store.put(path, bytes(found.read(0, found.size_bytes - 1)))
    message = await failure_of(serve(twin), tmp_path, version=PUBLISHED)
    assert "is broken or cut off before its end" in message
    assert "assets.jsonld" in message


async def test_a_manifest_with_fewer_assets_than_promised_is_no_silent_subset(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(NWB)
    twin.publish("000027", PUBLISHED)
    path = f"dandiarchive/dandisets/000027/{PUBLISHED}/assets.jsonld"
    found = twin.store.get(path)
    assert found is not None
    records = orjson.loads(bytes(found.read(0, found.size_bytes)))
    twin.store.put(path, orjson.dumps(records[:-1]))
    message = await failure_of(serve(twin), tmp_path)
    assert "promises 3 assets" in message
    assert "holds 2" in message
    assert len(on_disk(tmp_path)) == 2


async def test_a_version_without_a_manifest_comes_from_the_api(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(NWB)
    twin.publish("000027", PUBLISHED)
    for name in ("dandiset.jsonld", "assets.jsonld"):
        twin.store.delete(f"dandiarchive/dandisets/000027/{PUBLISHED}/{name}")
    assert (await run(serve(twin), tmp_path, version=PUBLISHED)).ok
    assert on_disk(tmp_path) == NWB


def test_a_plan_of_a_large_published_version_costs_three_requests(serve: Start) -> None:
    twin = twin_of({})
    for number in range(2_000):
        twin.add_blob("000027", f"sub-{number:04d}/{number:04d}.nwb", b"%d" % number)
    twin.publish("000027", PUBLISHED)
    server = serve(twin)
    with emasync.plan(described(server.url)) as found:
        (dataset,) = found.preview.datasets
    assert (dataset.planned, dataset.objects) == (True, 2_000), dataset.failures
    assert asked(server) == [
        "api/dandisets/000027/",
        f"dandiarchive/dandisets/000027/{PUBLISHED}/dandiset.jsonld",
        f"dandiarchive/dandisets/000027/{PUBLISHED}/assets.jsonld",
    ]


@pytest.mark.parametrize("spoilt", [{"dandi:sha2-256": "0" * 64}, {"dandi:dandi-etag": "0" * 32 + "-1"}])
async def test_wrong_bytes_are_dropped(serve: Start, tmp_path: Path, spoilt: dict[str, str]) -> None:
    twin = twin_of(NWB)
    asset = twin.version("000027").assets[0]
    asset.digest |= spoilt
    receipt = await run(serve(twin), tmp_path, version="draft")
    (failure,) = receipt.datasets[0].failures
    assert failure.kind == "checksum_mismatch"
    assert asset.path not in on_disk(tmp_path)


# --- the shipped manifest ---------------------------------------------------------------------------------------------


def test_the_shipped_manifest_fetches_one_mouse(serve: Start, tmp_path: Path) -> None:
    wanted = {
        "sub-491604983/sub-491604983_ses-501560436-StimC_behavior+image+ophys.nwb": b"one",
        "sub-491604983/sub-491604983_ses-501559087-StimB_behavior+image+ophys.nwb": b"two",
    }
    server = serve(twin_of({**wanted, "sub-4916049830/x.nwb": b"another mouse"}, "000728"))
    mirrored = {**yaml.safe_load(SHIPPED.read_text()), "mirrors": described(server.url)["mirrors"]}
    receipt = emasync.run(mirrored, root=tmp_path)
    assert receipt.ok, receipt.failures
    assert on_disk(tmp_path, "visual-coding") == wanted


async def test_a_plan_does_not_hold_the_records_that_a_run_keeps() -> None:
    documents = DryDocuments()
    for name in ("d.source-metadata/dandi/assets-00001.json", "d.source-metadata/subset.json", "d/.zattrs"):
        await documents.write(name, b"{}")
    assert await documents.read("d.source-metadata/dandi/assets-00001.json") is None
    assert await documents.read("d.source-metadata/subset.json") == b"{}"
    assert await documents.read("d/.zattrs") == b"{}"


# --- other archives ---------------------------------------------------------------------------------------------------


async def test_another_archive_says_where_its_manifests_lie(serve: Start, tmp_path: Path) -> None:
    twin = DandiTwin(
        MemoryStore(buckets=("ember-open",)), url="https://api-dandi.emberarchive.org", bucket="ember-open"
    )
    for path, data in NWB.items():
        twin.add_blob("000027", path, data)
    twin.publish("000027", PUBLISHED)
    server = serve(twin)
    mirrors = {"https://api-dandi.emberarchive.org": server.url, "s3://ember-open": f"{server.url}/ember-open"}
    manifest = {**described(server.url, dandiset="dandi://ember-dandi/000027/sub-1/"), "mirrors": mirrors}
    receipt = await emasync.arun(manifest, root=tmp_path)
    assert receipt.ok, receipt.failures
    assert set(on_disk(tmp_path)) == {path for path in NWB if path.startswith("sub-1/")}
    assert [path for path in asked(server) if "/blobs/" not in path] == [
        "api/dandisets/000027/",
        f"api/dandisets/000027/versions/{PUBLISHED}/",
        f"ember-open/dandisets/000027/{PUBLISHED}/assets.jsonld",
    ]


async def test_a_dandiset_that_was_never_published_is_its_draft(serve: Start, tmp_path: Path) -> None:
    assert (await run(serve(twin_of(NWB)), tmp_path)).ok
    assert on_disk(tmp_path) == NWB
    assert kept(tmp_path, "resolved.json") == {
        "api": "https://api.dandiarchive.org/api",
        "dandiset": "000027",
        "version": "draft",
        "assets": 3,
        "wanted": 3,
        "documents": 1,
    }


async def test_a_draft_is_listed_again_only_when_asked(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(NWB)
    server = serve(twin)
    assert (await run(server, tmp_path, version="draft")).ok
    twin.add_blob("000027", "new.nwb", b"new")
    server.reset()
    assert (await run(server, tmp_path, version="draft")).ok
    assert not server.requests
    manifest = described(server.url, version="draft")
    receipt = await emasync.arun(manifest, root=tmp_path, options=emasync.RunOptions(refresh=True))
    assert receipt.ok
    assert on_disk(tmp_path) == {**NWB, "new.nwb": b"new"}
    assert len([path for path in asked(server) if "/blobs/" in path]) == 1, "what is there is not fetched again"


async def test_an_interrupted_plan_goes_on(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(crowd(1_200))
    server = serve(twin, faults={"api/*/assets/": [{"skip": 1, "status": 502}]})
    assert not (await run(server, tmp_path, version="draft")).ok
    assert len(await asyncio.to_thread(on_disk, tmp_path)) == 1_000
    server.set_faults({})
    assert (await run(server, tmp_path, version="draft")).ok
    assert len(await asyncio.to_thread(on_disk, tmp_path)) == 1_200


async def test_one_record_that_makes_no_sense_does_not_keep_the_others_away(serve: Start, tmp_path: Path) -> None:
    twin = twin_of(NWB)
    spoilt = twin.version("000027").assets[1]
    spoilt.digest = {"dandi:sha2-256": 5}  # type: ignore[dict-item]  # not what the schema says
    message = await failure_of(serve(twin), tmp_path, version="draft")
    assert "an asset record is not as it should be" in message
    assert set(on_disk(tmp_path)) == set(NWB) - {spoilt.path}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"results": "none"}, "it has no list of results"),
        ({"results": [5], "next": None}, "expected asset records"),
        ({"results": [], "next": "https://api.dandiarchive.org/x/assets/?page=2"}, "go in a circle"),
        ({"results": [{}], "next": "https://api.dandiarchive.org/users/?page=2"}, "its next page is another listing"),
        ({"results": [{}], "next": "nonsense"}, "its next page is 'nonsense'"),
        ({"count": 1, "results": [{"asset_id": "x"}], "next": None}, "lacks its path"),
    ],
)
async def test_a_page_that_makes_no_sense_is_named(serve: Start, tmp_path: Path, answer: Any, why: str) -> None:
    body = orjson.dumps(answer).decode()
    server = serve(twin_of(NWB), faults={"api/*/assets/": [{"body": body}]})
    assert why in await failure_of(server, tmp_path, version="draft")
