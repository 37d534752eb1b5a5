"""What crosses the socket between a worker and the owner: flat values with checked types, as MessagePack arrays.

Nothing else crosses: no pickle, no names of functions. Either side takes only what the other one may send; anything
else ends the connection. Keys are bytes or numbers (a key may hold what is no valid Unicode).
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from emasync.disk.writers import WriterStatistics
from emasync.executors.rows import CountsRow, ErrorRow, FailureRow, Key, OriginRow, SealRow
from emasync.settings import Settings
from emasync.transport.interface import BucketAccess

PROTOCOL = 2
"""Both ends are started from one installation; the numbers guard against one that changes under a running program."""

VERSION = version("emasync")


class Message(msgspec.Struct, frozen=True, array_like=True):
    """One message."""


# --- facts -------------------------------------------------------------------------------------------------------


class SealedFact(Message, frozen=True, tag="sealed"):
    """A :class:`~emasync.ledger.interface.Sealed`."""

    row: SealRow
    epoch: int


class PlacedFact(Message, frozen=True, tag="placed"):
    """A :class:`~emasync.ledger.interface.Placed`."""

    set_id: int
    key: Key


class FailedFact(Message, frozen=True, tag="failed"):
    """A :class:`~emasync.ledger.interface.Failed`."""

    set_id: int
    key: Key
    location: str
    kind: str
    message: str
    attempts: int


class AbsentFact(Message, frozen=True, tag="absent"):
    """An :class:`~emasync.ledger.interface.Absent`."""

    set_id: int
    key: Key


class StartedFact(Message, frozen=True, tag="started"):
    """A :class:`~emasync.ledger.interface.PartialStarted`."""

    set_id: int
    key: Key
    generation: int
    size_bytes: int
    validator: bytes | None


class PartFact(Message, frozen=True, tag="part"):
    """A :class:`~emasync.ledger.interface.PartDone`."""

    set_id: int
    key: Key
    generation: int
    start: int
    stop: int
    crc32c: int
    epoch: int


class InvalidatedFact(Message, frozen=True, tag="invalidated"):
    """An :class:`~emasync.ledger.interface.Invalidated`."""

    set_id: int
    key: Key


FactRow = SealedFact | PlacedFact | FailedFact | AbsentFact | StartedFact | PartFact | InvalidatedFact

# --- the owner says ----------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, tag="hello"):
    """What a worker needs to begin."""

    protocol: int
    version: str
    root: bytes
    settings: Settings
    adopt: bool
    objects: bool
    suspect_after_epoch: int | None
    create_s: float | None
    network_disk: bool


class Answer(Message, frozen=True, tag="answer"):
    """The answer to a request."""

    number: int
    value: msgspec.Raw


class Refusal(Message, frozen=True, tag="refusal"):
    """A request that could not be carried out."""

    number: int
    error: ErrorRow


class News(Message, frozen=True, tag="news"):
    """There may be more to lease."""


class Complete(Message, frozen=True, tag="complete"):
    """Nothing will be planned any more: leave when nothing is left."""


class Stop(Message, frozen=True, tag="stop"):
    """Commit what is whole and leave."""

    error: ErrorRow


class Share(Message, frozen=True, tag="share"):
    """What may be used of a limit from now on; origin "" is the bandwidth."""

    origin: str
    slots: int
    capacity: int
    serial: int


class Hold(Message, frozen=True, tag="hold"):
    """An origin asked for patience."""

    origin: str
    delay_s: float


class GivenUp(Message, frozen=True, tag="given up"):
    """An origin is out for this run; said by either side."""

    origin: str
    reason: str


class Alive(Message, frozen=True, tag="alive"):
    """An origin answered somebody."""

    origin: str


class Grant(Message, frozen=True, tag="grant"):
    """How a bucket is asked."""

    origin: str
    access: BucketAccess


FromOwner = Hello | Answer | Refusal | News | Complete | Stop | Share | Hold | GivenUp | Alive | Grant

# --- a worker says -----------------------------------------------------------------------------------------------


class OpenSets(Message, frozen=True, tag="open sets"):
    """Asks for sets with pending objects."""

    number: int


class Lease(Message, frozen=True, tag="lease"):
    """Asks for tasks of a set."""

    number: int
    set_id: int
    limit: int


class Record(Message, frozen=True, tag="record"):
    """Asks to commit facts."""

    number: int
    facts: list[FactRow]
    durable: bool


class SealRows(Message, frozen=True, tag="seal rows"):
    """Asks to commit a batch of sealed objects."""

    number: int
    rows: list[SealRow]
    epoch: int


class PlaceRows(Message, frozen=True, tag="place rows"):
    """Says that a batch lies under its final names."""

    number: int
    batch: int
    refused: list[tuple[int, Key]]


class Durable(Message, frozen=True, tag="durable"):
    """All of the worker's epochs up to this one are on disk for good."""

    number: int
    epoch: int


class PartialOf(Message, frozen=True, tag="partial of"):
    """Asks what is known of an unfinished object."""

    number: int
    set_id: int
    key: Key


class GenerationOf(Message, frozen=True, tag="generation of"):
    """Asks for the generation of an object's partial name."""

    number: int
    set_id: int
    key: Key


class MakeRoom(Message, frozen=True, tag="make room"):
    """Asks to remove a file of ours that is in the way."""

    number: int
    destination: str


class Ready(Message, frozen=True, tag="ready"):
    """The first word."""

    protocol: int
    version: str
    pid: int


class Told(Message, frozen=True, tag="told"):
    """Events of the engine (Any: JSON values, of the length that the frame allows)."""

    events: list[tuple[str, dict[str, Any]]]


class Slots(Message, frozen=True, tag="slots"):
    """What a worker wants and holds of a limit."""

    origin: str
    wanted: int
    held: int
    serial: int


class Held(Message, frozen=True, tag="held"):
    """An origin asked this worker for patience."""

    origin: str
    delay_s: float


class Report(Message, frozen=True, tag="report"):
    """Where a worker stands."""

    counts: CountsRow
    origins: list[OriginRow]
    disk: WriterStatistics


class Logged(Message, frozen=True, tag="logged"):
    """A line for the log."""

    level: int
    logger: str
    text: str


class Finished(Message, frozen=True, tag="finished"):
    """The last word: the engine has left, everything it had to say was said before."""

    stopped: ErrorRow | None
    unreachable: list[FailureRow]


Request = OpenSets | Lease | Record | SealRows | PlaceRows | Durable | PartialOf | GenerationOf | MakeRoom
FromWorker = Request | Ready | Told | Slots | Held | GivenUp | Report | Logged | Finished
