"""Whatever documents and headers say: described, bounded, noted; and nothing else in the dataset is worse for it."""

from __future__ import annotations

import copy
import io
import json
import math
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hooks.metadata.desk import Content, described
from tests.hooks.metadata.tables import Root, values, vector
from tests.hooks.metadata.test_bad_values import ngff
from tests.hooks.metadata.test_extractors import mp4, mrc

from emasync.hooks.metadata.claims import MAX_ITEMS, MAX_TEXT
from emasync.hooks.metadata.fields import BY_NAME
from emasync.testing.empiar import retina

LENGTH = {"Value": 0.02, "Unit": "MICROMETER"}
SCALE = {"type": "scale", "scale": ["0.748", 0.748, 1]}
DOCUMENTS: dict[str, Any] = {
    "aind/data_description.json": {
        "name": "n",
        "license": "CC-BY-4.0",
        "institution": {"name": "i"},
        "investigators": [{"name": "a"}],
        "modality": [{"name": "SPIM"}],
        "related_data": [{"related_data_path": "x"}],
        "source_data": ["y"],
    },
    "aind/subject.json": {
        "subject_id": "1",
        "sex": "Male",
        "species": {"name": "Mus musculus", "registry_identifier": "10090"},
        "subject_details": {"strain": {"name": "C57BL/6J"}, "species": {"name": "m"}, "date_of_birth": "2020-01-01"},
    },
    "aind/procedures.json": {"subject_procedures": [{"procedures": [{"procedure_type": "p"}]}], "injections": [{}]},
    "aind/acquisition.json": {
        "acquisition_start_time": "2024-01-01T00:00:00",
        "axes": [{"unit": "micrometer"}],
        "tiles": [
            {"file_name": "a.ims", "channel": {"channel_name": "488"}, "coordinate_transformations": [SCALE]},
            {"file_name": "b.ims", "coordinate_transformations": [{"type": "scale", "scale": [1, 2, 3]}]},
        ],
        "data_streams": [{"configurations": [{"images": [{"image_to_acquisition_transform": [SCALE]}]}]}],
        "voxel_size_um": {"before": [1, 2, 3]},
        "channels": [488],
    },
    "aind/processing.json": {"processing_pipeline": {"data_processes": [{"name": "s"}]}},
    "nd/metadata.nd.json": {"subject": {"subject_id": "2"}, "acquisition": {"tiles": [{}]}, "rig": None},
    "bids/dataset_description.json": {
        "Name": "n",
        "Authors": ["a"],
        "ReferencesAndLinks": ["10.1/x"],
        "License": "CC0",
    },
    "bids/sub-1/a.json": {
        "PixelSize": [1, 2],
        "PixelSizeUnits": "um",
        "SamplingFrequency": 30000,
        "ChannelName": ["c"],
    },
    "rec/binary.json": {
        "version": "0.1",
        "kwargs": {
            "file_paths": ["t.raw"],
            "num_channels": 4,
            "dtype": "<i2",
            "sampling_frequency": 30000.0,
            "file_offset": 0,
            "channel_ids": [1, 2],
        },
    },
    "rec/probe.json": {"probes": [{"annotations": {"name": "p"}}]},
    "n5/attributes.json": {
        "dimensions": [4, 4, 4],
        "blockSize": [4, 4, 4],
        "dataType": "uint8",
        "compression": {"type": "gzip"},
        "pixelResolution": {"dimensions": [1, 2, 3], "unit": "nm"},
    },
    "pre/info": {
        "type": "image",
        "data_type": "uint8",
        "num_channels": 1,
        "scales": [
            {"chunk_sizes": [[4, 4, 4]], "resolution": [8, 8, 8], "size": [4, 4, 4], "key": "8", "encoding": "raw"}
        ],
    },
}
DOCUMENTS |= {f"zarr/{path}": value for path, value in ngff([8, 4, 4], omero={"channels": [{"label": "l"}]}).items()}
KEPT: dict[str, Any] = {
    "dandi/dandiset.json": {
        "identifier": "DANDI:1",
        "license": ["spdx:CC-BY-4.0"],
        "contributor": [{"schemaKey": "Person", "name": "p"}],
        "relatedResource": [{"identifier": "10.1/x"}],
        "assetsSummary": {"species": [{"name": "Human"}], "measurementTechnique": [{"name": "t"}]},
    },
    "dandi/assets-00001.json": [
        {
            "path": "x.tif",
            "metadata": {
                "wasAttributedTo": [{"schemaKey": "Participant", "identifier": "a", "age": {"value": "P1D"}}],
                "wasGeneratedBy": [{"schemaKey": "Session", "used": [{"name": "p"}]}],
                "wasDerivedFrom": [{"sampleType": {"name": "cell"}}],
                "digest": {"dandi:dandi-zarr-checksum": "x"},
                "approach": [{"name": "a"}],
            },
        }
    ],
    "empiar/EMPIAR-1.json": {
        "EMPIAR-1": {
            "title": "t",
            "authors": [{"author": {"name": "a"}}],
            "imagesets": [{"directory": "d", "image_width": "5", "pixel_width": 80.0, "voxel_type": "BIT"}],
            "citation": [{"doi": "10.1/x"}],
        }
    },
    "idr/image-1.json": {
        "data": {"@id": 1, "AcquisitionDate": 5, "Pixels": {"SizeX": 5, "PhysicalSizeX": LENGTH, "Channels": [{}]}}
    },
    "idr/imgData-1.json": {"size": {"width": 5}, "pixel_size": {"x": 0.1}},
    "idr/annotations-1.json": {"annotations": [{"values": [["Organism", "o"], ["License", "l"]]}]},
    "idr/original_file_paths-1.json": {"client": ["uod/idr/filesets/x.tif"]},
    "registry/a.yaml": {"Name": "n", "DataAtWork": {"Publications": [{"URL": "10.1/x"}]}, "License": "CC0"},
    "tiles/survey.json": {"version": 1, "documents": {"a.zarr/.zarray": json.dumps(ngff([1, 1, 1])["0/.zarray"])}},
    "headers/h.tif.ranges.json": {
        "version": 1,
        "location": "https://x",
        "size_bytes": 9,
        "ranges": [{"start": 0, "stop": 9, "at": 0}],
    },
    "headers/series.json": {"version": 1, "pattern": "p", "files": 3},
}
XML = b"""<entry xmlns="http://pdbe.org/empiar"><admin><title>t</title><entryDOI>10.6019/E</entryDOI></admin><imageSet>
<directory>/d</directory><dimensions><imageWidth>5</imageWidth><pixelWidth units="nm">8</pixelWidth></dimensions>
</imageSet></entry>"""
TABLE = b"participant_id\tspecies\tsex\tage\tsample_id\nsub-1\tMus musculus\tM\t3\ts\n"

SAID: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 10**400, -(2**63), 1e300, -8.0, math.nan, math.inf, "", "0.748", "1e999", "NaN", "1,5"),
    *("\ud800", "x" * 5000, "=1+1", "\x00\u202e", [], {}, [[]], [None] * 300, {"a": {"b": [{}]}}, "pixel", "###"),
)
"""What stands where something else is expected."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all members."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], said: Any) -> Any:
    """A document with something else at one place."""
    if not path:
        return said
    changed = copy.copy(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], said)
    return changed


def as_text(value: Any) -> bytes:
    """JSON, also of what has no place in it."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@st.composite
def odd(draw: st.DrawFn, documents: dict[str, Any]) -> dict[str, bytes]:
    """Documents, of which some say odd things, or are none."""
    found = {}
    for name, value in documents.items():
        how = draw(st.sampled_from(("fine", "said", "said", "said", "cut", "bytes")))
        if how == "said":
            for _ in range(draw(st.integers(1, 3))):
                path = draw(st.sampled_from(sorted(places(value), key=repr)))
                value = replaced(value, path, draw(st.sampled_from(SAID)))  # noqa: PLW2901 - said more than once
        data = as_text(value)
        found[name] = {"cut": data[: len(data) // 2], "bytes": draw(st.binary(max_size=30))}.get(how, data)
    return found


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Files of all kinds that are read here; HDF5 is read by a process of its own (``test_hdf5.py``)."""
    tiff, ome = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(tiff, np.zeros((3, 8, 8), np.uint8), imagej=True, metadata={"spacing": 0.5, "unit": "um"})
    tifffile.imwrite(ome, np.zeros((3, 8, 8), np.uint8), ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.1})
    return {
        "f/a.tif": tiff.getvalue(),
        "f/b.ome.tif": ome.getvalue(),
        "f/c.dm3": next(data for path, data in retina((8, 8), images=1).objects().items() if path.endswith(".dm3")),
        "f/d.mrc": mrc("<", (0.0, 1.0, 0.5), (40.0, 30.0, 20.0)),
        "f/e.mp4": mp4(),
        "f/g.xml": XML,
    }


FINE: dict[str, Content] = {f"fine/i.zarr/{path}": data for path, data in ngff([8, 4, 4]).items()}
FINE |= {"fine/subject.json": {"subject_id": "7", "sex": "F"}}


def looked_over(root: Root) -> None:
    """Everything that was written is bounded, and what is fine is described."""
    asset = root.asset("d", "fine/i.zarr")
    assert vector(asset["arrays"][0], "voxel_size_{}_nm") == [8.0, 4.0, 4.0]
    assert values(asset, "subject_id", "sex") == ["7", "female"]
    dataset = root.dataset("d")
    notes = [*dataset["notes"], *(note for one in dataset["assets"] for note in one["notes"])]
    assert not [note for note in notes if "please report" in note], notes
    for part in (dataset, *dataset["assets"], *(array for one in dataset["assets"] for array in one["arrays"])):
        told = [
            *part["fields"].items(),
            *((item["field"], one) for item in part["conflicts"] for one in item["others"]),
        ]
        for name, claim in told:
            bounded(name, claim)
    assert len(root.rows()) >= len(dataset["assets"])


def bounded(name: str, claim: dict[str, Any]) -> None:
    """One candidate: of its field's kind, finite, short; refused with a reason."""
    value, kind = claim["value"], BY_NAME[name].kind
    if value is None:
        assert claim["rejected"], name
        assert len(claim["original"]) < 400
    elif kind in ("integer", "number"):
        assert isinstance(value, int) if kind == "integer" else isinstance(value, int | float), (name, value)
        assert math.isfinite(value)
        assert abs(value) < 1 << 63 or kind == "number"
        assert not name.startswith("voxel_size") or 1e-4 <= value <= 1e10
    elif kind == "texts":
        assert len(value) <= MAX_ITEMS
        assert all(len(item) <= MAX_TEXT + 3 for item in value)
    elif kind == "text":
        assert len(value) <= MAX_TEXT + 3


IN_MANIFESTS = [value for value in SAID if repr(value) not in ("nan", "inf", repr("\ud800"), repr(10**400))]
"""What their schema lets through."""

CALM = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@CALM
@given(inside=odd({**DOCUMENTS, "bids/participants.tsv": TABLE}), kept=odd({**KEPT, "empiar/1.xml": XML}))
def test_documents_that_say_anything(
    inside: dict[str, bytes], kept: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any")
    beside = {"bids/sub-1/a.tif": b"", "rec/t.raw": bytes(80), "x.tif": b"", "tiles/x": b""}
    more: dict[str, Content] = {**kept, "headers/h.tif.ranges": b"II*\0\x08\0\0\0\0"}
    looked_over(described(path, {**beside, **inside, **FINE}, more))
    shutil.rmtree(path)


@CALM
@given(data=st.data())
def test_files_with_any_byte_changed(
    files: dict[str, bytes], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, changed = tmp_path_factory.mktemp("any"), {}
    for name, content in files.items():
        body = bytearray(content)
        for at in data.draw(st.lists(st.integers(0, min(len(body), 600) - 1), max_size=4)):
            body[at] = data.draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF, body[at] ^ 1)))
        changed[name] = bytes(body[: data.draw(st.sampled_from((len(body), len(body), len(body) // 2)))])
    looked_over(described(path, {**changed, **FINE}))
    shutil.rmtree(path)


@CALM
@given(
    said=st.dictionaries(
        st.sampled_from(sorted(BY_NAME)) | st.sampled_from(("axes", "voxel_size", "unit", "override", "other")),
        st.sampled_from(IN_MANIFESTS),
        max_size=8,
    )
)
def test_manifests_that_say_anything(said: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any")
    said = {name: value for name, value in said.items() if name not in ("subject_id", "sex")}
    if said.get("override"):
        said["override"] = "voxel_size"
    looked_over(described(path, FINE, metadata=said))
    shutil.rmtree(path)
