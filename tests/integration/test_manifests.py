"""Every shipped manifest, end to end, against the twin of its archive: identical bytes, in good weather and in bad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from tests.integration.folders import run_within

from emasync.api import RunOptions
from emasync.manifest.manifest import Manifest
from emasync.model.receipt import Receipt
from emasync.sources.catalog import shipped_manifests
from emasync.testing import Archive
from emasync.testing.demonstration import RUNS, read_shipped
from emasync.testing.faults import Fault
from emasync.testing.shipped.stand_in import StandIn, stand_in
from emasync.testing.shipped.weather import KINDS, LIES, bad_weather

SHIPPED = {entry.name: entry for entry in shipped_manifests()}

PERCENT = 2.0

STRUCK = {
    "aind-ephys-benchmark": "*/traces_cached_seg0.raw",
    "aind-exaspim": "*/acquisition.json",
    "dandi-000728": "dandiarchive/zarr/*/session_start_time/0",
    "em-datasets": "*_slice_0007.dm3",
    "empiar-11759": "*_slice_0003.dm3",
    "epfl": "*/volumedata.tif",
    "hemibrain-crop": "*/clahe_yz/*/0c4b.shard",
    "idr-9846137": "*_xy.tif",
    "openorganelle-nacc-2": "*/s0/3/*",
    "pasteur-exaspim": "*/image.ome.zarr/2/.zarray",
    "quickstart": "*/s6/0/0/0",
}
"""Objects that meet a fault for sure: 2 % of five requests may be none."""

SURE = [fault for fault in KINDS.values() if not fault.ranged]
"""Faults that strike every request: not all objects are fetched in ranges."""


@pytest.fixture(scope="module")
def made() -> Iterator[StandIn]:
    with stand_in() as content:
        yield content


@pytest.fixture(scope="module")
def served(made: StandIn) -> Iterator[Archive]:
    with made.twin.serve() as archive:
        yield archive


@pytest.fixture
def weather(served: Archive) -> Iterator[Archive]:
    """The archive, with its log empty; good weather again afterwards."""
    served.reset()
    yield served
    served.set_faults({})


def differences(made: StandIn, receipt: Receipt, root: Path) -> list[str]:
    """What lies on disk otherwise than the twin has it, of all datasets of a run."""
    return [
        f"{dataset.id}: {problem}"
        for dataset in receipt.datasets
        for problem in made.truths[dataset.id].differences(root / dataset.id)
    ]


def manifest_of(name: str, made: StandIn, served: Archive) -> Manifest:
    return read_shipped(SHIPPED[name], made, served.url)


@pytest.mark.parametrize("name", SHIPPED)
def test_only_mirrors_are_added(name: str, made: StandIn, weather: Archive, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.yaml"
    file.write_text(made.adapted(SHIPPED[name].text))
    options = RunOptions(mirrors=made.twin.mirrors(weather.url))
    receipt = run_within(file, tmp_path / "data", options=options)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    assert receipt.datasets
    assert differences(made, receipt, tmp_path / "data") == []

    weather.reset()
    again = run_within(file, tmp_path / "data", options=options)
    assert again.exit_code == 0
    assert weather.requests == []  # a complete root is run again without a request


def test_only_what_epfl_pins_is_adapted(made: StandIn) -> None:
    """Size and MD5 of 3.4 GB that only EPFL has; all other manifests are run as they are."""
    adapted = {name for name, entry in SHIPPED.items() if made.adapted(entry.text) != entry.text}
    assert adapted == {"epfl", "em-datasets"}
    assert len(made.facts) == 2


def test_the_true_pins_refuse_the_twin(made: StandIn, weather: Archive, tmp_path: Path) -> None:
    (tmp_path / "epfl.yaml").write_text(SHIPPED["epfl"].text)
    options = RunOptions(mirrors=made.twin.mirrors(weather.url))
    receipt = run_within(tmp_path / "epfl.yaml", tmp_path / "data", options=options)
    assert [failure.kind for failure in receipt.failures] == ["size_mismatch"]
    assert list((tmp_path / "data" / "epfl-hippocampus").rglob("*.tif")) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_faults_leave_no_trace(name: str, made: StandIn, weather: Archive, tmp_path: Path) -> None:
    """2 % of all requests end in resets, silences, cut bodies, refusals: one run mends all of it."""
    kind = SURE[list(SHIPPED).index(name) % len(SURE)]
    weather.set_faults({STRUCK[name]: [replace(kind, times=1)], **bad_weather(PERCENT)})
    receipt = run_within(manifest_of(name, made, weather), tmp_path)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    asked = Counter(seen.path for seen in weather.requests if fnmatchcase(seen.path, STRUCK[name]))
    assert max(asked.values()) > 1  # the fault struck, and was answered with another request
    assert differences(made, receipt, tmp_path) == []


ANY = {name: lie for name, lie in LIES.items() if not lie.ranged}
RANGED = {name: lie for name, lie in LIES.items() if lie.ranged}
TOLD = [("dandi-000728", ANY), ("aind-exaspim", ANY), ("empiar-11759", ANY), ("hemibrain-crop", RANGED)]
"""Of sources that tell how large an object is. Of a chunk of an array, named by a formula, nobody tells: cut short,
with a length that agrees, it is not to be told from a whole one."""


@pytest.mark.parametrize(("name", "lies"), TOLD)
def test_lies_are_reported_and_never_kept(
    name: str, lies: Mapping[str, Fault], made: StandIn, weather: Archive, tmp_path: Path
) -> None:
    """Answers that look like statements fail by name; running again asks again, until all is there."""
    manifest = manifest_of(name, made, weather)
    options = RunOptions(only=(manifest.datasets[0].id,))
    weather.set_faults({STRUCK[name]: [replace(lie, times=1) for lie in lies.values()]})
    assert not run_within(manifest, tmp_path, options=options).ok
    for _ in range(RUNS):
        receipt = run_within(manifest, tmp_path, options=options)
        wrong = [text for text in differences(made, receipt, tmp_path) if not text.endswith("is missing")]
        assert wrong == []  # a file under its final name is whole, also in between
        if receipt.ok:
            break
    assert receipt.failures == ()
    assert differences(made, receipt, tmp_path) == []


def test_a_fault_for_every_manifest() -> None:
    assert STRUCK.keys() == SHIPPED.keys()


def test_a_difference_is_seen(made: StandIn, tmp_path: Path) -> None:
    """The comparison itself: what is missing, what is other, what nobody asked for."""
    truth = made.truths["empiar-11759"]
    first, second, *others = truth.files
    for path in (second, *others, "data/extra.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(truth.files.get(path, b""))
    flipped = bytearray(truth.files[second])
    flipped[-1] ^= 1
    (tmp_path / second).write_bytes(flipped)
    assert list(truth.differences(tmp_path)) == [
        f"{first} is missing",
        f"{second} has other bytes",
        "data/extra.txt was not asked for",
    ]
