from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.errors import InputError, SourceError
from emasync.model.globs import Selection
from emasync.model.location import Location
from emasync.sources import aind_folders
from emasync.sources.aind_folders import cut_behind, folders_of
from emasync.sources.aind_tree import AssetTree
from emasync.sources.interface import Children
from emasync.sources.walk import BucketTree
from emasync.testing.fetcher import MemoryFetcher

ASSET = "exaSPIM_1_2024-04-02_19-49-38"
TILES = [f"SPIM.ome.zarr/tile_{tile}.zarr/{level}/{chunk}" for tile in "ab" for level in "01" for chunk in range(30)]
KEYS = [*TILES, "acquisition.json", "derived/x/y.bin", "data_description.json", "original_metadata/a.json", "Z.json"]


def fetcher_of(keys: list[str], page_limit: int = 10) -> MemoryFetcher:
    return MemoryFetcher({f"s3://bk/{ASSET}/{key}": b"1" for key in keys}, page_limit=page_limit)


def tree_over(fetcher: MemoryFetcher, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> AssetTree:
    whole = BucketTree(fetcher, Location.parse(f"s3://bk/{ASSET}"))
    return AssetTree(whole, Selection(include, exclude))


async def listed(tree: AssetTree, folder: str = "", start_after: str | None = None) -> list[str]:
    pages = [page async for page in tree.list(folder, start_after=start_after)]
    assert [page.last for page in pages].index(True) == len(pages) - 1
    return [item.key for page in pages for item in page.objects]


async def test_sidecars_alone_cost_one_listing_however_large_the_asset() -> None:
    fetcher = fetcher_of([f"SPIM.ome.zarr/tile/0/{number}" for number in range(500)] + ["a.json", "b.json"])
    tree = tree_over(fetcher, ("*.json",))
    assert await listed(tree) == ["a.json", "b.json"]
    assert len(fetcher.log) == 1


async def test_one_level_of_all_tiles_is_listed_without_the_others() -> None:
    fetcher = fetcher_of(KEYS)
    found = await listed(tree_over(fetcher, ("SPIM.ome.zarr/*/1/**",)))
    wanted = [key for key in sorted(TILES) if "/1/" in key]
    assert [key for key in found if "/1/" in key] == wanted
    pages = len(wanted) // 10
    assert len(fetcher.log) <= pages + 3 + 2 * 2, "the top, the group, two tiles; and where each listing is cut"


async def test_folders_that_are_left_out_are_not_looked_into() -> None:
    tree = tree_over(fetcher_of(KEYS), (), ("SPIM.ome.zarr/**", "derived/**"))
    assert await listed(tree) == ["Z.json", "acquisition.json", "data_description.json", "original_metadata/a.json"]
    assert await tree.children("") == Children(
        ("original_metadata",), ("Z.json", "acquisition.json", "data_description.json")
    )


async def test_folders_are_left_out_at_any_depth() -> None:
    tree = tree_over(fetcher_of(["a/cache/x", "a/b/x", "b/cache/x", "b/y"]), ("*/*/**",), ("**/cache/**", "b/**"))
    assert await tree.children("") == Children(("a",), ())
    assert await tree.children("a") == Children(("b",), ())
    assert await listed(tree) == ["a/b/x"]


async def test_names_of_files_that_are_left_out_cost_no_look_into_each_folder() -> None:
    keys = [f"{folder:02d}/{number}" for folder in range(50) for number in range(4)]
    fetcher = fetcher_of(keys, page_limit=100)
    assert await listed(tree_over(fetcher, (), ("**/*.tmp",))) == keys
    assert len(fetcher.log) < 30, "fifty looks would be one a folder"


async def test_a_listing_goes_on_behind_a_folder() -> None:
    fetcher = fetcher_of(["a/1/x", "a/2/x", "b/1/x"])
    tree = tree_over(fetcher, ("*/1/*", "*/2/*"))
    assert await listed(tree, "a", "b/1/x") == []
    assert not fetcher.log, "all of it lies before"
    assert await listed(tree, "b", "a/2/x") == ["b/1/x"]
    assert await listed(tree, "a", "a/1/x") == ["a/2/x"]


async def test_what_the_top_level_does_not_have_is_not_asked_for() -> None:
    fetcher = fetcher_of(KEYS, page_limit=1000)
    tree = tree_over(fetcher)
    assert await tree.open()
    fetcher.log.clear()
    assert [await tree.read(name) for name in (".zgroup", "zarr.json")] == [None, None]
    assert [item.key for item in tree.sidecars] == ["Z.json", "acquisition.json", "data_description.json"]
    assert await tree.children("") == Children(("SPIM.ome.zarr", "derived", "original_metadata"), ()), "named apart"
    assert not fetcher.log
    assert "Z.json" not in await listed(tree)
    assert await tree.read("Z.json") == b"1"
    assert await tree.read("derived/x/y.bin") == b"1"


async def test_a_top_level_of_many_pages_is_asked_as_it_is() -> None:
    fetcher = fetcher_of([f"{number:03d}.json" for number in range(40)])
    tree = tree_over(fetcher)
    assert await tree.open()
    assert not tree.sidecars
    assert not tree.exhausted
    assert await tree.read(".zgroup") is None
    assert await tree.read("039.json") == b"1"
    assert len((await tree.children("")).objects) == 40


@pytest.mark.parametrize(
    ("include", "exhausted"),
    [(("*.json",), True), (("*.json", "derived/*"), False), (("*",), False), (("subject.json",), True), ((), False)],
)
async def test_a_tree_is_exhausted_where_only_sidecars_are_wanted(include: tuple[str, ...], exhausted: bool) -> None:
    tree = tree_over(fetcher_of([*KEYS, "traces.raw"], page_limit=1000), include)
    assert await tree.open()
    assert tree.exhausted is exhausted


async def test_what_makes_an_asset_a_container_is_no_sidecar() -> None:
    tree = tree_over(fetcher_of([".zattrs", ".zgroup", "zarr.json", "a.json", "0/0"]))
    assert await tree.open()
    assert [item.key for item in tree.sidecars] == ["a.json"]
    assert await listed(tree) == [".zattrs", ".zgroup", "0/0", "zarr.json"]


async def test_an_asset_that_is_not_there() -> None:
    assert not await tree_over(fetcher_of([])).open()


NAMES = st.lists(st.sampled_from(["a", "b", "a.zarr", "0", "1", "x.json"]), min_size=1, max_size=6).map("/".join)
GLOBS = st.lists(st.sampled_from(["a", "*", "**", "*.json", "0", "?", "[ab]*"]), min_size=1, max_size=5).map("/".join)


def is_glob(pattern: str) -> bool:
    try:
        Selection((pattern,))
    except InputError:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(
    keys=st.sets(NAMES, min_size=1, max_size=40),
    include=st.lists(GLOBS.filter(is_glob), max_size=3),
    exclude=st.lists(GLOBS.filter(is_glob), max_size=2),
    page_limit=st.integers(1, 5),
    data=st.data(),
)
async def test_nothing_that_is_wanted_is_passed_over(
    keys: set[str], include: list[str], exclude: list[str], page_limit: int, data: Any
) -> None:
    selection = Selection(tuple(include), tuple(exclude))
    tree = tree_over(fetcher_of(sorted(keys), page_limit), tuple(include), tuple(exclude))
    folder = data.draw(st.sampled_from(["", "a", "a/b", "0"]))
    start = data.draw(st.none() | st.sampled_from(sorted(keys)))
    found = await listed(tree, folder, start)
    assert found == sorted(set(found)), "in key order, each once"
    inside = [key for key in sorted(keys) if key.startswith(f"{folder}/" if folder else "")]
    wanted = [key for key in inside if selection.wants(key) and (start is None or key > start)]
    assert [key for key in found if selection.wants(key)] == wanted
    assert set(found) <= set(inside)


# --- the flat bucket --------------------------------------------------------------------------------------------


def bucket_of(names: set[str], page_limit: int) -> BucketTree:
    fetcher = MemoryFetcher({f"s3://bk/{name}": b"1" for name in names}, page_limit=page_limit)
    return BucketTree(fetcher, Location.parse("s3://bk"))


FOLDERS = st.text(st.sampled_from("abZ09_-.~é"), min_size=1, max_size=5)


@settings(max_examples=300, deadline=None)
@given(folders=st.sets(FOLDERS, max_size=60), files=st.sets(FOLDERS, max_size=5), page_limit=st.integers(1, 4))
async def test_each_folder_of_a_flat_bucket_is_found_once(folders: set[str], files: set[str], page_limit: int) -> None:
    tree = bucket_of({f"{name}/x" for name in folders} | {f"{name}/y" for name in folders} | files, page_limit)
    assert await folders_of(tree) == sorted(folders)


async def test_a_large_flat_bucket_is_listed_side_by_side() -> None:
    names = {f"{platform}_{600000 + 70 * number}_2024" for platform in ("ecephys", "exaSPIM") for number in range(400)}
    names |= {f"{600000 + 110 * number}_2026" for number in range(800)}
    tree = bucket_of({f"{name}/data.json" for name in names}, 100)
    fetcher = tree._fetcher
    assert isinstance(fetcher, MemoryFetcher)
    assert await folders_of(tree) == sorted(names)
    assert len(fetcher.log) <= 2 * 16 + 1, "sixteen pages, and at most one empty part beside each"


async def test_a_bucket_of_too_many_folders_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aind_folders, "MAX_FOLDERS", 5)
    tree = bucket_of({f"{name}/x" for name in "abcdef"}, 2)
    with pytest.raises(ExceptionGroup) as caught:
        await folders_of(tree)
    assert caught.group_contains(SourceError, match="name the assets")


@given(names=st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=2, unique=True), high=st.none() | st.text())
def test_a_cut_lies_behind_what_was_seen(names: list[str], high: str | None) -> None:
    first, last = sorted(names)
    cut = cut_behind(first, last, high)
    assert cut is None or (last < cut and (high is None or cut < high))


def test_cuts_follow_the_shape_of_names() -> None:
    assert cut_behind("ecephys_612090", "ecephys_655019", None) == "ecephys_68"
    assert cut_behind("behavior_7", "ecephys_6", None) == "p"
    assert cut_behind("a", "z", None) is None
