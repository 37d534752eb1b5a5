"""OME-NGFF images: axes, levels and places, as published and as real files have them."""

from __future__ import annotations

from typing import Any

import pytest

from emasync.errors import FormatError
from emasync.formats.interface import ArrayDescription, MultiscaleDescription
from emasync.formats.json_document import Field
from emasync.formats.zarr.group import node_type, ome_metadata, read_group
from emasync.formats.zarr.multiscales import describe_image, image_entries, known_version

AXES = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]


def array(path: str, shape: tuple[int, ...]) -> ArrayDescription:
    return ArrayDescription(path=path, format="zarr2", shape=shape, chunks=(64,) * len(shape), dtype="<i2")


def level(path: str, *transforms: dict[str, Any]) -> dict[str, Any]:
    return {"path": path, "coordinateTransformations": list(transforms)}


def scale(*values: float) -> dict[str, Any]:
    return {"type": "scale", "scale": list(values)}


def translation(*values: float) -> dict[str, Any]:
    return {"type": "translation", "translation": list(values)}


def describe(image: dict[str, Any], *shapes: tuple[int, ...], version: str = "0.4") -> MultiscaleDescription:
    (entry,), _ = image_entries(Field("em/.zattrs", "", {"multiscales": [image]}), "em", version)
    arrays = {item.number: array(item.path, shape) for item, shape in zip(entry.levels, shapes, strict=False)}
    return describe_image(entry, arrays, folder="em", documents={}, between={})


OPENORGANELLE: dict[str, Any] = {
    "axes": AXES,
    "coordinateTransformations": [scale(1.0, 1.0, 1.0)],
    "datasets": [
        level("s0", scale(2.96, 4.0, 4.0), translation(0.0, 0.0, 0.0)),
        level("s1", scale(5.92, 8.0, 8.0), translation(1.48, 2.0, 2.0)),
        level("s2", scale(11.840000000000002, 16.0, 16.0), translation(4.4399999999999995, 6.0, 6.0)),
    ],
    "metadata": None,
    "name": "",
    "type": None,
    "version": "0.4",
}


def test_an_openorganelle_image_with_its_nulls() -> None:
    image = describe(OPENORGANELLE, (564, 2520, 2596), (282, 1260, 1298), (141, 630, 649))
    assert (image.path, image.version, image.name, image.index) == ("em", "0.4", None, 0)
    assert [(axis.name, axis.type, axis.unit) for axis in image.axes] == [(n, "space", "nanometer") for n in "zyx"]
    assert [item.array.path for item in image.levels] == ["em/s0", "em/s1", "em/s2"]
    assert image.levels[2].transform.scale == (11.840000000000002, 16.0, 16.0)
    assert image.levels[1].transform.translation == (1.48, 2.0, 2.0)
    assert image.levels[0].array.axes == ("z", "y", "x")
    assert all(item.stated for item in image.levels)
    assert image.transform.scale == (1.0, 1.0, 1.0)


def test_transforms_are_composed_first_to_last() -> None:
    transforms = [scale(2, 2, 2), translation(1, 2, 3), {"type": "identity"}, scale(10, 10, 10)]
    image = describe({"axes": AXES, "datasets": [level("0", *transforms)]}, (8, 8, 8))
    assert image.levels[0].transform.scale == (20.0, 20.0, 20.0)
    assert image.levels[0].transform.translation == (10.0, 20.0, 30.0)


def test_the_images_own_transform_comes_after_the_levels() -> None:
    image = describe(
        {
            "axes": AXES,
            "datasets": [level("0", scale(2, 2, 2), translation(1, 1, 1))],
            "coordinateTransformations": [scale(10, 10, 10), translation(5, 5, 5)],
        },
        (8, 8, 8),
    )
    world = image.levels[0].transform.then(image.transform)
    assert (world.scale, world.translation) == ((20.0,) * 3, (15.0,) * 3)


def test_levels_without_an_array_are_left_out_and_keep_the_numbers() -> None:
    (entry,), _ = image_entries(Field("k", "", {"multiscales": [OPENORGANELLE]}), "em", "0.4")
    arrays = {1: array("em/s1", (282, 1260, 1298)), 2: array("em/s2", (141, 630, 649))}
    image = describe_image(entry, arrays, folder="em", documents={}, between={2: {"em/x/.zgroup": b"{}"}})
    assert [item.number for item in image.levels] == [1, 2]
    assert image.levels[1].documents == {"em/x/.zgroup": b"{}"}


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_old_versions_have_axes_in_one_order_and_no_places(version: str) -> None:
    image = {"version": version, "datasets": [{"path": "0"}, {"path": "1"}]}
    described = describe(image, (1, 3, 1, 167, 439), (1, 3, 1, 83, 219))
    assert [axis.name for axis in described.axes] == list("tczyx")
    assert [item.transform.scale for item in described.levels] == [(1.0,) * 5, (1.0, 1.0, 1.0, 2.0, 2.0)]
    assert not any(item.stated for item in described.levels)


def test_axes_of_version_0_3_are_names() -> None:
    image = describe({"version": "0.3", "axes": ["y", "x"], "datasets": [{"path": "0"}]}, (8, 0))
    assert [axis.name for axis in image.axes] == ["y", "x"]
    assert image.levels[0].transform.scale == (1.0, 1.0)


def test_a_version_is_looked_for_in_the_image_then_beside_it_then_assumed() -> None:
    def version(image: object, shared: object, default: str) -> str:
        ome = {"multiscales": [{"datasets": [{"path": "0"}], "version": image}], "version": shared}
        return image_entries(Field("k", "", ome), "", default)[0][0].version  # type: ignore[arg-type]  # json

    assert version("0.4", "0.5", "0.5") == "0.4"
    assert version(None, "0.5.2", "0.4") == "0.5.2"
    assert version(None, None, "0.4") == "0.4"
    assert version(0.4, None, "0.5") == "0.4"


@pytest.mark.parametrize("version", ["0.6", "0.6.dev3", "1.0", "0.4-rc", "", "nonsense"])
def test_unknown_versions_are_no_images(version: str) -> None:
    assert not known_version(version)
    if version:
        ome = {"multiscales": [{"coordinateSystems": [], "datasets": [{"path": "0"}]}], "version": version}
        assert image_entries(Field("k", "", ome), "", "0.5") == ((), (version,))  # type: ignore[arg-type]  # json


@pytest.mark.parametrize(
    ("image", "rule"),
    [
        ({"datasets": []}, "a multiscale image has 1 to 64 levels"),
        ({"datasets": [{"path": "0"}] * 65}, "a multiscale image has 1 to 64 levels"),
        ({"datasets": None}, r"multiscales\[0\]\.datasets is null; expected a list"),
        ({"datasets": [{"path": 0}]}, r"datasets\[0\]\.path is 0; expected a string"),
        ({"datasets": [{"path": ".."}]}, "no empty, absolute or dotted path"),
        ({"datasets": [{"path": "a/../../b"}]}, "no empty, absolute or dotted path"),
        ({"datasets": [{"path": ""}]}, "no empty, absolute or dotted path"),
        ({"datasets": [{"path": "a\\b"}]}, "no empty, absolute or dotted path"),
        ({"datasets": [{"path": "a\u0000b"}]}, "no empty, absolute or dotted path"),
        ({"axes": AXES[:2], "datasets": [level("0", scale(1, 1, 1))]}, "the arrays have 3 axes"),
        ({"axes": AXES, "datasets": [level("0", scale(1, 1))]}, "expected one number for each of the 3 axes"),
        ({"axes": AXES, "datasets": [level("0", scale(1, 1, float("nan")))]}, "expected a finite number"),
        ({"axes": AXES, "datasets": [level("0", {"type": "affine"})]}, "scale, translation and identity only"),
        ({"axes": AXES, "datasets": [level("0", {"type": "scale", "path": "s"})]}, "scale is null; expected a list"),
        ({"axes": [1, 2, 3], "datasets": [level("0")]}, r"axes\[0\] is 1; expected an object"),
    ],
)
def test_broken_images_name_key_and_rule(image: dict[str, Any], rule: str) -> None:
    with pytest.raises(FormatError, match=rule) as failure:
        describe(image, (8, 8, 8))
    assert failure.value.message.startswith("em/.zattrs: multiscales[0]")


def test_levels_of_one_image_have_its_axes() -> None:
    with pytest.raises(FormatError, match="em/1: array of 2 axes in an image of 3"):
        describe({"axes": AXES, "datasets": [level("0"), level("1")]}, (8, 8, 8), (4, 4))


def test_multiscales_must_be_a_list() -> None:
    with pytest.raises(FormatError, match=r"^k: multiscales is an object of 0 members; expected a list"):
        image_entries(Field("k", "", {"multiscales": {}}), "", "0.4")


# --- groups -----------------------------------------------------------------------------------------------------


def zattrs(folder: str, text: str) -> dict[str, bytes]:
    prefix = f"{folder}/" if folder else ""
    return {f"{prefix}.zgroup": b'{"zarr_format": 2}', f"{prefix}.zattrs": text.encode()}


def test_plates_take_precedence_and_name_their_wells() -> None:
    text = '{"plate": {"wells": [{"path": "A/1"}, {"path": "../x"}, {"path": 3}, 4]}, "bioformats2raw.layout": 3}'
    group = read_group("p", zattrs("p", text))
    assert (group.layout, group.children, group.numbered) == ("plate", ("p/A/1",), False)
    group = read_group("p/A/1", zattrs("p/A/1", '{"well": {"images": [{"path": "0"}, {"path": "1"}]}}'))
    assert (group.layout, group.children) == ("well", ("p/A/1/0", "p/A/1/1"))


def test_series_stand_in_the_ome_group_and_name_what_is_beside_it() -> None:
    assert read_group("f/OME", zattrs("f/OME", '{"series": ["0", "1"]}')).children == ("f/0", "f/1")
    group = read_group("f", zattrs("f", '{"bioformats2raw.layout": 3}'))
    assert (group.layout, group.numbered) == ("bioformats2raw", True)
    assert not read_group("f", zattrs("f", '{"bioformats2raw.layout": 3, "series": ["a"]}')).numbered


def test_labels_are_named() -> None:
    group = read_group("0/labels", zattrs("0/labels", '{"labels": ["cells"]}'))
    assert (group.layout, group.children) == ("labels", ("0/labels/cells",))


@pytest.mark.parametrize("text", ['{"plate": 5, "well": [], "labels": {"a": 1}, "series": "x"}', "{}"])
def test_attributes_of_other_people_are_let_alone(text: str) -> None:
    group = read_group("g", zattrs("g", text))
    assert (group.layout, group.children, group.images) == ("group", (), ())


def test_ome_stands_where_its_version_puts_it() -> None:
    for attributes in ('{"ome": {"a": 1}}', '{"a": 1}'):
        data = f'{{"zarr_format": 3, "node_type": "group", "attributes": {attributes}}}'.encode()
        assert ome_metadata("", {"zarr.json": data}).value == {"a": 1}
    assert ome_metadata("", {"zarr.json": b'{"zarr_format": 3, "node_type": "group"}'}).value == {}
    assert ome_metadata("", zattrs("", '{"a": 1}')).value == {"a": 1}
    assert ome_metadata("", {".zgroup": b'{"zarr_format": "2"}'}).value == {}


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b'{"zarr_format": 2, "node_type": "group"}', "zarr_format is 2; a zarr.json has zarr_format 3"),
        (b'{"zarr_format": "https://purl.org/zarr/spec/protocol/core/3.0"}', "a zarr.json has zarr_format 3"),
        (b'{"zarr_format": 3, "node_type": 42}', 'node_type is 42; node_type is "array" or "group"'),
        (b'{"zarr_format": 3}', "node_type is null"),
    ],
)
def test_broken_v3_nodes_name_the_rule(data: bytes, rule: str) -> None:
    with pytest.raises(FormatError, match=rule):
        node_type("a", data)


def test_a_zgroup_of_another_format_is_refused() -> None:
    with pytest.raises(FormatError, match=r"^g/\.zgroup: zarr_format is 3; a \.zgroup has zarr_format 2"):
        read_group("g", {"g/.zgroup": b'{"zarr_format": 3}'})
