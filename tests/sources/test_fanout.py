"""Listing in lanes gives what listing page after page gives, whatever keys there are and however odd the server is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from itertools import product
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emasync.errors import EmasyncError, RefusedError
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.sources import fanout, stretches
from emasync.sources.cuts import Cuts, Folders, Place
from emasync.sources.fanout import list_in_lanes
from emasync.sources.keyspace import KeySpace, Spacing
from emasync.sources.stretches import Phase, Stretch, Stretches
from emasync.sources.walk import BucketTree
from emasync.testing import Archive
from emasync.testing.odd_listing import BUCKET, OddListing, Start
from emasync.transport.governed import GovernedFetcher
from emasync.transport.interface import ListedObject, ListPage
from emasync.transport.object_store import Endpoints
from emasync.transport.surroundings import Surroundings

PREFIX = "d/"


@pytest.fixture(scope="module")
def odd() -> OddListing:
    return OddListing()


@pytest.fixture(scope="module")
def url(odd: OddListing) -> Iterator[str]:
    with Archive.start({}, apps=[odd], log_limit=1) as archive:
        yield archive.url


def bend(odd: OddListing, keys: set[str], **manners: object) -> None:
    """Give the server new keys and manners, and forget the old ones."""
    fresh = OddListing(keys=sorted(PREFIX + key for key in keys), **manners)  # type: ignore[arg-type]  # its own
    for name in OddListing.__slots__:
        setattr(odd, name, getattr(fresh, name))


def fetcher(url: str) -> GovernedFetcher:
    return GovernedFetcher(Settings(), endpoints=Endpoints(s3=url), surroundings=Surroundings())


async def gathered(pages: AsyncIterator[ListPage]) -> tuple[list[str], EmasyncError | None]:
    """Keys that came, and the error that ended them."""
    keys: list[str] = []
    try:
        async for page in pages:
            keys += [item.key for item in page.objects]
    except EmasyncError as error:
        return keys, error
    return keys, None


async def both_ways(url: str, start_after: str | None = None) -> list[tuple[list[str], EmasyncError | None]]:
    """Page after page, and in lanes; keys relative to the prefix."""
    place = Location.parse(f"s3://{BUCKET}/{PREFIX}")
    after = None if start_after is None else PREFIX + start_after
    async with fetcher(url) as door:
        keys, error = await gathered(door.list(place, start_after=after))
        tree = BucketTree(door, Location.parse(f"s3://{BUCKET}/{PREFIX.rstrip('/')}"))
        in_lanes = await gathered(tree.list("", start_after=start_after))
    assert len(asyncio.all_tasks()) == 1, "no lane is left behind"
    return [([key.removeprefix(PREFIX) for key in keys], error), in_lanes]


def counted_names(step: int, count: int) -> set[str]:
    return {f"{number:06d}" for number in range(0, step * count, step)}


def hashed_names(seed: int, count: int) -> set[str]:
    return {f"{Random(seed + number).getrandbits(64):016x}" for number in range(count)}


def chunk_names(*shape: int) -> set[str]:
    return {"/".join(map(str, index)) for index in product(*map(range, shape))}


few = st.integers(1, 150)
counted = st.builds(counted_names, st.integers(1, 999), few)
hashed = st.builds(hashed_names, st.integers(0, 99), few)
chunked = st.builds(chunk_names, *3 * [st.integers(1, 12)]).filter(lambda keys: len(keys) < 300)
letters = st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("/0a~\ue000\uffee\U00010000\U0001f600")
names = st.text(letters, min_size=1, max_size=6).map(lambda text: text.strip("/") or "x")
unruly = st.sets(names, min_size=1, max_size=60)
key_sets = st.one_of(counted, hashed, chunked, unruly, st.builds(set.union, counted, unruly))
page_sizes = st.lists(st.integers(0, 7), min_size=1, max_size=4).filter(any)


def over_the_network(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@over_the_network(30)
@given(keys=key_sets, page_keys=page_sizes, start=st.sampled_from(Start), after=st.none() | st.integers(0, 299))
async def test_any_keys_in_any_pages_come_as_page_after_page(
    *, odd: OddListing, url: str, keys: set[str], page_keys: list[int], start: Start, after: int | None
) -> None:
    bend(odd, keys, page_keys=page_keys, start=start)
    resumed = None if after is None else sorted(keys)[after % len(keys)]
    (expected, error), (got, ours) = await both_ways(url, resumed)
    assert (got, type(ours)) == (expected, type(error))
    if start in (Start.AFTER, Start.AT, Start.IGNORED) or resumed is None:
        assert (got, ours) == (sorted(key for key in keys if resumed is None or key > resumed), None)


@over_the_network(15)
@given(keys=key_sets, page_keys=page_sizes, start=st.sampled_from([Start.AFTER, Start.AT, Start.IGNORED]))
async def test_a_server_without_tokens_is_listed_whole_or_refused(
    odd: OddListing, url: str, keys: set[str], page_keys: list[int], start: Start
) -> None:
    bend(odd, keys, page_keys=page_keys, start=start, tokens=False)
    (expected, error), (got, ours) = await both_ways(url)
    if error is None and (ours is None or all(page_keys)):
        assert (got, ours) == (expected, None)
    elif ours is None:
        assert got == sorted(keys), "a page without rows and token ends the one; others go round it, or meet it alone"
    else:
        assert isinstance(ours, RefusedError)


@over_the_network(15)
@given(keys=key_sets | unruly, page_keys=page_sizes.filter(all))
async def test_a_server_that_sorts_in_another_order_is_refused_where_that_shows(
    odd: OddListing, url: str, keys: set[str], page_keys: list[int]
) -> None:
    """As Java and JavaScript compare text: what lies beyond the first plane comes before U+E000."""
    keys |= {"s\U00010000", "s\ue000", "s\uffee"}
    bend(odd, keys, page_keys=page_keys, order=lambda key: key.encode("utf-16-be", "surrogatepass"))
    odd.keys.sort(key=odd.order)
    (_, error), (got, ours) = await both_ways(url)
    assert isinstance(error, RefusedError)
    assert isinstance(ours, RefusedError)
    assert got == sorted(got)


@over_the_network(10)
@given(keys=key_sets.filter(lambda keys: len(keys) > 1), page_keys=page_sizes.filter(all))
async def test_a_row_that_comes_twice_is_refused(
    odd: OddListing, url: str, keys: set[str], page_keys: list[int]
) -> None:
    bend(odd, keys, page_keys=[size + 1 for size in page_keys], repeats=True)
    (expected, error), (got, ours) = await both_ways(url)
    assert type(ours) is type(error)
    assert got == sorted(keys)[: len(got)]
    assert len(got) >= len(expected)


@over_the_network(15)
@given(keys=key_sets, page_keys=page_sizes.filter(all), seed=st.integers(0, 99), batch=st.integers(1, 20))
async def test_a_bucket_that_changes_gives_all_that_stays_once_and_in_order(
    *, odd: OddListing, url: str, keys: set[str], page_keys: list[int], seed: int, batch: int
) -> None:
    dice = Random(seed)
    bend(odd, keys, page_keys=page_keys)
    doomed = {key for key in odd.keys if dice.random() < 0.3}
    newcomers = {f"{key}{dice.choice('.0~')}" for key in odd.keys if dice.random() < 0.3}
    ever = {*odd.keys, *newcomers}

    def change() -> None:
        for _ in range(batch):
            if dice.random() < 0.5 and doomed:
                gone = doomed.pop()
                odd.keys = [key for key in odd.keys if key != gone]
            elif newcomers:
                odd.keys = sorted({*odd.keys, newcomers.pop()})

    staying = set(odd.keys) - doomed
    odd.before_page = change
    async with fetcher(url) as door:
        got, error = await gathered(BucketTree(door, Location.parse(f"s3://{BUCKET}/d")).list(""))
    assert error is None
    assert got == sorted(set(got))
    assert {PREFIX + key for key in got} <= ever
    assert staying <= {PREFIX + key for key in got}


# --- what it costs --------------------------------------------------------------------------------------------------


class Store:
    """A listing without a network: pages in turns of the loop, requests counted."""

    def __init__(self, keys: list[str], page_keys: int, turns: int = 3) -> None:
        self.keys, self.page_keys, self.turns = keys, page_keys, turns
        self.requests = self.in_flight = self.peak = self.rounds = 0

    async def list(self, after: str | None) -> AsyncGenerator[ListPage, None]:
        rest = [key for key in self.keys if after is None or key > after]
        for start in range(0, max(1, len(rest)), self.page_keys):
            self.requests += 1
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            try:
                for _ in range(self.turns):
                    await asyncio.sleep(0)
            finally:
                self.in_flight -= 1
            rows = tuple(ListedObject(key, 1) for key in rest[start : start + self.page_keys])
            yield ListPage(objects=rows, last=start + self.page_keys >= len(rest))


@pytest.mark.parametrize(
    ("name", "most"),
    [("img_{:06d}.tif", 1.12), ("{:06d}", 1.12), ("s{:06d}/chunk.bin", 1.12), ("a/b-{:08x}", 1.2)],
)
async def test_a_flat_folder_is_listed_by_many_at_little_cost(name: str, most: float) -> None:
    store = Store(sorted(name.format(number) for number in range(20_000)), 50)
    got, error = await gathered(list_in_lanes(store.list, ""))
    assert (got, error) == (store.keys, None)
    assert store.peak >= stretches.LANES
    assert store.requests < most * 400, f"{store.requests} requests for 400 pages"


async def test_names_without_order_are_listed_by_many() -> None:
    store = Store(sorted(f"{Random(number).getrandbits(64):016x}" for number in range(20_000)), 50)
    got, _ = await gathered(list_in_lanes(store.list, ""))
    assert got == store.keys
    assert store.peak >= stretches.LANES
    assert store.requests < 1.25 * 400


async def test_a_short_listing_costs_one_guess_at_most() -> None:
    for pages, most in ((1, 1), (2, 3)):
        store = Store([f"{number:04d}" for number in range(50 * pages)], 50)
        await gathered(list_in_lanes(store.list, ""))
        assert store.requests <= most, f"{store.requests} requests for {pages} pages"


async def test_a_consumer_that_takes_its_time_holds_the_lanes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "MOST_ROWS", 3_000)
    store = Store([f"{number:06d}" for number in range(20_000)], 50, turns=1)
    got = 0
    async with aclosing(list_in_lanes(store.list, "")) as pages:
        async for page in pages:
            got += len(page.objects)
            for _ in range(100):
                await asyncio.sleep(0)
            waiting = 50 * store.requests - got
            assert waiting <= 3_000 + stretches.LANES * 50, f"{waiting} rows wait"
    assert got == 20_000


async def test_lanes_that_went_too_far_ahead_give_their_room_to_the_front() -> None:
    """The first keys are far apart: guesses go to the end of what is listed, and what lies before is long."""
    sparse = [f"a{number:02d}0000" for number in range(60)]
    dense = [f"b00{number:05d}" for number in range(30_000)]
    tail = [f"{letter}00{number:05d}" for letter in "cdefghijklmnopqrst" for number in range(600)]
    store = Store([*sparse, *dense, *tail], 50)
    got, _ = await gathered(list_in_lanes(store.list, ""))
    assert got == store.keys
    assert store.requests < 1.4 * len(store.keys) / 50


async def test_a_server_that_ignores_start_after_is_found_out_by_its_first_answer(odd: OddListing, url: str) -> None:
    bend(odd, {f"{number:05d}" for number in range(1_000)}, page_keys=[20], start=Start.IGNORED)
    (expected, _), (got, _) = await both_ways(url)
    assert (got, len(got)) == (expected, 1_000)
    assert odd.asked["start-after"] == 1


async def test_a_server_that_lies_is_listed_page_after_page_in_the_end(odd: OddListing, url: str) -> None:
    bend(odd, {f"{number:05d}" for number in range(2_000)}, page_keys=[20], start=Start.SKIPS)
    (expected, _), (got, _) = await both_ways(url)
    assert (got, len(got)) == (expected, 2_000)
    assert odd.asked["start-after"] < 40, "after some seams that did not hold, nothing is guessed any more"


async def test_an_error_amid_a_stretch_comes_in_its_turn() -> None:
    store = Store([f"{number:05d}" for number in range(3_000)], 50)

    async def breaking(after: str | None) -> AsyncGenerator[ListPage, None]:
        async for page in store.list(after):
            if page.objects and page.objects[-1].key >= "02000":
                raise RefusedError("broken")
            yield page

    got, error = await gathered(list_in_lanes(breaking, ""))
    assert isinstance(error, RefusedError)
    assert got == store.keys[: len(got)]
    assert len(got) >= 1_950, "all that comes before it"


async def test_a_guess_that_cannot_be_listed_is_no_error() -> None:
    store = Store([f"{number:05d}" for number in range(3_000)], 50)

    async def particular(after: str | None) -> AsyncGenerator[ListPage, None]:
        if after is not None:
            raise RefusedError("start-after is not known")
        async for page in store.list(None):
            yield page

    assert await gathered(list_in_lanes(particular, "")) == (store.keys, None)


async def test_folders_are_asked_for_once_and_only_of_a_long_listing() -> None:
    asked: list[str] = []

    async def find(last: str) -> tuple[str, ...]:
        asked.append(last)
        return ("x-ray/", "yellow/", "zebra/")

    for count in (100, 2_000):
        names = [
            f"{folder}/{number:03d}" for folder in ("w", "x-ray", "yellow", "zebra") for number in range(count // 4)
        ]
        store = Store(names, 50)
        assert (await gathered(list_in_lanes(store.list, "", find_folders=find)))[0] == store.keys
    assert len(asked) == 1


async def test_an_error_of_the_folders_is_not_lost() -> None:
    store = Store([f"{number:05d}" for number in range(3_000)], 50)

    async def find(last: str) -> tuple[str, ...]:
        raise RefusedError(f"no folders behind {last}")

    _, error = await gathered(list_in_lanes(store.list, "", find_folders=find))
    assert "no folders" in str(error)


# --- rooms of the machine ---------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(keys=st.lists(st.text(letters, max_size=8), min_size=2, max_size=30, unique=True), data=st.data())
def test_larger_keys_have_no_smaller_numbers_and_numbers_give_their_keys_back(
    keys: list[str], data: st.DataObject
) -> None:
    names = sorted(PREFIX + key for key in keys)
    space = KeySpace(PREFIX)
    space.learn(names)
    spacing = Spacing.of(names, None)
    assert spacing is not None
    ruler = space.ruler(spacing)
    numbers = [ruler.number(name) for name in names]
    assert numbers == sorted(numbers)
    guess = ruler.key(data.draw(st.integers(numbers[0], numbers[-1])))
    assert guess is not None
    assert guess.startswith(PREFIX)


@settings(max_examples=200, deadline=None)
@given(low=st.text(letters, max_size=6), high=st.none() | st.text(letters, max_size=6))
def test_a_midpoint_lies_between(low: str, high: str | None) -> None:
    if high is not None and high <= low:
        return
    middle = KeySpace("").midpoint(low, high)
    assert middle is None or (low < middle and (high is None or middle < high))
    if middle is not None:
        middle.encode()  # no surrogates


def test_a_guess_counts_on_in_the_names_own_digits() -> None:
    for names, expected in (
        ([f"d/s{number:04d}" for number in range(100, 200)], "d/s0674"),
        ([f"d/{number:04x}" for number in range(0x100, 0x164)], "d/033e"),
        ([f"d/{number:03d}/c" for number in range(100)], "d/574"),
    ):
        cuts = Cuts(PREFIX)
        spacing = cuts.learn(names, None, whole=True)
        place = Place(at=names[-1], upto=None, spacing=spacing, unknown=0)
        cut = cuts.find(place, cuts.rows(8_000), halve=False)
        assert cut is not None
        assert cut.key[: len(expected)] == expected


def test_a_guess_behind_the_end_of_a_folder_gives_way_to_the_next_one() -> None:
    folders = Folders(["d/b/", "d/m/", "d/z/"])
    assert folders.instead_of("d/a/7", "d/a/5") is None, "in the same folder"
    assert folders.instead_of("d/a:", "d/a/5") == "d/b/", "behind its end"
    assert folders.instead_of("d/n/7", "d/a/5") == "d/m/", "the last one that it passed"
    assert folders.instead_of("d/zz", "d/z/9") is None, "behind all of them"


def test_a_seam_that_does_not_hold_is_gone_over() -> None:
    state = Stretches("", None)
    first = state.start()
    assert first is not None
    state.took(first, page("a", "b", "c"))
    second = state.start()
    assert second is not None
    assert second.after is not None
    state.took(second, page("x"))
    behind = f"{second.after}0"
    state.took(first, page(behind, "x"))
    assert [item.phase for item in state] == [Phase.WALKING], "the key behind the seam was not seen from there"
    assert state.front is not None
    assert state.front.at == "x"
    assert repr(state) == "<Stretches: 1 under way, 5 rows wait>"


def page(*names: str, last: bool = False) -> ListPage:
    return ListPage(objects=tuple(ListedObject(name, 1) for name in names), last=last)


def test_a_page_behind_the_end_is_kept_until_the_seam_is_proven() -> None:
    stretch = Stretch(None, "m")
    stretch.take(page("a", "m", "n"))
    assert ([row.key for row in stretch.beyond], stretch.phase, stretch.at) == (["n"], Phase.CROSSED, "m")
    stretch.reach("z")
    assert (stretch.beyond, stretch.phase, stretch.rows) == ((), Phase.WALKING, 3)


def test_ways_to_say_where_one_is() -> None:
    assert repr(Cuts("d/")) == "<Cuts in <KeySpace below 'd/', 0 pages seen>, 1 guesses at a time>"
    assert fanout.BEHIND_ALL.encode() == b"\xf4\x8f\xbf\xbf"
