"""The table of faults: what can go wrong, for which requests, in which ways they are made, and what tries it.

``python -m tests.faults.table`` prints the page ``docs/faults.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Final, NamedTuple

from tests.faults import test_addresses, test_shifted, test_tls

from emasync.testing.selftest.bad_days import Shape
from emasync.testing.selftest.matrix import ALL_DAYS, Way
from emasync.testing.selftest.stage import SHAPES

WAYS: Final[tuple[Way, ...]] = ("wire", "fallback", "processes")


class Cell(NamedTuple):
    """A kind of request, made in one way."""

    shape: Shape
    way: Way


CELLS: Final = tuple(Cell(shape, way) for shape, way in product(SHAPES, WAYS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A test that tries a fault.

    Attributes
    ----------
    test : str
        Below ``tests/``.
    shapes, ways : tuple
        What it is parametrized by; no shapes where it is about no kind of request in particular.
    """

    test: str
    shapes: tuple[Shape, ...] = ()
    ways: tuple[Way, ...] = WAYS

    @property
    def cells(self) -> Iterator[Cell]:
        """What it tries."""
        return (Cell(shape, way) for shape, way in product(self.shapes, self.ways))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault.

    Attributes
    ----------
    fault : str
    days : tuple of str
        Bad days of the self-test that are it, for their shapes and in all ways.
    proofs : tuple of Proof
        Tests beside the self-test.
    reasons : mapping of str to str
        Why a cell is not tried, by shape or by way; ``*`` for all cells.
    """

    fault: str
    days: tuple[str, ...] = ()
    proofs: tuple[Proof, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def tried(self) -> frozenset[Cell]:
        """Cells that something tries."""
        met = {shape for day in ALL_DAYS if day.name in self.days for shape in day.shapes}
        own = {cell for cell in CELLS if cell.shape in met}
        return frozenset(own.union(*(proof.cells for proof in self.proofs)))

    def reason(self, cell: Cell) -> str | None:
        """Why `cell` is not tried, if that is said."""
        return self.reasons.get(cell.shape) or self.reasons.get(cell.way) or self.reasons.get("*")


NO_RANGE: Final = "is not asked for in ranges"
NO_RANGES: Final = {"small": NO_RANGE, "listing": NO_RANGE, "api": NO_RANGE}
NO_PAGE: Final = "is no document: its size, tag and digest are checked instead"
NO_PAGES: Final = {"small": NO_PAGE, "ranged": NO_PAGE}
MACHINE: Final = {"*": "strikes the machine, whatever is asked for at that time"}
IN_PROCESSES: Final = {"processes": test_addresses.IN_PROCESSES}

TLS: Final = "faults/test_tls.py"
ADDRESSES: Final = "faults/test_addresses.py"

ROWS: Final = (
    Row(fault="reset after some bytes, or none", days=("reset after some bytes", "reset before the first byte")),
    Row(fault="no answer but a reset", days=("no answer but a reset",)),
    Row(fault="half-close", days=("half-close after some bytes", "half-close before the first byte")),
    Row(
        fault="a stall for ever: before the answer, in its header, in its body",
        days=("stall before the answer", "stall in the header", "stall in the body"),
    ),
    Row(fault="a drip, of the header and of the body", days=("drip", "drip in the header")),
    Row(fault="200 for 206", days=("200 instead of 206",), reasons=NO_RANGES),
    Row(
        fault="206 with another Content-Range or total",
        days=("wrong Content-Range", "wrong total", "unknown total"),
        reasons=NO_RANGES,
    ),
    Row(
        fault="bytes of another place under the right header",
        days=("bytes from further on",),
        proofs=(Proof(test="faults/test_shifted.py::test_a_digest_tells", shapes=test_shifted.SHAPES, ways=WAYS),),
    ),
    Row(
        fault="another tag in mid-file, for other or the same bytes, or in turn",
        days=("another tag for the same bytes", "replicas with tags of their own", "another size"),
        reasons=dict.fromkeys(("small", "listing", "api"), "comes in one answer, which has one tag"),
    ),
    Row(
        fault="other content of the same size",
        days=("another object of the same size",),
        proofs=(
            Proof(test="integration/test_faults.py::test_a_silent_change_is_caught_by_a_published_digest"),
            Proof(test="integration/test_asked_checksums.py::test_bytes_that_are_not_those_of_the_store_are_dropped"),
        ),
        reasons=dict.fromkeys(("small", "listing", "api"), "comes in one answer, of one version"),
    ),
    Row(fault="more bytes than announced", days=("long body",)),
    Row(fault="fewer bytes than announced", days=("short body",)),
    Row(
        fault="fewer bytes than there are, and says so",
        days=("truncated, and says so", "a document cut off, and says so"),
    ),
    Row(
        fault="lengths that lie, contradict each other or are none",
        days=("two lengths", "a length beyond all bounds", "a length that is none"),
    ),
    Row(fault="each field of the header twice", days=("each field twice",)),
    Row(fault="gzip on a range", days=("gzip on a range",), reasons=NO_RANGES),
    Row(fault="gzip on what is whole", days=("gzip on a whole object",)),
    Row(fault="other framings: chunks, the end of the connection", days=("chunks", "no length")),
    Row(fault="a header without end", days=("header flood",)),
    Row(fault="interim answers, some or without end", days=("interim answers", "interim answers without end")),
    Row(fault="an error page with status 200", days=("error page",)),
    Row(fault="a captive portal", days=("redirect to a sign-in page",)),
    Row(
        fault="416 at the end",
        days=("416 at the end",),
        reasons=dict.fromkeys(("listing", "api"), NO_RANGE),
    ),
    Row(fault="429 with Retry-After in seconds or as a date", days=("429 with seconds", "429 with a date")),
    Row(
        fault="Retry-After that is none, has passed, or is absurd",
        days=("429 with a delay that is none", "503 with a date that has passed"),
        proofs=(Proof(test="transport/test_rules.py::test_retry_after"),),
    ),
    Row(fault="RateLimit-*", days=("429 and a budget", "an empty budget")),
    Row(fault="500, once or always", days=("500",)),
    Row(fault="503, once, always, or in a storm", days=("503", "storm of 503")),
    Row(fault="403 ExpiredToken", days=("credentials that expired",)),
    Row(
        fault="403 instead of 404, and 404",
        days=("403", "404"),
        proofs=(
            Proof(test="engine/test_denials.py::test_a_denied_chunk_is_left_out_where_every_missing_name_is_denied"),
        ),
    ),
    Row(fault="a redirect loop", days=("redirect loop",)),
    Row(
        fault="a signed redirect that expires",
        proofs=(
            Proof(test="transport/test_faults.py::test_a_redirect_that_expired_is_asked_for_again"),
            Proof(test="transport/test_faults.py::test_a_presigned_target_is_renewed_by_one_before_it_expires"),
        ),
        reasons={"*": "is the transport's own matter: above it, a redirect cannot be told from an answer"},
    ),
    Row(
        fault="a kept connection that ends: after the answer, or when it is asked again",
        days=("hang-up after the answer", "a kept connection that vanishes"),
    ),
    Row(
        fault="pages with rows twice or backwards, the same page again, pages without end",
        days=("rows twice", "rows backwards", "the same page again", "pages without end"),
        reasons=NO_PAGES,
    ),
    Row(fault="values of other types", days=("values of other types",), reasons=NO_PAGES),
    Row(
        fault="lists in lists in lists",
        days=("lists in lists in lists",),
        reasons=NO_PAGES | {"listing": "is scanned for rows, not parsed as a tree"},
    ),
    Row(
        fault="a name that moves to another address in mid-run",
        proofs=(
            Proof(
                test=f"{ADDRESSES}::test_a_name_that_moves_in_mid_run_is_followed",
                shapes=SHAPES,
                ways=test_addresses.WAYS,
            ),
        ),
        reasons=IN_PROCESSES,
    ),
    Row(
        fault="one dead address of several: refused, or a black hole",
        proofs=(
            Proof(
                test=f"{ADDRESSES}::test_one_dead_address_of_several_costs_nothing_but_a_moment",
                shapes=SHAPES,
                ways=test_addresses.WAYS,
            ),
        ),
        reasons=IN_PROCESSES,
    ),
    Row(
        fault="no address, or a dead one only",
        proofs=(
            Proof(test=f"{ADDRESSES}::test_a_host_that_is_nowhere_is_named", shapes=SHAPES, ways=test_addresses.WAYS),
        ),
        reasons=IN_PROCESSES,
    ),
    Row(
        fault="a certificate that is expired, another host's or of an unknown authority; a handshake that breaks off",
        proofs=(Proof(test=f"{TLS}::test_no_connection_comes_about", shapes=SHAPES, ways=test_tls.WAYS),),
    ),
    Row(
        fault="an end in mid-body that TLS does not announce",
        proofs=(Proof(test=f"{TLS}::test_no_end_that_nobody_meant_passes_for_one", shapes=SHAPES, ways=test_tls.WAYS),),
    ),
    Row(
        fault="ENOSPC, EDQUOT, EIO, EROFS, EMFILE",
        proofs=(
            Proof(test="faults/test_selftest.py::test_a_machine_in_trouble"),
            Proof(test="disk/test_faults.py::test_the_machine_s_errors_stop_the_run"),
        ),
        reasons=MACHINE,
    ),
    Row(
        fault="syncs that are slow, or fail",
        proofs=(
            Proof(test="disk/test_faults.py::test_a_failed_sync_is_never_tried_again"),
            Proof(test="engine/test_heartbeat.py::test_a_disk_that_ends_no_job_is_named"),
        ),
        reasons=MACHINE,
    ),
    Row(
        fault="SIGKILL, SIGINT, SIGSTOP",
        proofs=(
            Proof(test="integration/test_kill.py::test_killed_anywhere"),
            Proof(test="faults/test_selftest.py::test_a_killed_job"),
        ),
        reasons=MACHINE,
    ),
    Row(
        fault="power cuts",
        proofs=(Proof(test="faults/test_selftest.py::test_power_cuts"),),
        reasons=MACHINE,
    ),
    Row(
        fault="clocks that jump",
        proofs=(
            Proof(test="transport/test_watch.py::test_time_between_waits_and_standstills_is_not_the_networks"),
            Proof(test="transport/test_limiter.py::test_a_clock_that_is_set_ends_a_pause_too"),
        ),
        reasons=MACHINE,
    ),
    Row(
        fault="two runs in one root",
        proofs=(Proof(test="ledger/test_lock.py::test_a_running_owner_is_named"),),
        reasons=MACHINE,
    ),
    Row(
        fault="a ledger that is cut off or zeroed",
        proofs=(Proof(test="faults/test_lost_ledger.py::test_a_damaged_ledger_is_made_anew_and_nothing_is_fetched"),),
        reasons=MACHINE,
    ),
)
"""Numbered from 1, as ``docs/faults.md`` has them."""


def page() -> str:
    """The table as users read it."""
    lines = [_HEAD]
    for number, row in enumerate(ROWS, 1):
        cells = " | ".join(_cell(row, shape) for shape in SHAPES)
        lines.append(f"| {number} | {row.fault} | {cells} | {_proof(row)} |")
    return "\n".join(lines) + "\n"


def _cell(row: Row, shape: Shape) -> str:
    tried = [way for way in WAYS if Cell(shape, way) in row.tried]
    if len(tried) == len(WAYS):
        return "all ways"
    reasons = dict.fromkeys(
        reason for way in WAYS if way not in tried and (reason := row.reason(Cell(shape, way))) is not None
    )
    return "; ".join([", ".join(tried)] * bool(tried) + [f"not: {reason}" for reason in reasons])


def _proof(row: Row) -> str:
    days = [f"*{day}*" for day in row.days]
    return ", ".join([*days, *(f"`{proof.test}`" for proof in row.proofs)])


_HEAD: Final = """\
# Faults

What goes wrong with networks, servers and machines, and what tries it: for small objects, large ones in ranges, the
pages of listings and the calls of APIs; over emasync's own client (wire), over aiohttp (fallback) and in worker
processes. Each ends in identical bytes or in a failure that is named and that the next run mends.

Names in *italics* are bad days of `emasync selftest`, which meets each of them once (`--full`: once and always); the
others are tests below `tests/`. `pytest tests/faults` tries a few of all, `pytest -m soak tests/faults` all of them.
A test compares this page with the table that it is made of (`python -m tests.faults.table`), and each cell is tried
or says why not.

| | fault | small objects | ranges | listings | APIs | tried by |
|---|---|---|---|---|---|---|"""


if __name__ == "__main__":
    sys.stdout.write(page())
