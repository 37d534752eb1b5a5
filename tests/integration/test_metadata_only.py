"""Runs for what describes the data: few requests, no bulk, and nothing lost for the full run after them."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import below, files_below, run_within

import emasync as package
from emasync.errors import InputError
from emasync.formats.known_stretches import KnownStretches, UnreadError
from emasync.model.receipt import Receipt
from emasync.plan.survey_arrays import REQUESTS_AN_ASSET
from emasync.testing import Archive
from emasync.testing.aind import BUCKET, write_asset
from emasync.testing.dandi import DandiTwin
from emasync.testing.empiar import EmpiarTwin
from emasync.testing.idr import PAIR, IdrTwin, OmeroApp
from emasync.testing.memory import MemoryStore
from emasync.testing.volumes import write_ome_zarr_04

RAW = "exaSPIM_{number:06d}_2024-04-02_19-49-38"
LIGHT = package.RunOptions(metadata_only=True)


def light(manifest: dict[str, Any], root: Path, **said: Any) -> Receipt:
    return run_within(manifest, root, options=package.RunOptions(metadata_only=True, **said))


def kept_of_source(folder: Path) -> dict[str, bytes]:
    """What is kept beside a dataset as its source gave it; the manifest's facts are ours."""
    return {path: data for path, data in files_below(folder).items() if path != "dataset.json"}


def asked(server: Archive) -> list[str]:
    seen = [f"{item.path}?{item.query}" if item.query else item.path for item in server.requests]
    server.reset()
    return seen


# --- many assets -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asset(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One asset as its twin has it: two tiles of three levels, sidecars, chunks."""
    folder = tmp_path_factory.mktemp("asset")
    write_asset(folder, "exaSPIM_000000_2024-04-02_19-49-38", shape=(20, 40, 40))
    return files_below(folder / "exaSPIM_000000_2024-04-02_19-49-38")


def bucket_of(asset: dict[str, bytes], count: int) -> MemoryStore:
    names = (RAW.format(number=number) for number in range(count))
    return MemoryStore({f"{BUCKET}/{name}/{path}": data for name in names for path, data in asset.items()})


def aind(server: Archive, **entry: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "mirrors": {f"s3://{BUCKET}": f"{server.url}/{BUCKET}"},
        "datasets": [{"id": "d", "source": "aind", "filter": {"platform": "exaSPIM"}, **entry}],
    }


def is_pixels(path: str) -> bool:
    return path.rpartition("/")[2].isdigit()


def counted(paths: list[str]) -> Counter[str]:
    """Requests by asset; those about the bucket under the empty name."""
    return Counter(path.replace("%2F", "/").partition("exaSPIM_")[2][:6] for path in paths)


@pytest.mark.parametrize("assets", [150, pytest.param(1_000, marks=pytest.mark.soak)])
def test_a_survey_of_many_assets(archive: Callable[..., Archive], tmp_path: Path, assets: int) -> None:
    name = RAW.format(number=0)
    write_asset(tmp_path, name, tiles=1, levels=1, shape=(20, 40, 40))
    small = files_below(tmp_path / name)
    chosen = {path: data for path, data in small.items() if path == "subject.json" or path.startswith("SPIM")}
    server = archive(bucket_of(chosen, assets))
    receipt = package.run(aind(server), root=tmp_path / "data", options=LIGHT)  # no deadline: many requests
    assert receipt.exit_code == 0
    assert (receipt.datasets[0].metadata_only, receipt.datasets[0].objects) == (True, assets)
    seen = asked(server)
    requests = counted(seen)
    assert requests.pop("") <= 10, "folders of the bucket"
    assert len(requests) == assets
    assert max(requests.values()) <= REQUESTS_AN_ASSET
    assert not [path for path in seen if is_pixels(path)]
    assert len(list((tmp_path / "data/d.source-metadata").rglob("survey.json"))) == assets
    light(aind(server), tmp_path / "data")
    assert asked(server) == []


def test_what_describes_an_asset_within_its_budget(
    archive: Callable[..., Archive], asset: dict[str, bytes], tmp_path: Path
) -> None:
    server = archive(bucket_of(asset, 3))
    receipt = light(aind(server), tmp_path / "data")
    assert receipt.exit_code == 0
    requests = counted(asked(server))
    assert [requests[f"{number:06d}"] for number in range(3)] == [REQUESTS_AN_ASSET] * 3
    name = RAW.format(number=2)
    sidecars = {path: data for path, data in asset.items() if "/" not in path}
    assert files_below(tmp_path / "data/d" / name) == sidecars
    survey = json.loads((tmp_path / f"data/d.source-metadata/{name}/survey.json").read_bytes())
    tiles = [f"SPIM.ome.zarr/tile_x_000{number}_y_0000_z_0000_ch_488.zarr" for number in range(2)]
    read = {*(f"{tile}/.zattrs" for tile in tiles), *(f"{tile}/{level}/.zarray" for tile in tiles for level in "01")}
    assert read == set(survey["documents"]), "coarser levels had no room"
    assert all(survey["documents"][key].encode() == asset[key] for key in survey["documents"])
    assert (survey["images"], survey["left_out"]) == (2, 2)
    status = json.loads((tmp_path / "data/receipt.json").read_bytes())["datasets"][0]
    assert (status["metadata_only"], status["status"]) == (True, "complete")


def test_a_survey_that_did_not_come_to_its_end_goes_on(
    archive: Callable[..., Archive], asset: dict[str, bytes], tmp_path: Path
) -> None:
    store = bucket_of(asset, 3)
    server = archive(store)
    manifest = aind(server, assets=[RAW.format(number=number) for number in range(4)])
    del manifest["datasets"][0]["filter"]
    assert light(manifest, tmp_path / "data").exit_code == 1
    late = RAW.format(number=3)
    for path, data in asset.items():
        store.put(f"{BUCKET}/{late}/{path}", data)
    asked(server)
    assert light(manifest, tmp_path / "data").exit_code == 0
    requests = counted(asked(server))
    assert [requests[f"{number:06d}"] for number in range(4)] == [1, 1, 1, REQUESTS_AN_ASSET], "one look at each"


def test_a_full_run_after_it_fetches_the_bulk_and_nothing_twice(
    archive: Callable[..., Archive], asset: dict[str, bytes], tmp_path: Path
) -> None:
    server = archive(bucket_of(asset, 2))
    light(aind(server), tmp_path / "data")
    asked(server)
    receipt = run_within(aind(server), tmp_path / "data")
    assert (receipt.exit_code, receipt.datasets[0].metadata_only, receipt.datasets[0].unwanted) == (0, False, 0)
    for number in range(2):
        assert files_below(tmp_path / "data/d" / RAW.format(number=number)) == asset
    fetched = [path for path in asked(server) if "?" not in path]
    assert not [path for path in fetched if path.endswith("subject.json")]
    assert light(aind(server), tmp_path / "data").exit_code == 0
    assert asked(server) == [], "the full plan is not given up"
    assert run_within(aind(server), tmp_path / "data").exit_code == 0
    assert asked(server) == []


# --- files -----------------------------------------------------------------------------------------------------------


def tiff(directory_at: int, size: int) -> bytes:
    return (b"II*\0" + struct.pack("<I", directory_at)).ljust(size, b"t")


def mrc(extended: int, size: int) -> bytes:
    header = bytearray(1024)
    struct.pack_into("<i", header, 92, extended)
    header[212:214] = b"DD"
    return bytes(header).ljust(size, b"m")


def hdf5(group_at: int, size: int) -> bytes:
    header = bytearray(b"\x89HDF\r\n\x1a\n\x02\x08\x08\0").ljust(36, b"\0") + struct.pack("<Q", group_at)
    return bytes(header).ljust(size, b"h")


FILES = {
    "scan.tif": tiff(300_000, 400_000),
    "tomo.mrc": mrc(100_000, 400_000),
    "trace.nwb": hdf5(350_000, 400_000),
    "image.dm3": bytes(range(256)) * 1_600,
    "tiny.tif": tiff(8, 50),
    "notes.json": b"{}",
    "movie.mp4": b"v" * 100_000,
}

STRETCHES = {
    "scan.tif": [(0, 65_536), (294_912, 365_536)],
    "tomo.mrc": [(0, 65_536), (65_536, 101_024)],
    "trace.nwb": [(0, 65_536), (344_064, 400_000)],
    "image.dm3": [(0, 65_536), (344_064, 409_600)],
    "tiny.tif": [(0, 50)],
}


def web(server: Archive, names: list[str]) -> dict[str, Any]:
    files = [{"url": f"{server.url}/bucket/f/{name}"} for name in names]
    return {"version": 1, "datasets": [{"id": "d", "source": "web", "files": files}]}


def bucket(server: Archive, names: list[str]) -> dict[str, Any]:
    del names
    mirrors = {"s3://bucket": f"{server.url}/bucket"}
    return {"version": 1, "mirrors": mirrors, "datasets": [{"id": "d", "source": "bucket", "url": "s3://bucket/f"}]}


@pytest.mark.parametrize("source", [web, bucket])
def test_headers_of_files_and_no_more_of_them(
    archive: Callable[..., Archive], tmp_path: Path, source: Callable[[Archive, list[str]], dict[str, Any]]
) -> None:
    server = archive(MemoryStore({f"bucket/f/{name}": data for name, data in FILES.items()}))
    manifest = source(server, list(FILES))
    assert light(manifest, tmp_path / "data").exit_code == 0
    assert server.bytes_sent < 700_000
    assert files_below(tmp_path / "data/d") == {"notes.json": b"{}"}
    kept = below(
        {f"/{path}": data for path, data in files_below(tmp_path / "data/d.source-metadata/headers").items()}, "/"
    )
    assert set(kept) == {f"{name}.ranges{end}" for name in STRETCHES for end in ("", ".json")}
    for name, stretches in STRETCHES.items():
        header = KnownStretches.of(name, kept[f"{name}.ranges.json"], kept[f"{name}.ranges"])
        assert [(start, stop) for start, stop, _ in header.ranges] == stretches
        assert header.size_bytes == len(FILES[name])
        for start, stop in stretches:
            assert header.read(start, stop - start) == FILES[name][start:stop]
        with pytest.raises(UnreadError) if len(FILES[name]) > 160_000 else nullcontext():
            assert header.read(160_000, 1) == b""
    server.reset()
    assert light(manifest, tmp_path / "data").exit_code == 0
    assert server.requests == []
    assert run_within(manifest, tmp_path / "data").exit_code == 0
    assert files_below(tmp_path / "data/d") == FILES


def test_a_series_is_described_by_some_of_its_files(archive: Callable[..., Archive], tmp_path: Path) -> None:
    server = archive(MemoryStore({f"bucket/f/{number:04d}.tif": tiff(8, 3_000) for number in range(300)}))
    events: list[Any] = []
    manifest = bucket(server, [])
    run_within(manifest, tmp_path / "data", options=LIGHT, on_event=events.append)
    assert len(list((tmp_path / "data/d.source-metadata/headers").glob("*.ranges"))) == 8
    assert ["292 descriptions" in event.fields["message"] for event in events if event.event == "warning"] == [True]


def test_a_lock_and_metadata_only_exclude_each_other(archive: Callable[..., Archive], tmp_path: Path) -> None:
    server = archive(MemoryStore({"bucket/f/a": b"1"}))
    with pytest.raises(InputError, match="a lock describes all"):
        light(bucket(server, []), tmp_path / "data", locked=True)


# --- archives and arrays ---------------------------------------------------------------------------------------------


def small_zarr(folder: Path) -> dict[str, bytes]:
    write_ome_zarr_04(folder / "em.zarr", shape=(32, 40, 40), chunks=(16, 20, 20), levels=2)
    return files_below(folder / "em.zarr")


def test_an_archive_keeps_its_records_headers_and_the_metadata_of_its_zarrs(
    archive: Callable[..., Archive], tmp_path: Path
) -> None:
    store = MemoryStore()
    twin = DandiTwin(store)
    twin.add_blob("000001", "sub-1/a.nwb", FILES["trace.nwb"])
    twin.add_zarr("000001", "sub-1/em.ome.zarr", zarr := small_zarr(tmp_path))
    server = archive(store, apps=[twin])
    manifest = {
        "version": 1,
        "mirrors": {"https://api.dandiarchive.org": server.url, "s3://dandiarchive": f"{server.url}/dandiarchive"},
        "datasets": [{"id": "d", "source": "dandi", "dandiset": "000001", "version": "draft"}],
    }
    receipt = light(manifest, tmp_path / "data")
    assert (receipt.exit_code, receipt.datasets[0].objects, receipt.datasets[0].metadata_only) == (0, 0, True)
    assert not [path for path in asked(server) if "/zarr/" in path and is_pixels(path)]
    kept = files_below(tmp_path / "data/d.source-metadata")
    assert [record["path"] for record in json.loads(kept["dandi/assets-00001.json"])] == [
        "sub-1/a.nwb",
        "sub-1/em.ome.zarr",
    ]
    name = "headers/sub-1/a.nwb.ranges"
    header = KnownStretches.of(name, kept[f"{name}.json"], kept[name])
    assert header.read(350_000, 50_000) == FILES["trace.nwb"][350_000:]
    survey = json.loads(kept["sub-1/em.ome.zarr/survey.json"])
    assert {key: text.encode() for key, text in survey["documents"].items()} == {
        key: zarr[key] for key in (".zattrs", "s0/.zarray", "s1/.zarray")
    }
    assert light(manifest, tmp_path / "data").exit_code == 0
    assert asked(server) == []
    assert run_within(manifest, tmp_path / "data").exit_code == 0
    assert files_below(tmp_path / "data/d/sub-1/em.ome.zarr") == zarr


@pytest.mark.parametrize("choice", [{}, {"scales": [1]}, {"crop": {"at": "center", "shape": [8, 8, 8]}}])
def test_one_tree_of_arrays_keeps_all_of_its_metadata(
    archive: Callable[..., Archive], tmp_path: Path, choice: dict[str, Any]
) -> None:
    zarr = small_zarr(tmp_path)
    server = archive(MemoryStore({f"bucket/f/{path}": data for path, data in zarr.items()}))
    manifest = bucket(server, [])
    manifest["datasets"][0].update(choice)
    assert light(manifest, tmp_path / "data").exit_code == 0
    documents = {path: data for path, data in zarr.items() if path.rpartition("/")[2].startswith(".z")}
    assert kept_of_source(tmp_path / "data/d.source-metadata") == documents
    assert files_below(tmp_path / "data/d") == {}
    assert light(manifest, tmp_path / "data").exit_code == 0
    receipt = run_within(manifest, tmp_path / "data")
    assert (receipt.exit_code, receipt.datasets[0].metadata_only) == (0, False)
    if not choice:
        assert files_below(tmp_path / "data/d") == zarr


def test_an_entry_of_empiar_keeps_its_answers_and_some_headers(archive: Callable[..., Archive], tmp_path: Path) -> None:
    twin = EmpiarTwin()
    store = twin.store()
    server = archive(store, apps=twin.apps(store))
    entry = {"id": "d", "source": "empiar", "entry": 11759}
    manifest = {"version": 1, "mirrors": EmpiarTwin.mirrors(server.url), "datasets": [entry]}
    assert light(manifest, tmp_path / "data").exit_code == 0
    kept = files_below(tmp_path / "data/d.source-metadata")
    assert {"empiar/EMPIAR-11759.json", "empiar/11759.xml", "empiar/conflicts.json"} < set(kept)
    headers = [path for path in kept if path.endswith(".dm3.ranges.json")]
    assert len(headers) == 8
    assert not list((tmp_path / "data").rglob("*.dm3"))


def test_images_of_the_idr_keep_their_answers(archive: Callable[..., Archive], tmp_path: Path) -> None:
    twin = IdrTwin()
    server = archive(twin.store(), apps=(OmeroApp(twin),))
    number, *_ = PAIR
    entry = {"id": "d", "source": "idr", "images": [number]}
    manifest = {"version": 1, "mirrors": IdrTwin.mirrors(server.url), "datasets": [entry]}
    assert light(manifest, tmp_path / "data").exit_code == 0
    kept = files_below(tmp_path / "data/d.source-metadata")
    assert f"idr/image-{number}.json" in kept
    assert [path for path in kept if path.startswith("headers/") and path.endswith(".ranges.json")]
    assert files_below(tmp_path / "data/d") == {}


def test_nothing_that_describes_anything_is_an_error(archive: Callable[..., Archive], tmp_path: Path) -> None:
    server = archive(MemoryStore({"bucket/f/movie.mp4": b"v" * 100}))
    receipt = light(bucket(server, []), tmp_path / "data")
    assert receipt.exit_code == 1
    assert "nothing describes it" in receipt.failures[0].message


SCALE = {
    "key": "8_8_8",
    "size": [8, 8, 8],
    "resolution": [8, 8, 8],
    "chunk_sizes": [[8, 8, 8]],
    "encoding": "raw",
    "voxel_offset": [0, 0, 0],
}
INFO = {
    "@type": "neuroglancer_multiscale_volume",
    "type": "image",
    "data_type": "uint8",
    "num_channels": 1,
    "scales": [SCALE],
}
BLOCKS = {"dimensions": [8, 8, 8], "blockSize": [8, 8, 8], "dataType": "uint8", "compression": {"type": "raw"}}


@pytest.mark.parametrize(
    ("documents", "chunk"),
    [
        ({"info": INFO}, "8_8_8/0-8_0-8_0-8"),
        ({"attributes.json": {"n5": "2.0.0"}, "em/attributes.json": BLOCKS}, "em/0/0/0"),
    ],
    ids=["precomputed", "n5"],
)
def test_other_formats_keep_their_metadata_too(
    archive: Callable[..., Archive], tmp_path: Path, documents: dict[str, Any], chunk: str
) -> None:
    written = {path: json.dumps(value).encode() for path, value in documents.items()}
    objects = {**written, chunk: bytes(512)}
    server = archive(MemoryStore({f"bucket/f/{path}": data for path, data in objects.items()}))
    assert light(bucket(server, []), tmp_path / "data").exit_code == 0
    assert kept_of_source(tmp_path / "data/d.source-metadata") == written
    assert chunk not in {path.removeprefix("bucket/f/") for path in asked(server)}
    assert run_within(bucket(server, []), tmp_path / "data").exit_code == 0
    assert files_below(tmp_path / "data/d") == objects
