"""Names of flexiznam's tree: each object has one place of its own below the root, told before it is fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.disk.names import check_relative
from emasync.errors import DestinationError, MachineError, SourceError
from emasync.layouts.flexiznam.acquisition import Registered, acquisition
from emasync.layouts.flexiznam.names import HOME
from emasync.layouts.flexiznam.register import REGISTER, Entity, Item, Register, mice_in, page_place
from emasync.manifest.layout import FlexiznamLayout as Asked
from emasync.model.task import ObjectEntry
from emasync.plan.flexiznam import LOOKS_AT_ONCE, FlexiznamLayout
from emasync.plan.flexiznam_naming import Naming, Settled
from emasync.plan.layout import layout_for
from emasync.plan.written import MemoryDocuments
from emasync.sources.interface import Children, FilesFound, Recorded, TreeFound

START = datetime(2023, 3, 31, 14, 47, 36)  # noqa: DTZ001 - local, as told
ASKED = Asked(kind="flexiznam", project="p")


def naming(register: Register | None = None, **asked: Any) -> Naming:
    """Any: what the manifest says besides."""
    return Naming(Asked(kind="flexiznam", project="p", **asked), register or Register(), "d")


def place(settled: Settled, key: str) -> str:
    """Relative to the root, as an intake puts it together."""
    inside = settled.place(key)
    return "/".join(part for part in (settled.folder("d"), settled.tree(""), inside) if part)


# --- one place each -------------------------------------------------------------------------------------------------

NAMES = st.text(st.sampled_from("aB.%~2F\\ \0\né_-"), min_size=1, max_size=4)
KEYS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
MOMENTS = st.datetimes(datetime(2023, 3, 31, 9), datetime(2023, 4, 1, 9)).map(lambda at: at.replace(microsecond=0))  # noqa: DTZ001


def recordings(subject: st.SearchStrategy[str]) -> st.SearchStrategy[Recorded]:
    return st.builds(
        Recorded,
        subject=subject,
        session=st.sampled_from([None, "one", "two"]),
        started=MOMENTS,
        platform=st.sampled_from([None, "ecephys", "Behavior Videos"]),
        ex_vivo=st.booleans(),
        derived=st.sampled_from([None, None, "sorted_2024-01-01_00-00-00"]),
    )


ASSETS = st.dictionaries(
    NAMES, st.tuples(recordings(st.sampled_from(["1", "2", "../x", "a/b"])), st.sets(KEYS, max_size=6))
)


def without_clashes(keys: set[str]) -> set[str]:
    """No key is the folder of another: that is a clash in any layout."""
    return {key for key in keys if not any(other.startswith(f"{key}/") for other in keys)}


@settings(deadline=None)
@given(ASSETS, st.booleans(), st.sampled_from([{}, {"sample": "brain/slice"}, {"session": "S1"}]))
def test_objects_of_assets_never_share_a_place(
    assets: dict[str, tuple[Recorded, set[str]]],
    deep: bool,
    asked: dict[str, Any],
) -> None:
    register, places = Register(), {}
    for asset, (recorded, keys) in assets.items():
        names = naming(register, **asked)
        wanted = without_clashes(keys)
        folders = {key.partition("/")[0]: deep for key in wanted if "/" in key}
        sidecars = names.sidecars(asset, recorded)
        settled = names.whole(asset, recorded) if recorded.derived else names.asset(asset, recorded, folders)
        places[asset, "data_description.json", "sidecar"] = place(sidecars, "data_description.json")
        places |= {(asset, key, "data"): place(settled, key) for key in wanted - {"data_description.json"}}
    assert len(set(places.values())) == len(places)
    for found in places.values():
        check_relative(found)
        assert found.startswith((f"{HOME}/raw/p/", f"{HOME}/processed/p/"))


FILES = st.dictionaries(
    st.tuples(
        st.sampled_from(["sub-1/", "sub-2/", "sub-1/x/", ""]), st.one_of(st.sampled_from(["a", "x/a"]), NAMES)
    ).map("".join),
    st.tuples(st.sampled_from(["one", "two"]), st.sampled_from([START, START.replace(hour=20)])),
    max_size=8,
)


@settings(deadline=None)
@given(FILES)
def test_files_of_an_archive_never_share_a_place(files: dict[str, tuple[str, datetime]]) -> None:
    told: Mapping[str, Recorded | None] = {
        path: Recorded(subject=path[:5] if path.startswith("sub-") else "sub-1", session=session, started=at)
        for path, (session, at) in files.items()
    }
    told = {path: recorded and Recorded(**{**_fields(recorded), "ex_vivo": False}) for path, recorded in told.items()}
    settled = naming().files(told)
    places = [place(settled, path) for path in files]
    assert len(set(places)) == len(files)
    for found in places:
        check_relative(found)
        assert found.startswith(f"{HOME}/raw/p/sub-")


def _fields(recorded: Recorded) -> dict[str, Any]:
    """Any: of a recording."""
    return {name: getattr(recorded, name) for name in Recorded.__slots__}


@settings(deadline=None)
@given(ASSETS)
def test_a_register_that_was_written_down_names_all_the_same(assets: dict[str, tuple[Recorded, set[str]]]) -> None:
    register = Register()
    before = {asset: naming(register).sidecars(asset, recorded).base for asset, (recorded, _) in assets.items()}
    documents = dict(register.changes())
    pages = {mouse: documents[page_place(mouse)] for mouse in mice_in(documents.get(REGISTER))}
    assert len(documents) == (len(pages) + 1 if pages else 0)
    again = Register.read(pages)
    after = {asset: naming(again).sidecars(asset, recorded).base for asset, (recorded, _) in reversed(assets.items())}
    assert after == before
    assert again.changes() == []


# --- entities -------------------------------------------------------------------------------------------------------


def test_sessions_of_a_day_are_numbered_in_the_order_of_their_beginnings() -> None:
    told = {
        f"sub-1/{name}.nwb": Recorded(subject="sub-1", session=name, started=START.replace(hour=hour), ex_vivo=False)
        for name, hour in (("third", 20), ("first", 8), ("second", 12))
    }
    settled = naming().files(told)
    assert {path: settled.place(path).split("/")[3] for path in told} == {
        "sub-1/first.nwb": "S20230331",
        "sub-1/second.nwb": "S20230331_0",
        "sub-1/third.nwb": "S20230331_1",
    }


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        (Recorded(started=START, ex_vivo=False), "which mouse it is: set layout.mouse"),
        (
            Recorded(subject="1", started=START),
            "a session of an animal or a sample of tissue: set layout.session, or lay",
        ),
        (Recorded(subject="1", ex_vivo=False), "when it was recorded: set layout.session"),
    ],
)
def test_what_is_not_told_is_asked_for(recorded: Recorded, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        naming().whole("a", recorded)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"sample": "brain"}, "raw/p/m/brain/d"),
        ({"sample": "brain/slice-3"}, "raw/p/m/brain/slice-3.d"),
        ({"session": "S1"}, "raw/p/m/S1/d"),
    ],
)
def test_what_the_source_knows_nothing_of(asked: dict[str, Any], expected: str) -> None:
    assert naming(mouse="m", **asked).unrecorded("").base == expected
    assert naming(mouse="m", **asked).unrecorded("image 1").base == f"{expected}/image 1"


def test_a_subject_never_splits_a_path() -> None:
    assert naming(session="S1").whole("x/d", Recorded(subject="a b/../c")).base == "raw/p/a b%~2F..%~2Fc/S1/d"


def test_a_folder_that_came_meanwhile_has_no_place() -> None:
    settled = naming(sample="brain").asset("a", Recorded(subject="1"), {"known": True})
    assert settled.place("known/x") == "known/x"
    with pytest.raises(DestinationError, match="run again with --refresh"):
        settled.place("new/x")


def test_a_layout_has_no_place_for_what_it_was_not_told_of() -> None:
    layout = layout_for(ASKED)
    assert isinstance(layout, FlexiznamLayout)
    assert layout.tree("") == ""
    for find in (layout.tree, layout.place):
        with pytest.raises(DestinationError, match="no finding named"):
            find("x")


# --- the register ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [None, b"[]", b"{", b'{"version": 2}', b'{"version": 1, "subject": null, "sessions": []}']
)
def test_a_register_that_cannot_be_read_is_not_made_anew(data: bytes | None) -> None:
    with pytest.raises(SourceError, match="put it back from a copy"):
        Register.read({"p/1": data})
    if data is not None:
        with pytest.raises(SourceError, match="put it back from a copy"):
            mice_in(data)


def test_a_thousandth_asset_costs_what_the_first_did() -> None:
    """Only the page of its mouse is written, and the list of mice where the mouse is new."""
    register, written = Register(), []
    for number in range(200):
        naming(register).sidecars(f"asset {number}", Recorded(subject=str(number % 100), ex_vivo=True))
        written.append([place for place, _ in register.changes()])
        register.written()
    assert written[0] == [page_place("p/0"), REGISTER]
    assert written[150] == [page_place("p/50")]


def test_a_session_that_somebody_named_is_not_taken_for_another() -> None:
    register = Register()
    naming(register, session="S20230331").whole("a", Recorded(subject="1", started=START))
    other = Recorded(subject="1", started=START.replace(hour=20), ex_vivo=False)
    assert naming(register).entity(other).path.split("/")[2] == "S20230331_0"


def test_a_name_that_was_given_is_taken_though_nothing_hangs_on_it_yet() -> None:
    register = Register()
    names = [register.session("p/m", "S20230331", identity) for identity in ("one", "two", "one", "three")]
    assert names == ["S20230331", "S20230331_0", "S20230331", "S20230331_1"]


def test_a_folder_and_an_entity_never_share_a_place() -> None:
    register = Register()
    register.entity(Entity(path="p/m/S1", kind="session"))
    item = Item(place="", entity="p/m/S1", name="R1", owner="d", dataset_type="ephys")
    assert register.item("raw", item, walked=False, other="d").place == "raw/p/m/S1/R1"
    with pytest.raises(SourceError, match="cannot be a recording"):
        register.entity(Entity(path="p/m/S1/R1", kind="recording"))
    register.entity(Entity(path="p/m/S1/r2", kind="recording"))
    other = register.item("raw", Item(**{**_of(item), "name": "R2"}), walked=False, other="d")
    assert other.place == "raw/p/m/S1/d_R2", "on a disk that ignores case they would be one"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"subject": "1", "specimen": "ROI1"}, {"subject": "1", "specimen": "roi1"}),
        ({"subject": "M1"}, {"subject": "m1", "specimen": "ROI1"}),
    ],
)
def test_names_that_differ_in_case_only_are_not_mixed(one: dict[str, str], other: dict[str, str]) -> None:
    register = Register()
    first = naming(register).entity(Recorded(ex_vivo=True, **one))  # type: ignore[arg-type]  # texts all
    with pytest.raises(SourceError, match=r"differs from p/[M1]+.* in case only"):
        naming(register).entity(Recorded(ex_vivo=True, **other))  # type: ignore[arg-type]  # as above
    assert naming(register).entity(Recorded(ex_vivo=True, **one)) == first  # type: ignore[arg-type]  # as above
    assert list(register.entities) == [first.path]
    assert len({place.casefold() for place, _ in register.changes()}) == 2, "a page and the list of pages"


def _of(item: Item) -> dict[str, Any]:
    """Any: of an item."""
    return {name: getattr(item, name) for name in Item.__slots__}


class Tree:
    """A tree of which only the levels are known."""

    base: Any = None

    def __init__(self, levels: dict[str, Children]) -> None:
        self.levels = levels
        self.asked: list[str] = []

    async def children(self, folder: str) -> Children:
        self.asked.append(folder)
        return self.levels[folder]


async def tell(_path: str) -> Recorded:
    return Recorded(subject="1", started=START, platform="ecephys", ex_vivo=False)


async def settle(layout: FlexiznamLayout, documents: MemoryDocuments, tree: Tree, asset: str = "a") -> Settled:
    found = TreeFound(tree=tree, path=asset, asset=True, recorded=tell)  # type: ignore[arg-type]  # only what is asked
    return await layout.settle("d", found, documents)


async def test_folders_that_hold_folders_or_are_stores_lie_beside_their_recording() -> None:
    levels = {
        "": Children(("deep", "flat", "store"), ()),
        "deep": Children(("more",), ()),
        "flat": Children((), ("x", "y")),
        "store": Children((), (".zarray", "0.0")),
    }
    settled = await settle(FlexiznamLayout(ASKED), MemoryDocuments(), Tree(levels))
    top = f"{settled.base}/"
    assert {name: top + settled.place(f"{name}/x") for name in ("deep", "flat", "store")} == {
        "deep": "raw/p/1/S20230331/R144736_ecephys.deep/x",
        "flat": "raw/p/1/S20230331/R144736_ecephys/flat/x",
        "store": "raw/p/1/S20230331/R144736_ecephys.store/x",
    }


class SlowTree(Tree):
    """Answers for a folder once so many are asked for."""

    def __init__(self, levels: dict[str, Children], together: int) -> None:
        super().__init__(levels)
        self.waiting = self.most = 0
        self.together = asyncio.Barrier(together)

    async def children(self, folder: str) -> Children:
        if folder:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            await self.together.wait()
            self.waiting -= 1
        return await super().children(folder)


async def test_folders_of_a_recording_are_looked_at_side_by_side() -> None:
    names = tuple(f"folder {number:02d}" for number in range(2 * LOOKS_AT_ONCE))
    tree = SlowTree({"": Children(names, ()), **dict.fromkeys(names, Children((), ("x",)))}, LOOKS_AT_ONCE)
    async with asyncio.timeout(20):
        settled = await settle(FlexiznamLayout(ASKED), MemoryDocuments(), tree)
    assert tree.most == LOOKS_AT_ONCE
    assert sorted(tree.asked) == ["", *names]
    assert settled.folders is not None
    assert set(settled.folders.values()) == {f"R144736_ecephys/{name}" for name in names}


async def test_a_folder_that_cannot_be_looked_at_is_the_asset_that_fails() -> None:
    class Broken(Tree):
        async def children(self, folder: str) -> Children:
            if folder:
                raise SourceError(f"{folder} cannot be listed")
            return await super().children(folder)

    with pytest.raises(SourceError, match="a cannot be listed"):
        await settle(FlexiznamLayout(ASKED), MemoryDocuments(), Broken({"": Children(("a", "b"), ())}))


async def test_a_store_is_not_taken_apart() -> None:
    """An asset that is a Zarr itself."""
    tree = Tree({"": Children(("0", "1"), (".zattrs", ".zgroup"))})
    settled = await settle(FlexiznamLayout(ASKED), MemoryDocuments(), tree, "fused.zarr")
    assert settled.base == "raw/p/1/S20230331/R144736_ecephys.fused.zarr"
    assert settled.place("0/0.0") == "0/0.0"
    assert tree.asked == [""]


async def test_names_are_written_down_before_they_are_used_and_read_again() -> None:
    documents = MemoryDocuments()
    tree = Tree({"": Children(("x",), ()), "x": Children((), ())})
    first = await settle(FlexiznamLayout(ASKED), documents, tree)
    written = await documents.read(page_place("p/1"))
    assert mice_in(await documents.read(REGISTER)) == ["p/1"]
    assert "raw/p/1/S20230331/R144736_ecephys/x" in Register.read({"p/1": written}).items
    assert await settle(FlexiznamLayout(ASKED), documents, tree) == first
    assert await documents.read(page_place("p/1")) == written


async def test_a_plan_beside_the_root_names_nothing_in_it() -> None:
    """The same layout, with other documents: what was named there is not known here."""
    layout, dry, root = FlexiznamLayout(ASKED), MemoryDocuments(), MemoryDocuments()
    tree = Tree({"": Children(("x",), ()), "x": Children((), ())})
    await settle(layout, dry, tree)
    await settle(layout, root, tree)
    for place in (REGISTER, page_place("p/1")):
        assert await root.read(place) == await dry.read(place) is not None


async def test_findings_that_come_together_are_all_written_down() -> None:
    class Slow(MemoryDocuments):
        """What is written first takes longest."""

        left = 20

        async def write(self, destination: str, data: bytes) -> None:
            self.left -= 2
            for _ in range(self.left):
                await asyncio.sleep(0)
            await super().write(destination, data)

    layout, documents = FlexiznamLayout(ASKED), Slow()

    async def tells(path: str) -> Recorded:
        return Recorded(subject="sub-1", session=path[4:5], started=START, ex_vivo=False)

    pages = [
        FilesFound(base="s3://b", entries=(ObjectEntry(key=str(number), path=f"sub-{number}/x.nwb"),), recorded=tells)
        for number in range(9)
    ]
    await asyncio.gather(*(layout.settle("d", page, documents) for page in pages))
    register = Register.read({"p/sub-1": await documents.read(page_place("p/sub-1"))})
    assert len([entity for entity in register.entities.values() if entity.kind == "recording"]) == 9


# --- acquisition files ---------------------------------------------------------------------------------------------


def test_raw_and_derived_data_of_one_name_are_two_datasets() -> None:
    session = Entity(path="p/m/S20230331", kind="session")
    datasets = [
        Registered(
            entity=session.path,
            name="ecephys",
            tree=tree,
            path=f"{session.path}/ecephys",
            dataset_type="ephys",
            created="2023-03-31 14:47:36",
        )
        for tree in ("raw", "processed")
    ]
    document = acquisition("/lab/raw", session.path, {session.path: session}, datasets)
    found = document["children"]["S20230331"]["children"]
    assert {name: (child["is_raw"], child["genealogy"][-1]) for name, child in found.items()} == {
        "ecephys": ("yes", "ecephys"),
        "ecephys_processed": ("no", "ecephys_processed"),
    }


# --- what comes together ------------------------------------------------------------------------------------------


class Counted(MemoryDocuments):
    """Documents that count their writes, each of which is durable on a disk; some may fail."""

    def __init__(self, failing: int = 0) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.failing = failing

    async def write(self, destination: str, data: bytes) -> None:
        self.writes.append(destination)
        if self.failing:
            self.failing -= 1
            raise MachineError("disk full")
        await super().write(destination, data)


def together(count: int, *, lacking: int | None = None, per_mouse: int = 8) -> list[TreeFound]:
    """Assets of some mice that a source looked at side by side; of one nobody tells enough."""
    found: list[TreeFound] = []

    async def recorded(path: str) -> Recorded:
        number = int(path)
        started = None if number == lacking else START.replace(hour=number)
        return Recorded(subject=str(number // per_mouse), started=started, platform="ecephys", ex_vivo=False)

    level = {"": Children(("x",), ()), "x": Children((), ())}
    found += [
        TreeFound(tree=Tree(level), path=f"{number:02d}", asset=True, recorded=recorded, neighbours=lambda: found)  # type: ignore[arg-type]  # only what is asked
        for number in range(count)
    ]
    return found


async def test_what_was_found_together_is_written_down_at_once() -> None:
    layout, documents, found = FlexiznamLayout(ASKED), Counted(), together(16)
    settled = [await layout.settle("d", one, documents) for one in found]
    assert documents.writes == [page_place("p/0"), page_place("p/1"), REGISTER]
    alone = [
        await FlexiznamLayout(ASKED).settle("d", replace(one, neighbours=None), MemoryDocuments()) for one in found
    ]
    assert [one.place("x/y") for one in settled] == [one.place("x/y") for one in alone]
    assert settled[0].base == "raw/p/0/S20230331"
    assert settled[7].base == "raw/p/0/S20230331_6", "numbered in their order"


async def test_what_cannot_be_named_says_so_in_its_turn_and_keeps_no_other() -> None:
    layout, documents, found = FlexiznamLayout(ASKED), Counted(), together(4, lacking=0)
    for _ in range(2):
        with pytest.raises(SourceError, match="when it was recorded"):
            await layout.settle("d", found[0], documents)
    for one in found[1:]:
        await layout.settle("d", one, documents)
        assert isinstance(one.tree, Tree)
        assert one.tree.asked == ["", "x"], "looked at once, however many of its neighbours cannot be named"
    register = Register.read({"p/0": await documents.read(page_place("p/0"))})
    assert [path for path in register.entities if register.entities[path].kind == "session"] == [
        "p/0/S20230331",
        "p/0/S20230331_0",
        "p/0/S20230331_1",
    ]


async def test_nothing_is_settled_that_could_not_be_written_down() -> None:
    layout, documents, found = FlexiznamLayout(ASKED), Counted(failing=2), together(3)
    for one in found[:2]:
        with pytest.raises(MachineError):
            await layout.settle("d", one, documents)
    await layout.settle("d", found[2], documents)
    assert documents.writes == [page_place("p/0")] * 3 + [REGISTER]
