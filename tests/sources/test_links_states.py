"""States of Neuroglancer viewers: layers become datasets, and nothing in a state is believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from emasync.errors import FormatError, InputError
from emasync.sources.links.interface import Reading
from emasync.sources.links.neuroglancer import to_json
from emasync.sources.links.reading import read_link
from emasync.sources.links.viewer_state import MAX_LAYERS, read_state

HEMIBRAIN = "gs://neuroglancer-janelia-flyem-hemibrain"
STATE = {
    "dimensions": {"x": [8e-09, "m"], "y": [8e-09, "m"], "z": [8e-09, "m"]},
    "position": [17213.5, 19862.5, 20697.5],
    "layers": [
        {"type": "image", "source": f"precomputed://{HEMIBRAIN}/emdata/clahe_yz/jpeg", "name": "emdata"},
        {
            "type": "segmentation",
            "source": {"url": f"precomputed://{HEMIBRAIN}/v1.2/segmentation", "subsources": {"default": True}},
            "name": "seg (v1.2)",
            "visible": False,
        },
        {"type": "annotation", "source": f"precomputed://{HEMIBRAIN}/v1.0/synapses", "name": "synapse"},
        {"type": "image", "source": "graphene://https://minnie.microns-daf.com/table/x", "name": "proofread"},
    ],
}


def link(state: Any) -> str:
    return f"https://neuroglancer-demo.appspot.com/#!{quote(json.dumps(state))}"


def layers(*sources: Any, kind: str = "image") -> dict[str, Any]:
    return {"layers": [{"type": kind, "name": f"l{number}", "source": source} for number, source in enumerate(sources)]}


def read(state: Any) -> Reading:
    found = read_link(link(state))
    assert isinstance(found, Reading)
    return found


def entries(state: Any) -> list[dict[str, Any]]:
    return [dict(draft.entry) for draft in read(state).drafts]


def test_layers_become_datasets_and_the_rest_is_told() -> None:
    found = read(STATE)

    assert [dict(draft.entry) for draft in found.drafts] == [
        {"source": "bucket", "url": f"{HEMIBRAIN}/emdata/clahe_yz/jpeg", "format": "precomputed"},
        {"source": "bucket", "url": f"{HEMIBRAIN}/v1.2/segmentation", "format": "precomputed", "role": "labels"},
    ]
    assert [draft.name for draft in found.drafts] == ["emdata", "seg (v1.2)"]
    (note,) = found.notes
    assert "'proofread'" in note
    assert "service" in note
    assert "hidden in the view" in found.drafts[1].comments[0]


def test_the_view_is_suggested_as_a_crop_in_z_y_x() -> None:
    comments = "\n".join(read(STATE).drafts[0].comments)

    assert "z, y, x = 20698, 19862, 17214" in comments
    assert "8 x 8 x 8 nm" in comments
    assert "crop: {start: [20569, 19734, 17085], shape: [256, 256, 256], scale: 0}" in comments
    assert not [text for text in read(STATE).drafts[1].comments if "crop" in text]


def test_older_states_have_position_and_voxels_elsewhere() -> None:
    pose = {"position": {"voxelSize": [5, 5, 45], "voxelCoordinates": [54746.8, 26999.7, 16946.5]}}
    state = {**layers("precomputed://gs://neuroglancer/zfish_v1/image"), "navigation": {"pose": pose}}

    comments = "\n".join(read(state).drafts[0].comments)

    assert "z, y, x = 16946, 27000, 54747, in voxels of 45 x 5 x 5 nm" in comments


@pytest.mark.parametrize(
    "bent",
    [
        {"dimensions": {"x": [8e-09, "m"]}, "position": [1]},
        {"dimensions": {"x": [8e-09, "m"], "y": [1, ""], "z": [8e-09, "m"]}, "position": [1, 2, 3]},
        {"dimensions": [], "position": {}},
        {"dimensions": {"x": "m", "y": None, "z": []}, "position": ["a", "b", "c"]},
        {"dimensions": STATE["dimensions"], "position": [float("inf"), 1, 2]},
        {"navigation": [1]},
        {"navigation": {"pose": {"position": {"voxelSize": "x", "voxelCoordinates": None}}}},
        {},
    ],
)
def test_a_view_that_makes_no_sense_is_no_suggestion(bent: dict[str, Any]) -> None:
    found = read_state(json.dumps({**layers("precomputed://gs://b1b/x"), **bent}).encode(), "state")

    assert found.drafts[0].comments == ("layer 'l0'",)


@pytest.mark.parametrize(
    ("source", "url", "form"),
    [
        ("precomputed://https://host.org/em/", "https://host.org/em", "precomputed"),
        ("precomputed://https://bucket.s3.amazonaws.com/em", "s3://bucket/em", "precomputed"),
        ("zarr://s3://bucket/x.zarr/em/", "s3://bucket/x.zarr/em/", "zarr"),
        ("zarr3://gs://bucket/x#a=b", "gs://bucket/x", "zarr"),
        ("n5://https://storage.googleapis.com/bucket/x.n5/em", "gs://bucket/x.n5/em", "n5"),
        ("s3://bucket/x.zarr/|zarr2:", "s3://bucket/x.zarr/", "zarr"),
        ("gs://bucket/x|neuroglancer-precomputed:#type=mesh", "gs://bucket/x", "precomputed"),
        ("zarr://s3+https://s3.embl.de/bucket/x.zarr", "https://s3.embl.de/bucket/x.zarr", "zarr"),
        ({"url": "zarr://s3://bucket/x"}, "s3://bucket/x", "zarr"),
        ([{"url": "zarr://s3://bucket/x"}], "s3://bucket/x", "zarr"),
        ("gs://bucket/found/out", "gs://bucket/found/out", None),
    ],
)
def test_spellings_of_sources(source: Any, url: str, form: str | None) -> None:
    (entry,) = entries(layers(source))

    assert entry["url"] == url
    assert entry.get("format") == form


def test_one_place_in_several_layers_is_one_dataset() -> None:
    assert len(entries(layers("zarr://s3://bucket/x", "s3://bucket/x|zarr3:"))) == 1


def test_a_layer_of_several_sources_is_several_datasets() -> None:
    assert len(entries(layers(["zarr://s3://bucket/x", {"url": "zarr://s3://bucket/y"}, 7, {}]))) == 2


def test_layers_by_name_and_archived_layers() -> None:
    named = {"layers": {"em": {"type": "image", "source": "precomputed://gs://b1b/em"}, "odd": 3}}
    assert [draft.name for draft in read(named).drafts] == ["em"]
    archived = layers("zarr://s3://bucket/x", "zarr://s3://bucket/y")
    archived["layers"][1]["archived"] = True
    assert len(entries(archived)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "precomputed://file:///etc",
        "zarr:///etc",
        "zarr://../x",
        "zarr://https://me:secret@host.org/x",
        "zarr://https://host.org/x?X-Amz-Signature=secret|zarr:",
        "precomputed://middleauth+https://host.org/x",
        "dvid://https://host.org/x",
        "s3://bucket/x.zip|zip:inner|zarr:",
        "s3://bucket/x|weird stuff",
        "local://annotations",
        "javascript:alert(1)",
        "",
        None,
        {"url": 7},
        [[]],
    ],
)
def test_sources_that_are_refused(source: Any) -> None:
    with pytest.raises(InputError) as caught:
        read(layers(source))

    assert "no layer can be fetched" in caught.value.message
    assert "secret" not in caught.value.message


def test_one_bad_layer_does_not_take_the_others_with_it() -> None:
    found = read(layers("precomputed://file:///etc", "zarr://s3://bucket/x"))

    assert len(found.drafts) == len(found.notes) == 1


@pytest.mark.parametrize("text", ["{", "{'layers':[", "[1]", '"x"', "{}", '{"layers": 3}', "nonsense", ""])
def test_states_that_are_none(text: str) -> None:
    with pytest.raises((InputError, FormatError)):
        read_link(f"https://host.org/#!{text}")


def test_states_are_bounded() -> None:
    many = {"layers": [{"type": "image", "source": "zarr://s3://bucket/x"}] * (MAX_LAYERS + 1)}
    with pytest.raises(FormatError, match="1,001 layers"):
        read_state(json.dumps(many).encode(), "state")
    with pytest.raises(FormatError, match="nested deeper"):
        read_state(("[" * 200 + "]" * 200).join(('{"layers": ', "}")).encode(), "state")
    with pytest.raises(FormatError, match="at most"):
        read_state(b" " * ((16 << 20) + 1), "state")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a':[1_2&3,4]}", {"a": [1, 2, 3, 4]}),
        ("{'it\\'s_':'a_b&c'}", {"it's_": "a_b&c"}),
        ('{\'say "hi"\':"it\'s"}', {'say "hi"': "it's"}),
        ("{\"a_b\":'c\\n\\\\'_'d':1}", {"a_b": "c\n\\", "d": 1}),
    ],
)
def test_json_as_it_is_spelled_for_urls(text: str, value: Any) -> None:
    assert json.loads(to_json(text)) == value


def test_a_state_spelled_for_urls_and_an_added_one() -> None:
    text = "{'layers':[{'type':'image'_'name':'a_b'_'source':'zarr://s3://bucket/x'}]}"

    for mark in ("#!", "#!+"):
        found = read_link(f"https://host.org/{mark}{text}")
        assert isinstance(found, Reading)
        assert found.drafts[0].name == "a_b"


@pytest.mark.parametrize("hostile", ["'" * 200_001, "\\'" * 100_000, "'" + "\\" * 200_001, '"' + "\\'" * 100_000])
def test_strings_that_do_not_end_are_read_once(hostile: str) -> None:
    assert len(to_json(hostile)) >= 100_000


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "middleauth+https://host.org/x", "ftp://host.org/x", "data://x"]
)
def test_states_are_read_from_the_network_only(address: str) -> None:
    with pytest.raises(InputError, match="gs, s3, http and https"):
        read_link(f"https://host.org/#!{address}")


def test_the_state_of_the_hemibrain() -> None:
    payload = Path(__file__).resolve().parents[2].parent / "shared/reference/payloads/hemibrain"
    path = payload / "hemibrain_ng_state.synthetic.json"
    if not path.is_file():
        pytest.skip(f"no {path}")

    found = read_state(path.read_bytes(), "state")

    assert [(draft.name, draft.entry.get("role", "image")) for draft in found.drafts] == [
        ("emdata", "image"),
        ("segmentation", "labels"),
        ("roi", "labels"),
        ("mito", "labels"),
        ("mask", "labels"),
    ]


def test_sources_inside_of_layers_are_bounded() -> None:
    with pytest.raises(FormatError, match="1,000 sources"):
        read_state(json.dumps(layers([f"zarr://s3://bucket/{number}" for number in range(1_001)])).encode(), "state")
    with pytest.raises(FormatError, match="1,000 sources"):
        read_state(json.dumps(layers([f"dvid://{number}" for number in range(1_001)])).encode(), "state")
