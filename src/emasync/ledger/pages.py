"""Objects of listed sets that nothing unusual happened to: 256 neighbours in one row, as a grid's chunks in blocks.

A listing's rows come in key order, are leased in key order and land nearly so. While they only go from pending to
sealed and placed, they stay together: what they are called never changes, what became of them is one blob that is
written anew. When anything else happens to one of them (it fails, is absent, is taken back, named by another plan),
all of its page become rows of ``objects``, which is where everything can be said of an object.

An object lies in a page or in ``objects``, never in both, and pages of one set do not overlap. Pages hold no failures,
no attempts and no generation but the first.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, Final, NamedTuple, cast

from emasync.errors import ErrorKind, MachineError
from emasync.ledger.columns import Columns, Text, little_bytes, pack_rows
from emasync.ledger.entries import Entry
from emasync.ledger.standing import ON_DISK, PENDING, Standing

OBJECTS: Final = 256
"""Of a page: as many as are leased at once."""

FEWEST: Final = 32
"""Objects that are worth a page; fewer become rows of ``objects`` at once."""

NewRow = tuple[bytes, int | None, bytes | None, bytes | None, bytes | None]
"""Key, size, path, hint and published digests of a new object."""

PendingRow = tuple[bytes, bytes | None, int | None, bytes | None, bytes | None, int, int]
"""Key, path, size, published digests, hint, attempts and generation of a pending object."""

Keyed = tuple[bytes, Standing]

_NO_SIZE: Final = -1
"""A size that nobody said; of a file: the one that was expected."""

_NAME_NUMBERS, _NAME_TEXTS = "q", 4
"""Expected size; key, path, hint, published digests."""
_KEY, _PATH, _HINT, _PUBLISHED = range(_NAME_TEXTS)

_FACT_NUMBERS, _FACT_TEXTS = "BBIq", 2
"""State, check, CRC, size on disk; validator of the answer, computed digests."""


class Page(NamedTuple):
    """One page.

    Attributes
    ----------
    set_id : int
    first, last : bytes
        Keys.
    plan : int
        Plan generation that named its objects.
    pending : int
    """

    set_id: int
    first: bytes
    last: bytes
    plan: int
    pending: int


_SELECT: Final = "SELECT set_id, first, last, plan, pending FROM pages"


def add_pages(connection: sqlite3.Connection, set_id: int, plan: int, rows: Sequence[NewRow]) -> None:
    """Add new objects, given in key order, where no page and no row of the set lies between them."""
    for start in range(0, len(rows), OBJECTS):
        keys, sizes, *texts = zip(*rows[start : start + OBJECTS], strict=True)
        expected = [_NO_SIZE if size is None else size for size in sizes]
        connection.execute(
            "INSERT INTO pages (set_id, first, last, plan, pending) VALUES (?, ?, ?, ?, ?)",
            (set_id, keys[0], keys[-1], plan, len(keys)),
        )
        connection.execute(
            "INSERT INTO page_names (set_id, first, names) VALUES (?, ?, ?)",
            (set_id, keys[0], pack_rows(_NAME_NUMBERS, [expected], (keys, *texts))),
        )


# --- finding ---------------------------------------------------------------------------------------------------------


def page_of(connection: sqlite3.Connection, set_id: int, key: bytes) -> Page | None:
    """The page whose keys lie around `key`, which it need not hold."""
    row = connection.execute(f"{_SELECT} WHERE set_id = ? AND first <= ? ORDER BY first DESC LIMIT 1", (set_id, key))
    found = row.fetchone()
    return Page._make(found) if found is not None and found[2] >= key else None


def pages_from(connection: sqlite3.Connection, set_id: int, start: bytes) -> Iterator[Page]:
    """Pages that reach to `start` or lie behind it, in key order."""
    rows = connection.execute(
        f"{_SELECT} WHERE set_id = ?1 AND last >= ?2 AND first >="  # noqa: S608  # own text
        " coalesce((SELECT max(first) FROM pages WHERE set_id = ?1 AND first <= ?2), x'') ORDER BY first",
        (set_id, start),
    )
    return map(Page._make, rows)


def pages_around(connection: sqlite3.Connection, set_id: int, keys: Iterable[bytes]) -> Iterator[Page]:
    """Each page that may hold one of the keys, once."""
    last: Page | None = None
    for key in sorted(keys):
        if last is None or key > last.last:
            page = page_of(connection, set_id, key)
            if page is not None and _mentions(connection, page, key):
                last = page
                yield page


def any_page(connection: sqlite3.Connection, set_id: int, first: bytes, last: bytes) -> bool:
    """Whether a page reaches into the keys from `first` to `last`."""
    found = next(pages_from(connection, set_id, first), None)
    return found is not None and found.first <= last


def bounds_of(connection: sqlite3.Connection, set_id: int) -> tuple[bytes, bytes] | None:
    """First and last key in any page."""
    row = connection.execute(
        "SELECT first, (SELECT last FROM pages WHERE set_id = ?1 ORDER BY first DESC LIMIT 1)"
        " FROM pages WHERE set_id = ?1 ORDER BY first LIMIT 1",
        (set_id,),
    ).fetchone()
    return None if row is None else (row[0], row[1])


# --- reading ---------------------------------------------------------------------------------------------------------


def _names(connection: sqlite3.Connection, page: Page) -> Columns:
    row = connection.execute("SELECT names FROM page_names WHERE set_id = ? AND first = ?", page[:2]).fetchone()
    return Columns(_blob(row, page), _NAME_NUMBERS, _NAME_TEXTS)


def _blob(row: tuple[Any] | None, page: Page) -> Any:
    """The one column of a row that must be there (Any: as the table has it)."""
    if row is None:
        raise MachineError(
            f"the ledger lost the names of task set {page.set_id} from {page.first!r} on; run `emasync verify"
            " --repair`",
            kind=ErrorKind.LEDGER,
        )
    return row[0]


def _facts(connection: sqlite3.Connection, page: Page) -> Columns | None:
    """What became of the objects; None while all are pending."""
    row = connection.execute("SELECT facts FROM page_facts WHERE set_id = ? AND first = ?", page[:2]).fetchone()
    return None if row is None else Columns(row[0], _FACT_NUMBERS, _FACT_TEXTS)


def pending_of_pages(
    connection: sqlite3.Connection, set_id: int, plan: int, start: bytes, limit: int
) -> list[PendingRow]:
    """Up to `limit` pending objects of one plan from key `start` on, in key order."""
    found: list[PendingRow] = []
    for page in pages_from(connection, set_id, start):
        if page.plan == plan and page.pending:
            found += _pending_of(connection, page, start, limit - len(found))
        if len(found) == limit:
            break
    return found


def _pending_of(connection: sqlite3.Connection, page: Page, start: bytes, limit: int) -> list[PendingRow]:
    names, facts = _names(connection, page), _facts(connection, page)
    keys = names.texts(_KEY)
    begin = bisect_left(cast("list[bytes]", keys), start)
    if facts is None:
        return _pending_rows(names, begin, begin + limit)
    states = facts.numbers[0]
    chosen = [position for position in range(begin, names.count) if states[position] == PENDING][:limit]
    rows = _pending_rows(names, 0, names.count)
    return [rows[position] for position in chosen]


def _pending_rows(names: Columns, begin: int, end: int) -> list[PendingRow]:
    keys, paths, hints, published = (names.texts(column, begin, end) for column in range(_NAME_TEXTS))
    sizes = [None if size == _NO_SIZE else size for size in names.numbers[0][begin:end]]
    return list(zip(keys, paths, sizes, published, hints, repeat(0), repeat(0)))  # zeros without end


def standings_of(connection: sqlite3.Connection, page: Page) -> list[Keyed]:
    """Where all objects of a page stand."""
    return _standings(connection, page, _facts(connection, page))


def page_columns(connection: sqlite3.Connection, page: Page) -> tuple[bytes, bytes, bytes, bytes] | None:
    """Destinations of a page's objects below the set's folder, their lengths, states and CRCs, as they lie in memory.

    Returns
    -------
    tuple of bytes or None
        Texts one behind the other; little-endian numbers of 32, 8 and 32 bits. None where some are called by their
        key and others are not.
    """
    names, facts = _names(connection, page), _facts(connection, page)
    called = names.text(_PATH) or (names.text(_KEY) if not names.has_any(_PATH) else None)
    if called is None:
        return None
    if facts is None:
        return (*called, bytes([PENDING]) * names.count, bytes(4 * names.count))
    return (*called, facts.numbers[0].tobytes(), little_bytes(facts.numbers[2]))


_AS_NAMED: Final = (PENDING, 0, 0, _NO_SIZE, None, None)
"""What became of an object of a page that has no facts yet."""


def _standings(connection: sqlite3.Connection, page: Page, facts: Columns | None) -> list[Keyed]:
    names, plan = _names(connection, page), page.plan
    named = zip(*(names.texts(column) for column in range(_NAME_TEXTS)), names.numbers[0], strict=True)
    if facts is None:
        became: Iterable[tuple[Any, ...]] = repeat(_AS_NAMED, names.count)  # Any: as the columns have it
        epochs: dict[bytes | None, int] = {}
    else:
        became = zip(*facts.numbers, facts.texts(0), facts.texts(1), strict=True)
        epochs = _epochs(connection, page)
    found: list[Keyed] = []
    for (key, path, hint, published, size), fact in zip(named, became, strict=True):
        state, verified, crc, stored, validator, computed = fact
        expected = None if size == _NO_SIZE else size
        if state in ON_DISK:  # given in order, not by name: a walk over millions makes one for each
            actual, epoch = None if stored == _NO_SIZE else stored, epochs.get(key, 0)
            on_disk = (plan, state, expected, actual, crc, verified, 0, epoch, 0, None)
            found.append((key or b"", Standing(*on_disk, path, hint, published, validator, computed)))
        else:
            found.append((key or b"", Standing(plan, PENDING, expected, path=path, hint=hint, published=published)))
    return found


def _epochs(connection: sqlite3.Connection, page: Page) -> dict[bytes | None, int]:
    """Epochs of those that may still have to be looked at; the others' are long durable."""
    fresh = connection.execute(
        "SELECT key, epoch FROM fresh WHERE set_id = ? AND key >= ? AND key <= ?", (page.set_id, page.first, page.last)
    )
    return dict(fresh.fetchall())


def standing_in_page(connection: sqlite3.Connection, set_id: int, key: bytes) -> Standing | None:
    """Where one object stands; None when it lies in no page."""
    page = page_of(connection, set_id, key)
    if page is None or not _mentions(connection, page, key):
        return None
    return dict(standings_of(connection, page)).get(key)


def _mentions(connection: sqlite3.Connection, page: Page, text: bytes) -> bool:
    """Whether a text is anywhere among the names of a page: two microseconds, where taking them apart takes fifty."""
    found = connection.execute(
        "SELECT instr(names, ?) FROM page_names WHERE set_id = ? AND first = ?", (text, *page[:2])
    )
    return bool(_blob(found.fetchone(), page))


def walk_pages(
    connection: sqlite3.Connection,
    set_id: int,
    after: bytes | None,
    limit: int,
    wanted: Callable[[Standing], bool],
    *,
    pending: bool,
) -> list[Keyed]:
    """Up to `limit` wanted objects behind key `after`, in key order; `pending`: whether pending ones may be wanted."""
    found: list[Keyed] = []
    for page in pages_from(connection, set_id, after or b""):
        facts = _facts(connection, page)
        rows = _standings(connection, page, facts) if pending or facts is not None else []
        found += [row for row in rows if (after is None or row[0] > after) and wanted(row[1])]
        if len(found) >= limit:
            break
    return found[:limit]


def claims_of_pages(connection: sqlite3.Connection, set_id: int, low: bytes, high: bytes, limit: int) -> list[bytes]:
    """Up to `limit` keys in ``[low, high)`` of objects whose place is called by their key."""
    found: list[bytes] = []
    for page in pages_from(connection, set_id, low):
        if page.first >= high or len(found) >= limit:
            break
        if not _mentions(connection, page, low if _all_begin_with(low, high) else b""):
            continue
        names = _names(connection, page)
        pairs = zip(names.texts(_KEY), names.texts(_PATH), strict=True)
        found += [key for key, path in pairs if path is None and key is not None and low <= key < high]
    return found[:limit]


def _all_begin_with(low: bytes, high: bytes) -> bool:
    """Whether all keys in ``[low, high)`` begin with `low`: one key, or all in one folder."""
    return high == low + b"\0" or (low.endswith(b"/") and high == low[:-1] + b"0")


# --- changing --------------------------------------------------------------------------------------------------------


def take_out(connection: sqlite3.Connection, page: Page) -> list[Keyed]:
    """Dissolve a page; gives its objects, to be written as rows."""
    rows = standings_of(connection, page)
    for table in ("pages", "page_names", "page_facts"):
        connection.execute(f"DELETE FROM {table} WHERE set_id = ? AND first = ?", page[:2])  # noqa: S608  # own names
    return rows


def fold_into_pages(connection: sqlite3.Connection, set_id: int, entries: Sequence[Entry], state: int) -> list[Entry]:
    """Bring sealed objects of one set, in key order, to their pages; gives those that lie in none.

    Raises
    ------
    MachineError
        One of them is not pending.
    """
    keys = [cast("bytes", entry[1]) for entry in entries]
    others: list[Entry] = []
    at = 0
    while at < len(entries):
        page = next(pages_from(connection, set_id, keys[at]), None)
        begin, end = (len(keys),) * 2
        if page is not None:
            begin, end = bisect_left(keys, page.first, at), bisect_right(keys, page.last, at)
        others += entries[at:begin]
        if page is not None and begin < end:
            others += _fold_page(connection, page, entries[begin:end], state)
        at = end
    return others


def _fold_page(connection: sqlite3.Connection, page: Page, entries: Sequence[Entry], state: int) -> list[Entry]:
    names, facts = _names(connection, page), _Facts.read(connection, page)
    keys, hints, sizes = cast("list[bytes]", names.texts(_KEY)), names.texts(_HINT), names.numbers[0]
    others: list[Entry] = []
    position = 0
    for entry in entries:
        position = bisect_left(keys, cast("bytes", entry.key), position)
        if position == len(keys) or keys[position] != entry.key:
            others.append(entry)
        else:
            facts.put(position, entry, state, sizes[position], hints[position])
    facts.write(connection, page, len(entries) - len(others))
    return others


class _Facts:
    """What became of a page's objects, as columns that can be changed."""

    __slots__ = ("_numbers", "_texts")

    def __init__(self, numbers: list[list[int]], texts: list[list[Text]]) -> None:
        self._numbers = numbers
        self._texts = texts

    @classmethod
    def read(cls, connection: sqlite3.Connection, page: Page) -> _Facts:
        """Facts of a page, or those of objects that are all pending."""
        columns = _facts(connection, page)
        if columns is None:
            return cls([[0] * page.pending for _ in _FACT_NUMBERS], [[None] * page.pending for _ in range(_FACT_TEXTS)])
        return cls([column.tolist() for column in columns.numbers], [columns.texts(0), columns.texts(1)])

    def put(self, position: int, entry: Entry, state: int, expected: int, hint: bytes | None) -> None:
        """Note a sealed object.

        Raises
        ------
        MachineError
            It is not pending.
        """
        _, key, size, crc, verified, validator, computed, generation, _ = entry
        states, checks, crcs, stored = self._numbers
        if states[position] != PENDING or generation:
            raise not_pending(key)
        states[position], checks[position], crcs[position] = state, verified, crc
        stored[position] = _NO_SIZE if size == expected else size
        self._texts[0][position] = None if validator == hint else validator or b""
        self._texts[1][position] = computed

    def write(self, connection: sqlite3.Connection, page: Page, count: int) -> None:
        """Write what became of `count` more objects."""
        connection.execute(
            "INSERT OR REPLACE INTO page_facts (set_id, first, facts) VALUES (?, ?, ?)",
            (*page[:2], pack_rows(_FACT_NUMBERS, self._numbers, self._texts)),
        )
        connection.execute("UPDATE pages SET pending = pending - ? WHERE set_id = ? AND first = ?", (count, *page[:2]))


def not_pending(key: object) -> MachineError:
    """The journal and the rows do not agree."""
    return MachineError(
        f"the ledger's journal speaks of object {key!r}, which is not pending; run `emasync verify --repair`",
        kind=ErrorKind.LEDGER,
    )
