"""Trees that a run fetched: every level is found with its voxels, and each chunk stands as it does at the source."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.hooks.index.assembling import NotHereError, assembled
from tests.hooks.index.places import all_places, arrays, run_hook
from tests.integration.folders import run_within

import emasync
from emasync.api.hooking import facts_of
from emasync.api.options import load
from emasync.hooks.interface import DatasetFacts
from emasync.ledger.interface import Absent, Invalidated, Placed, Sealed
from emasync.ledger.store import SqliteLedger
from emasync.model.clock import SystemClock
from emasync.model.grid import ChunkGrid
from emasync.model.task import ObjectEntry, TaskKey, TaskSetSpec
from emasync.plan.layout import MirrorLayout
from emasync.testing.n5 import EM, Container, write_openorganelle
from emasync.testing.precomputed import ScaleOnDisk, write_precomputed
from emasync.testing.volumes import Written, smooth_blobs, write_ome_zarr_04, write_ome_zarr_05_sharded
from emasync.volume.index import DatasetIndex, open_index
from emasync.volume.interface import ABSENT, NOT_DOWNLOADED, UNKNOWN, IndexedArray

CHANNELS = np.random.default_rng(3).integers(0, 255, (48, 40, 36, 2), dtype=np.uint8)


class Source:
    """Trees as publishers have them, in folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.zarr: Written = write_ome_zarr_04(folder / "zarr" / "image.zarr")
        self.sharded: Written = write_ome_zarr_05_sharded(folder / "sharded")
        self.n5: Container = write_openorganelle(folder / "n5" / "cell.n5", shape=(40, 70, 50), levels=2)
        self.volume = smooth_blobs((64, 80, 96), "uint16", 5)
        self.volume[:32] = 0
        sharding = {"preshift_bits": 2, "hash": "murmurhash3_x86_128", "minishard_bits": 1, "shard_bits": 2}
        packing = {"minishard_index_encoding": "gzip", "data_encoding": "gzip"}
        write_precomputed(
            folder / "precomputed",
            [ScaleOnDisk(voxels=self.volume, key="8_8_8", offset=(100, 0, -7), chunk=(32, 32, 32))],
        )
        write_precomputed(
            folder / "shards",
            [ScaleOnDisk(voxels=self.volume, key="8_8_8", offset=(100, 0, 7), sharding=sharding | packing)],
            kind="segmentation",
        )
        write_precomputed(folder / "channels", [ScaleOnDisk(voxels=CHANNELS, key="1")])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return Source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def fetched(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Root of a run that fetched one of the source's folders, with more keys of the manifest; made once each."""
    made: dict[tuple[str, str], Path] = {}

    def root(name: str, **keys: Any) -> Path:
        key = name, repr(keys)
        if key not in made:
            made[key] = fetch(source, name, tmp_path_factory.mktemp("root"), keys)
        return made[key]

    return root


def fetch(source: Source, name: str, root: Path, keys: Mapping[str, Any]) -> Path:
    manifest = root.with_suffix(".yaml")
    entry = {"id": "d", "source": "bucket", "url": f"file://{source.folder / name}", **keys}
    manifest.write_text(f"version: 1\ndatasets: [{entry}]\n".replace("'", '"').replace("True", "true"))
    receipt = run_within(manifest, root, options=emasync.RunOptions(hooks=False))
    assert receipt.ok, receipt.failures
    run_hook(root, facts(root))
    return root


def facts(root: Path) -> DatasetFacts:
    """What hooks are told of the one dataset of a root."""
    return facts_of(load(root.with_suffix(".yaml")).datasets[0], MirrorLayout())


def opened(root: Path) -> tuple[DatasetIndex, dict[int, IndexedArray]]:
    """The index, and the levels of its one image."""
    index = open_index(root, "d")
    found = list(index.arrays())
    assert len({(array.asset, array.array) for array in found}) == 1, found
    return index, {array.scale: array for array in found}


def test_levels_of_ome_zarr(fetched: Callable[..., Path], source: Source) -> None:
    root = fetched("zarr")
    index, levels = opened(root)
    assert [levels[scale].path for scale in range(3)] == ["s0", "s1", "s2"]
    for scale, volume in enumerate(source.zarr.levels):
        array = levels[scale]
        assert (array.asset, array.array, array.format, array.axes) == ("image.zarr", "", "zarr2", ("z", "y", "x"))
        assert (assembled(array, root) == volume).all()
        sizes = [measure and (measure.value, measure.unit) for measure in array.measures]
        assert sizes == [(size * 2**scale, "nanometer") for size in source.zarr.scale]
        assert array.measures[0] is not None
        assert array.measures[0].source == ".zattrs: multiscales[0].datasets[" + str(scale) + "]"
        assert array.bounds.shape == array.shape == volume.shape
        assert (array.origin, array.role) == ((0, 0, 0), "image")
    assert levels[0].translation_nm == {"z": 0, "y": 0, "x": 0}
    assert index.notes == ()
    (entry, *_) = index.entries()
    assert entry.coverage.complete
    assert entry.coverage.absent == 1


def test_chunks_that_the_publisher_left_out_are_absent_and_all_others_have_their_checksum(
    fetched: Callable[..., Path],
) -> None:
    root = fetched("zarr")
    array = opened(root)[1][0]
    places = all_places(array)
    assert places.files.tolist()[-1] == ABSENT
    assert (places.files[:-1] == np.arange(len(places.files) - 1)).all()
    ledger = SqliteLedger.open(root / ".emasync", root=root, clock=SystemClock())
    known = {row.destination: row.crc32c for row in ledger.rows(dataset="d")}
    ledger.close(clean=True)
    assert places.crc32c is not None
    assert places.crc32c.tolist() == [*(known[array.chunks.path(n)] for n in range(len(places.files) - 1)), 0]


def test_n5_has_its_axes_turned_and_its_levels_placed(fetched: Callable[..., Path], source: Source) -> None:
    root = fetched("n5")
    index = open_index(root, "d")
    found = arrays(index)
    for scale, volume in enumerate(source.n5.em.levels):
        array = found["cell.n5", f"{EM}/s{scale}", scale]
        assert (array.array, array.axes, array.shape) == (EM, ("z", "y", "x"), volume.shape)
        assert (assembled(array, root) == volume).all()
        sizes = [measure and (round(measure.value, 6), measure.unit) for measure in array.measures]
        assert sizes == [(size * 2**scale, "nm") for size in source.n5.em.scale]
    assert found["cell.n5", f"{EM}/s1", 1].translation_nm == {"z": 2.62, "y": 2.0, "x": 2.0}
    assert all_places(found["cell.n5", f"{EM}/s0", 0]).files[-1] == ABSENT


def test_precomputed_keeps_source_coordinates(fetched: Callable[..., Path], source: Source) -> None:
    root = fetched("precomputed")
    array = opened(root)[1][0]
    assert array.origin == array.bounds.start == (100, 0, -7)
    assert array.translation_nm == {"z": 4.0, "y": 4.0, "x": 4.0}
    assert (assembled(array, root) == source.volume).all()
    assert (all_places(array).files[:9] == ABSENT).all()


def test_channels_of_precomputed_volumes_come_first(fetched: Callable[..., Path]) -> None:
    root = fetched("channels")
    array = opened(root)[1][0]
    assert (array.axes, array.shape) == (("c", "z", "y", "x"), (2, 48, 40, 36))
    assert array.measures[0] is None
    assert (assembled(array, root) == np.moveaxis(CHANNELS, 3, 0)).all()


@pytest.mark.parametrize("keys", [{}, {"scales": [0]}])
def test_shards_of_zarr_are_opened_once(keys: dict[str, Any], fetched: Callable[..., Path], source: Source) -> None:
    root = fetched("sharded", **keys)
    index, levels = opened(root)
    assert set(levels) == ({0, 1} if not keys else {0})
    for scale, array in levels.items():
        assert array.chunks.kind == "dense"
        assert array.layout.chunks == (32, 32, 32)
        assert (assembled(array, root) == source.sharded.levels[scale]).all()
    (entry, *_) = index.entries()
    assert entry.coverage.absent == 2  # the last shard of the finest level, which reaches beyond it
    assert entry.coverage.complete


def test_shards_of_precomputed_volumes(fetched: Callable[..., Path], source: Source) -> None:
    root = fetched("shards")
    index, levels = opened(root)
    assert (levels[0].chunks.kind, levels[0].role, levels[0].origin) == ("dense", "labels", (100, 0, 7))
    assert (assembled(levels[0], root) == source.volume).all()
    (entry,) = index.entries()
    assert entry.coverage.absent == 2 * 5 * 6
    assert entry.coverage.complete


CROP = {"start": [20, 70, 100], "shape": [20, 60, 50]}


@pytest.mark.parametrize("subset", ["standalone", "mirror"])
def test_a_crop_keeps_source_coordinates_and_numbers_of_levels(
    subset: str, fetched: Callable[..., Path], source: Source
) -> None:
    root = fetched("zarr/image.zarr", scales=[0, 2], crop={**CROP, "scale": 0}, subset=subset)
    _, levels = opened(root)
    if subset == "mirror":
        assert (all_places(levels.pop(1)).files == NOT_DOWNLOADED).all()
    assert set(levels) == {0, 2}
    for scale, array in levels.items():
        low = tuple(at // 2**scale for at in CROP["start"])
        high = tuple(-(-(at + size) // 2**scale) for at, size in zip(CROP["start"], CROP["shape"], strict=True))
        assert (array.bounds.start, array.bounds.stop) == (low, high)
        hull = tuple(slice(at, at + size) for at, size in zip(array.origin, array.shape, strict=True))
        assert (assembled(array, root) == source.zarr.levels[scale][hull]).all()
        assert all(
            at <= first and first + size <= at + length
            for at, length, first, size in zip(array.origin, array.shape, low, array.bounds.shape, strict=True)
        )
        assert array.translation_nm["z"] == pytest.approx(source.zarr.scale[0] * (2**scale - 1) / 2)
        assert [measure and measure.value for measure in array.measures] == [
            size * 2**scale for size in source.zarr.scale
        ]
    assert any(array.origin != (0, 0, 0) for array in levels.values())


@pytest.mark.parametrize("name", ["sharded", "shards", "precomputed"])
@pytest.mark.parametrize("subset", ["standalone", "mirror"])
def test_crops_of_other_trees(name: str, subset: str, fetched: Callable[..., Path], source: Source) -> None:
    start = (130, 10, 20) if name != "sharded" else (40, 70, 30)
    root = fetched(name, scales=[0], crop={"start": list(start), "shape": [20, 30, 40]}, subset=subset)
    array = opened(root)[1][0]
    assert (array.bounds.start, array.bounds.shape) == (start, (20, 30, 40))
    volume = source.sharded.levels[0] if name == "sharded" else source.volume
    zero = {"sharded": (0, 0, 0), "shards": (100, 0, 7), "precomputed": (100, 0, -7)}[name]
    hull = tuple(
        slice(at - first, at - first + size) for at, first, size in zip(array.origin, zero, array.shape, strict=True)
    )
    assert (assembled(array, root) == volume[hull]).all()


# --- what is not here ------------------------------------------------------------------------------------------------


def test_chunks_that_were_not_fetched_yet_are_no_fill_value(source: Source, tmp_path: Path) -> None:
    root = fetch(source, "zarr", tmp_path / "root", {})
    ledger = SqliteLedger.open(root / ".emasync", root=root, clock=SystemClock())
    rows = [row for row in ledger.rows(dataset="d") if row.destination.endswith("s0/1/1/1")]

    ledger.record([Invalidated(set_id=row.set_id, key=row.key) for row in rows])
    ledger.close(clean=True)
    run_hook(root, facts(root))
    array = opened(root)[1][0]
    files = all_places(array).files.reshape(array.grid_shape)
    assert files[1, 1, 1] == NOT_DOWNLOADED
    assert files[-1, -1, -1] == ABSENT
    assert np.count_nonzero(files < 0) == 2
    with pytest.raises(NotHereError):
        assembled(array, root)


@pytest.mark.parametrize("name", ["zarr", "sharded", "shards"])
def test_nothing_is_absent_once_the_ledger_is_gone(name: str, source: Source, tmp_path: Path) -> None:
    root = fetch(source, name, tmp_path / "root", {})
    shutil.rmtree(root / ".emasync")
    for shard in list(root.rglob("*.shard"))[:1]:
        shard.unlink()
    run_hook(root, facts(root))
    index, levels = opened(root)
    files = all_places(levels[0]).files
    assert files[-1] == UNKNOWN or name == "shards"
    assert (files == UNKNOWN).any()
    assert (files >= 0).any()
    # what a shard's own index leaves out was never written
    assert (ABSENT in files) == (name == "shards")
    assert next(index.entries()).coverage.known == (name != "zarr")
    with pytest.raises(NotHereError):
        assembled(levels[0], root)


def test_levels_that_were_not_chosen_are_not_downloaded(fetched: Callable[..., Path]) -> None:
    """With ``subset: mirror`` their metadata is here all the same."""
    _, levels = opened(fetched("zarr", scales=[2], subset="mirror", format="zarr"))
    assert set(levels) == {0, 1, 2}
    assert (all_places(levels[2]).files >= 0).all()
    assert (all_places(levels[0]).files == NOT_DOWNLOADED).all()


def test_chunks_that_globs_leave_out_are_not_absent(fetched: Callable[..., Path]) -> None:
    _, levels = opened(fetched("zarr", include=["image.zarr/.z*", "image.zarr/s[12]/**", "image.zarr/s0/.z*"]))
    assert (all_places(levels[0]).files == NOT_DOWNLOADED).all()
    assert (all_places(levels[1]).files != NOT_DOWNLOADED).all()


def test_metadata_count_as_absent_what_the_index_does(source: Source, tmp_path: Path) -> None:
    """Chunks that globs leave out are missing, of an array that lacks none but the publisher's all are told."""
    root = tmp_path / "root"
    globs = {"include": ["image.zarr/**"], "exclude": ["image.zarr/s0/1/**"]}
    entry = {"id": "d", "source": "bucket", "url": f"file://{source.folder}/zarr", **globs}
    assert run_within({"version": 1, "datasets": [entry]}, root).ok
    document = json.loads(next((root / "metadata/d").rglob("*.json")).read_text())
    told = {array["path"]: array["coverage"] for array in document["arrays"]}
    counted = {entry.path: entry.coverage for entry in open_index(root, "d").entries()}
    assert counted["s0"].not_downloaded > 0
    for path, coverage in counted.items():
        assert told[path]["chunks"] == {
            "expected": coverage.chunks,
            "present": coverage.present,
            "absent": coverage.absent,
        }
        assert told[path]["state"] == ("complete" if coverage.complete else "partial")


def test_a_plan_without_the_bulk_has_nothing(source: Source, tmp_path: Path) -> None:
    root = tmp_path / "root"
    manifest = root.with_suffix(".yaml")
    manifest.write_text(f"version: 1\ndatasets: [{{id: d, source: bucket, url: 'file://{source.folder}/zarr'}}]\n")
    run_within(manifest, root, options=emasync.RunOptions(metadata_only=True, hooks=False))
    run_hook(root, facts(root))
    _, levels = opened(root)
    assert (all_places(levels[0]).files == NOT_DOWNLOADED).all()


def test_a_shard_that_is_damaged_is_unknown_and_the_others_are_read(source: Source, tmp_path: Path) -> None:
    for name in ("sharded", "shards"):
        root = fetch(source, name, tmp_path / name, {})
        shards = [path for path in (root / "d").rglob("*") if path.suffix == ".shard" or path.parent.parent.name == "0"]
        victim = min(path for path in shards if path.is_file())
        data = bytearray(victim.read_bytes())
        data[-20:] = b"\xff" * 20
        data[:8] = b"\xff" * 8
        victim.write_bytes(data)
        report = run_hook(root, facts(root))
        files = all_places(opened(root)[1][0]).files
        assert any("shard is damaged" in note for note in report.notes), report.notes
        assert (files == UNKNOWN).any()
        assert (files >= 0).any()


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize("gridded", [False, True])
def test_what_is_accepted_to_be_missing_is_not_absent(accepted: bool, gridded: bool, tmp_path: Path) -> None:
    """A 404 that the manifest accepts is no statement of the publisher: reading it is an error."""
    (tmp_path / "d").mkdir()
    fields = {"zarr_format": 2, "shape": [2], "chunks": [1], "dtype": "|u1", "order": "C", "fill_value": 0}
    (tmp_path / "d/.zarray").write_text(json.dumps({**fields, "compressor": None, "filters": None}))
    grid = ChunkGrid(start=(0,), shape=(2,), prefix="") if gridded else None
    spec = TaskSetSpec(
        dataset="d", base="https://example.org/d", destination="d", grid=grid, absent_ok=True, accepted=accepted
    )
    ledger = SqliteLedger.open(tmp_path / ".emasync", root=tmp_path, clock=SystemClock())
    ledger.begin_plan("d", "00")
    set_id = ledger.add_set(spec)
    if not gridded:
        ledger.add_entries(set_id, [ObjectEntry("0"), ObjectEntry("1")])
        ledger.finish_set(set_id)
    ledger.finish_plan("d")
    key: tuple[TaskKey, TaskKey] = (0, 1) if gridded else ("0", "1")
    ledger.record([Sealed(set_id=set_id, key=key[0], size_bytes=1, crc32c=5), Absent(set_id=set_id, key=key[1])])
    ledger.record([Placed(set_id=set_id, key=key[0])])
    ledger.close(clean=True)
    run_hook(tmp_path, DatasetFacts(id="d", folder="d"))
    (array,) = open_index(tmp_path, "d").arrays()
    assert all_places(array).files.tolist() == [0, NOT_DOWNLOADED if accepted else ABSENT]


def test_an_index_is_made_again_when_something_was_fetched_and_counts_stay_the_same(tmp_path: Path) -> None:
    """As after a chunk that changed at the source, of the same length: its checksum is another one."""
    (tmp_path / "d").mkdir()
    fields = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|u1", "order": "C", "fill_value": 0}
    (tmp_path / "d/.zarray").write_text(json.dumps({**fields, "compressor": None, "filters": None}))
    crcs, folders = [], set()
    for epoch, crc in enumerate([5, 5, 6]):
        ledger = SqliteLedger.open(tmp_path / ".emasync", root=tmp_path, clock=SystemClock())
        if not epoch:
            ledger.begin_plan("d", "00")
            grid = ChunkGrid(start=(0,), shape=(1,), prefix="")
            set_id = ledger.add_set(TaskSetSpec(dataset="d", base="https://example.org/d", destination="d", grid=grid))
            ledger.finish_plan("d")
        if epoch != 1:
            ledger.record([Invalidated(set_id=set_id, key=0)] if epoch else [])
            ledger.record(
                [Sealed(set_id=set_id, key=0, size_bytes=1, crc32c=crc, epoch=epoch + 1, generation=epoch // 2)]
            )
            ledger.record([Placed(set_id=set_id, key=0)])
            ledger.set_durable_epoch(epoch + 1)
        ledger.close(clean=True)
        run_hook(tmp_path, DatasetFacts(id="d", folder="d"))
        index = open_index(tmp_path, "d")
        places = all_places(next(index.arrays()))
        assert places.crc32c is not None
        crcs.append(int(places.crc32c[0]))
        folders.add(index.columns.folder)
    assert crcs == [5, 5, 6]
    assert len(folders) == 2
