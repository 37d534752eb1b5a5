"""Taking listed objects into the ledger: pages of new ones fast, everything else one by one.

The rules of law 14, in the order they are asked:

1. A destination belongs to one object, or slice of one. The same location and slice again are the same object
   (*kept*); others lose against one that the present plan names (clash ``duplicate``, or ``casefold`` where only case
   differs), and take the place over from one that an older plan named.
2. A file cannot be where another object needs a folder: the *file* fails, whichever came first (clash
   ``file_prefix``).
3. An object that the plan names again keeps its state, unless its listing says that it is another one now (size,
   validator or published digest differ from the older listing's): then it is pending under the next generation.

Files of ours that lose their row this way become leftovers.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from emasync.errors import DestinationError, ErrorKind, InputError, MachineError
from emasync.ledger.counts import BYTES, UNKNOWN_SIZE, Deltas
from emasync.ledger.database import Transaction
from emasync.ledger.desk import Desk
from emasync.ledger.interface import Admission, Clash
from emasync.ledger.listed import (
    delete_standing,
    dissolve,
    insert_new,
    insert_standings,
    path_of,
    read_standing,
    write_standings,
)
from emasync.ledger.pages import NewRow
from emasync.ledger.places import Owner, above, shown
from emasync.ledger.relisting import as_delivered, is_another, merged
from emasync.ledger.standing import (
    ABSENT,
    FAILED,
    ON_DISK,
    PENDING,
    PLACED,
    SEALED,
    Standing,
    count_standing,
    pending_again,
    reset,
)
from emasync.ledger.tasksets import TaskSet
from emasync.model.packing import (
    pack_digests,
    pack_name,
    unpack_name,
)
from emasync.model.redaction import redact
from emasync.model.task import ObjectEntry

_LOOK_BELOW = 256
"""Claims looked at inside a folder before a file in its place is given up."""


class Candidate(NamedTuple):
    """An entry, packed: its place, and the columns of a new row."""

    place: bytes
    key: bytes
    size: int | None
    path: bytes | None
    hint: bytes | None
    published: bytes | None

    def standing(self, plan: int) -> Standing:
        """Where a new object stands."""
        return Standing(plan=plan, size=self.size, path=self.path, hint=self.hint, published=self.published)


class Admitter:
    """Takes one page into one set, inside one transaction.

    Parameters
    ----------
    desk : Desk
    task_set : TaskSet
    transaction : Transaction
        Made durable when a state is taken back.
    """

    def __init__(self, desk: Desk, task_set: TaskSet, transaction: Transaction) -> None:
        self._desk = desk
        self._set = task_set
        self._transaction = transaction
        self._folder = pack_name(task_set.folder)
        self._deltas = Deltas()
        self._clashes: list[Clash] = []
        self._added = 0
        self._kept = 0

    def admit(self, entries: Sequence[ObjectEntry]) -> Admission:
        """Take a page in, one by one; the journal holds nothing of its objects, nor of those it may clash with.

        Raises
        ------
        InputError
            One key with two destinations in one plan.
        DestinationError
            A destination without a name.
        """
        page = [self._pack(entry) for entry in entries]
        dissolve(self._desk.connection, self._set.set_id, [row[0] for row in page])
        for row in page:
            self._admit_one(Candidate(self._place(row), *row))
        return self._admission()

    def admit_new(self, entries: Sequence[ObjectEntry]) -> Admission | None:
        """Take a page in of which nothing is known and nothing clashes, at once; None when it is none.

        Raises
        ------
        DestinationError
            A destination without a name.
        """
        page = [self._pack(entry) for entry in entries]
        return self._admission() if not page or self._admit_new(page) else None

    def _admission(self) -> Admission:
        self._deltas.write(self._desk.connection)
        return Admission(added=self._added, kept=self._kept, clashes=tuple(self._clashes))

    def claim_folder(self) -> None:
        """Claim the folder of a gridded set; a file in its place fails."""
        folder = f"{self._set.folder}{self._set.grid.prefix}".rstrip("/")
        place = self._desk.places.of(folder) + b"/"
        if not folder or self._desk.places.owner(place) is not None:
            return
        if (file := self._desk.places.file_above(place)) is not None:
            self._fail_file(file, folder + "/")
        self._desk.places.claim_folder(place, self._set.set_id)
        self._deltas.write(self._desk.connection)

    def _pack(self, entry: ObjectEntry) -> NewRow:
        key, size, path, listed, digests = entry
        packed = key.encode("utf-8", "surrogatepass")
        last = packed if path is None else pack_name(path)
        if not last or last.endswith(b"/"):
            raise DestinationError(
                f"object {key!r} of {self._set.spec.base} has no file name ({shown(self._folder + last)!r}); leave it"
                " out or give it a path",
                location=self._set.spec.base,
            )
        return packed, size, None if last == packed else last, listed, pack_digests(digests)

    def _place(self, row: NewRow) -> bytes:
        key, _, path, _, _ = row
        return self._desk.places.inside(self._folder, key if path is None else path)

    # --- pages where nothing is known yet -----------------------------------------------------------------------

    def _admit_new(self, page: list[NewRow]) -> bool:
        """Take the whole page in if none of its places is claimed and it does not clash with itself."""
        keys = [row[0] for row in page]
        names = [self._place(row) for row in page]
        places = set(names)
        if len(places) < len(page) or len(set(keys)) < len(page):
            return False
        if self._desk.places.any_at(names) or self._clashes_above(places):
            return False
        in_order = sorted(page, key=itemgetter(0))
        if not insert_new(self._desk.connection, self._set.set_id, self._set.plan, in_order):
            return False  # keys that are known under another place, or lost their place, may be among them
        self._desk.places.claim(self._set.set_id, self._folder, list(zip(names, keys, strict=True)))
        self._count_new(page)
        self._desk.leases.rewind(self._set.set_id, min(keys))
        return True

    def _clashes_above(self, places: set[bytes]) -> bool:
        for folder in {place.rpartition(b"/")[0] + b"/" for place in places}:
            inner = above(folder)
            if not places.isdisjoint(inner) or self._desk.places.file_above(folder) is not None:
                return True
        return False

    def _count_new(self, page: list[NewRow]) -> None:
        sizes = [size for _, size, _, _, _ in page if size is not None]
        delta = self._deltas.of(self._set.set_id)
        delta[PENDING] += len(page)
        delta[BYTES + PENDING] += sum(sizes)
        delta[UNKNOWN_SIZE] += len(page) - len(sizes)
        self._added += len(page)

    # --- one by one ---------------------------------------------------------------------------------------------

    def _admit_one(self, new: Candidate) -> None:
        known = read_standing(self._desk.connection, self._set.set_id, new.key)
        owner = self._desk.places.owner(new.place)
        if owner is not None and owner == Owner(self._set.set_id, new.key) and known is not None:
            self._name_again(new, known)
        elif known is not None and known.plan == self._set.plan:
            self._name_twice(new, known)
        elif owner is not None:
            self._contest(new, known, owner)
        else:
            self._settle(new, known, new.standing(self._set.plan))

    def _name_again(self, new: Candidate, known: Standing) -> None:
        """Rule 3: the object is known under this place."""
        self._kept += 1
        again = merged(known, new.standing(self._set.plan))
        if known.state in ON_DISK and self._is_another(known, new):
            again = self._take_back(new.key, again)
        elif known.state == ABSENT:
            again = pending_again(again)  # it is listed now
        if again != known:
            self._count(-1, known)
            self._count(1, again)
            write_standings(self._desk.connection, [(self._set.set_id, new.key, again)])
            self._desk.leases.doubt(self._set.set_id, new.key)
            self._desk.leases.bring_back(self._set.set_id, new.key)

    def _take_back(self, key: bytes, standing: Standing) -> Standing:
        """Pending again; the file under the final name is of no use any more."""
        name = unpack_name(key)
        destination = self._set.destination(name, path_of(standing))
        self._desk.leftovers.note(destination, standing.size_bytes, standing.crc)
        self._forget_notes(self._set, key)
        self._transaction.durable = True
        return reset(standing)

    def _name_twice(self, new: Candidate, known: Standing) -> None:
        """One key, named before in this plan: the loser of an older clash, or a contradiction."""
        if known.path == new.path:
            self._kept += 1
            return
        raise InputError(
            f"{redact(self._set.locate(unpack_name(new.key)))} is named twice, as"
            f" {self._set.destination(unpack_name(new.key), path_of(known))} and as {shown(new.place)}; name it once",
            location=redact(self._set.locate(unpack_name(new.key))),
        )

    def _contest(self, new: Candidate, known: Standing | None, owner: Owner) -> None:
        """Rule 1: somebody else claims the place."""
        other_set, other, other_key = self._other(owner)
        key, other_location = unpack_name(new.key), other_set.locate(other_key)
        same_source = (self._set.locate(key), self._set.spec.span(key)) == (
            other_location,
            other_set.spec.span(other_key),
        )
        same_name = other_set.destination(other_key, path_of(other)) == self._destination(new)
        if other_set.current and other.plan == other_set.plan:
            if same_source and same_name:
                self._kept += 1
            else:
                self._lose(new, known, "duplicate" if same_name else "casefold", str(other_location))
            return
        self._drop(other_set, pack_name(other_key), other, new.place, keep_file=same_name)
        inherited = new.standing(self._set.plan)
        if same_source and same_name and other.state == PLACED and not self._is_another(other, new):
            inherited = merged(other, new.standing(self._set.plan))._replace(path=new.path, generation=0)
        elif same_name and other.state in ON_DISK:
            self._desk.leftovers.note(self._destination(new), other.size_bytes, other.crc)
            self._transaction.durable = True
        self._settle(new, known, inherited)

    def _settle(self, new: Candidate, known: Standing | None, standing: Standing) -> None:
        """Rule 2, then claim the free place."""
        if (file := self._desk.places.file_above(new.place)) is not None:
            self._fail_file(file, self._destination(new))
        if not self._make_room_below(new.place):
            self._lose(new, known, "file_prefix", shown(new.place) + "/")
            return
        self._put(new, known, standing)
        self._desk.places.claim(self._set.set_id, self._folder, [(new.place, new.key)])
        self._added += 1

    def _put(self, new: Candidate, known: Standing | None, standing: Standing) -> None:
        """Write the row of `new`, over the one an older plan left under this key."""
        if known is not None:
            old_place = self._desk.places.of(self._set.destination(unpack_name(new.key), path_of(known)))
            owned = self._desk.places.owner(old_place) == Owner(self._set.set_id, new.key)
            self._drop(self._set, new.key, known, old_place if owned else None)
            standing = standing._replace(generation=max(standing.generation, known.generation + 1))
        insert_standings(self._desk.connection, self._set.set_id, [(new.key, standing)])
        self._desk.leases.doubt(self._set.set_id, new.key)
        self._count(1, standing)
        self._desk.leases.bring_back(self._set.set_id, new.key)

    def _lose(self, new: Candidate, known: Standing | None, kind: str, other: str) -> None:
        """Record the newcomer as failed: it has a row, and no place."""
        failed = new.standing(self._set.plan)._replace(state=FAILED, failure=str(ErrorKind.NAME_CLASH))
        self._put(new, known, failed)
        name = unpack_name(new.key)
        destination = self._destination(new)
        self._note_clash(self._set, name, kind, destination, other, placed=False)

    def _fail_file(self, file: bytes, needed_by: str) -> None:
        """The file `file` is where another object needs a folder: it fails, also after it was placed."""
        owner = self._desk.places.owner(file)
        if owner is None or owner.key is None:  # pragma: no cover  # file_above found it, and folders end in a slash
            raise MachineError(f"the ledger lost the claim of {shown(file)}", kind=ErrorKind.LEDGER)
        other_set, other, key = self._other(owner)
        destination = other_set.destination(key, path_of(other))
        current = other_set.current and other.plan == other_set.plan
        on_disk = other.state in ON_DISK
        self._drop(other_set, owner.key, other, file)
        if on_disk:
            self._transaction.durable = True
        if not current:
            return
        failed = Standing(plan=other.plan, state=FAILED, size=other.size, generation=other.generation + 1)
        failed = failed._replace(path=other.path, hint=other.hint, published=other.published)
        failed = failed._replace(failure=str(ErrorKind.NAME_CLASH), attempts=other.attempts)
        if other.state == SEALED:  # its rename is under way: what comes of it has to be known for what it is
            failed = failed._replace(stored=other.stored, crc=other.crc)
        insert_standings(self._desk.connection, other_set.set_id, [(owner.key, failed)])
        self._count(1, failed, other_set)
        self._note_clash(other_set, key, "file_prefix", destination, needed_by, placed=on_disk)

    def _make_room_below(self, place: bytes) -> bool:
        """Whether no object needs `place` as a folder; what older plans only meant to fetch there is dropped."""
        inside = self._desk.places.below(place, _LOOK_BELOW + 1)
        if len(inside) > _LOOK_BELOW or any(owner.key is None for _, owner in inside):
            return False
        others = [(inner, owner, *self._other(owner)) for inner, owner in inside]
        if any(
            (other_set.current and other.plan == other_set.plan) or other.state in ON_DISK
            for _, _, other_set, other, _ in others
        ):
            return False
        for inner, owner, other_set, other, _ in others:
            self._drop(other_set, owner.key or b"", other, inner)
        return True

    # --- pieces -------------------------------------------------------------------------------------------------

    def _is_another(self, known: Standing, new: Candidate) -> bool:
        """Whether the object on disk is not the one that is named now."""
        now = new.standing(self._set.plan)
        return is_another(as_delivered(known, now, encoded=self._set.spec.encoded), now)

    def _destination(self, new: Candidate) -> str:
        return self._set.destination(unpack_name(new.key), None if new.path is None else unpack_name(new.path))

    def _other(self, owner: Owner) -> tuple[TaskSet, Standing, str]:
        other_set = self._desk.sets.get(owner.set_id)
        other = read_standing(self._desk.connection, owner.set_id, owner.key or b"")
        if other is None:
            raise MachineError(
                f"the ledger has a claim of task set {owner.set_id} without its object; run `emasync verify --repair`",
                kind=ErrorKind.LEDGER,
            )
        return other_set, other, unpack_name(owner.key or b"")

    def _drop(
        self, other_set: TaskSet, key: bytes, other: Standing, place: bytes | None, *, keep_file: bool = False
    ) -> None:
        """Forget an object; its file, if any, becomes a leftover unless the caller decides about it."""
        if other.state in ON_DISK and not keep_file:
            destination = other_set.destination(unpack_name(key), path_of(other))
            self._desk.leftovers.note(destination, other.size_bytes, other.crc)
        self._count(-1, other, other_set)
        self._forget_notes(other_set, key)
        self._desk.details.drop(other_set.dataset_id, other_set.set_id, key)
        delete_standing(self._desk.connection, other_set.set_id, key)
        self._desk.leases.doubt(other_set.set_id, key)
        if place is not None:
            self._desk.places.release(place)

    def _forget_notes(self, task_set: TaskSet, key: bytes) -> None:
        self._desk.partials.drop(task_set.set_id, key)
        self._desk.connection.execute("DELETE FROM fresh WHERE set_id = ? AND key = ?", (task_set.set_id, key))

    def _note_clash(
        self, task_set: TaskSet, key: str, kind: str, destination: str, other: str, *, placed: bool
    ) -> None:
        reasons = {
            "duplicate": f"another object has the name {destination} already: {other}",
            "casefold": f"on this filesystem {destination} is the same name as that of {other}",
            "file_prefix": f"{destination} is a file and a folder at the source ({other}); the folder is kept",
        }
        location = redact(task_set.locate(key))
        self._desk.details.note(task_set.dataset_id, task_set.set_id, pack_name(key), reasons[kind], location)
        clash = Clash(kind=kind, set_id=task_set.set_id, key=key, destination=destination, other=other, placed=placed)
        self._clashes.append(clash)

    def _count(self, sign: int, standing: Standing, task_set: TaskSet | None = None) -> None:
        count_standing(self._deltas, task_set or self._set, sign, standing)
