"""Everything that crosses comes out as it went in, odd names included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import emasync.engine
from emasync.errors import ErrorKind, InterruptedRunError, MachineError, RefusedError
from emasync.executors import messages as wire
from emasync.executors.proxy import LedgerProxy, Questions
from emasync.executors.rows import ErrorRow, PartialRow, SealRow, SpecRow, TaskRow
from emasync.executors.values import (
    error_of,
    error_row,
    fact_of,
    fact_row,
    partial_of,
    partial_row,
    seal_of,
    seal_row,
    spec_of,
    spec_row,
    task_of,
    task_row,
)
from emasync.ledger.batch import SealedRow
from emasync.ledger.interface import (
    Absent,
    Fact,
    Failed,
    Invalidated,
    Part,
    PartDone,
    PartialStarted,
    PartialState,
    Placed,
    Sealed,
)
from emasync.model.digest import Digest, Validator
from emasync.model.grid import ChunkGrid, VoxelGrid
from emasync.model.slices import Packing
from emasync.model.task import Task, TaskKey, TaskSetSpec
from emasync.model.timetable import BandwidthHours
from emasync.settings import Settings

KEYS = st.one_of(st.text(st.characters(), max_size=20), st.integers(min_value=0, max_value=1 << 40))
"""Surrogates included: names of files that are no Unicode."""
VALIDATORS = st.builds(Validator, etag=st.none() | st.just('"a\nb%"'), last_modified=st.none() | st.just("Mon"))
PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
NUMBERS = st.integers(min_value=0, max_value=1 << 50)
NAMES: Any = {"set_id": NUMBERS, "key": KEYS}
FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(
        Sealed,
        **NAMES,
        size_bytes=NUMBERS,
        crc32c=NUMBERS,
        validator=VALIDATORS,
        verified=st.just("published"),
        digests=st.just((Digest("md5", "0a"),)),
        generation=NUMBERS,
        epoch=NUMBERS,
    ),
    st.builds(Placed, **NAMES),
    st.builds(Absent, **NAMES),
    st.builds(Invalidated, **NAMES),
    st.builds(Failed, **NAMES, location=PLAIN, kind=st.sampled_from(ErrorKind), message=PLAIN, attempts=NUMBERS),
    st.builds(PartialStarted, **NAMES, generation=NUMBERS, size_bytes=NUMBERS, validator=VALIDATORS),
    st.builds(PartDone, **NAMES, generation=NUMBERS, start=NUMBERS, stop=NUMBERS, crc32c=NUMBERS, epoch=NUMBERS),
)


def crossed(value: object, kind: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind)


@given(FACTS)
def test_facts(fact: Fact) -> None:
    assert fact_of(crossed(fact_row(fact), wire.FactRow), lambda epoch: epoch) == fact


def test_epochs_become_the_ledgers() -> None:
    fact = PartDone(set_id=1, key=2, generation=0, start=0, stop=1, crc32c=3, epoch=4)
    assert fact_of(fact_row(fact), lambda epoch: 10 * epoch) == PartDone(
        set_id=1, key=2, generation=0, start=0, stop=1, crc32c=3, epoch=40
    )


@given(KEYS, VALIDATORS)
def test_sealed_rows(key: TaskKey, validator: Validator) -> None:
    row = SealedRow(1, key, 5, 6, "published", validator, (Digest("sha256", "ff"),), 2)
    assert seal_of(crossed(seal_row(row), SealRow)) == row


@given(KEYS, st.none() | st.text(st.characters(), max_size=9), st.none() | NUMBERS)
def test_tasks(key: TaskKey, path: str | None, size_bytes: int | None) -> None:
    spec = TaskSetSpec(dataset="d", base="s3://b/k", destination="d")
    task = Task(spec, 7, key, path, size_bytes, b"md5:00", None, 1, 2)
    assert task_of(crossed(task_row(task), TaskRow), spec, 7) == task


@pytest.mark.parametrize(
    "grid",
    [
        None,
        ChunkGrid(start=(1, 2), shape=(3, 4), prefix="a/", encoding="default", separator="/", rebase=True),
        VoxelGrid(start=(1,), shape=(3,), prefix="a/", chunk=(16,), origin=(-7,), size=(60,)),
    ],
)
def test_specs(grid: ChunkGrid | None) -> None:
    spec = TaskSetSpec(
        dataset="d", asset="a", rank=3, base="https://h/ä", destination="d/x", encoded=True, grid=grid, absent_ok=True
    )
    assert spec_of(crossed(spec_row(spec), SpecRow)) == spec


@pytest.mark.parametrize("slices", ["raw", "gzip"])
def test_specs_of_slices(slices: Packing) -> None:
    spec = TaskSetSpec(dataset="d", base="gs://b/v", destination="d", slices=slices)
    assert spec_of(crossed(spec_row(spec), SpecRow)) == spec


@pytest.mark.parametrize(
    "state",
    [
        None,
        PartialState(
            generation=1,
            size_bytes=9,
            validator=Validator(etag='"x"'),
            parts=(Part(start=0, stop=4, crc32c=1, epoch=2), Part(start=4, stop=9, crc32c=3, epoch=4)),
        ),
    ],
)
def test_partials(state: PartialState | None) -> None:
    assert partial_of(crossed(partial_row(state), PartialRow | None)) == state


def test_settings() -> None:
    hours = BandwidthHours(start_s=1, stop_s=2, bytes_per_s=3.5, days=frozenset({4}))
    settings = Settings(
        bandwidth_timetable=(hours,),
        max_bandwidth=1.5,
        hosts={"h": {"max_connections": 3, "requests_per_second": None}},
        mirrors={"s3://a": "b"},
    )
    assert crossed(settings, Settings) == settings


def test_errors_stay_what_ends_a_run() -> None:
    full = error_of(crossed(error_row(MachineError("full \ud800", kind=ErrorKind.DISK_FULL)), ErrorRow))
    assert (type(full), full.kind, full.message) == (MachineError, ErrorKind.DISK_FULL, "full \\ud800")
    assert isinstance(error_of(error_row(InterruptedRunError("stop"))), InterruptedRunError)
    assert isinstance(error_of(error_row(RefusedError("no"))), MachineError)


def test_every_call_of_a_moving_engine_crosses() -> None:
    """What keeps a root in order is the owner's; what else the engine asks must be a named call of the proxy."""
    folder = Path(emasync.engine.__path__[0])
    asked = {
        name
        for path in folder.glob("*.py")
        if path.stem not in ("upkeep", "recovery", "verify", "repair", "prune")
        for name in ledger_calls(ast.parse(path.read_text()))
    }
    assert "lease" in asked
    known = LedgerProxy(Questions(None))._calls  # type: ignore[arg-type]  # nothing is asked
    assert asked <= known.keys()


def ledger_calls(tree: ast.AST) -> Iterator[object]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "call"
            and "ledger" in ast.unparse(node.func.value)
        ):
            assert isinstance(node.args[0], ast.Constant), f"{ast.unparse(node)} is no named call"
            yield node.args[0].value


async def test_an_unknown_call_is_refused() -> None:
    proxy = LedgerProxy(Questions(None))  # type: ignore[arg-type]  # nothing is asked
    with pytest.raises(MachineError, match="does not cross processes"):
        await proxy.call("close", clean=True)
    with pytest.raises(MachineError, match="does not cross processes"):
        await proxy.call(lambda ledger: ledger)
