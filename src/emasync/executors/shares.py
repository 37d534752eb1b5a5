"""A limit divided among processes: slots of an origin, or parts of a rate. Pure.

What a tenant was offered it may use until it says that it gave it back. So slots move in this order: the tenant that
has too many is offered fewer, its requests in flight end, it says so, and only then another one is offered more. The
sum of what tenants may use is never above the capacity, also between two messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Offer(NamedTuple):
    """What a tenant may use from now on.

    Attributes
    ----------
    tenant : int
    slots : int
    serial : int
        Counts the offers to this tenant; its answers name the one they answer.
    """

    tenant: int
    slots: int
    serial: int


@dataclass(slots=True)
class _Standing:
    wanted: int = 0
    offered: int = 0
    may_use: int = 0
    serial: int = 0


def divide(capacity: int, wanted: Mapping[int, int], first: int | None = None) -> dict[int, int]:
    """Divide fairly: nobody gets more than an even part while another one wants more (max-min fairness).

    What is left when all have what they want goes evenly to those that want anything: a rate is divided as slots are,
    and one caller alone shall have all of it.

    Parameters
    ----------
    capacity : int
    wanted : mapping of int to int
        By tenant.
    first : int or None
        Served before the others: it asks for what they wait for.
    """
    given = dict.fromkeys(wanted, 0)
    left = capacity
    if first is not None and first in wanted:
        given[first] = min(wanted[first], left)
        left -= given[first]
    hungry = sorted((tenant for tenant in wanted if tenant != first), key=lambda tenant: (wanted[tenant], tenant))
    for number, tenant in enumerate(hungry):
        even = -(-left // (len(hungry) - number)) if wanted[tenant] else 0
        given[tenant] = min(wanted[tenant], even)
        left -= given[tenant]
    active = [tenant for tenant in sorted(wanted) if wanted[tenant]]
    for number, tenant in enumerate(active):
        more = left // (len(active) - number)
        given[tenant] += more
        left -= more
    return given


class ShareBook:
    """Who may use how much of one limit.

    Parameters
    ----------
    capacity : int
        Most in use at a time, all tenants together.
    first : int or None
        Tenant that is served before the others.
    """

    def __init__(self, capacity: int, first: int | None = None) -> None:
        self.capacity = capacity
        self._first = first
        self._tenants: dict[int, _Standing] = {}

    def __repr__(self) -> str:
        return f"<ShareBook of {self.capacity}: {self._tenants}>"

    @property
    def promised(self) -> int:
        """What all tenants together may use now."""
        return sum(standing.may_use for standing in self._tenants.values())

    def may_use(self, tenant: int) -> int:
        """The most that a tenant may be using now."""
        standing = self._tenants.get(tenant)
        return 0 if standing is None else standing.may_use

    def hear(self, tenant: int, *, wanted: int, held: int, serial: int) -> list[Offer]:
        """A tenant says what it wants and holds.

        Parameters
        ----------
        tenant : int
        wanted : int
            In use and waited for.
        held : int
            The most it may be using: what it was offered, or what is still in use when that is more.
        serial : int
            Of the offer it knows of. An answer to an older one says nothing about what it may use now.

        Returns
        -------
        list of Offer
            To be sent.
        """
        standing = self._tenants.setdefault(tenant, _Standing())
        standing.wanted = max(wanted, 0)
        if serial == standing.serial:
            standing.may_use = min(standing.may_use, max(standing.offered, held))
        return self._balance()

    def leave(self, tenant: int) -> list[Offer]:
        """A tenant is gone and uses nothing any more."""
        self._tenants.pop(tenant, None)
        return self._balance()

    def _balance(self) -> list[Offer]:
        wanted = {tenant: min(standing.wanted, self.capacity) for tenant, standing in self._tenants.items()}
        aims = divide(self.capacity, wanted, self._first)
        offers = []
        if any(standing.offered < min(aims[tenant], wanted[tenant]) for tenant, standing in self._tenants.items()):
            for tenant, standing in self._tenants.items():
                if aims[tenant] < standing.offered:
                    offers.append(_offer(tenant, standing, aims[tenant]))
        free = self.capacity - self.promised
        for tenant, standing in self._tenants.items():
            reach = min(aims[tenant], standing.may_use + free)
            if reach > standing.offered:
                free -= max(0, reach - standing.may_use)
                standing.may_use = max(standing.may_use, reach)
                offers.append(_offer(tenant, standing, reach))
        return offers


def _offer(tenant: int, standing: _Standing, slots: int) -> Offer:
    standing.offered = slots
    standing.serial += 1
    return Offer(tenant, slots, standing.serial)
