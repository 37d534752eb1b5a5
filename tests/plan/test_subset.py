"""Subsets are stored the way the engine would store them and opened by other people's readers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from zarr.codecs import TransposeCodec

from emasync.errors import ErrorKind, FormatError, SourceError
from emasync.formats.interface import ArrayDescription, Found, MultiscaleDescription, Need
from emasync.formats.zarr import ZarrFormat, ZarrWalk
from emasync.model.geometry import Box
from emasync.plan import subset
from emasync.plan.select import Chosen, select_array, select_image, spatial_axes
from emasync.plan.subset import Rewritten, wanted_documents

Array = npt.NDArray[Any]

rewrite = partial(subset.rewrite, form=ZarrFormat())

pytestmark = [
    # zarr-python writes it and warns of it; files like that are in use
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    # real files have it
    pytest.mark.filterwarnings("ignore:Found an empty list of filters"),
]

# --- a tree on disk, walked and copied as a run would -----------------------------------------------------------


@dataclass(frozen=True)
class Listing:
    folders: tuple[str, ...]
    objects: tuple[str, ...]


def answer(root: Path, need: Need) -> bytes | Listing | None:
    path = root / need.key
    if need.kind == "document":
        return path.read_bytes() if path.is_file() else None
    names = sorted(path.iterdir())
    return Listing(
        tuple(item.name for item in names if item.is_dir()), tuple(item.name for item in names if item.is_file())
    )


def walk(root: Path, start: Sequence[str] = ("",)) -> list[Found]:
    steps = ZarrWalk(start)
    found: list[Found] = []
    while needs := steps.needs():
        for need in needs:
            steps.feed(need, answer(root, need))
        found += steps.found()
    return found


def image_of(found: Iterable[Found], path: str = "") -> MultiscaleDescription:
    return next(item for item in found if isinstance(item, MultiscaleDescription) and item.path == path)


def store(source: Path, target: Path, found: list[Found], chosen: Sequence[Chosen]) -> dict[str, Rewritten]:
    """Put a subset on disk: chunks of the grids under their destinations, documents as rewritten."""
    documents = wanted_documents(found, chosen)
    changed = {item.key: item for item in rewrite(documents, chosen)}
    for key, data in documents.items():
        path = target / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(changed[key].data if key in changed else data)
    for choice in chosen:
        for number in range(len(choice.grid) if choice.grid else 0):
            assert choice.grid
            origin, path = source / choice.grid.key(number), target / choice.grid.destination(number)
            if origin.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(origin, path)
    return changed


def tensorstore_array(folder: Path, zarr_format: int) -> Array:
    tensorstore = pytest.importorskip("tensorstore")
    driver = {2: "zarr", 3: "zarr3"}[zarr_format]
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{folder}/"}}
    values: Array = tensorstore.open(spec, open=True, read=True).result().read().result()
    return values


def slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(low, high) for low, high in zip(box.start, box.stop, strict=True))


# --- pyramids to choose from ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Pyramid:
    """How a pyramid is written; ``offset``: translations grow by half a voxel a level."""

    zarr_format: int = 2
    separator: str = "/"
    encoding: str = "v2"
    order: str = "C"
    axes: str = "zyx"
    shape: tuple[int, ...] = (40, 50, 60)
    chunks: tuple[int, ...] = (8, 16, 16)
    levels: int = 3
    offset: bool = True
    consolidated: bool = False
    voxel: float = 2.96

    def write(self, root: Path) -> list[Array]:
        group = zarr.open_group(root, mode="w", zarr_format=self.zarr_format)  # type: ignore[arg-type]  # 2 or 3
        finest = np.random.default_rng(7).integers(1, 60_000, self.shape).astype("<u2")
        volumes, datasets = [], []
        for level in range(self.levels):
            steps = tuple(slice(None, None, 2**level if axis in "zyx" else 1) for axis in self.axes)
            volumes.append(finest[steps])
            self._array(group, f"s{level}", volumes[-1])
            scale = [self.voxel * 2**level if axis in "zyx" else 1.0 for axis in self.axes]
            datasets.append({"path": f"s{level}", "coordinateTransformations": self._place(scale, level)})
        self._attributes(group, datasets)
        if self.consolidated:
            zarr.consolidate_metadata(root, zarr_format=self.zarr_format)  # type: ignore[arg-type]  # 2 or 3
        return volumes

    def _place(self, scale: list[float], level: int) -> list[dict[str, Any]]:
        moved = [(2**level - 1) / 2 * self.voxel if axis in "zyx" else 0.0 for axis in self.axes]
        place: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        return [*place, {"type": "translation", "translation": moved}] if self.offset else place

    def _array(self, group: zarr.Group, name: str, values: Array) -> None:
        encoding = {"name": self.encoding, "separator": self.separator}
        options: dict[str, Any] = {"chunk_key_encoding": encoding}
        if self.zarr_format == 2:
            options["order"] = self.order
        elif self.order == "F":
            options["filters"] = [TransposeCodec(order=tuple(reversed(range(values.ndim))))]
        array = group.create_array(name, shape=values.shape, chunks=self.chunks, dtype=values.dtype, **options)
        array[...] = values

    def _attributes(self, group: zarr.Group, datasets: list[dict[str, Any]]) -> None:
        types = {"t": "time", "c": "channel"}
        axes = [{"name": axis, "type": types.get(axis, "space")} for axis in self.axes]
        version = "0.4" if self.zarr_format == 2 else "0.5"
        image = {"axes": axes, "datasets": datasets, "name": "", "metadata": None, "type": None}
        channels = (
            [{"label": f"channel {n}"} for n in range(self.shape[self.axes.index("c")])] if "c" in self.axes else []
        )
        extra: dict[str, Any] = {"omero": {"channels": channels, "rdefs": {"model": "color"}}, "kept": {"as": "it is"}}
        if self.zarr_format == 2:
            group.attrs.update({"multiscales": [{**image, "version": version}], **extra})
        else:
            group.attrs.update({"ome": {"version": version, "multiscales": [image], **extra}})


def ome(root: Path) -> dict[str, Any]:
    attributes: dict[str, Any] = zarr.open_group(root, mode="r", use_consolidated=False).attrs.asdict()
    return dict(attributes.get("ome", attributes))


def world_of_first_voxel(dataset: dict[str, Any]) -> list[float]:
    moves = [item["translation"] for item in dataset["coordinateTransformations"] if item["type"] == "translation"]
    return [float(sum(values)) for values in zip(*moves, strict=True)] if moves else []


CROP = Box((9, 17, 5), (30, 50, 33))

PYRAMIDS = {
    "v2 slash": Pyramid(),
    "v2 dot": Pyramid(separator="."),
    "v2 F order": Pyramid(order="F"),
    "v2 no translation": Pyramid(offset=False),
    "v2 consolidated": Pyramid(consolidated=True),
    "v3 default": Pyramid(zarr_format=3, encoding="default"),
    "v3 default dot": Pyramid(zarr_format=3, encoding="default", separator="."),
    "v3 v2 keys": Pyramid(zarr_format=3, separator="."),
    "v3 transposed": Pyramid(zarr_format=3, encoding="default", order="F"),
    "v3 consolidated": Pyramid(zarr_format=3, encoding="default", consolidated=True),
    "v2 tczyx": Pyramid(axes="tczyx", shape=(1, 2, 40, 50, 60), chunks=(1, 1, 8, 16, 32)),
    "v3 czyx": Pyramid(
        zarr_format=3, encoding="default", axes="czyx", shape=(3, 40, 50, 60), chunks=(2, 8, 16, 16), consolidated=True
    ),
}


@pytest.mark.parametrize("pyramid", PYRAMIDS.values(), ids=PYRAMIDS.keys())
def test_a_crop_of_two_levels_opens_as_a_dataset_of_its_own(tmp_path: Path, pyramid: Pyramid) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    volumes = pyramid.write(source)
    found = walk(source)
    chosen = select_image(image_of(found), scales=(2, 0), box=CROP, box_scale=0)
    changed = store(source, target, found, chosen)

    group = zarr.open_group(target, mode="r")
    assert sorted(name for name, _ in group.arrays()) == ["s0", "s2"]
    assert [choice.level for choice in chosen] == [2, 0]
    for choice in chosen:
        expected = volumes[choice.level][slices(choice.hull)]
        name = f"s{choice.level}"
        np.testing.assert_array_equal(group[name][...], expected)  # type: ignore[index]  # arrays are indexable
        np.testing.assert_array_equal(tensorstore_array(target / name, pyramid.zarr_format), expected)
        assert expected.all()  # no voxel of the source is 0: nothing was read as fill value
    assert all(json.loads(item.data) for item in changed.values())


@pytest.mark.parametrize("pyramid", PYRAMIDS.values(), ids=PYRAMIDS.keys())
def test_positions_move_with_the_first_voxel(tmp_path: Path, pyramid: Pyramid) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    pyramid.write(source)
    found = walk(source)
    before = {item["path"]: item for item in ome(source)["multiscales"][0]["datasets"]}
    chosen = select_image(image_of(found), scales=(0, 1), box=CROP)
    store(source, target, found, chosen)
    after = {item["path"]: item for item in ome(target)["multiscales"][0]["datasets"]}

    assert list(after) == ["s0", "s1"]
    for choice in chosen:
        name = f"s{choice.level}"
        scale = before[name]["coordinateTransformations"][0]
        assert after[name]["coordinateTransformations"][0] == scale
        old = world_of_first_voxel(before[name]) or [0.0] * len(pyramid.axes)
        want = [a + s * n for a, s, n in zip(old, scale["scale"], choice.hull.start, strict=True)]
        assert (world_of_first_voxel(after[name]) or [0.0] * len(want)) == pytest.approx(want)


def test_nothing_else_changes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    Pyramid(consolidated=True).write(source)
    found = walk(source)
    changed = store(source, target, found, select_image(image_of(found), box=CROP))
    for key, item in changed.items():
        assert item.original == (source / key).read_bytes()
    old, new = (json.loads((root / "s1/.zarray").read_bytes()) for root in (source, target))
    assert {**old, "shape": new["shape"]} == new
    assert list(old) == list(new)
    old, new = (json.loads((root / ".zattrs").read_bytes()) for root in (source, target))
    old["multiscales"][0]["datasets"] = new["multiscales"][0]["datasets"] = None
    assert old == new
    assert new["multiscales"][0]["metadata"] is None


def test_whole_levels_leave_arrays_as_they_are(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    volumes = Pyramid(consolidated=True).write(source)
    found = walk(source)
    changed = store(source, target, found, select_image(image_of(found), scales=(1, 2)))
    assert set(changed) == {".zattrs", ".zmetadata"}
    group = zarr.open_group(target, mode="r", use_consolidated=True)
    assert sorted(name for name, _ in group.arrays()) == ["s1", "s2"]
    np.testing.assert_array_equal(group["s1"][...], volumes[1])  # type: ignore[index]  # arrays are indexable
    assert not (target / "s0").exists()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_everything_chosen_rewrites_nothing(tmp_path: Path, zarr_format: int) -> None:
    encoding = "default" if zarr_format == 3 else "v2"
    Pyramid(zarr_format=zarr_format, encoding=encoding, consolidated=True).write(tmp_path)
    found = walk(tmp_path)
    chosen = select_image(image_of(found))
    assert rewrite(wanted_documents(found, chosen), chosen) == ()


def test_a_box_at_the_far_edge_keeps_the_true_extent(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    volumes = Pyramid(shape=(21, 33, 35)).write(source)
    found = walk(source)
    (chosen,) = select_image(image_of(found), scales=(0,), box=Box((20, 32, 34), (21, 33, 35)))
    store(source, target, found, [chosen])
    assert chosen.hull == Box((16, 32, 32), (21, 33, 35))
    np.testing.assert_array_equal(zarr.open_array(target / "s0")[...], volumes[0][16:, 32:, 32:])
    np.testing.assert_array_equal(tensorstore_array(target / "s0", 2), volumes[0][16:, 32:, 32:])


def test_chunks_the_publisher_left_out_read_as_fill_value(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    volumes = Pyramid(separator=".").write(source)
    (source / "s0" / "2.2.1").unlink()
    found = walk(source)
    (chosen,) = select_image(image_of(found), scales=(0,), box=CROP)
    store(source, target, found, [chosen])
    expected = volumes[0].copy()
    expected[16:24, 32:48, 16:32] = 0
    np.testing.assert_array_equal(zarr.open_array(target / "s0")[...], expected[slices(chosen.hull)])


def test_channels_that_were_left_out_leave_the_rendering_settings_too(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    pyramid = Pyramid(axes="czyx", shape=(3, 16, 32, 32), chunks=(1, 8, 16, 16), levels=1)
    volumes = pyramid.write(source)
    found = walk(source)
    chosen = select_image(image_of(found), select={"C": 1})
    store(source, target, found, chosen)
    assert ome(target)["omero"] == {"channels": [{"label": "channel 1"}], "rdefs": {"model": "color"}}
    np.testing.assert_array_equal(zarr.open_array(target / "s0")[...], volumes[0][1:2])
    (place,) = ome(target)["multiscales"][0]["datasets"]
    assert world_of_first_voxel(place) == [1.0, 0.0, 0.0, 0.0]


def test_rendering_settings_of_another_length_are_nobodys_to_cut(tmp_path: Path) -> None:
    pyramid = Pyramid(axes="czyx", shape=(3, 16, 32, 32), chunks=(1, 8, 16, 16), levels=1)
    pyramid.write(tmp_path)
    text = json.loads((tmp_path / ".zattrs").read_bytes())
    text["omero"]["channels"].pop()
    (tmp_path / ".zattrs").write_text(json.dumps(text))
    found = walk(tmp_path)
    chosen = select_image(image_of(found), select={"c": 1})
    (attributes,) = (item for item in rewrite(wanted_documents(found, chosen), chosen) if item.key == ".zattrs")
    assert json.loads(attributes.data)["omero"] == text["omero"]


# --- other people's stores --------------------------------------------------------------------------------------


def half_of(array: ArrayDescription) -> Box:
    """The far half on each spatial axis."""
    extent = [array.shape[axis] for axis in spatial_axes(array.axes, len(array.shape))]
    return Box(tuple(size // 2 for size in extent), tuple(extent))


def choose_halves(found: Iterable[Found]) -> list[Chosen]:
    chosen: list[Chosen] = []
    for item in found:
        if isinstance(item, MultiscaleDescription):
            chosen += select_image(item, box=half_of(item.levels[0].array))
        elif isinstance(item, ArrayDescription):
            chosen.append(select_array(item, box=half_of(item)))
    return chosen


@pytest.mark.parametrize(
    "unit",
    [
        "ome_zarr_04/neuroglancer_simple_0.4",
        "ome_zarr_04/viv_bioformats-zarr",
        "ome_zarr_04/zarr-java_ome_v0.4",
        "ome_zarr_04/zarr-java_ome_v0.4_hcs",
        "ome_zarr_05/neuroglancer_simple_0.5",
        "ome_zarr_05/zarr-java_ome_v0.5_hcs",
        "zarr_v2/n5-zarr_dimensionOrder.zarr",
        "zarr_v3/zarrs_array_write_read",
    ],
)
def test_halves_of_real_stores_open_with_the_same_voxels(fixtures_folder: Path, tmp_path: Path, unit: str) -> None:
    source = fixtures_folder / unit
    found = walk(source)
    chosen = choose_halves(found)
    store(source, tmp_path, found, chosen)
    for choice in chosen:
        path = choice.array.path
        expected = np.asarray(zarr.open_array(source / path, mode="r")[...])[slices(choice.hull)]
        np.testing.assert_array_equal(zarr.open_array(tmp_path / path, mode="r")[...], expected)
    images = [item for item in found if isinstance(item, MultiscaleDescription)]
    again = {item.path: item for item in walk(tmp_path) if isinstance(item, MultiscaleDescription)}
    assert set(again) == {item.path for item in images}


def test_a_sharded_real_store_is_taken_whole(fixtures_folder: Path, tmp_path: Path) -> None:
    source = fixtures_folder / "zarr_v3/zarr-java_shard_index_start"
    found = walk(source)
    (array,) = (item for item in found if isinstance(item, ArrayDescription))
    assert store(source, tmp_path, found, [select_array(array)]) == {}
    np.testing.assert_array_equal(zarr.open_array(tmp_path, mode="r")[...], zarr.open_array(source, mode="r")[...])


# --- arrays alone, and consolidated metadata above them ---------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_that_are_not_chosen_leave_consolidated_metadata(tmp_path: Path, zarr_format: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    group = zarr.open_group(source, mode="w", zarr_format=zarr_format)  # type: ignore[arg-type]  # 2 or 3
    for name in ("em/raw", "em/other", "masks/nuclei"):
        array = group.create_array(name, shape=(8, 8), chunks=(4, 4), dtype="u1")
        array[...] = np.arange(64, dtype="u1").reshape(8, 8)
    zarr.consolidate_metadata(source, zarr_format=zarr_format)  # type: ignore[arg-type]  # 2 or 3
    found = walk(source, ("em/raw",))
    chosen = [select_array(item, box=Box((4, 0), (8, 4))) for item in found if isinstance(item, ArrayDescription)]
    store(source, target, found, chosen)

    opened = zarr.open_group(target, mode="r", use_consolidated=True)
    assert sorted(name for name, _ in opened.members(max_depth=None)) == ["em", "em/raw"]
    np.testing.assert_array_equal(zarr.open_array(target / "em/raw")[...], np.arange(64).reshape(8, 8)[4:, :4])


def test_groups_that_hold_nothing_leave_the_lists(tmp_path: Path) -> None:
    volume = Pyramid(levels=1, shape=(8, 16, 16))
    for path in ("A/1/0", "A/1/1", "B/2/0"):
        volume.write(tmp_path / path)
    (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
    (tmp_path / "A/1/.zgroup").write_text('{"zarr_format": 2}')
    wells = [{"path": "A/1", "rowIndex": 0}, {"path": "B/2", "rowIndex": 1}]
    (tmp_path / ".zattrs").write_text(json.dumps({"plate": {"name": "p", "wells": wells}, "labels": ["ours"]}))
    images = {"well": {"images": [{"path": "0"}, {"path": "1"}], "version": "0.4"}}
    (tmp_path / "A/1/.zattrs").write_text(json.dumps(images))
    found = walk(tmp_path, ("A/1/0",))
    chosen = select_image(image_of(found, "A/1/0"))
    changed = {item.key: json.loads(item.data) for item in rewrite(wanted_documents(found, chosen), chosen)}
    assert changed == {
        ".zattrs": {"plate": {"name": "p", "wells": [wells[0]]}, "labels": ["ours"]},
        "A/1/.zattrs": {"well": {"images": [{"path": "0"}], "version": "0.4"}},
    }


def test_labels_and_series_name_what_is_there(tmp_path: Path) -> None:
    volume = Pyramid(levels=1, shape=(8, 16, 16))
    for path in ("0", "1", "0/labels/cells", "0/labels/nuclei"):
        volume.write(tmp_path / path)
    for path, text in (
        ("", {"bioformats2raw.layout": 3}),
        ("OME", {"series": ["0", "1"]}),
        ("0/labels", {"labels": ["cells", "nuclei"]}),
    ):
        (tmp_path / path).mkdir(exist_ok=True)
        (tmp_path / path / ".zgroup").write_text('{"zarr_format": 2}')
        (tmp_path / path / ".zattrs").write_text(json.dumps(text))
    found = walk(tmp_path)
    chosen = [*select_image(image_of(found, "0")), *select_image(image_of(found, "0/labels/nuclei"))]
    changed = {item.key: json.loads(item.data) for item in rewrite(wanted_documents(found, chosen), chosen)}
    assert changed["OME/.zattrs"] == {"series": ["0"]}
    assert changed["0/labels/.zattrs"] == {"labels": ["nuclei"]}
    assert "multiscales" not in changed["0/labels/cells/.zattrs"]
    assert "omero" not in changed["0/labels/cells/.zattrs"]
    assert "0/.zattrs" not in changed


# --- positions in unusual words ---------------------------------------------------------------------------------


def placed(tmp_path: Path, transforms: object, image: dict[str, Any] | None = None) -> list[dict[str, Any]] | None:
    """Transforms of a level cropped at (8, 16, 0), written as `transforms` before."""
    Pyramid(levels=1, chunks=(8, 16, 16)).write(tmp_path)
    text = json.loads((tmp_path / ".zattrs").read_bytes())
    entry = text["multiscales"][0]
    entry["datasets"][0]["coordinateTransformations"] = transforms
    entry.update(image or {})
    (tmp_path / ".zattrs").write_text(json.dumps(text))
    found = walk(tmp_path)
    chosen = select_image(image_of(found), box=Box((8, 16, 0), (9, 17, 1)))
    changed = {item.key: json.loads(item.data) for item in rewrite(wanted_documents(found, chosen), chosen)}
    if ".zattrs" not in changed:
        return None
    result: list[dict[str, Any]] = changed[".zattrs"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    return result


SCALE = {"type": "scale", "scale": [2, 3, 4]}


def test_a_level_without_translation_gets_one(tmp_path: Path) -> None:
    assert placed(tmp_path, [SCALE]) == [SCALE, {"type": "translation", "translation": [16.0, 48.0, 0.0]}]


def test_the_last_translation_takes_up_the_offset(tmp_path: Path) -> None:
    first = {"type": "translation", "translation": [1, 1, 1]}
    last = {"type": "translation", "translation": [5, 5, 5], "note": "kept"}
    tail = {"type": "scale", "scale": [10, 10, 10]}
    assert placed(tmp_path, [first, SCALE, last, tail]) == [
        first,
        SCALE,
        {"type": "translation", "translation": [21.0, 53.0, 5.0], "note": "kept"},
        tail,
    ]


def test_a_level_placed_by_its_image_alone_gets_a_scale_and_a_translation(tmp_path: Path) -> None:
    shared = {"coordinateTransformations": [SCALE]}
    assert placed(tmp_path, None, shared) == [
        {"type": "scale", "scale": [1.0, 1.0, 1.0]},
        {"type": "translation", "translation": [8.0, 16.0, 0.0]},
    ]


def test_a_level_nobody_placed_stays_so(tmp_path: Path) -> None:
    assert placed(tmp_path, None, {"version": "0.2", "axes": None}) is None


def test_positions_of_unknown_versions_are_not_guessed(tmp_path: Path) -> None:
    Pyramid().write(tmp_path)
    text = json.loads((tmp_path / ".zattrs").read_bytes())
    text["multiscales"][0]["version"] = "0.6.dev3"
    (tmp_path / ".zattrs").write_text(json.dumps(text))
    found = walk(tmp_path)
    arrays = [item for item in found if isinstance(item, ArrayDescription)]
    whole = [select_array(item) for item in arrays]
    assert rewrite(wanted_documents(found, whole), whole) == ()
    with pytest.raises(SourceError, match=r"0\.6\.dev3 cannot be rewritten") as failure:
        rewrite(wanted_documents(found, whole[:1]), whole[:1])
    assert failure.value.kind is ErrorKind.NOT_BUILT


def test_literals_that_json_does_not_know_come_back_as_they_were(tmp_path: Path) -> None:
    Pyramid().write(tmp_path)
    text = (tmp_path / ".zattrs").read_text()
    (tmp_path / ".zattrs").write_text(text.replace('"it is"', "[NaN, -Infinity, 123456789012345678901234567890]"))
    found = walk(tmp_path)
    chosen = select_image(image_of(found), scales=(0,))
    (changed,) = rewrite(wanted_documents(found, chosen), chosen)
    compact = "".join(changed.data.decode().split())
    assert '"kept":{"as":[NaN,-Infinity,123456789012345678901234567890]}' in compact


def test_broken_documents_are_named(tmp_path: Path) -> None:
    Pyramid(consolidated=True).write(tmp_path)
    (tmp_path / ".zmetadata").write_text("{")
    found = walk(tmp_path)
    chosen = select_image(image_of(found), scales=(0,))
    with pytest.raises(FormatError, match=r"^\.zmetadata: expected a JSON object"):
        rewrite(wanted_documents(found, chosen), chosen)


@pytest.mark.parametrize("text", ["{}", '{"metadata": []}'])
def test_consolidated_metadata_without_content_stays(tmp_path: Path, text: str) -> None:
    Pyramid(consolidated=True).write(tmp_path)
    (tmp_path / ".zmetadata").write_text(text)
    found = walk(tmp_path)
    chosen = select_image(image_of(found), scales=(0,))
    assert [item.key for item in rewrite(wanted_documents(found, chosen), chosen)] == [".zattrs"]


def test_other_documents_are_let_alone() -> None:
    assert rewrite({"OME/METADATA.ome.xml": b"<OME/>"}, []) == ()
