"""Gridded sets: an array's chunks as a formula, with blocks of states and facts.

A failed chunk is *pending* in its block and has its kind in ``chunks``; ``blocks.pending`` counts only what may be
leased. A chunk's validator is kept while it is unfinished (with its partial) and not afterwards: size and CRC32C
tell whether the bytes on disk are the bytes that came, in a fifth of the room. The epoch is kept while it is newer
than the durable one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from emasync.ledger.counts import UNKNOWN_SIZE, Deltas
from emasync.ledger.interface import Fact, Row
from emasync.ledger.leases import Leases
from emasync.ledger.listed import row_of
from emasync.ledger.recorder import unknown
from emasync.ledger.sidenotes import StoredKey
from emasync.ledger.standing import FAILED, ON_DISK, PENDING, Standing
from emasync.ledger.tasksets import BLOCK, TaskSet
from emasync.model.task import State, Task

if TYPE_CHECKING:
    from emasync.ledger.blocks import Block

_KEYS_A_STATEMENT: Final = 64

_MANY_BLOCKS: Final = 256
"""Unpacked blocks held at once: 14 KiB each and as much again for packing."""


Exceptional = tuple[int, int, str | None, int | None, bytes | None]
"""Generation, attempts, failure, size where it is huge, computed digests of one chunk."""

NOTHING_SPECIAL: Final[Exceptional] = (0, 0, None, None, None)


def create_blocks(connection: sqlite3.Connection, set_id: int, chunks: int) -> None:
    """Make the rows of a new gridded set, all pending: 24,415 of them for 10^8 chunks."""
    full, rest = divmod(chunks, BLOCK)
    sizes = ((set_id, number, BLOCK) for number in range(full))
    connection.executemany("INSERT INTO blocks (set_id, block, pending) VALUES (?, ?, ?)", sizes)
    if rest:
        connection.execute("INSERT INTO blocks (set_id, block, pending) VALUES (?, ?, ?)", (set_id, full, rest))


def count_new_blocks(connection: sqlite3.Connection, task_set: TaskSet) -> None:
    """Count the chunks of a new set: all pending, of unknown size."""
    deltas = Deltas()
    delta, chunks = deltas.of(task_set.set_id), len(task_set.grid)
    delta[PENDING] += chunks
    delta[UNKNOWN_SIZE] += chunks
    deltas.write(connection)


def chunks_of(task_set: TaskSet, block: int) -> int:
    """Chunks in one block: all but the last are full."""
    return min(BLOCK, len(task_set.grid) - block * BLOCK)


def read_block(connection: sqlite3.Connection, task_set: TaskSet, number: int) -> Block:
    """Unpack one block."""
    from emasync.ledger.blocks import Block, unpack_facts, unpack_states  # noqa: PLC0415  # numpy, when it is needed

    key = (task_set.set_id, number)
    states_row = connection.execute("SELECT states FROM blocks WHERE set_id = ? AND block = ?", key).fetchone()
    facts_row = connection.execute("SELECT facts FROM block_facts WHERE set_id = ? AND block = ?", key).fetchone()
    states = unpack_states(None if states_row is None else states_row[0], chunks_of(task_set, number))
    return Block(states, unpack_facts(None if facts_row is None else facts_row[0], states))


def write_block(connection: sqlite3.Connection, task_set: TaskSet, number: int, block: Block) -> None:
    """Pack one block; failed chunks of it are known to the exception table already."""
    from emasync.ledger.blocks import count_pending, pack_facts, pack_states  # noqa: PLC0415  # numpy, when it is needed

    failed = connection.execute(
        "SELECT count(*) FROM chunks INDEXED BY chunks_failed"
        " WHERE set_id = ? AND chunk >= ? AND chunk < ? AND failure IS NOT NULL",
        (task_set.set_id, number * BLOCK, (number + 1) * BLOCK),
    ).fetchone()[0]
    connection.execute(
        "UPDATE blocks SET pending = ?, states = ? WHERE set_id = ? AND block = ?",
        (count_pending(block.states) - failed, pack_states(block.states), task_set.set_id, number),
    )
    facts = pack_facts(block)
    if facts is None:
        connection.execute("DELETE FROM block_facts WHERE set_id = ? AND block = ?", (task_set.set_id, number))
    else:
        connection.execute("INSERT OR REPLACE INTO block_facts VALUES (?, ?, ?)", (task_set.set_id, number, facts))


class GriddedBook:
    """Standings of chunks.

    Parameters
    ----------
    connection : sqlite3.Connection
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._blocks: dict[tuple[int, int], tuple[TaskSet, Block]] = {}
        self._known: dict[tuple[int, int], Exceptional] = {}
        self._epochs: dict[tuple[int, int], int] = {}
        self._exceptions: dict[tuple[int, int], Exceptional] = {}
        self._changed: dict[tuple[int, int], None] = {}
        self._standings: dict[tuple[int, int], Standing] = {}  # of this transaction: epochs are written after blocks

    def prefetch(self, facts: Sequence[Fact]) -> None:
        """Read what tables beside the blocks say of the chunks in few statements."""
        chunks: dict[int, dict[int, None]] = {}
        for fact in facts:
            if isinstance(fact.key, int):
                chunks.setdefault(fact.set_id, {})[fact.key] = None
        for set_id, wanted in chunks.items():
            self._fetch(set_id, list(wanted))

    def _fetch(self, set_id: int, chunks: Sequence[int]) -> None:
        for chunk in chunks:
            self._known[set_id, chunk], self._epochs[set_id, chunk] = NOTHING_SPECIAL, 0
        columns = "chunk, generation, attempts, failure, stored, computed"
        for chunk, *exception in select_chunks(self._connection, f"{columns} FROM chunks", "chunk", set_id, chunks):
            self._known[set_id, chunk] = cast("Exceptional", tuple(exception))
        for chunk, epoch in select_chunks(self._connection, "key, epoch FROM fresh", "key", set_id, chunks):
            self._epochs[set_id, chunk] = epoch

    def read(self, task_set: TaskSet, key: StoredKey) -> Standing:
        """Where a chunk stands.

        Raises
        ------
        MachineError
            The grid has no such chunk.
        """
        if not isinstance(key, int) or not 0 <= key < len(task_set.grid):
            raise unknown(task_set, key)
        name = (task_set.set_id, key)
        if (standing := self._standings.get(name)) is not None:
            return standing
        if name not in self._known:
            self._fetch(task_set.set_id, [key])
        block = self._block(task_set, key // BLOCK)
        return standing_of(task_set, block, key % BLOCK, self._known[name], self._epochs[name])

    def _block(self, task_set: TaskSet, number: int) -> Block:
        found = self._blocks.get((task_set.set_id, number))
        if found is None:
            if len(self._blocks) >= _MANY_BLOCKS:
                self.write()
            found = (task_set, read_block(self._connection, task_set, number))
            self._blocks[task_set.set_id, number] = found
        return found[1]

    def put(self, task_set: TaskSet, key: StoredKey, standing: Standing) -> None:
        """Where it stands now."""
        from emasync.ledger.blocks import HUGE  # noqa: PLC0415  # numpy, when it is needed

        if not isinstance(key, int):
            return
        name = (task_set.set_id, key)
        if name not in self._known:
            self._fetch(task_set.set_id, [key])
        self._standings[name] = standing
        block, position = self._block(task_set, key // BLOCK), key % BLOCK
        size = standing.size_bytes or 0
        block.states[position] = PENDING if standing.state == FAILED else standing.state
        block.facts[position] = (min(size, HUGE), standing.crc or 0, standing.verified)
        self._changed[task_set.set_id, key // BLOCK] = None
        stored = size if size >= HUGE else None
        exception = (standing.generation, standing.attempts, standing.failure, stored, standing.computed)
        if exception != self._known[name]:
            self._known[name] = self._exceptions[name] = exception

    def write(self) -> None:
        """Write what changed, exceptions first: the blocks count without failed chunks."""
        for (set_id, key), exception in self._exceptions.items():
            write_exception(self._connection, set_id, key, exception)
        for changed in self._changed:
            task_set, block = self._blocks[changed]
            write_block(self._connection, task_set, changed[1], block)
        self._blocks.clear()
        self._exceptions.clear()
        self._changed.clear()


def select_chunks(
    connection: sqlite3.Connection, what: str, column: str, set_id: int, chunks: Sequence[int]
) -> Iterator[tuple[Any, ...]]:
    """Rows of some chunks of a set, many a statement (Any: columns of a row)."""
    for start in range(0, len(chunks), _KEYS_A_STATEMENT):
        part = chunks[start : start + _KEYS_A_STATEMENT]
        marks = ", ".join("?" * len(part))
        yield from connection.execute(f"SELECT {what} WHERE set_id = ? AND {column} IN ({marks})", (set_id, *part))


def read_exception(connection: sqlite3.Connection, set_id: int, key: int) -> Exceptional:
    """What a block cannot say of one chunk."""
    columns = "chunk, generation, attempts, failure, stored, computed FROM chunks"
    for _, *exception in select_chunks(connection, columns, "chunk", set_id, [key]):
        return cast("Exceptional", tuple(exception))
    return NOTHING_SPECIAL


def write_exception(connection: sqlite3.Connection, set_id: int, key: int, exception: Exceptional) -> None:
    """Keep what a block cannot say of a chunk; nothing where there is nothing to say."""
    if exception == NOTHING_SPECIAL:
        connection.execute("DELETE FROM chunks WHERE set_id = ? AND chunk = ?", (set_id, key))
        return
    connection.execute(
        "INSERT OR REPLACE INTO chunks (set_id, chunk, generation, attempts, failure, stored, computed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (set_id, key, *exception),
    )


def standing_of(task_set: TaskSet, block: Block, position: int, exception: Exceptional, epoch: int) -> Standing:
    """Where the chunk at one position of a block stands."""
    generation, attempts, failure, stored, computed = exception
    state = int(block.states[position])
    if state not in ON_DISK:
        return Standing(
            plan=task_set.plan,
            state=FAILED if failure is not None else state,
            generation=generation,
            attempts=attempts,
            failure=failure,
        )
    size, crc, verified = block.facts[position].tolist()
    return Standing(
        plan=task_set.plan,
        state=state,
        stored=size if stored is None else stored,
        crc=crc,
        verified=verified,
        generation=generation,
        epoch=epoch,
        attempts=attempts,
        computed=computed,
    )


# --- leasing ---------------------------------------------------------------------------------------------------------


def pending_chunks(connection: sqlite3.Connection, task_set: TaskSet, leases: Leases) -> Iterator[int]:
    """Chunks that may be leased, in order, from where the leases stand."""
    from emasync.ledger.blocks import first_pending, unpack_states  # noqa: PLC0415  # numpy, when it is needed

    start = leases.start(task_set.set_id)
    start = start if isinstance(start, int) else 0
    taken, number = leases.taken(task_set.set_id), start // BLOCK
    while True:
        row = connection.execute(
            "SELECT block, states FROM blocks INDEXED BY blocks_pending"
            " WHERE set_id = ? AND pending > 0 AND block >= ? ORDER BY block LIMIT 1",
            (task_set.set_id, number),
        ).fetchone()
        if row is None:
            return
        number = row[0]
        failed = failed_chunks(connection, task_set.set_id, number)
        first = max(start - number * BLOCK, 0)
        for position in first_pending(unpack_states(row[1], chunks_of(task_set, number)), first):
            chunk = number * BLOCK + position
            if chunk not in taken and chunk not in failed:
                yield chunk
        number += 1


def failed_chunks(connection: sqlite3.Connection, set_id: int, block: int) -> set[int]:
    """Failed chunks of one block."""
    rows = connection.execute(
        "SELECT chunk FROM chunks INDEXED BY chunks_failed"
        " WHERE set_id = ? AND chunk >= ? AND chunk < ? AND failure IS NOT NULL",
        (set_id, block * BLOCK, (block + 1) * BLOCK),
    )
    return {chunk for (chunk,) in rows}


def lease_chunks(connection: sqlite3.Connection, task_set: TaskSet, leases: Leases, limit: int) -> list[Task]:
    """Lease up to `limit` chunks, in chunk order."""
    chosen = list(islice(pending_chunks(connection, task_set, leases), limit))
    columns = "chunk, attempts, generation FROM chunks"
    special = {
        chunk: (attempts, generation)
        for chunk, attempts, generation in select_chunks(connection, columns, "chunk", task_set.set_id, chosen)
    }
    tasks = [
        Task(task_set.spec, task_set.set_id, chunk, None, None, None, None, *special.get(chunk, (0, 0)))
        for chunk in chosen
    ]
    leases.take(task_set.set_id, zip(chosen, tasks, strict=True))
    leases.move(task_set.set_id, chosen[-1] + 1 if len(chosen) == limit else len(task_set.grid))
    return tasks


def lease_named_chunks(
    connection: sqlite3.Connection, task_set: TaskSet, leases: Leases, chunks: Iterable[int]
) -> list[Task]:
    """Lease those of some chunks that are pending."""
    book, tasks = GriddedBook(connection), list[Task]()
    for chunk in chunks:
        standing = book.read(task_set, chunk)
        if standing.state == State.PENDING and chunk not in leases.taken(task_set.set_id):
            attempts, generation = standing.attempts, standing.generation
            task = Task(task_set.spec, task_set.set_id, chunk, attempts=attempts, generation=generation)
            tasks.append(task)
            leases.take(task_set.set_id, [(chunk, task)])
    return tasks


# --- walking ---------------------------------------------------------------------------------------------------------


def walk_block(
    connection: sqlite3.Connection, task_set: TaskSet, number: int, states: Iterable[State] | None
) -> list[Row]:
    """Rows of one block, of some states only."""
    block = read_block(connection, task_set, number)
    first, last = number * BLOCK, number * BLOCK + len(block.states)
    exceptions = {
        chunk: cast("Exceptional", tuple(exception))
        for chunk, *exception in connection.execute(
            "SELECT chunk, generation, attempts, failure, stored, computed FROM chunks"
            " WHERE set_id = ? AND chunk >= ? AND chunk < ?",
            (task_set.set_id, first, last),
        )
    }
    epochs = dict(
        connection.execute(
            "SELECT key, epoch FROM fresh WHERE set_id = ? AND key >= ? AND key < ?", (task_set.set_id, first, last)
        ).fetchall()
    )
    wanted = None if states is None else {int(state) for state in states}
    rows = []
    for position in _positions(block, wanted):
        chunk = first + position
        exception = exceptions.get(chunk, NOTHING_SPECIAL)
        standing = standing_of(task_set, block, position, exception, epochs.get(chunk, 0))
        if wanted is None or standing.state in wanted:
            rows.append(chunk_row(task_set, chunk, standing))
    return rows


def _positions(block: Block, wanted: set[int] | None) -> Iterable[int]:
    from emasync.ledger.blocks import with_state  # noqa: PLC0415  # numpy, when it is needed

    if wanted is None:
        return range(len(block.states))
    held = {PENDING if state == FAILED else state for state in wanted}
    return sorted(position for state in held for position in with_state(block.states, state))


def chunk_row(task_set: TaskSet, chunk: int, standing: Standing) -> Row:
    """One chunk as others see it."""
    return row_of(task_set, chunk, standing, destination=task_set.destination(chunk), delivered=None)
