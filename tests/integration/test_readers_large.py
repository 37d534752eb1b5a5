"""Objects of true size, planned and read in parts: neither disk nor memory holds them anywhere."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from emasync import api
from emasync.model.digest import Span
from emasync.model.location import Location
from emasync.settings import Settings
from emasync.testing import epfl, ephys
from emasync.testing.archive_twin import ArchiveTwin
from emasync.transport.governed import GovernedFetcher

URL = f"https://{epfl.FOLDER.replace(' ', '%20')}/volumedata.tif"
SIZE = 3_353_674_357
STRIDE = 3_148_990
LIMIT_MIB = 64


def test_the_true_volume_is_planned_and_read_in_parts(tmp_path: Path) -> None:
    """In a process of its own, whose memory nobody else has used."""
    command = [sys.executable, "-m", __spec__.name, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["objects"], told["bytes"]) == (1, SIZE)
    assert told["wrong"] == []
    assert told["read_mib"] > LIMIT_MIB
    assert told["grown_mib"] < LIMIT_MIB
    assert list(tmp_path.iterdir()) == []


def test_an_hour_of_traces_is_planned_and_its_end_is_read(tmp_path: Path) -> None:
    """83 GB in one object; its size is a whole number of frames."""
    twin = ephys.long_session(tmp_path / "made")
    dataset = {"id": "d", "source": "open_data", "registry": ephys.SLUG, "format": "binary"}
    with twin.serve() as archive:
        mirrors = twin.mirrors(archive.url)
        manifest = {"version": 1, "mirrors": mirrors, "datasets": [dataset]}
        with api.plan(manifest, root=tmp_path / "root") as plan:
            (traces,) = (item for item in plan if item.location.endswith(ephys.TRACES))
            assert plan.failures == ()
        assert traces.size_bytes == 384 * 2 * 108_000_000
        span = Span(traces.size_bytes - 5 * 768, traces.size_bytes)
        end = asyncio.run(part(mirrors, traces.location, span))
    expected = ephys.traces_of(channels=384, samples=108_000_000).block((0, 108_000_000 - 5, 0), (1, 5, 384))
    np.testing.assert_array_equal(np.frombuffer(end, "<i2").reshape(5, 384), expected[0])


async def part(mirrors: dict[str, str], url: str, span: Span) -> bytes:
    async with GovernedFetcher(Settings(mirrors=mirrors)) as fetcher:
        return (await fetcher.read(Location.parse(url), span=span)).data


def measured(root: Path) -> dict[str, Any]:
    """Plan, and read the first, the middle and the last pages with what lies behind them."""
    twin = epfl.hippocampus(epfl.TRUE_SHAPE)
    with twin.serve() as archive:
        mirrors = twin.mirrors(archive.url)
        datasets = [{"id": "d", "source": "web", "files": [{"url": URL, "size": SIZE}]}]
        before = peak_mib()
        with api.plan({"version": 1, "mirrors": mirrors, "datasets": datasets}, root=root) as plan:
            found = {"objects": plan.objects, "bytes": plan.bytes}
        pages = (*range(8), *range(500, 508), *range(1057, 1065))
        wrong = asyncio.run(misread(twin, mirrors, pages))
        read_mib = archive.bytes_sent >> 20
    return {**found, "wrong": wrong, "read_mib": read_mib, "grown_mib": peak_mib() - before}


async def misread(twin: ArchiveTwin, mirrors: dict[str, str], pages: tuple[int, ...]) -> list[int]:
    """Pages whose bytes, fetched as a range, are not those of the formula."""
    volume = epfl.volumes_of(epfl.TRUE_SHAPE)["volumedata.tif"]
    wrong = []
    async with GovernedFetcher(Settings(mirrors=mirrors)) as fetcher:
        for page in pages:
            start = 8 + page * STRIDE
            document = await fetcher.read(Location.parse(URL), span=Span(start, min(SIZE, start + STRIDE)))
            if document.data[: volume.page_bytes] != volume.page(page).read(0, volume.page_bytes):
                wrong.append(page)
    return wrong


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured(Path(sys.argv[1]))))
