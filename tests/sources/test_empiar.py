"""An EMPIAR entry, from its API to whole files.

Trap numbers are those of empiar.md; 3 to 5 are about what is inside of DM3 files and no matter of fetching them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.integration.folders import files_below, run_within

from emasync.api import RunOptions
from emasync.errors import ErrorKind, FormatError, ManifestError, SourceError
from emasync.manifest.archives import EmpiarEntry
from emasync.manifest.load import load_manifest
from emasync.model.events import Event
from emasync.model.location import Location
from emasync.model.receipt import Receipt
from emasync.settings import Settings
from emasync.sources.apache import IndexRow, RoundedSize
from emasync.sources.apache_sizes import MOST_PROBED
from emasync.sources.empiar import EmpiarSource
from emasync.sources.empiar_census import Tally
from emasync.sources.empiar_record import ImageSet, from_api, from_xml, size_range
from emasync.sources.interface import FilesFound, Finding, Kept, Setback, SourceContext
from emasync.testing import Archive
from emasync.testing.apache import IndexApp
from emasync.testing.clock import ManualClock
from emasync.testing.empiar import API_HOST, DATA_HOST, EmpiarTwin
from emasync.transport.governed import GovernedFetcher

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
FOLDER = f"{DATA_HOST}/empiar/world_availability/11759"
API = f"{API_HOST}/empiar/api/entry/EMPIAR-11759/"
SLICE = "data/F57-8_test1_3VBSED_slice_{:04d}.dm3"
TYPED_WRONG = {
    "image size in data": {
        "api": "31696896 bytes an image",
        "listing": f"{SLICE.format(2).removeprefix('data/')} has 5.0K",
    }
}
"""The entry's images are not of the size that its depositor typed in."""
HASTY = {
    "127.0.0.1": {"stall_timeout": "400ms", "first_byte_timeout": "500ms", "max_attempts": 2, "give_up_after": "1s"}
}


def manifest(url: str, **more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "settings": {"hosts": HASTY},
        "mirrors": EmpiarTwin.mirrors(url),
        "datasets": [{"id": "retina", "source": "empiar", "entry": 11759, **more}],
    }


def serve(archive: Any, twin: EmpiarTwin, *servers: frozenset[str], **more: Any) -> Archive:
    store = twin.store()
    started: Archive = archive(store, apps=twin.apps(store, *servers), **more)
    return started


def check_whole(receipt: Receipt, root: Path, files: Mapping[str, bytes]) -> None:
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    assert files_below(root / "retina") == files


def kept(root: Path, name: str) -> Any:
    return orjson.loads((root / "retina.source-metadata" / "empiar" / name).read_bytes())


class Seen:
    """What the source found, and what it told."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.events: list[Event] = []
        self.clock = ManualClock(autojump_s=0)
        self.error: SourceError | None = None

    @property
    def paths(self) -> set[str]:
        pages = (item for item in self.findings if isinstance(item, FilesFound))
        return {entry.path or entry.key for page in pages for entry in page.entries}

    @property
    def conflicts(self) -> dict[str, Any]:
        (document,) = (
            item for item in self.findings if isinstance(item, Kept) and item.name.endswith("conflicts.json")
        )
        return {row["subject"]: row["said"] for row in orjson.loads(document.data)["conflicts"]}

    @property
    def warnings(self) -> str:
        return "\n".join(str(event.fields["message"]) for event in self.events if event.event == "warning")


async def resolved(url: str, **more: Any) -> Seen:
    """Ask the source itself, with a clock that does not wait."""
    seen = Seen()
    entry = EmpiarEntry.model_validate({"id": "retina", "source": "empiar", "entry": 11759, **more})
    async with GovernedFetcher(Settings(mirrors=EmpiarTwin.mirrors(url))) as fetcher:
        context = SourceContext(fetcher=fetcher, settings=Settings(), on_event=seen.events.append, clock=seen.clock)
        try:
            async for item in EmpiarSource(context).resolve(entry):
                seen.findings.append(item)
                if isinstance(item, Setback):
                    seen.error = item.error
        except SourceError as error:
            seen.error = error
    return seen


# --- the whole way ------------------------------------------------------------------------------------------------


def test_an_entry_arrives_whole_and_is_not_asked_for_again(archive: Any, tmp_path: Path) -> None:
    twin = EmpiarTwin()
    served = serve(archive, twin)
    check_whole(run_within(manifest(served.url), tmp_path), tmp_path, {**twin.files, "11759.xml": twin.xml()})
    assert kept(tmp_path, "EMPIAR-11759.json") == orjson.loads(twin.api())
    assert (tmp_path / "retina.source-metadata/empiar/11759.xml").read_bytes() == twin.xml()
    assert [row["subject"] for row in kept(tmp_path, "conflicts.json")["conflicts"]] == list(TYPED_WRONG)
    served.reset()
    again = run_within(manifest(served.url), tmp_path)
    assert again.ok
    assert again.totals.requests == 0
    assert served.requests == []


def test_a_missing_file_is_all_that_is_asked_for(archive: Any, tmp_path: Path) -> None:
    twin = EmpiarTwin()
    served = serve(archive, twin)
    run_within(manifest(served.url), tmp_path)
    (tmp_path / "retina" / SLICE.format(3)).unlink()
    served.reset()
    check_whole(run_within(manifest(served.url), tmp_path), tmp_path, {**twin.files, "11759.xml": twin.xml()})
    assert [seen.path for seen in served.requests] == [f"{FOLDER}/{SLICE.format(3)}"]


def test_trap_8_a_transfer_that_hangs_is_asked_for_again(archive: Any, tmp_path: Path) -> None:
    twin = EmpiarTwin(slice_bytes=300_000)
    hang = [{"stall_after": 1_000, "times": 1, "skip": 1}]  # the first request only asks for the size
    served = serve(archive, twin, faults={f"{FOLDER}/{SLICE.format(0)}": hang})
    receipt = run_within(manifest(served.url, include=["data/*.dm3"]), tmp_path)
    check_whole(receipt, tmp_path, {path: data for path, data in twin.files.items() if path.endswith(".dm3")})


def test_trap_11_a_truncated_file_is_not_taken_for_a_whole_one(archive: Any, tmp_path: Path) -> None:
    twin = EmpiarTwin(images=2)
    served = serve(archive, twin)
    place = tmp_path / "retina" / SLICE.format(1)
    place.parent.mkdir(parents=True)
    place.write_bytes(twin.files[SLICE.format(1)][:100])
    receipt = run_within(manifest(served.url), tmp_path)
    (failure,) = receipt.failures
    assert failure.kind == ErrorKind.DESTINATION_EXISTS
    assert failure.location.endswith(SLICE.format(1))
    assert place.stat().st_size == 100


def test_trap_12_neither_parents_nor_orders_of_a_listing_are_followed(archive: Any, tmp_path: Path) -> None:
    served = serve(archive, EmpiarTwin())
    run_within(manifest(served.url), tmp_path)
    asked = [seen for seen in served.requests if seen.path.startswith(DATA_HOST)]
    assert {seen.path.startswith(f"{FOLDER}/") for seen in asked} == {True}
    assert {seen.query for seen in asked} == {""}
    folders = [seen.path for seen in asked if seen.path.endswith("/")]
    assert len(folders) == len(set(folders)) == 4 + 6


def test_trap_13_what_is_not_wanted_is_not_even_listed(archive: Any, tmp_path: Path) -> None:
    twin = EmpiarTwin()
    served = serve(archive, twin)
    check_whole(
        run_within(manifest(served.url, include=["data/*.dm3"]), tmp_path),
        tmp_path,
        {path: data for path, data in twin.files.items() if path.endswith(".dm3")},
    )
    assert [seen.path for seen in served.requests if seen.path.endswith("/")] == [API, f"{FOLDER}/data/"]


def test_trap_14_any_name_arrives_as_the_file_it_names(archive: Any, tmp_path: Path) -> None:
    more = {
        f"data/{name}": name.encode()
        for name in ("a b&c.txt", "100%.txt", "a%20b.txt", "é+ü.txt", "a:b.txt", "q?x#y.txt", "(1) [2].txt")
    }
    twin = EmpiarTwin(images=1, more=more)
    store = twin.store()
    apps = (twin.apps(store)[0], IndexApp(store, DATA_HOST, name_width=12))
    served = archive(store, apps=apps)
    check_whole(run_within(manifest(served.url), tmp_path), tmp_path, {**twin.files, "11759.xml": twin.xml()})


def test_a_local_copy_of_the_data_stands_in(archive: Any, tmp_path: Path) -> None:
    twin = EmpiarTwin()
    for path, data in {**twin.files, "11759.xml": twin.xml()}.items():
        place = tmp_path / "disk" / "empiar/world_availability/11759" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    served = serve(archive, twin)
    local = manifest(served.url, exclude=["data/trakem2/**"])
    local["mirrors"][f"https://{DATA_HOST}"] = f"file://{tmp_path / 'disk'}"
    receipt = run_within(local, tmp_path / "root")
    wanted = {path: data for path, data in twin.files.items() if "trakem2" not in path}
    check_whole(receipt, tmp_path / "root", {**wanted, "11759.xml": twin.xml()})
    assert [row["subject"] for row in kept(tmp_path / "root", "conflicts.json")["conflicts"]] == list(TYPED_WRONG)
    assert [seen.path for seen in served.requests] == [API]


# --- incomplete listings --------------------------------------------------------------------------------------------


async def test_trap_6_a_file_that_one_server_leaves_out_is_found_with_another(archive: Any) -> None:
    twin = EmpiarTwin()
    # the servers take turns: the entry's folder goes to the first, data/ to the second
    served = serve(archive, twin, frozenset(), frozenset({SLICE.format(7)}), frozenset())
    seen = await resolved(served.url, include=["data/*.dm3", "*.xml"])
    assert seen.error is None
    assert seen.paths >= {path for path in twin.files if path.endswith(".dm3")}
    assert seen.clock.monotonic_s() > 1_000, "a pause lets the connection close"


async def test_trap_6_what_no_listing_shows_fails_by_name_after_the_rest(archive: Any) -> None:
    twin = EmpiarTwin()
    served = serve(archive, twin, frozenset({SLICE.format(7), SLICE.format(8)}))
    seen = await resolved(served.url)
    assert seen.paths == {*twin.files, "11759.xml"} - {SLICE.format(7), SLICE.format(8)}
    assert seen.error is not None
    assert "data: 16 DM3 images are promised, 14 files are listed" in seen.error.message
    assert "allow_missing" in seen.error.message
    assert seen.error.location == "https://ftp.ebi.ac.uk/empiar/world_availability/11759"
    listings = [item.path for item in served.requests if item.path == f"{FOLDER}/data/"]
    assert len(listings) == 3
    tracing = [item.path for item in served.requests if item.path == f"{FOLDER}/data/trakem2/"]
    assert len(tracing) == 3, "a set's folder is looked at again with all that is below"


def test_trap_6_a_file_that_the_manifest_names_is_asked_for_though_not_listed(archive: Any, tmp_path: Path) -> None:
    twin = EmpiarTwin(promised=0)
    served = serve(archive, twin, frozenset({SLICE.format(7)}))
    told: list[Event] = []
    receipt = run_within(
        manifest(served.url, include=["data/*_0000.dm3", SLICE.format(7)]), tmp_path, on_event=told.append
    )
    check_whole(receipt, tmp_path, {SLICE.format(number): twin.files[SLICE.format(number)] for number in (0, 7)})
    assert "1 files that the manifest names are in no listing" in "".join(str(event.fields) for event in told)


def test_a_name_in_the_manifest_that_is_not_there_fails_by_name(archive: Any, tmp_path: Path) -> None:
    served = serve(archive, EmpiarTwin(promised=0))
    receipt = run_within(manifest(served.url, include=["data/*_0000.dm3", "data/none.dm3"]), tmp_path)
    (failure,) = receipt.failures
    assert (failure.kind, failure.location) == (ErrorKind.NOT_FOUND, f"https://{FOLDER}/data/none.dm3")


async def test_missing_images_may_be_accepted(archive: Any) -> None:
    served = serve(archive, EmpiarTwin(promised=17))
    seen = await resolved(served.url, allow_missing=["data/*.dm3"])
    assert seen.error is None
    assert "accepted (allow_missing)" in seen.warnings
    other = await resolved(served.url, allow_missing=["data/*.tif"])
    assert other.error is not None


@pytest.mark.parametrize("include", [(), ("data/*.dm3",), ("data/*_000?.dm3",)])
async def test_the_count_is_of_all_images_whatever_is_wanted(archive: Any, include: tuple[str, ...]) -> None:
    seen = await resolved(serve(archive, EmpiarTwin(promised=17)).url, include=list(include))
    assert seen.error is not None


@pytest.mark.parametrize("include", ["*.xml", "data/trakem2/**"])
async def test_image_sets_in_folders_that_nobody_wants_are_not_counted(archive: Any, include: str) -> None:
    seen = await resolved(serve(archive, EmpiarTwin(promised=17)).url, include=[include])
    assert seen.error is None
    assert seen.conflicts == {}


async def test_stacks_of_many_images_are_no_missing_files(archive: Any) -> None:
    seen = await resolved(serve(archive, EmpiarTwin(promised=1000)).url)
    assert seen.error is None
    assert seen.conflicts == TYPED_WRONG | {"images in data": {"api": "1000", "listing": "16"}}


async def test_a_set_in_folders_of_which_some_are_not_wanted_is_no_missing_file(archive: Any) -> None:
    more = {f"data/{part}/{number}.dm3": b"x" for part in "ab" for number in range(9)}
    twin = EmpiarTwin(images=0, promised=18, more=more)
    assert (await resolved(serve(archive, twin).url)).error is None
    seen = await resolved(serve(archive, twin).url, exclude=["data/b/**"])
    assert seen.error is None
    assert seen.conflicts["images in data"] == {"api": "18", "listing": "9"}


async def test_a_folder_that_only_the_manifest_knows_is_told(archive: Any) -> None:
    twin = EmpiarTwin()
    seen = await resolved(serve(archive, twin).url, include=["data/*.dm3", "nowhere/*.dm3"])
    assert seen.paths >= {path for path in twin.files if path.endswith(".dm3")}
    assert "nowhere/: there is no such folder" in seen.warnings


# --- contradictions ------------------------------------------------------------------------------------------------


async def test_trap_2_and_10_the_two_documents_agree_in_their_own_spellings(archive: Any) -> None:
    twin = EmpiarTwin()
    api = from_api(twin.api(), 11759, "api")
    xml = from_xml(twin.xml(), 11759, "xml")
    assert api.imagesets == xml.imagesets
    (images,) = api.imagesets
    assert (images.directory, images.width, images.pixel_width, images.images) == ("data", 5628.0, 80.0, 16.0)
    assert (await resolved(serve(archive, twin).url)).conflicts == TYPED_WRONG


async def test_trap_1_an_image_size_that_no_file_has_room_for_is_told(archive: Any) -> None:
    """5628 x 5632 pixels of a byte were typed in; the largest file is shorter than that."""
    seen = await resolved(serve(archive, EmpiarTwin(slice_bytes=5_000)).url)
    assert seen.error is None
    assert seen.conflicts == TYPED_WRONG
    assert "contradiction: image size in data: api says 31696896 bytes an image, listing says" in seen.warnings


def images_of(**told: object) -> ImageSet:
    fields = {"num_images_or_tilt_series": 1, "data_format": "DM3", "image_width": "100", "image_height": 10}
    return ImageSet.model_validate({**fields, "voxel_type": "UNSIGNED BYTE", **told})


@pytest.mark.parametrize(
    ("told", "name", "shown", "misfit"),
    [
        ({}, "a.dm3", "972", True),
        ({}, "a.dm3", "1000", False),
        ({}, "a.dm3", "1.0K", False),
        ({}, "a.dm3.gz", "5", False),  # packed: how long it really is, nobody has said
        ({"voxel_type": "32 BIT FLOAT"}, "a.dm3", "3.8K", True),
        ({"voxel_type": "32 BIT FLOAT"}, "a.dm3", "3.9K", False),
        ({"voxel_type": "BIT"}, "a.dm3", "5", False),
        ({"image_width": "n/a"}, "a.dm3", "5", False),
        ({"data_format": "TIFF"}, "a.tif", "5", False),  # may be compressed
    ],
)
def test_trap_1_only_what_cannot_be_is_a_contradiction(
    told: dict[str, object], name: str, shown: str, misfit: bool
) -> None:
    item = images_of(**told)
    tally = Tally("", item.data_format)
    tally.promise(item)
    tally.add(name, IndexRow(name, name, folder=False, size=RoundedSize.parse(shown)))
    assert (tally.misfit is not None) is misfit


def test_trap_1_of_several_sets_in_one_folder_the_smallest_image_counts() -> None:
    tally = Tally("", "DM3")
    for width in (100, 50, 200):
        tally.promise(images_of(image_width=width))
    assert (tally.image_bytes, tally.promised) == (500, 3)
    tally.promise(images_of(image_width=None))
    assert tally.image_bytes is None


async def test_contradictions_are_kept_and_told(archive: Any) -> None:
    twin = EmpiarTwin()
    other = twin.xml().replace(b"5628", b"5496").replace(b"/data<", b"/Data<").replace(b"REL", b"HPUB")
    store = twin.store()
    store.put(f"{FOLDER}/11759.xml", other)
    seen = await resolved(archive(store, apps=twin.apps(store)).url)
    assert seen.error is None
    assert seen.conflicts == TYPED_WRONG | {
        "status": {"api": "REL", "xml": "HPUB"},
        "imagesets[0].directory": {"api": "data", "xml": "Data"},
        "imagesets[0].width": {"api": "5628", "xml": "5496"},
    }
    assert "contradiction: imagesets[0].width: api says 5628, xml says 5496" in seen.warnings


async def test_a_size_that_the_listings_contradict_is_kept(archive: Any) -> None:
    seen = await resolved(serve(archive, EmpiarTwin(dataset_size="1.2 GB")).url)
    assert seen.conflicts["dataset_size"]["api"] == "1.2 GB"
    part = await resolved(serve(archive, EmpiarTwin(dataset_size="1.2 GB")).url, include=["data/*.dm3"])
    assert part.conflicts == TYPED_WRONG, "half of the listings say nothing of the whole"


async def test_trap_7_the_server_is_asked_for_sizes_that_listings_round(archive: Any) -> None:
    twin = EmpiarTwin(images=3)
    served = serve(archive, twin, faults={f"{FOLDER}/{SLICE.format(1)}": [{"truncate": 4_000}]})
    seen = await resolved(served.url, include=["data/*.dm3"])
    sizes = {
        entry.key: entry.size_bytes for item in seen.findings if isinstance(item, FilesFound) for entry in item.entries
    }
    assert sizes[SLICE.format(0)] == len(twin.files[SLICE.format(0)]) == 5_000
    assert sizes[SLICE.format(2)] == 5_080


async def test_a_file_of_another_size_than_listed_is_kept_as_a_contradiction(archive: Any) -> None:
    twin = EmpiarTwin(images=3)
    store = twin.store()
    listed = EmpiarTwin(images=3).store()
    store.put(f"{FOLDER}/{SLICE.format(1)}", b"cut off")
    apps = (twin.apps(store)[0], IndexApp(listed, DATA_HOST))
    seen = await resolved(archive(store, apps=apps).url)
    assert seen.conflicts == TYPED_WRONG | {f"size of {SLICE.format(1)}": {"listing": "4.9K", "server": "7 bytes"}}


async def test_many_files_are_not_asked_for_their_sizes(archive: Any) -> None:
    served = serve(archive, EmpiarTwin(images=MOST_PROBED + 1, slice_bytes=10))
    seen = await resolved(served.url, include=["data/*.dm3"])
    assert len(seen.paths) > MOST_PROBED
    assert not [item for item in served.requests if item.range]


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("1.2 GB", 1.15e9, 1.25 * (1 << 30)),
        ("1.9 TB", 1.85e12, 1.95 * (1 << 40)),
        ("12 B", 11.5, 12.5),
        ("800 MB", 799.5e6, 800.5 * (1 << 20)),
    ],
)
def test_sizes_that_are_typed_in_mean_a_range(text: str, least: float, most: float) -> None:
    assert size_range(text) == pytest.approx((least, most))


@pytest.mark.parametrize("text", ["", "unknown", "1,2 GB", "-1 GB", "GB", "1e9 B"])
def test_no_size(text: str) -> None:
    assert size_range(text) is None


# --- answers that are none -------------------------------------------------------------------------------------------


def failed(url: str, root: Path, **more: Any) -> Any:
    receipt = run_within(manifest(url, **more), root)
    assert receipt.exit_code == 1
    assert receipt.datasets[0].status == "failed"
    (failure,) = receipt.failures
    return failure


def test_an_unknown_entry_is_named(archive: Any, tmp_path: Path) -> None:
    served = serve(archive, EmpiarTwin())
    failure = failed(served.url, tmp_path, entry=99999999)
    assert failure.kind == ErrorKind.NOT_FOUND
    assert "EMPIAR has no released entry 99999999" in failure.message
    assert failure.location == "https://www.ebi.ac.uk/empiar/api/entry/EMPIAR-99999999/"
    assert len(served.requests) == 1, "nothing else is asked"


def test_an_unknown_entry_may_also_be_answered_with_200(archive: Any, tmp_path: Path) -> None:
    served = serve(archive, EmpiarTwin(), faults={API: [{"body": '{"detail":"Not found."}'}]})
    failure = failed(served.url, tmp_path)
    assert (failure.kind, "no released entry 11759 (Not found.)" in failure.message) == (ErrorKind.NOT_FOUND, True)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ({"html_error": True}, ErrorKind.FORMAT, "expected a JSON object of the EMPIAR API, got"),
        ({"body": "[]"}, ErrorKind.FORMAT, "expected a JSON object"),
        ({"body": "{}"}, ErrorKind.FORMAT, "the one key EMPIAR-11759, got the keys none"),
        ({"body": '{"EMPIAR-10000": {}}'}, ErrorKind.FORMAT, "got the keys EMPIAR-10000"),
        ({"body": '{"EMPIAR-11759": {"imagesets": 5}}'}, ErrorKind.FORMAT, "imagesets"),
        ({"truncate": 10}, ErrorKind.FORMAT, "expected a JSON object"),
        ({"status": 503}, ErrorKind.THROTTLED, "asks for patience"),
        ({"drop": True}, ErrorKind.TRANSIENT, API),
    ],
)
def test_an_api_that_is_down_is_a_named_error(
    fault: dict[str, Any], kind: ErrorKind, words: str, archive: Any, tmp_path: Path
) -> None:
    served = serve(archive, EmpiarTwin(), faults={API: [fault]})
    failure = failed(served.url, tmp_path)
    assert failure.kind == kind
    assert words in failure.message
    served.set_faults({})
    assert run_within(manifest(served.url), tmp_path).ok, "run again"


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ({"html_error": True}, ErrorKind.REFUSED, "expected a directory listing"),
        ({"truncate": 200}, ErrorKind.REFUSED, "breaks off"),
        ({"missing": True}, ErrorKind.NOT_FOUND, "the API knows EMPIAR-11759"),
        ({"forbidden": True}, ErrorKind.ACCESS_DENIED, "access denied"),
    ],
)
def test_a_listing_that_is_none_is_a_named_error(
    fault: dict[str, Any], kind: ErrorKind, words: str, archive: Any, tmp_path: Path
) -> None:
    served = serve(archive, EmpiarTwin(), faults={f"{FOLDER}/": [fault]})
    failure = failed(served.url, tmp_path)
    assert (failure.kind, failure.location) == (kind, f"https://{FOLDER}/")
    assert words in failure.message
    served.set_faults({})
    assert run_within(manifest(served.url), tmp_path).ok, "run again"


async def test_an_entry_without_xml_comes_all_the_same(archive: Any) -> None:
    twin = EmpiarTwin()
    store = twin.store()
    store.delete(f"{FOLDER}/11759.xml")
    seen = await resolved(archive(store, apps=twin.apps(store)).url)
    assert (seen.error, seen.paths) == (None, set(twin.files))


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><entry>&b;</entry>'
TYPED = b"<!DOCTYPE entry>" + EmpiarTwin().xml()
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><entry>&a;</entry>'


@pytest.mark.parametrize(
    "document", [BOMB, TYPED, OUTSIDE, b"", b"<entry>", b"<html/>", b"\xff\xfe<", EmpiarTwin(number=1).xml()]
)
async def test_xml_that_cannot_be_believed_is_a_contradiction(document: bytes, archive: Any) -> None:
    twin = EmpiarTwin()
    store = twin.store()
    store.put(f"{FOLDER}/11759.xml", document)
    seen = await resolved(archive(store, apps=twin.apps(store)).url)
    assert seen.error is None
    assert set(seen.conflicts) == {"xml", *TYPED_WRONG}
    assert seen.paths == {*twin.files, "11759.xml"}
    with pytest.raises(FormatError):
        from_xml(document, 11759, "xml")


def test_depositors_type_anything_into_fields() -> None:
    odd = {"image_width": "n/a", "pixel_width": None, "num_images_or_tilt_series": "1e400", "directory": "//data/./x/"}
    record = from_api(orjson.dumps({"EMPIAR-1": {"imagesets": [odd, {}], "title": 7}}), 1, "api")
    first, second = record.imagesets
    assert (first.width, first.pixel_width, first.images, first.directory) == (None, None, None, "data/x")
    assert (second.width, second.directory, record.title) == (None, "", "7")
    assert from_api(b'{"EMPIAR-1": {"imagesets": null}}', 1, "api").imagesets == ()


# --- documents of the real archive -----------------------------------------------------------------------------------


def payload(name: str) -> bytes:
    place = Path(__file__).resolve().parents[2].parent / "shared/reference/payloads/empiar" / name
    if not place.is_file():
        pytest.skip(f"no answers of the real archive at {place}")
    return place.read_bytes()


def test_the_real_answer_is_read() -> None:
    record = from_api(payload("empiar_11759_api_entry.json"), 11759, "api")
    (images,) = record.imagesets
    assert (images.directory, images.data_format, images.images) == ("data", "DM3", 16)
    assert (images.width, images.height, images.pixel_width) == (5628, 5632, 80)
    assert (record.status, record.dataset_size, record.entry_doi) == ("REL", "1.2 GB", "10.6019/EMPIAR-11759")


def test_the_real_xml_is_read() -> None:
    record = from_xml(payload("empiar_10934.xml"), 10934, "xml")
    (images,) = record.imagesets
    assert (images.directory, images.images) == ("data/CL44-1_20201106_111915", 3889)
    assert record.dataset_size == "1.9 TB"


# --- the manifest ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choice", [{"scales": [0]}, {"arrays": ["data"]}, {"crop": {"start": [0, 0, 0], "shape": [1, 1, 1]}}]
)
def test_a_choice_of_arrays_is_refused_before_anything_is_asked(choice: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="files are taken whole here"):
        run_within(manifest("http://127.0.0.1:9", **choice), tmp_path)


def test_trap_9_the_manifest_says_how_far_slices_are_apart() -> None:
    """50 nm, where two summaries of others say 8: it stands in one tag of each file, and in no name."""
    (entry,) = load_manifest(MANIFESTS / "empiar-11759.yaml", environ={}).datasets
    assert entry.series is not None
    assert (entry.series.spacing, entry.series.unit) == (50, "nanometer")


def test_the_shipped_manifest_fetches_the_slices(archive: Any, tmp_path: Path) -> None:
    twin = EmpiarTwin()
    served = serve(archive, twin)
    options = RunOptions(mirrors=EmpiarTwin.mirrors(served.url))
    receipt = run_within(MANIFESTS / "empiar-11759.yaml", tmp_path, options=options)
    assert receipt.failures == ()
    assert files_below(tmp_path / "empiar-11759") == {
        path: data for path, data in twin.files.items() if path.endswith(".dm3")
    }


# --- the host --------------------------------------------------------------------------------------------------------


def test_the_host_gets_eight_connections_and_twelve_seconds() -> None:
    policy = Settings().policy(Location.parse(f"https://{FOLDER}/data/x.dm3"))
    assert (policy.max_connections, policy.stall_timeout_s) == (8, 12.0)
    assert Settings().policy(Location.parse(f"https://{API}")).max_connections == 2


def test_the_host_is_never_asked_for_more_than_agreed(archive: Any, tmp_path: Path) -> None:
    twin = replace(EmpiarTwin(), images=60)
    served = serve(archive, twin, latency_s=0.002)
    careful = manifest(served.url)
    careful["settings"] = {"hosts": {"127.0.0.1": {"max_connections": 3}}}
    assert run_within(careful, tmp_path).ok
    assert served.peak_in_flight <= 3
