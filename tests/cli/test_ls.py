"""``emasync ls``: what each kind of link shows, with how many requests, and what happens when something is wrong."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from tests.cli.links_desk import Program, asked

import emasync
from emasync.api.survey import Surveyor, survey
from emasync.cli.ls import ls_line
from emasync.errors import SourceError
from emasync.manifest.load import manifest_from_object
from emasync.model.events import ignore_event
from emasync.settings import Settings
from emasync.sources.interface import Finding, Setback, SourceContext
from emasync.testing import Archive
from emasync.testing.aind import write_asset
from emasync.testing.content import BucketRules
from emasync.testing.dandi import DandiTwin
from emasync.testing.empiar import EmpiarTwin
from emasync.testing.fetcher import MemoryFetcher
from emasync.testing.idr import IdrTwin, OmeroApp
from emasync.testing.memory import MemoryStore
from emasync.testing.open_data import bucket_resource, entry_text, registry_objects
from emasync.testing.peers import Nginx
from emasync.testing.precomputed import ScaleOnDisk, write_precomputed
from emasync.testing.stores import FolderStore
from emasync.testing.volumes import write_ome_zarr_04, write_ome_zarr_05_sharded

Start = Callable[..., Archive]
Capture = pytest.CaptureFixture[str]

RAW = "exaSPIM_708373_2024-04-02_19-49-38"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bucket with volumes of three kinds, and other things."""
    made = tmp_path_factory.mktemp("served")
    bucket = made / "bucket"
    write_ome_zarr_04(bucket / "set" / "v2.zarr" / "em", shape=(40, 48, 56), chunks=(16, 16, 16))
    write_ome_zarr_05_sharded(bucket / "set" / "v3.zarr", shape=(64, 64, 64))
    fine = np.zeros((20, 24, 28), np.uint8)
    scale = ScaleOnDisk(voxels=fine, key="8_8_8", offset=(1, 2, 3), chunk=(16, 16, 16))
    write_precomputed(bucket / "set" / "pre", [scale])
    (bucket / "set" / "notes.txt").write_bytes(b"seven b")
    (bucket / "set" / "deep" / "er").mkdir(parents=True)
    (bucket / "set" / "deep" / "er" / "a.tif").write_bytes(bytes(11))
    (bucket / "set" / "deep" / "b.txt").write_bytes(bytes(5))
    return made


@pytest.fixture
def server(archive: Start, folder: Path) -> Archive:
    return archive(FolderStore(folder))


@pytest.fixture
def program(server: Archive, capsys: Capture) -> Program:
    return Program(capsys, {"s3://bucket": f"{server.url}/bucket", "gs://bucket": f"{server.url}/bucket"})


# --- buckets and volumes ----------------------------------------------------------------------------------------------


def test_a_prefix_shows_its_folders_and_files_with_one_listing(program: Program, server: Archive) -> None:
    said = program("ls", "s3://bucket/set/", "--json")

    assert said.code == 0
    assert [row["path"] for row in said.rows("folder")] == ["deep/", "pre/", "v2.zarr/", "v3.zarr/"]
    assert [(row["path"], row["size_bytes"]) for row in said.rows("file")] == [("notes.txt", 7)]
    assert said.document["counts"] == {"folder": 4, "file": 1}
    assert said.document["file_bytes"] == 7
    assert said.rows("folder")[2]["location"] == "s3://bucket/set/v2.zarr/"
    assert asked(server) == ["bucket?delimiter=%2F&encoding-type=url&list-type=2&max-keys=1000&prefix=set%2F"]


def test_a_volume_shows_its_levels_and_none_of_its_chunks(program: Program, server: Archive) -> None:
    said = program("ls", "s3://bucket/set/v2.zarr/em/", "--json")

    levels = said.rows("array")
    assert [row["level"] for row in levels] == [0, 1, 2]
    assert levels[0] == {
        "kind": "array",
        "dataset": "v2-em",
        "path": "s0",
        "location": "s3://bucket/set/v2.zarr/em/s0",
        "format": "zarr2",
        "level": 0,
        "shape": [40, 48, 56],
        "chunks": [16, 16, 16],
        "dtype": "<i2",
        "axes": ["z", "y", "x"],
        "voxel_size": [8.0, 4.0, 4.0],
        "unit": "nanometer",
        "objects": 36,
        "raw_bytes": 40 * 48 * 56 * 2,
    }
    assert levels[2]["voxel_size"] == [32.0, 16.0, 16.0]
    wanted = asked(server)
    assert len([path for path in wanted if "list-type=2" in path]) == 2
    assert len(wanted) == 12, wanted
    assert not [path for path in wanted if path.rpartition("/")[2].isdigit()], "no chunk"


def test_shards_and_their_chunks_are_told_apart(program: Program) -> None:
    row = program("ls", "s3://bucket/set/v3.zarr", "--json").rows("array")[0]

    assert row["format"] == "zarr3"
    assert row["dtype"] == "uint8"
    assert np.prod(row["chunks"]) > np.prod(row["inner_chunks"])


def test_a_precomputed_volume_costs_its_info(program: Program, server: Archive) -> None:
    said = program("ls", "precomputed://gs://bucket/set/pre", "--json")

    (row,) = said.rows("array")
    assert (row["format"], row["shape"], row["voxel_size"]) == ("precomputed", [20, 24, 28], [8.0, 8.0, 8.0])
    assert row["unit"] == "nanometer"
    assert [path for path in asked(server) if "info" in path] == ["bucket/set/pre/info"]


def test_a_group_named_by_arrays(program: Program) -> None:
    said = program("ls", "s3://bucket/set/v2.zarr", "--arrays", "em", "--json")

    assert [row["path"] for row in said.rows("array")] == ["em/s0", "em/s1", "em/s2"]


def test_one_object_costs_one_byte(program: Program, server: Archive) -> None:
    said = program("ls", "s3://bucket/set/notes.txt", "--json")

    (row,) = said.document["rows"]
    assert (row["kind"], row["path"], row["size_bytes"]) == ("file", "notes.txt", 7)
    assert len(asked(server)) == 2


def test_a_plain_url_is_asked_for_its_size(program: Program, server: Archive) -> None:
    said = program("ls", f"{server.url}/bucket/set/notes.txt", "--json")

    assert [(row["path"], row["size_bytes"]) for row in said.rows("file")] == [("notes.txt", 7)]
    assert asked(server) == ["bucket/set/notes.txt"]


def test_recursive_lists_all_objects_and_globs_narrow_them(program: Program, server: Archive) -> None:
    said = program("ls", "s3://bucket/set/deep", "--recursive", "--json")
    assert [(row["path"], row["size_bytes"]) for row in said.rows("file")] == [("b.txt", 5), ("er/a.tif", 11)]

    server.reset()
    said = program("ls", "s3://bucket/set", "--include", "deep/**", "--exclude", "**/*.txt", "--json")
    assert [row["path"] for row in said.rows("file")] == ["deep/er/a.tif"]
    assert not [path for path in asked(server) if "prefix=set%2Fv2" in path], "folders that globs leave out"

    said = program("ls", "s3://bucket/set", "--exclude", "deep/**", "--exclude", "*.txt", "--json")
    assert [row["path"] for row in said.document["rows"]] == ["pre/", "v2.zarr/", "v3.zarr/"]


def test_a_long_level_streams_page_by_page(archive: Start, capsys: Capture) -> None:
    server = archive(MemoryStore({f"bucket/{number:04d}.bin": b"x" for number in range(2_500)}))
    program = Program(capsys, {"s3://bucket": f"{server.url}/bucket"})

    said = program("ls", "s3://bucket", "--json")

    assert [row["path"] for row in said.rows("file")] == [f"{number:04d}.bin" for number in range(2_500)]
    assert len([path for path in asked(server) if "list-type=2" in path]) == 4


def test_folders_of_this_machine(folder: Path, program: Program) -> None:
    said = program.bare("ls", folder / "bucket" / "set" / "v2.zarr" / "em", "--json")
    assert [row["path"] for row in said.rows("array")] == ["s0", "s1", "s2"]

    said = program.bare("ls", folder / "bucket" / "set" / "deep" / "b.txt", "--json")
    assert [(row["path"], row["size_bytes"]) for row in said.rows("file")] == [("b.txt", 5)]


def test_a_server_that_does_not_list_shows_a_volume_all_the_same(archive: Start, folder: Path, capsys: Capture) -> None:
    server = archive(FolderStore(folder), buckets={"bucket": BucketRules(list_denied=True)})
    program = Program(capsys, {"s3://bucket": f"{server.url}/bucket"})

    assert len(program("ls", "s3://bucket/set/v2.zarr/em", "--json").rows("array")) == 3
    refused = program("ls", "s3://bucket/set/deep")
    assert refused.code == 1
    assert "failed: " in refused.err


# --- archives ---------------------------------------------------------------------------------------------------------


def test_a_dandiset_shows_its_assets_with_one_page_a_thousand(archive: Start, capsys: Capture) -> None:
    twin = DandiTwin(MemoryStore(buckets=("dandiarchive",)))
    twin.version("000027")
    for number in range(1_200):
        twin.add_blob("000027", f"sub-{number % 3}/{number:04d}.nwb", f"nwb {number}".encode())
    chunks = {".zarray": b"{}", "0/0": b"chunk"}
    twin.add_zarr("000027", "sub-3/x.ome.zarr", chunks)
    server = archive(twin.store, apps=[twin])
    mirrors = {"https://api.dandiarchive.org": server.url, "s3://dandiarchive": f"{server.url}/dandiarchive"}
    program = Program(capsys, mirrors)

    said = program("ls", "DANDI:000027/draft", "--json")

    assert said.document["counts"] == {"file": 1_200, "tree": 1}
    assert said.document["file_bytes"] == sum(len(f"nwb {number}") for number in range(1_200))
    (tree,) = said.rows("tree")
    assert tree["path"] == "sub-3/x.ome.zarr"
    assert tree["location"].startswith("s3://dandiarchive/zarr/")
    assert len(asked(server)) == 3, "the dandiset, two pages"

    narrowed = program("ls", "dandi://dandi/000027@draft/sub-1/", "--json")
    assert narrowed.document["counts"] == {"file": 400}


def test_an_entry_of_empiar_shows_its_files(archive: Start, capsys: Capture) -> None:
    twin = EmpiarTwin()
    store = twin.store()
    server = archive(store, apps=twin.apps(store))
    program = Program(capsys, twin.mirrors(server.url))

    said = program("ls", "EMPIAR-11759", "--include", "data/*.dm3", "--json")

    assert {row["path"] for row in said.rows("file")} == {path for path in twin.files if path.endswith(".dm3")}
    assert all(row["size_bytes"] for row in said.rows("file"))


def test_an_image_of_the_idr_shows_its_original(archive: Start, capsys: Capture) -> None:
    twin = IdrTwin()
    server = archive(twin.store(), apps=(OmeroApp(twin),))
    program = Program(capsys, twin.mirrors(server.url))

    said = program("ls", "https://idr.openmicroscopy.org/webclient/?show=image-9846137", "--json")

    (row,) = said.rows("file")
    assert row["path"].endswith("_xy.tif")
    assert row["location"].startswith("https://ftp.ebi.ac.uk/pub/databases/IDR/idr0086")
    assert row["size_bytes"]


def test_an_asset_of_a_flat_bucket(archive: Start, tmp_path: Path, capsys: Capture) -> None:
    write_asset(tmp_path / "aind-open-data", RAW, tiles=1)
    server = archive(FolderStore(tmp_path))
    program = Program(capsys, {"s3://aind-open-data": f"{server.url}/aind-open-data"})

    said = program("ls", RAW, "--json")

    names = [row["path"] for row in said.document["rows"]]
    assert f"{RAW}/SPIM.ome.zarr/" in names
    assert f"{RAW}/acquisition.json" in names
    assert len(names) == len(set(names)), "sidecars come once"


def test_a_slug_of_the_registry_shows_the_top_of_its_bucket(archive: Start, capsys: Capture) -> None:
    text = entry_text([bucket_resource("arn:aws:s3:::one")])
    server = archive(registry_objects({"a-dataset": text}) | {"one/a/b": b"1", "one/c": b"22"})
    mirrors = {"https://raw.githubusercontent.com": server.url, "s3://one": f"{server.url}/one"}
    program = Program(capsys, mirrors)

    for link in ("https://registry.opendata.aws/a-dataset/", "a-dataset"):
        said = program("ls", link, "--json")
        assert [row["path"] for row in said.document["rows"]] == ["a/", "c"]
    unknown = program("ls", "another-dataset")
    assert unknown.code == 2
    assert "such are:" in unknown.err


def test_all_datasets_of_a_viewers_state(program: Program, server: Archive) -> None:
    layers = [
        {"type": "image", "name": "em", "source": "zarr://s3://bucket/set/v2.zarr/em"},
        {"type": "segmentation", "name": "seg", "source": "gs://bucket/set/pre|neuroglancer-precomputed:"},
        {"type": "image", "name": "gone", "source": "zarr://s3://bucket/gone"},
        {"type": "image", "name": "odd", "source": "dvid://https://host.org/x"},
    ]
    said = program("ls", f"https://x.appspot.com/#!{json.dumps({'layers': layers})}", "--json")

    assert said.code == 1
    assert [row["dataset"] for row in said.rows("array")] == ["em", "em", "em", "seg"]
    assert [row["dataset"] for row in said.rows("failed")] == ["gone"], "the others come all the same"
    assert "'odd'" in said.rows("note")[0]["message"]


# --- for people, and what goes wrong ----------------------------------------------------------------------------------


def test_lines_for_people(program: Program) -> None:
    said = program("ls", "s3://bucket/set/v2.zarr/em")

    lines = said.out.splitlines()
    assert lines[0] == "v2-em:"
    assert "s0  level 0  40 x 48 x 56 <i2  zyx  chunks 16 x 16 x 16  voxels 8 x 4 x 4 nanometer" in lines[1]
    assert "3 arrays" in said.err
    said = program("ls", "s3://bucket/set/")
    assert "  deep/" in said.out.splitlines()
    assert "4 folders, 1 file, 7 B in files" in said.err


def test_names_of_strangers_do_not_reach_the_terminal() -> None:
    row = emasync.ListedRow(kind="file", dataset="d", path="a\x1b[2J\n.tif", size_bytes=1)

    assert "\x1b" not in ls_line(row)
    assert "\n" not in ls_line(row)


@pytest.mark.parametrize(
    ("link", "says", "requests"),
    [
        ("s3://bucket/nothing/there", "nothing is there", 2),
        ("s3://bucket/nothing/", "nothing is there", 1),
        ("s3://bucket/set/notes.zarr", "nothing is there", 2),
    ],
)
def test_what_is_not_there(link: str, says: str, requests: int, program: Program, server: Archive) -> None:
    said = program("ls", link, "--json")

    assert said.code == 1
    (row,) = said.rows("failed")
    assert says in row["message"]
    assert row["error"] == "not_found"
    assert len(asked(server)) == requests


def test_a_missing_file_and_a_missing_bucket(program: Program, server: Archive) -> None:
    missing = program("ls", f"{server.url}/bucket/set/no.tif", "--json")
    assert (missing.code, missing.rows("failed")[0]["error"]) == (1, "not_found")
    server.reset()
    missing = program.bare("ls", "s3://nobucket/x", f"--mirror=s3://nobucket={server.url}/nobucket", "--json")
    assert (missing.code, missing.rows("failed")[0]["error"]) == (1, "not_found")
    assert len(asked(server)) == 2


@pytest.mark.parametrize("link", ["what is this", "https://me:secret@host.org/x", "", "s3://", "/no/such/folder"])
def test_wrong_links(link: str, program: Program) -> None:
    said = program("ls", link)

    assert said.code == 2
    assert said.out == ""
    assert "secret" not in said.err


def test_broken_metadata_is_one_failure_and_names_the_document(archive: Start, capsys: Capture) -> None:
    server = archive({"bucket/x.zarr/.zarray": b"{broken", "bucket/x.zarr/0.0": b"chunk"})
    program = Program(capsys, {"s3://bucket": f"{server.url}/bucket"})

    said = program("ls", "s3://bucket/x.zarr", "--json")

    (row,) = said.rows("failed")
    assert (said.code, row["error"]) == (1, "format")
    assert ".zarray" in row["message"]


def test_the_program_prints_one_object_also_when_there_is_nothing(program: Program) -> None:
    document: Any = program("ls", "s3://bucket/nothing/", "--json").document

    assert set(document) == {"location", "rows", "counts", "file_bytes"}


async def test_who_reads_no_further_is_not_listed_for(archive: Start) -> None:
    server = archive({f"bucket/{number:05d}.bin": b"x" for number in range(5_000)}, page_limit=100)
    options = emasync.RunOptions(mirrors={"s3://bucket": f"{server.url}/bucket"})

    rows = emasync.als("s3://bucket", options=options, look=emasync.Look(recursive=True))
    first = await anext(rows)
    await rows.aclose()

    assert first.path == "00000.bin"
    assert len(asked(server)) < 30


def test_a_reader_that_leaves_is_no_error(archive: Start) -> None:
    server = archive({f"bucket/{number:05d}.bin": b"x" for number in range(5_000)})
    mirror = f"s3://bucket={server.url}/bucket"
    command = [sys.executable, "-m", "emasync", "ls", "s3://bucket", "--mirror", mirror]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "bucket:\n"
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == ""


def test_a_web_server_that_knows_no_listing(nginx: Nginx, folder: Path, capsys: Capture) -> None:
    shutil.copytree(folder / "bucket" / "set", nginx.root / "ls-set")
    program = Program(capsys, {})

    said = program("ls", f"{nginx.url}/ls-set/v2.zarr/em", "--json")

    assert said.code == 0
    assert [row["level"] for row in said.rows("array")] == [0, 1, 2]
    plain = program("ls", f"{nginx.url}/ls-set/deep/", "--json")
    assert (plain.code, plain.document["counts"]) == (1, {"failed": 1})


def test_trees_of_a_dandiset_are_looked_into_where_that_is_asked_for(
    archive: Start, folder: Path, capsys: Capture
) -> None:
    twin = DandiTwin(MemoryStore(buckets=("dandiarchive",)))
    twin.version("000027")
    volume = folder / "bucket" / "set" / "v2.zarr" / "em"
    objects = {str(path.relative_to(volume)): path.read_bytes() for path in volume.rglob("*") if path.is_file()}
    twin.add_zarr("000027", "sub-1/em.ome.zarr", objects)
    twin.add_zarr("000027", "sub-2/bad.ome.zarr", {".zarray": b"{broken"})
    server = archive(twin.store, apps=[twin])
    mirrors = {"https://api.dandiarchive.org": server.url, "s3://dandiarchive": f"{server.url}/dandiarchive"}
    program = Program(capsys, mirrors)

    assert program("ls", "DANDI:000027/draft", "--json").document["counts"] == {"tree": 2}
    one = program("ls", "DANDI:000027/draft", "--include", "sub-1/em.ome.zarr", "--json")
    assert [row["path"] for row in one.rows("array")] == [f"sub-1/em.ome.zarr/s{level}" for level in range(3)]
    both = program("ls", "DANDI:000027/draft", "--recursive", "--json")
    assert both.code == 1
    assert len(both.rows("array")) == 3
    assert [row["path"] for row in both.rows("failed")] == ["sub-2/bad.ome.zarr"], "the others come all the same"


async def test_only_some_files_are_asked_for_their_size(archive: Start) -> None:
    server = archive({f"bucket/{number:03d}.tif": bytes(number) for number in range(1, 101)})
    files = [{"url": f"{server.url}/bucket/{{z:03d}}.tif", "z": "1..100"}]
    manifest = manifest_from_object({"version": 1, "datasets": [{"id": "many", "source": "web", "files": files}]})

    rows = [row async for row in survey(manifest, Settings(), recursive=False, on_event=ignore_event)]

    assert [row.size_bytes for row in rows] == [*range(1, 65), *[None] * 36]
    assert len(asked(server)) == 64


def test_a_document_called_info_that_is_no_volumes(archive: Start, capsys: Capture) -> None:
    server = archive({"bucket/info": b"about this bucket", "bucket/x": b"1"})
    program = Program(capsys, {"s3://bucket": f"{server.url}/bucket"})

    said = program("ls", "s3://bucket", "--json")

    assert [row["path"] for row in said.rows("file")] == ["info", "x"]


def test_containers_of_n5_are_known_by_their_name(archive: Start, capsys: Capture) -> None:
    attributes = {
        "dimensions": [10, 20, 30],
        "blockSize": [8, 8, 8],
        "dataType": "uint8",
        "compression": {"type": "raw"},
    }
    server = archive({"bucket/x.n5/em/attributes.json": json.dumps(attributes).encode(), "bucket/x.n5/em/0/0/0": b"b"})
    program = Program(capsys, {"s3://bucket": f"{server.url}/bucket"})

    for link, path in (("s3://bucket/x.n5", "em"), ("n5://s3://bucket/x.n5/em", "")):
        (row,) = program("ls", link, "--json").rows("array")
        assert (row.get("path", ""), row["format"]) == (path, "n5")
        assert sorted(row["shape"]) == [10, 20, 30]


def test_levels_that_globs_leave_out(program: Program) -> None:
    said = program("ls", "s3://bucket/set/v2.zarr/em", "--include", "s1/**", "--json")

    assert [row["path"] for row in said.rows("array")] == ["s1"]


async def test_levels_that_a_manifest_leaves_out(server: Archive) -> None:
    dataset = {"id": "em", "source": "bucket", "url": "s3://bucket/set/v2.zarr/em", "scales": [0, 2]}
    manifest = manifest_from_object({"version": 1, "datasets": [dataset]})
    settings = Settings(mirrors={"s3://bucket": f"{server.url}/bucket"})

    rows = [row async for row in survey(manifest, settings, recursive=False, on_event=ignore_event)]

    assert [row.level for row in rows] == [0, 2]


def test_a_voxel_size_that_nobody_published_stays_unknown(archive: Start, capsys: Capture) -> None:
    image = {"multiscales": [{"version": "0.1", "datasets": [{"path": "0"}]}]}
    array = {
        "zarr_format": 2,
        "shape": [4, 4, 4],
        "chunks": [2, 2, 2],
        "dtype": "|u1",
        "fill_value": 0,
        "order": "C",
        "compressor": None,
        "filters": None,
    }
    documents = {".zgroup": {"zarr_format": 2}, ".zattrs": image, "0/.zarray": array}
    server = archive({f"bucket/x.zarr/{key}": json.dumps(value).encode() for key, value in documents.items()})
    program = Program(capsys, {"s3://bucket": f"{server.url}/bucket"})

    said = program("ls", "s3://bucket/x.zarr", "--json")

    (row,) = said.rows("array")
    assert (row["level"], row["objects"]) == (0, 8)
    assert "voxel_size" not in row


def test_markers_of_folders_are_no_files(archive: Start, capsys: Capture) -> None:
    server = archive({"bucket/a/": b"", "bucket/a/x": b"1", "bucket/a/b/": b""})
    program = Program(capsys, {"s3://bucket": f"{server.url}/bucket"})

    said = program("ls", "s3://bucket/a/", "--json")

    assert [(row["kind"], row["path"]) for row in said.document["rows"]] == [("folder", "b/"), ("file", "x")]


class _Endless:
    """A plug-in's source that never ends by itself."""

    closed: ClassVar[bool] = False

    def __init__(self, context: SourceContext) -> None:
        del context

    async def resolve(self, entry: Any) -> AsyncIterator[Finding]:
        try:
            while True:
                yield Setback(error=SourceError("one more"))
        finally:
            _Endless.closed = True


class _Installed:
    name = "endless"

    def load(self) -> type[_Endless]:
        return _Endless


async def test_a_source_that_is_left_early_is_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [_Installed()])
    context = SourceContext(fetcher=MemoryFetcher(), settings=Settings(), on_event=ignore_event)
    rows = Surveyor(context, recursive=False).rows(SimpleNamespace(id="x", source_name="endless"))

    assert (await anext(rows)).message == "one more"
    await rows.aclose()

    assert _Endless.closed
