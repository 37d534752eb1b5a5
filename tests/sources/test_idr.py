"""IDR images, from their number to whole files. The numbered traps are those of the archive's description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.integration.folders import files_below, run_within

from emasync.api import RunOptions
from emasync.errors import ErrorKind, FormatError, ManifestError, SourceError, TransportError
from emasync.manifest.archives import IdrEntry
from emasync.model.events import Event
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.sources.idr import IdrSource
from emasync.sources.idr_images import MOST_DESCRIBED, MOST_FAILING
from emasync.sources.idr_omero import MAX_PATIENCE, backoff_s, single, total_count
from emasync.sources.idr_paths import below_tree, copy_of, originals, sort_out
from emasync.sources.interface import FilesFound, Finding, Kept, Setback, SourceContext, TreeFound
from emasync.testing import Archive, FolderStore, MemoryStore
from emasync.testing.clock import ManualClock
from emasync.testing.empiar import EmpiarTwin
from emasync.testing.idr import DATA_HOST, NGFF_HOST, OMERO_HOST, PAIR, STUDY, TREE, IdrTwin, OmeroApp
from emasync.testing.volumes import write_ome_zarr_04
from emasync.transport.governed import GovernedFetcher

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
XY, XZ = PAIR
HASTY = {
    "127.0.0.1": {"stall_timeout": "400ms", "first_byte_timeout": "500ms", "max_attempts": 2, "give_up_after": "1s"}
}
NGFF = f"https://{NGFF_HOST}/idr/zarr/v0.4/idr0048A/{{image}}.zarr"


def manifest(url: str, **more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "settings": {"hosts": HASTY},
        "mirrors": IdrTwin.mirrors(url),
        "datasets": [{"id": "cell", "source": "idr", **(more or {"images": [XY]})}],
    }


def serve(archive: Any, twin: IdrTwin | None = None, *, faults: Any = None, **behaviour: Any) -> Archive:
    twin = twin or IdrTwin()
    started: Archive = archive(twin.store(), apps=(OmeroApp(twin, **behaviour),), faults=faults)
    return started


def asked(served: Archive, host: str = OMERO_HOST) -> list[str]:
    return [seen.path.removeprefix(f"{host}/") for seen in served.requests if seen.path.startswith(f"{host}/")]


class Seen:
    """What the source found, and what it told."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.events: list[Event] = []
        self.clock = ManualClock(autojump_s=0)
        self.error: SourceError | TransportError | None = None

    @property
    def paths(self) -> list[str]:
        pages = (item for item in self.findings if isinstance(item, FilesFound))
        return [entry.key for page in pages for entry in page.entries]

    @property
    def kept(self) -> set[str]:
        return {item.name.removeprefix("idr/") for item in self.findings if isinstance(item, Kept)}

    @property
    def setbacks(self) -> list[SourceError]:
        return [item.error for item in self.findings if isinstance(item, Setback)]

    @property
    def trees(self) -> list[TreeFound]:
        return [item for item in self.findings if isinstance(item, TreeFound)]

    @property
    def warnings(self) -> str:
        return "\n".join(str(event.fields["message"]) for event in self.events if event.event == "warning")


async def resolved(url: str, **more: Any) -> Seen:
    """Ask the source itself, with a clock that does not wait."""
    seen = Seen()
    entry = IdrEntry.model_validate({"id": "cell", "source": "idr", **(more or {"images": [XY]})})
    hosts = {"127.0.0.1": {"max_attempts": 1, "give_up_after_s": 0.2}}
    async with GovernedFetcher(Settings(mirrors=IdrTwin.mirrors(url), hosts=hosts)) as fetcher:
        context = SourceContext(fetcher=fetcher, settings=Settings(), on_event=seen.events.append, clock=seen.clock)
        try:
            async for item in IdrSource(context).resolve(entry):
                seen.findings.append(item)
        except (SourceError, TransportError) as error:
            seen.error = error
    return seen


# --- the whole way ------------------------------------------------------------------------------------------------


def test_an_image_arrives_as_its_original_and_is_not_asked_for_again(archive: Any, tmp_path: Path) -> None:
    twin = IdrTwin()
    served = serve(archive, twin)
    receipt = run_within(manifest(served.url), tmp_path)
    assert receipt.failures == ()
    assert files_below(tmp_path / "cell") == {PAIR[XY]: twin.files[PAIR[XY]]}
    kept = files_below(tmp_path / "cell.source-metadata")
    del kept["dataset.json"]  # ours
    assert set(kept) == {f"idr/{name}-{XY}.json" for name in ("image", "imgData", "annotations", "original_file_paths")}
    assert orjson.loads(kept[f"idr/image-{XY}.json"])["data"]["@id"] == XY
    served.reset()
    again = run_within(manifest(served.url), tmp_path)
    assert again.ok
    assert again.totals.requests == 0
    assert served.requests == []


def test_a_dataset_arrives_with_all_its_images(archive: Any, tmp_path: Path) -> None:
    twin = IdrTwin()
    served = serve(archive, twin, page_limit=1)
    receipt = run_within(manifest(served.url, dataset=10740), tmp_path)
    assert receipt.failures == ()
    assert files_below(tmp_path / "cell") == twin.files
    kept = files_below(tmp_path / "cell.source-metadata/idr")
    assert {"dataset-10740.json", "dataset-10740-images-0.json", "dataset-10740-images-1.json"} <= set(kept)
    assert not [path for path in asked(served) if path.startswith("api/v0/m/images")], "the listing told them"


def test_globs_choose_among_originals(archive: Any, tmp_path: Path) -> None:
    twin = IdrTwin()
    served = serve(archive, twin)
    receipt = run_within(manifest(served.url, dataset=10740, include=["**/*_xz.tif"]), tmp_path)
    assert receipt.failures == ()
    assert files_below(tmp_path / "cell") == {PAIR[XZ]: twin.files[PAIR[XZ]]}
    assert f"{TREE}/{PAIR[XY]}" not in asked(served, DATA_HOST)


def test_a_transfer_that_hangs_is_asked_for_again(archive: Any, tmp_path: Path) -> None:
    twin = IdrTwin(size_bytes=400_000)
    hang = {f"{DATA_HOST}/{TREE}/{PAIR[XY]}": [{"stall_after": 1_000, "skip": 1, "times": 1}]}
    served = serve(archive, twin, faults=hang)
    assert run_within(manifest(served.url), tmp_path).failures == ()
    assert files_below(tmp_path / "cell") == {PAIR[XY]: twin.files[PAIR[XY]]}


def test_trap_8_rendered_planes_are_never_asked_for(archive: Any, tmp_path: Path) -> None:
    served = serve(archive)
    run_within(manifest(served.url, dataset=10740), tmp_path)
    assert not [path for path in asked(served) if "render" in path or "archived" in path or "download" in path]


def test_trap_9_pixels_share_their_host_with_empiar(archive: Any, tmp_path: Path) -> None:
    cell, retina = IdrTwin(), EmpiarTwin(images=20)
    store = MemoryStore({**cell.objects, **retina.objects})
    served: Archive = archive(store, apps=(OmeroApp(cell), *retina.apps(store)), latency_s=0.002)
    both = manifest(served.url, dataset=10740)
    both["settings"] = {"hosts": {"127.0.0.1": {"max_connections": 3}}}
    both["mirrors"] |= EmpiarTwin.mirrors(served.url)
    both["datasets"].append({"id": "retina", "source": "empiar", "entry": 11759})
    assert run_within(both, tmp_path).failures == ()
    assert served.peak_in_flight <= 3
    pixels = [Location.parse(f"https://{DATA_HOST}/{path}") for path in (TREE, "empiar/world_availability")]
    assert len({place.origin for place in pixels}) == 1
    assert {Settings().policy(place).max_connections for place in pixels} == {8}
    assert Settings().policy(Location.parse(f"https://{OMERO_HOST}/api")).max_connections == 2


def test_the_shipped_manifest_fetches_the_image(archive: Any, tmp_path: Path) -> None:
    twin = IdrTwin()
    options = RunOptions(mirrors=IdrTwin.mirrors(serve(archive, twin).url))
    assert run_within(MANIFESTS / "idr-9846137.yaml", tmp_path, options=options).failures == ()
    assert files_below(tmp_path / "idr-u2os") == {PAIR[XY]: twin.files[PAIR[XY]]}


# --- what OMERO says ------------------------------------------------------------------------------------------------


async def test_trap_1_a_busy_server_says_so_with_200_and_is_asked_again_later(archive: Any) -> None:
    served = serve(archive, busy=3)
    seen = await resolved(served.url)
    assert f"imgData-{XY}.json" in seen.kept
    assert len([path for path in asked(served) if "imgData" in path]) == 4
    assert seen.clock.monotonic_s() == pytest.approx(1_000 + 0.5 + 1.0 + 2.0)


async def test_trap_1_a_server_that_stays_busy_costs_only_what_it_would_have_told(archive: Any) -> None:
    served = serve(archive, busy=1_000)
    seen = await resolved(served.url)
    assert seen.paths == [PAIR[XY]]
    assert f"imgData-{XY}.json" not in seen.kept
    assert f"the server was busy {MAX_PATIENCE} times" in seen.warnings


async def test_trap_1_a_busy_server_that_tells_of_files_is_a_setback(archive: Any) -> None:
    paths = f"{OMERO_HOST}/webgateway/original_file_paths/{XY}/"
    served = serve(archive, faults={paths: [{"body": '{"ConcurrencyException": {"backOff": 700}}'}]})
    seen = await resolved(served.url)
    (error,) = seen.setbacks
    assert (error.kind, error.location) == (ErrorKind.THROTTLED, f"https://{paths}")
    assert f"image {XY}" in error.message


async def test_trap_1_pixels_that_are_not_ready_are_no_display_data(archive: Any) -> None:
    seen = await resolved(serve(archive, not_ready=True).url)
    assert seen.paths == [PAIR[XY]]
    assert f"imgData-{XY}.json" not in seen.kept
    assert "has no size" in seen.warnings


@pytest.mark.parametrize(
    ("value", "delay_s"),
    [
        ({}, None),
        ({"id": 1}, None),
        ({"ConcurrencyException": {"backOff": 500}}, 0.5),
        ({"ConcurrencyException": {"backOff": 0}}, 0.1),
        ({"ConcurrencyException": {"backOff": "soon"}}, 1.0),
        ({"ConcurrencyException": {"backOff": -5}}, 1.0),
        ({"ConcurrencyException": {}}, 1.0),
        ({"ConcurrencyException": "x"}, 1.0),
    ],
)
def test_how_long_a_busy_server_is_left_alone(value: dict[str, Any], delay_s: float | None) -> None:
    assert backoff_s(value) == delay_s


async def test_trap_2_one_image_may_come_as_a_list(archive: Any) -> None:
    assert (await resolved(serve(archive, documented=True).url)).paths == [PAIR[XY]]
    assert single({"data": [{"@id": 1}]}) == single({"data": {"@id": 1}}) == {"@id": 1}
    assert single({"data": [{"@id": 1}, {"@id": 2}]}) == single({"data": None}) == single({}) == {}


async def test_trap_3_null_fields_are_left_out(archive: Any) -> None:
    """The twin's images have no PhysicalSizeZ."""
    seen = await resolved(serve(archive).url)
    (image,) = (item.data for item in seen.findings if isinstance(item, Kept) and item.name.startswith("idr/image-"))
    assert "PhysicalSizeX" in orjson.loads(image)["data"]["Pixels"]
    assert "PhysicalSizeZ" not in orjson.loads(image)["data"]["Pixels"]


def test_trap_7_an_unknown_image_fails_by_name_and_the_others_come(archive: Any, tmp_path: Path) -> None:
    twin = IdrTwin()
    served = serve(archive, twin)
    receipt = run_within(manifest(served.url, images=[1, XY]), tmp_path)
    assert receipt.exit_code == 1
    (failure,) = receipt.failures
    assert failure.kind == ErrorKind.NOT_FOUND
    assert "the IDR has no public image 1" in failure.message
    assert files_below(tmp_path / "cell") == {PAIR[XY]: twin.files[PAIR[XY]]}


def test_trap_7_an_unknown_dataset_fails_by_name(archive: Any, tmp_path: Path) -> None:
    served = serve(archive)
    receipt = run_within(manifest(served.url, dataset=5), tmp_path)
    (failure,) = receipt.failures
    assert (failure.kind, "no public dataset 5" in failure.message) == (ErrorKind.NOT_FOUND, True)
    assert failure.location == f"https://{OMERO_HOST}/webclient/?show=dataset-5"
    assert len(served.requests) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ({"html_error": True}, ErrorKind.FORMAT, "expected a JSON object of OMERO.web, got"),
        ({"body": "[]"}, ErrorKind.FORMAT, "expected a JSON object"),
        ({"body": '{"data": {"@id": 5}}'}, ErrorKind.FORMAT, "not about image"),
        ({"body": "{}"}, ErrorKind.FORMAT, "not about image"),
        ({"status": 504}, ErrorKind.TRANSIENT, "status 504"),
        ({"redirect": "/login?url=/"}, ErrorKind.NOT_FOUND, "no public image"),
    ],
)
def test_a_server_that_is_down_is_a_named_error(
    fault: dict[str, Any], kind: ErrorKind, words: str, archive: Any, tmp_path: Path
) -> None:
    served = serve(archive, faults={f"{OMERO_HOST}/api/v0/m/images/*": [fault]})
    receipt = run_within(manifest(served.url), tmp_path)
    assert receipt.datasets[0].status == "failed"
    (failure,) = receipt.failures
    assert failure.kind == kind
    assert words in failure.message
    assert str(XY) in failure.message
    served.set_faults({})
    assert run_within(manifest(served.url), tmp_path).ok, "run again"


@pytest.mark.parametrize("body", ["{}", '{"client": "x"}', '{"client": [5]}', '{"client": null}'])
async def test_paths_that_are_none_are_a_named_error(body: str, archive: Any) -> None:
    served = serve(archive, faults={f"{OMERO_HOST}/webgateway/*": [{"body": body}]})
    (error,) = (await resolved(served.url)).setbacks
    assert error.kind is ErrorKind.FORMAT
    assert "expected the paths of original files" in error.message


async def test_a_server_that_is_down_is_not_asked_for_each_of_many_images(archive: Any) -> None:
    many = {number: (f"uod/idr/filesets/s/{number}.tif",) for number in range(1, 201)}
    twin = IdrTwin(images=many, datasets={7: tuple(many)})
    served = serve(archive, twin, faults={f"{OMERO_HOST}/web*": [{"status": 500}]})
    seen = await resolved(served.url, dataset=7)
    assert isinstance(seen.error, TransportError)
    assert len(seen.setbacks) <= MOST_FAILING + 4


# --- datasets --------------------------------------------------------------------------------------------------------


async def test_only_the_first_images_of_a_large_dataset_start_rendering_engines(archive: Any) -> None:
    many = {number: (f"uod/idr/filesets/s/{number}.tif",) for number in range(1, 101)}
    served = serve(archive, IdrTwin(images=many, datasets={7: tuple(many)}))
    seen = await resolved(served.url, dataset=7)
    assert len(seen.paths) == 100
    assert len([path for path in asked(served) if "imgData" in path]) == MOST_DESCRIBED


@pytest.mark.parametrize("page_limit", [1, 3, 7, 1000])
async def test_pages_may_be_shorter_than_asked_for(page_limit: int, archive: Any) -> None:
    many = {number: (f"uod/idr/filesets/s/{number}.tif",) for number in range(1, 8)}
    served = serve(archive, IdrTwin(images=many, datasets={7: tuple(many)}), page_limit=page_limit)
    seen = await resolved(served.url, dataset=7)
    assert sorted(seen.paths) == sorted(f"s/{number}.tif" for number in many)


async def test_a_dataset_that_names_fewer_images_than_promised_is_no_silent_subset(archive: Any) -> None:
    seen = await resolved(serve(archive, promised=3).url, dataset=10740)
    assert sorted(seen.paths) == sorted(PAIR.values()), "what was named comes"
    assert isinstance(seen.error, SourceError)
    assert "3 images are promised, 2 came" in seen.error.message


async def test_an_empty_dataset_promises_nothing(archive: Any) -> None:
    seen = await resolved(serve(archive, IdrTwin(datasets={7: ()})).url, dataset=7)
    assert (seen.error, seen.paths) == (None, [])


@pytest.mark.parametrize(
    "body",
    [
        '{"data": [], "meta": {}}',
        '{"data": {}, "meta": {"totalCount": 1}}',
        '{"data": [{"Name": "x"}], "meta": {"totalCount": 1}}',
    ],
)
async def test_a_page_that_is_none_is_a_named_error(body: str, archive: Any) -> None:
    served = serve(archive, faults={f"{OMERO_HOST}/api/v0/m/datasets/10740/images/": [{"body": body}]})
    seen = await resolved(served.url, dataset=10740)
    assert isinstance(seen.error, FormatError)


async def test_images_of_one_fileset_share_its_files(archive: Any) -> None:
    plate = ("uod/idr/filesets/s/plate.companion.ome", *(f"uod/idr/filesets/s/w{well}.tif" for well in range(5)))
    twin = IdrTwin(images=dict.fromkeys(range(1, 41), plate), datasets={7: tuple(range(1, 41))})
    seen = await resolved(serve(archive, twin).url, dataset=7)
    assert seen.paths == [path.removeprefix("uod/idr/filesets/") for path in plate]
    assert len([name for name in seen.kept if name.startswith("original_file_paths")]) == 1


# --- where originals lie ----------------------------------------------------------------------------------------------


def test_the_rule_of_the_public_tree() -> None:
    path = f"uod/idr/filesets/{PAIR[XY]}"
    assert below_tree(path) == below_tree(f"/{path}") == PAIR[XY]
    assert f"https://{DATA_HOST}/{TREE}/{PAIR[XY]}".endswith(
        "IDR/idr0086-miron-micrographs/20200610-ftp/experimentD/Miron_FIB-SEM/Miron_FIB-SEM_processed/"
        "Figure_S3B_FIB-SEM_U2OS_20x20x20nm_xy.tif"
    )


@pytest.mark.parametrize(
    "path",
    [
        "uod/idr/filesets/../../etc/passwd",
        "uod/idr/filesets//x",
        "uod/idr/filesets/a/./b",
        "uod/idr/filesets/",
        "uod/idr/filesets",
        "uod/idr/filesets/a\nb",
        "data/OMERO/x.tif",
        "",
        "https://example.org/x.tif",
    ],
)
def test_paths_that_lead_elsewhere(path: str) -> None:
    assert sort_out([path]).elsewhere == (path,)


def test_a_path_inside_of_a_copy_names_the_copy() -> None:
    root = "https://uk1s3.embassy.ebi.ac.uk/bia-integrator-data/S-BIAD852/38-09/38-09.zarr"
    found = sort_out([f"{root}/.zattrs", f"{root}/.zgroup", f"{root}/0/.zarray", root])
    assert found.copies == (Location.parse(root),)
    assert copy_of("file:///etc/x.zarr") is None
    assert copy_of("http://user:word@host/x.zarr/.zattrs") is None


async def test_an_original_that_is_not_public_is_a_setback(archive: Any) -> None:
    twin = IdrTwin(images={1: ("data/OMERO/x.tif", "uod/idr/filesets/s/y.tif"), 2: ()})
    seen = await resolved(serve(archive, twin).url, images=[1, 2])
    assert seen.paths == ["s/y.tif"]
    first, second = seen.setbacks
    assert "image 1: its original was imported from data/OMERO/x.tif, expected a path below uod/idr/" in first.message
    assert "image 2: its original was imported from no path at all" in second.message


async def test_an_original_without_its_file_is_left_to_the_transfer(archive: Any) -> None:
    twin = IdrTwin()
    served = archive(MemoryStore({}, buckets=(DATA_HOST,)), apps=(OmeroApp(twin),))
    seen = await resolved(served.url)
    assert seen.paths == [PAIR[XY]]
    assert seen.setbacks == []


async def test_the_server_is_asked_for_sizes(archive: Any) -> None:
    seen = await resolved(serve(archive).url)
    (page,) = (item for item in seen.findings if isinstance(item, FilesFound))
    assert page.entries[0].size_bytes == 40_000


def payload(name: str) -> Any:
    place = Path(__file__).resolve().parents[2].parent / "shared/reference/payloads/idr" / name
    if not place.is_file():
        pytest.skip(f"no answers of the archive at {place}")
    return orjson.loads(place.read_bytes())


def test_answers_of_the_real_shape_are_read() -> None:
    assert originals(payload("idr_9846137_original_file_paths.synthetic.json"), "u").files == (PAIR[XY],)
    assert single(payload("idr_9846137_api_v0_image.synthetic.json"))["@id"] == XY
    errors = payload("omero_imgData_http200_errors.synthetic.json")
    assert backoff_s(errors["retry_later"]) == 0.5
    assert backoff_s(errors["pixels_not_ready"]) is None
    with pytest.raises(FormatError):
        total_count(errors["pixels_not_ready"], "u")


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def copies(tmp_path: Path) -> tuple[FolderStore, dict[str, bytes]]:
    zarr = tmp_path / "served" / NGFF_HOST / "idr/zarr/v0.4/idr0048A/9846151.zarr"
    zarr.parent.mkdir(parents=True)
    write_ome_zarr_04(zarr)
    return FolderStore(tmp_path / "served"), files_below(zarr)


def test_trap_10_a_copy_is_taken_from_where_the_manifest_says(
    copies: tuple[FolderStore, dict[str, bytes]], archive: Any, tmp_path: Path
) -> None:
    store, expected = copies
    served = archive(store, apps=(OmeroApp(IdrTwin(images={9846151: ("uod/idr/filesets/x.tif",)})),))
    receipt = run_within(manifest(served.url, images=[9846151], ngff=NGFF), tmp_path / "root")
    assert receipt.failures == ()
    assert files_below(tmp_path / "root/cell/9846151.zarr") == expected
    assert not [path for path in asked(served) if "original_file_paths" in path]


def test_levels_of_a_copy_can_be_chosen(
    copies: tuple[FolderStore, dict[str, bytes]], archive: Any, tmp_path: Path
) -> None:
    store, expected = copies
    served = archive(store, apps=(OmeroApp(IdrTwin(images={9846151: ("uod/idr/filesets/x.tif",)})),))
    receipt = run_within(manifest(served.url, images=[9846151], ngff=NGFF, scales=[1]), tmp_path / "root")
    assert receipt.failures == ()
    got = files_below(tmp_path / "root/cell/9846151.zarr")
    fine, coarse = sorted({path.partition("/")[0] for path in expected if path.endswith("/.zarray")})[:2]
    chunks = {path: data for path, data in expected.items() if path.startswith(f"{coarse}/") and ".z" not in path}
    assert chunks
    assert {path: got[path] for path in chunks} == chunks
    assert not [path for path in got if path.startswith(f"{fine}/")]


def test_a_fileset_that_was_replaced_by_its_copy_is_found_there(
    copies: tuple[FolderStore, dict[str, bytes]], archive: Any, tmp_path: Path
) -> None:
    store, expected = copies
    root = NGFF.replace("{image}", "9846151")
    replaced = (f"{root}/.zattrs", f"{root}/.zgroup", f"{root}/0/.zarray")
    served = archive(store, apps=(OmeroApp(IdrTwin(images={5: replaced, 6: replaced})),))
    receipt = run_within(manifest(served.url, images=[5, 6]), tmp_path / "root")
    assert receipt.failures == ()
    assert files_below(tmp_path / "root/cell") == {f"9846151.zarr/{path}": data for path, data in expected.items()}


async def test_images_of_one_copy_share_its_tree(copies: tuple[FolderStore, dict[str, bytes]], archive: Any) -> None:
    root = NGFF.replace("{image}", "9846151")
    served = archive(copies[0], apps=(OmeroApp(IdrTwin(images={5: (f"{root}/.zattrs",), 6: (f"{root}/.zgroup",)})),))
    (tree,) = (await resolved(served.url, images=[5, 6])).trees
    assert (str(tree.tree.base), tree.path) == (root, "9846151.zarr")


async def test_a_copy_that_is_not_there_is_a_setback(archive: Any) -> None:
    seen = await resolved(serve(archive).url, images=[XY], ngff=NGFF)
    (error,) = seen.setbacks
    assert error.kind is ErrorKind.NOT_FOUND
    assert f"no OME-NGFF copy at https://{NGFF_HOST}/idr/zarr/v0.4/idr0048A/{XY}.zarr" in error.message
    assert (seen.trees, seen.paths) == ([], [])


async def test_a_level_of_a_tiff_cannot_be_chosen(archive: Any) -> None:
    (error,) = (await resolved(serve(archive).url, images=[XY], scales=[0])).setbacks
    assert "OME-NGFF copies only" in error.message
    assert STUDY in error.message


@pytest.mark.parametrize(
    "url", ["https://h/x.zarr", "{image}", "ftp://h/{image}", "https://h/{image}?x=1", "https://h/{image}/{other}"]
)
def test_a_place_of_copies_that_is_none_is_refused_before_anything_is_asked(url: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"datasets\[0\]\.ngff"):
        run_within(manifest("http://127.0.0.1:9", images=[1], ngff=url), tmp_path)
