"""What tenants may use is never more than there is, whatever is said, in whatever order it arrives."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.executors.shares import Offer, ShareBook, divide


@given(
    st.integers(min_value=1, max_value=64),
    st.dictionaries(st.integers(min_value=0, max_value=9), st.integers(min_value=0, max_value=100), min_size=1),
)
def test_a_division_gives_out_everything_and_no_more(capacity: int, wanted: dict[int, int]) -> None:
    given_ = divide(capacity, wanted, first=0)
    assert sum(given_.values()) == (capacity if any(wanted.values()) else 0)
    assert all(given_[tenant] == 0 for tenant, want in wanted.items() if want == 0)
    if wanted.get(0):
        assert given_[0] >= min(wanted[0], capacity)
    others = [tenant for tenant in wanted if tenant != 0]
    for short in (tenant for tenant in others if given_[tenant] < wanted[tenant]):
        assert all(given_[tenant] <= given_[short] + 1 for tenant in others), "nobody has more while one is short"


class Tenant:
    """Uses what it was offered, as a process would: told late, and slow to end what it began."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.slots = self.serial = self.in_use = self.wanted = 0

    def take(self, offer: Offer) -> None:
        self.slots, self.serial = offer.slots, offer.serial

    def begin(self) -> None:
        while self.in_use < min(self.slots, self.wanted):
            self.in_use += 1

    def words(self) -> tuple[int, int, int, int]:
        return self.number, self.wanted, max(self.slots, self.in_use), self.serial


@pytest.mark.parametrize("first", [None, 0])
@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(),
    capacity=st.integers(min_value=1, max_value=12),
    tenants=st.integers(min_value=1, max_value=5),
)
def test_the_limit_holds_between_any_two_messages(first: int | None, seed: int, capacity: int, tenants: int) -> None:
    random, book = Random(seed), ShareBook(capacity, first)
    crew = {number: Tenant(number) for number in range(tenants)}
    to_tenant: dict[int, deque[Offer]] = {number: deque() for number in crew}
    to_owner: dict[int, deque[tuple[int, int, int, int]]] = {number: deque() for number in crew}
    for _ in range(200):
        step(random, book, crew, to_tenant, to_owner)
        assert book.promised <= capacity
        assert sum(tenant.in_use for tenant in crew.values()) <= capacity


def step(
    random: Random,
    book: ShareBook,
    crew: dict[int, Tenant],
    to_tenant: dict[int, deque[Offer]],
    to_owner: dict[int, deque[tuple[int, int, int, int]]],
) -> None:
    number = random.choice(list(crew))
    tenant = crew[number]
    match random.randrange(6):
        case 0:
            tenant.wanted = random.randrange(20)
            to_owner[number].append(tenant.words())
        case 1 if tenant.in_use:
            tenant.in_use -= 1
            to_owner[number].append(tenant.words())
        case 2 if to_tenant[number]:
            tenant.take(to_tenant[number].popleft())
            to_owner[number].append(tenant.words())
        case 3 if random.random() < 0.1:  # it dies, and another one takes its place
            to_tenant[number].clear()
            to_owner[number].clear()
            tenant.slots = tenant.serial = tenant.in_use = tenant.wanted = 0
            deal(book.leave(number), to_tenant)
        case 4:
            tenant.begin()
        case _ if to_owner[number]:
            said, wanted, held, serial = to_owner[number].popleft()
            deal(book.hear(said, wanted=wanted, held=held, serial=serial), to_tenant)


def deal(offers: list[Offer], to_tenant: dict[int, deque[Offer]]) -> None:
    for offer in offers:
        to_tenant[offer.tenant].append(offer)


def test_one_tenant_gets_all_and_gives_half_back() -> None:
    book = ShareBook(8)
    assert book.hear(1, wanted=8, held=0, serial=0) == [Offer(1, 8, 1)]
    assert book.hear(2, wanted=8, held=0, serial=0) == [Offer(1, 4, 2)], "nothing to give before it came back"
    assert book.hear(1, wanted=8, held=6, serial=2) == [Offer(2, 2, 1)]
    assert book.hear(1, wanted=8, held=4, serial=2) == [Offer(2, 4, 2)]


def test_an_answer_to_an_older_offer_frees_nothing() -> None:
    book = ShareBook(4)
    book.hear(1, wanted=4, held=0, serial=0)
    book.hear(2, wanted=4, held=0, serial=0)
    assert book.hear(1, wanted=4, held=0, serial=1) == []
    assert book.may_use(1) == 4


def test_the_owners_requests_go_first() -> None:
    book = ShareBook(2, first=0)
    book.hear(1, wanted=9, held=0, serial=0)
    assert book.hear(0, wanted=1, held=0, serial=0) == [Offer(1, 1, 2)]
    assert book.hear(1, wanted=9, held=1, serial=2) == [Offer(0, 1, 1)]


def test_who_leaves_leaves_its_slots() -> None:
    book = ShareBook(4)
    book.hear(1, wanted=4, held=0, serial=0)
    book.hear(2, wanted=4, held=0, serial=0)
    assert book.leave(1) == [Offer(2, 4, 1)]
