"""Every array that ``TRUTH.json`` states, opened by name: shape, type, spacing and digest, or one named reason.

A reason is no excuse: it is a check of its own, and the test fails where a row with a reason begins to agree, where a
reason has no row, and where an array of ours is neither stated nor compared with what another reader finds today.
"""

from __future__ import annotations

import bz2
import gzip
import math
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

import h5py
import numpy as np
import pytest
from ncempy.io.dm import fileDM
from tests.formats.decoding.whole import digest, truth
from tests.hooks.index.places import run_hook
from tests.integration.folders import run_within
from tests.volume.read.desk import Array
from tests.volume.read.stated import Size, Stated, stated_of
from tests.volume.read.whole_volume import whole_volume

import emasync
from emasync.errors import ErrorKind
from emasync.formats.content import NoDecoderError
from emasync.formats.json_document import Field, parse_object
from emasync.formats.precomputed.shard_index import minishard_span, parse_minishard_index
from emasync.formats.precomputed.sharding import read_sharding
from emasync.hooks.interface import DatasetFacts
from emasync.volume.index import DatasetIndex, open_index
from emasync.volume.index_entry import ArrayEntry

FOLDERS: Final = (
    "bigtiff", "dm3", "dm4", "ephys_binary", "imagej_tiff", "mrc", "ome_tiff", "tiff_compressed", "tiff_multipage",
)  # fmt: skip
"""Of files, whose index needs no memory of a run."""

TREES: Final = ("n5", "ome_zarr_04", "ome_zarr_05", "precomputed", "zarr_v2", "zarr_v3")
"""Of folders: only a run knows which chunks the publisher left out."""

OF_DEVICES: Final = "hdf5_401"
"""A filter that comes with a device's own software."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One dataset of ours, and the real files it was copied from."""

    fixtures: Path
    root: Path
    dataset: str

    @property
    def index(self) -> DatasetIndex:
        return open_index(self.root, self.dataset)

    def arrays(self, unit: str) -> dict[str, ArrayEntry]:
        """By what is left of their path below an entry of ``TRUTH.json``."""
        found = {}
        for entry in self.index.entries():
            path = "/".join(filter(None, (self.dataset, entry.asset, entry.path)))
            if path == unit or path.startswith(f"{unit}/"):
                found[path.removeprefix(unit).removeprefix("/")] = entry
        return found

    def read(self, entry: ArrayEntry) -> Array:
        return whole_volume(self.root, self.dataset, entry)

    def notes(self, unit: str) -> str:
        return "\n".join(note for note in self.index.notes if note.startswith(f"{unit}: "))


@dataclass(frozen=True, slots=True)
class Compared:
    """One row beside what of ours it is about."""

    opened: Opened
    row: Stated
    entry: ArrayEntry | None

    def read(self) -> Array:
        assert self.entry is not None
        return self.opened.read(self.entry)


# --- what agrees


def differences(case: Compared, voxels: Array) -> Iterator[str]:
    """All that is not as stated; axes of extent 1 are listed by some readers and not by others."""
    row, entry = case.row, case.entry
    assert entry is not None
    if digest(voxels) != row.digest:
        yield "digest"
    if [size for size in voxels.shape if size > 1] != [size for size in row.shape or () if size > 1]:
        yield f"shape {voxels.shape}, {row.shape} was stated"
    if voxels.dtype.newbyteorder("<").str != row.dtype:
        yield f"type {voxels.dtype}, {row.dtype} was stated"
    ours = [None if measure is None else (measure.value, measure.unit) for measure in entry.measures]
    if row.sizes is not None and not all(map(same_size, reversed(ours), reversed(row.sizes))):
        yield f"spacing {ours}, {row.sizes} was stated"


def same_size(ours: Size, stated: Size) -> bool:
    """Readers compute spacings in floats of either size."""
    if ours is None or stated is None:
        return ours is stated
    return ours[1] == stated[1] and math.isclose(ours[0], stated[0], rel_tol=1e-6)


# --- what cannot agree, and what holds instead


def text_or_records(case: Compared) -> None:
    """Objects, text and records have no digest; the index says that they are there."""
    assert case.entry is None
    assert case.row.digest is None
    notes = case.opened.notes(case.row.unit)
    assert f"{case.row.name}: " in notes or "more arrays cannot be read" in notes


def colours(case: Compared) -> None:
    """RosettaSciIO gives records of red, green, blue, alpha; the file has blue, green, red, alpha."""
    voxels = case.read()
    assert digest(voxels[..., [2, 1, 0, 3]]) == case.row.digest
    assert voxels.shape == (*(case.row.shape or ()), 4)


def packed_transform(case: Compared) -> None:
    """Half a plane of a transform, which RosettaSciIO unfolds to another shape than the file tells."""
    assert case.entry is None
    assert "a packed transform" in case.opened.notes(case.row.unit)


def no_layout(case: Compared) -> None:
    """The description names no file: which of them have traces is known to the rig's own program."""
    assert case.entry is None


def packed_file(case: Compared) -> None:
    """Compressed as a whole: nothing in it has a place. Unpacked, it agrees (``*.unpacked``)."""
    assert case.entry is None
    (entry,) = case.opened.arrays(f"{case.row.unit}.unpacked.mrc").values()
    assert not list(differences(Compared(case.opened, case.row, entry), case.opened.read(entry)))


def zipped_store(case: Compared) -> None:
    """A store in a zip file is one object. Unpacked, it agrees, but for what nobody reads."""
    assert case.entry is None
    entry = case.opened.arrays(f"{case.row.unit}.unpacked").get(case.row.name)
    if case.row.digest is None:
        assert entry is None
        assert "no numbers of a fixed size" in case.opened.notes(f"{case.row.unit}.unpacked")
        return
    assert entry is not None
    there = Compared(case.opened, case.row, entry)
    voxels = case.opened.read(entry)
    as_kept = voxels.byteswap() if case.row.name == "1d.contiguous.U13.be" else voxels  # digested without swapping
    assert not list(differences(there, as_kept))


def odd_type(case: Compared) -> None:
    """zarr-python knows no byte with an order; numpy does, and one chunk without a codec is its own voxels."""
    entry = case.opened.arrays(f"{case.row.unit}.unpacked")[case.row.name]
    chunk = case.opened.root / case.row.unit
    stored = np.fromfile(f"{chunk}.unpacked/{case.row.name}/0.0", np.uint8)
    np.testing.assert_array_equal(case.opened.read(entry), stored.reshape(entry.shape))


def device_filter(case: Compared) -> None:
    """Chunks went through a filter that nobody may pass on; h5py without it does not read them either."""
    assert case.row.digest is None
    with pytest.raises(NoDecoderError, match=OF_DEVICES) as refused:
        case.read()
    assert refused.value.kind is ErrorKind.NOT_BUILT


def no_resolution(case: Compared) -> None:
    """One pixel an inch is what writers put who know none: all but the spacing agrees."""
    assert case.entry is not None
    assert [what.split()[0] for what in differences(case, case.read())] == ["spacing"]
    assert not any(case.entry.measures)
    assert {size and size[0] for size in case.row.sizes or ()} <= {None, 1.0}


def bits(case: Compared) -> None:
    """tifffile reads one bit a pixel as truth values: the same bytes."""
    voxels = case.read()
    assert voxels.dtype == np.uint8
    assert not list(differences(case, voxels.view(np.bool_)))


def no_chunks(case: Compared) -> None:
    """Only the metadata were kept: every chunk is one that the publisher left out."""
    entry = case.entry
    assert entry is not None
    assert entry.shape == case.row.shape
    assert (entry.coverage.absent, case.row.digest) == (entry.coverage.chunks, None)
    first = case.opened.read(entry) if math.prod(entry.shape) < 1 << 20 else np.zeros(1)
    assert not first.any()


def unstated_codec(case: Compared) -> None:
    """The other readers lacked the codec: the voxels are those of the store beside it that has none."""
    plain = case.opened.arrays(case.row.unit)["array_none_C.zarr"]
    np.testing.assert_array_equal(case.read(), case.opened.read(plain))
    assert case.row.digest is None


def no_decoder(case: Compared) -> None:
    """ZFP: its library reads past the end of what it is given, and is not used (threat R11); no reader there had it."""
    assert case.row.digest is None
    with pytest.raises(NoDecoderError) as refused:
        case.read()
    assert refused.value.kind is ErrorKind.NOT_BUILT


def picture(case: Compared) -> None:
    """A picture, and no store of arrays; it shows what the N5 stores of the same collection hold."""
    assert case.entry is None
    stores = truth(case.opened.fixtures)["n5/zarr_implementations_zarr.n5"]["arrays"]
    assert case.row.digest == stores["raw"]["sha256_reversed"]


Reason = Callable[[Compared], None]

REASONS: Final[Mapping[str, Reason]] = {
    "dm3/rsciio3D__test-8.dm3#": colours,
    "dm3/rsciio3D__test-23.dm3#": colours,
    "dm4/rosettasciio__test_fft_packed_complex8.dm4#": packed_transform,
    "ephys_binary/onix_chronic#*": no_layout,
    "hdf5/probeinterface__data.raw.h5#*/groups/routed/raw": device_filter,
    "mrc/*.gz#": packed_file,
    "mrc/*.bz2#": packed_file,
    "n5/neuroglancer_n5_multiscale_deprecated#s?": no_chunks,
    "precomputed/cloudvolume_compresso_seg_unsharded#8_8_40": no_chunks,
    "precomputed/cloudvolume_compresso_seg_unsharded#16_16_40": no_chunks,
    "tiff_compressed/image-tiff__predictor-3-gray-f32.tif#": no_resolution,
    "tiff_compressed/imagecodecs__rgb.tiled.lzw.u1.tif#": no_resolution,
    "tiff_multipage/pillow__multipage.tiff#": bits,
    "tiff_multipage/pillow__multipage_out_of_order.tiff#": bits,
    "zarr_v2/netcdf-c__ref_byte_fill_value_null.zarr.zip#*": odd_type,
    "zarr_v2/*.zip#*": zipped_store,
    "zarr_v2/zarr_implementations__reference_image.png#": picture,
    "zarr_v2/zarrs_v2#array_pcodec_C.zarr": unstated_codec,
    "zarr_v2/zarrs_v2#array_zfpy_C.zarr": no_decoder,
}
"""Pattern of entry and name → what holds."""


def reason_of(row: Stated) -> tuple[str, Reason] | None:
    name = f"{row.unit}#{row.name}"
    for pattern, reason in REASONS.items():
        if fnmatchcase(name, pattern):
            return pattern, reason
    if row.digest is None and row.dtype is not None and not is_number(row.dtype):
        return "", text_or_records
    return None


def is_number(dtype: str) -> bool:
    return dtype.lstrip("<|")[0] in "biufc"


# --- what nobody stated


def thumbnail(opened: Opened, unit: str, found: Mapping[str, ArrayEntry]) -> None:
    """No reader lists them; ncempy finds their bytes at the same place."""
    with fileDM(str(opened.root / unit)) as file:
        for path, entry in found.items():
            offset = file.dataOffset[int(path.removeprefix("ImageList/"))]
            voxels = opened.read(entry)
            stored = np.fromfile(opened.root / unit, np.uint8, voxels.size, offset=offset)
            np.testing.assert_array_equal(voxels, stored.reshape(voxels.shape))


def as_h5py_reads(opened: Opened, unit: str, found: Mapping[str, ArrayEntry]) -> None:
    """Behind the first sixty datasets of a file; or the file was left open by its writer, which a flag tells."""
    with h5py.File(opened.root / unit, "r") as file:
        for path, entry in found.items():
            if OF_DEVICES in {codec.name.removeprefix("hdf5.") for codec in entry.layout.codecs}:
                continue
            expected = file[path][()]
            np.testing.assert_array_equal(opened.read(entry), expected, path)


def as_its_twin(opened: Opened, unit: str, found: Mapping[str, ArrayEntry]) -> None:
    """A writer left it open, so that h5py refuses it: it has what the same program wrote in the older layout."""
    twin = truth(opened.fixtures)[unit.replace("_latest", "_earliest")]["datasets"]
    assert {path: digest(opened.read(entry)) for path, entry in found.items()} == {
        path: facts["sha256"] for path, facts in twin.items()
    }


UNSTATED: Final[Mapping[str, Callable[[Opened, str, Mapping[str, ArrayEntry]], None]]] = {
    "dm?/*": thumbnail,
    "hdf5/probeinterface__*": as_h5py_reads,
    "nwb_hdf5/hdmf-zarr__*": as_h5py_reads,
    "hdf5/jhdf__test_byteshuffle_compressed_datasets_latest.hdf5": as_its_twin,
}
"""Pattern of an entry → how arrays of ours are compared that it does not state."""


# --- the tests


def places() -> list[str]:
    """What is opened together; files of HDF5 have a process each and are spread over the workers."""
    fixtures = Path(__file__).resolve().parents[3].parent / "shared" / "fixtures"
    files = [unit for unit in truth(fixtures) if unit.startswith(("hdf5/", "nwb_hdf5/"))] if fixtures.is_dir() else []
    return [*FOLDERS, *TREES, *files]


@pytest.fixture
def open_place(fixtures_folder: Path, tmp_path: Path) -> Callable[[str], Opened]:
    def opened(place: str) -> Opened:
        dataset = place.partition("/")[0]
        root = tmp_path / "root"
        if dataset in TREES:
            copied = staged(fixtures_folder / place, tmp_path / place)
            entry = {"id": dataset, "source": "bucket", "url": f"file://{copied}", "format": "raw"}
            assert run_within({"version": 1, "datasets": [entry]}, root).ok
        else:
            staged(fixtures_folder / place, root / place)
            run_hook(root, DatasetFacts(id=dataset, folder=dataset))
        return Opened(fixtures_folder, root, dataset)

    return opened


def staged(source: Path, to: Path) -> Path:
    """A copy, with what is packed as a whole unpacked beside it."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copyfile(source, to)
        return to
    shutil.copytree(source, to)
    for path in sorted(to.iterdir()):
        match path.suffix:
            case ".zip":
                with zipfile.ZipFile(path) as archive:
                    archive.extractall(f"{path}.unpacked")
            case ".gz":
                Path(f"{path}.unpacked.mrc").write_bytes(gzip.decompress(path.read_bytes()))
            case ".bz2":
                Path(f"{path}.unpacked.mrc").write_bytes(bz2.decompress(path.read_bytes()))
    return to


@pytest.mark.parametrize("place", places())
def test_arrays_read_as_stated(open_place: Callable[[str], Opened], place: str) -> None:
    opened = open_place(place)
    compared, wrong = 0, list[str]()
    for unit, facts in truth(opened.fixtures).items():
        if f"{unit}/".startswith(f"{place}/"):
            rows = [row for row in stated_of(unit, facts) if row.page is None]
            wrong += unit_differences(opened, unit, rows)
            compared += len(rows)
    assert not wrong
    assert compared or not opened.arrays(place) or place in UNSTATED


def unit_differences(opened: Opened, unit: str, rows: list[Stated]) -> Iterator[str]:
    arrays, claimed = opened.arrays(unit), set[str]()
    for row in rows:
        path = meant(row, arrays)
        claimed |= {path} if path is not None else set()
        case = Compared(opened, row, None if path is None else arrays[path])
        reason = reason_of(row)
        if reason is not None:
            reason[1](case)
        elif case.entry is None:
            yield f"{unit} {row.name or row.number}: no array of ours"
        else:
            yield from (f"{unit} {row.name or row.number}: {what}" for what in differences(case, case.read()))
    rest = {path: entry for path, entry in arrays.items() if path not in claimed}
    for pattern, compare in UNSTATED.items():
        if rest and fnmatchcase(unit, pattern):
            compare(opened, unit, rest)
            return
    yield from (f"{unit} {path}: neither stated nor compared" for path in rest)


def meant(row: Stated, arrays: Mapping[str, ArrayEntry]) -> str | None:
    """The array of ours that a row is about: by its name, or as the n-th of its file."""
    if row.name:
        return row.name if row.name in arrays else None
    images = [path for path in sorted(arrays) if arrays[path].role != "thumbnail"]
    return images[row.number] if row.number < len(images) else None


@pytest.mark.parametrize("place", [place for place in FOLDERS if "tif" in place])
def test_pages_read_as_stated(open_place: Callable[[str], Opened], place: str) -> None:
    opened = open_place(place)
    for unit, facts in truth(opened.fixtures).items():
        if not unit.startswith(f"{place}/"):
            continue
        pages = [row for row in stated_of(unit, facts) if row.page is not None]
        whole = [opened.read(entry) for _, entry in sorted(opened.arrays(unit).items())]
        shapes = dict.fromkeys(page.shape or () for page in pages)
        planes = {shape: iter(planes_of(whole, shape)) for shape in shapes}
        assert [digest(next(planes[page.shape or ()])) for page in pages] == [page.digest for page in pages], unit
        assert not any(list(rest) for rest in planes.values()), unit


def planes_of(arrays: list[Array], shape: tuple[int, ...]) -> Iterator[Array]:
    for array in arrays:
        if array.shape[-len(shape) :] == shape:
            yield from array.reshape(-1, *shape)


def test_arrays_of_odd_stores_read_as_stated(fixtures_folder: Path, tmp_path: Path) -> None:
    """Most of them hold no chunk of 400 MB: the digest is that of their fill value, and a corner is read."""
    unit = "hostile_zarr/dandi_zarr3_stores"
    entry = {"id": "hostile_zarr", "source": "bucket", "format": "raw", "url": f"file://{fixtures_folder}/hostile_zarr"}
    assert run_within({"version": 1, "datasets": [entry]}, tmp_path).ok
    opened = Opened(fixtures_folder, tmp_path, "hostile_zarr")
    arrays = opened.arrays(unit)
    rows = list(stated_of(unit, truth(fixtures_folder)[unit]))
    for row in rows:
        found = arrays.get(row.name)
        if row.digest is None or found is None:
            assert row.digest is None
            assert found is None
        elif found.coverage.absent == found.coverage.chunks:
            assert (found.shape, found.layout.dtype, found.layout.fill_value) == (row.shape, row.dtype, 0)
            assert digest_of_zeros(math.prod(found.shape) * 4) == row.digest
            volume = emasync.open_volume(tmp_path, "hostile_zarr", found.asset, found.path)
            assert not volume.read((9000, 9000), (1000, 1000)).any()
        else:
            assert not list(differences(Compared(opened, row, found), opened.read(found)))
    assert len(rows) == 7


@cache
def digest_of_zeros(size_bytes: int) -> str:
    made, part = sha256(), bytes(1 << 20)
    for start in range(0, size_bytes, len(part)):
        made.update(part[: size_bytes - start])
    return made.hexdigest()


def test_entries_of_a_shard_lie_where_stated(fixtures_folder: Path) -> None:
    """Of meshes, which are no arrays; their shards are those of volumes."""
    unit = "precomputed_sharded/haberkern_mesh_shard"
    facts, shard = truth(fixtures_folder)[unit], (fixtures_folder / unit / "0.shard").read_bytes()
    document = parse_object("info", (fixtures_folder / unit / "info").read_bytes())
    sharding = read_sharding(Field("info", "sharding", document["sharding"]))
    span = minishard_span("0.shard", shard[: sharding.index_bytes], sharding, 0)
    assert span is not None
    index = parse_minishard_index("0.shard", shard[span.start : span.stop], sharding)
    found = zip(index.ids.tolist(), index.starts.tolist(), index.sizes.tolist(), strict=True)
    assert [
        {"id": number, "offset": start, "size": size, "sha256": sha256(shard[start : start + size]).hexdigest()}
        for number, start, size in found
    ] == facts["entries"]


def test_every_reason_has_a_row(fixtures_folder: Path) -> None:
    rows = [row for unit, facts in truth(fixtures_folder).items() for row in stated_of(unit, facts)]
    used = {found[0] for row in rows if (found := reason_of(row)) is not None}
    assert used == {*REASONS, ""}
    assert len(rows) > 800
