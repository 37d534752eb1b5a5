"""Names and addresses that fail, for all kinds of requests: one of several is enough, a name may move in mid-run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.faults.network import NamedStage, Names
from tests.integration.folders import files_below

from emasync.api import RunOptions, arun
from emasync.errors import InputError
from emasync.model.receipt import Receipt
from emasync.testing.selftest.bad_days import BadDay
from emasync.testing.selftest.matrix import Met, Way, meet
from emasync.testing.selftest.stage import EXPECTED, LARGE_BYTES, POLICY, SHAPES
from emasync.transport.surroundings import Surroundings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")

BORNE = (
    BadDay("one address of several refuses", {}),
    BadDay("one address of several is a black hole", {}),
)
LOST = (BadDay("no address is known", {}), BadDay("the only address refuses", {}))
SILENT = (BadDay("the only address is a black hole", {}),)
WAYS: tuple[Way, ...] = ("wire", "fallback")
IN_PROCESSES = "a worker asks its own system's resolver, through the same code; names of tests are not known there"


def met_at(days: Sequence[BadDay], way: Way, root: Path) -> Sequence[Met]:
    names = Names()
    found = list(
        meet(
            days,
            way,
            "always",
            root,
            stage_of=partial(NamedStage, names=names),
            surroundings=Surroundings(lookup=names),
            policy={"give_up_after": "1s"},
        )
    )
    assert [met for met in found if met.wrong] == []
    assert {met.shape for met in found} == set(SHAPES)
    return found


@pytest.mark.parametrize("way", WAYS)
def test_one_dead_address_of_several_costs_nothing_but_a_moment(way: Way, tmp_path: Path) -> None:
    for met in met_at(BORNE, way, tmp_path):
        assert met.kinds == (), met


@pytest.mark.parametrize("way", ["wire", pytest.param("fallback", marks=pytest.mark.soak)])
@pytest.mark.parametrize("days", [LOST, pytest.param(SILENT, marks=pytest.mark.soak)])
def test_a_host_that_is_nowhere_is_named(days: Sequence[BadDay], way: Way, tmp_path: Path) -> None:
    for met in met_at(days, way, tmp_path):
        assert set(met.kinds) == {"unreachable"}, met


@pytest.mark.parametrize("way", WAYS)
def test_a_name_that_moves_in_mid_run_is_followed(way: Way, tmp_path: Path) -> None:
    names = Names()
    with closing(NamedStage(0, BadDay("the name moves", {}), names, rate_bytes_per_s=1e6)) as stage:
        manifest = {
            "version": 1,
            "settings": {"hosts": {"archive-0.test": POLICY | {"wire": way == "wire", "max_connections": 1}}},
            "datasets": stage.datasets(),
        }
        running = arun(
            manifest, root=tmp_path, options=RunOptions(hooks=False), surroundings=Surroundings(lookup=names)
        )
        receipt = asyncio.run(moved_meanwhile(stage, running))
        assert receipt.failures == ()
        for shape in SHAPES:
            assert files_below(tmp_path / stage.id_of(shape)) == EXPECTED[shape]
        assert 0 < stage.archive.bytes_sent < LARGE_BYTES, "the rest came from there, and no more"


async def moved_meanwhile(stage: NamedStage, running: Coroutine[Any, Any, Receipt]) -> Receipt:
    """The archive moves in the middle of the large object."""
    async with asyncio.TaskGroup() as group:
        run = group.create_task(running)
        await stage.archive.until(lambda load: load.bytes_sent > LARGE_BYTES // 2)
        await asyncio.to_thread(stage.move)
    return run.result()


async def test_workers_have_no_surroundings_of_the_caller(tmp_path: Path) -> None:
    manifest = {"version": 1, "datasets": [{"id": "d", "source": "bucket", "url": "s3://nobody/d"}]}
    options = RunOptions(workers=2, executor="processes")
    with pytest.raises(InputError, match="surroundings"):
        await arun(manifest, root=tmp_path, options=options, surroundings=Surroundings())
