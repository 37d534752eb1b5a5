"""The rooms of the ledger that more than one of its operations write to."""

from __future__ import annotations

import sqlite3

from emasync.ledger.journal import Journal
from emasync.ledger.leases import Leases
from emasync.ledger.pieces import Pieces
from emasync.ledger.places import Places
from emasync.ledger.sidenotes import FailureDetails, Leftovers, Partials
from emasync.ledger.tasksets import TaskSets


class Desk:
    """Tables, and what the owner's memory holds of them, handed around together.

    Parameters
    ----------
    connection : sqlite3.Connection
    sets : TaskSets
    places : Places
    details : FailureDetails
    leftovers : Leftovers
    partials : Partials
    pieces : Pieces
    leases : Leases
    journal : Journal
    """

    __slots__ = ("connection", "details", "journal", "leases", "leftovers", "partials", "pieces", "places", "sets")

    def __init__(
        self,
        *,
        connection: sqlite3.Connection,
        sets: TaskSets,
        places: Places,
        details: FailureDetails,
        leftovers: Leftovers,
        partials: Partials,
        pieces: Pieces,
        leases: Leases,
        journal: Journal,
    ) -> None:
        self.connection = connection
        self.sets = sets
        self.places = places
        self.details = details
        self.leftovers = leftovers
        self.partials = partials
        self.pieces = pieces
        self.leases = leases
        self.journal = journal
