"""What sources tell of recordings before anything is fetched: names, records and sidecars, and no guesses.

Trap numbers are those of aind.md and dandi.md.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from emasync.model.globs import Selection
from emasync.model.location import Location
from emasync.sources.aind_recorded import recorded_by
from emasync.sources.aind_tree import AssetTree
from emasync.sources.dandi_recorded import recorded_of
from emasync.sources.interface import Recorded
from emasync.sources.moments import wall_clock
from emasync.sources.walk import BucketTree
from emasync.testing.fetcher import MemoryFetcher

AT = datetime(2023, 3, 31, 14, 47, 36)  # noqa: DTZ001 - local, as told


async def of_asset(name: str, **sidecars: Any) -> tuple[Recorded, int]:
    """What is told, and for how many requests (Any: JSON)."""
    objects = {f"s3://b/{name}/{key}.json": json.dumps(value).encode() for key, value in sidecars.items()}
    fetcher = MemoryFetcher({**objects, f"s3://b/{name}/data/x": b"x"})
    tree = AssetTree(BucketTree(fetcher, Location("s3", "b", name)), Selection())
    assert await tree.open()
    fetcher.log.clear()
    return await recorded_by(name, tree), len(fetcher.log)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "ecephys_655565_2023-03-31_14-47-36",
            Recorded(subject="655565", started=AT, platform="ecephys", ex_vivo=False),
        ),
        (
            "exaSPIM_655565_2023-03-31_14-47-36",
            Recorded(subject="655565", started=AT, platform="exaSPIM", ex_vivo=True),
        ),
        (
            "ecephys_655565_2023-03-31_14-47-36_sorted_2023-06-01_10-11-12",
            Recorded(
                subject="655565",
                started=AT,
                platform="ecephys",
                ex_vivo=False,
                derived="sorted_2023-06-01_10-11-12",
            ),
        ),
        (
            "HCR_732195-ROI2-cell1_2023-03-31_14-47-36",
            Recorded(subject="732195", specimen="ROI2-cell1", started=AT, platform="HCR", ex_vivo=True),
        ),
    ],
)
async def test_names_that_tell_all_cost_nothing(name: str, expected: Recorded) -> None:
    assert await of_asset(name, data_description={"subject_id": "other"}) == (expected, 0)


@pytest.mark.parametrize(
    ("description", "ex_vivo", "platform"),
    [
        ({"modalities": [{"name": "Selective plane", "abbreviation": "SPIM"}]}, True, "SPIM"),
        ({"modality": [{"abbreviation": "ecephys"}, {"abbreviation": "behavior"}]}, False, "ecephys"),
        ({"platform": {"abbreviation": "FIP"}, "modality": None}, False, "FIP"),
        ({"modality": "behavior-videos"}, False, "behavior-videos"),
        ({"modalities": [{"abbreviation": "fib"}]}, False, "fib"),  # fibre photometry, no ion beam
        ({"modalities": [{"abbreviation": "MRI"}]}, None, "MRI"),
        ({"modalities": [{"abbreviation": "SPIM"}, {"abbreviation": "ecephys"}]}, None, "SPIM"),
        ({"modalities": [None, 7, {}]}, None, None),
        ({}, None, None),
        ([], None, None),
    ],
)
async def test_newer_names_leave_the_platform_to_the_sidecars(
    description: Any, ex_vivo: bool | None, platform: str | None
) -> None:
    told, requests = await of_asset("655565_2023-03-31_14-47-36", data_description=description)
    assert told == Recorded(subject="655565", started=AT, platform=platform, ex_vivo=ex_vivo)
    assert requests == 1


@pytest.mark.parametrize(
    ("sidecars", "started"),
    [
        ({"session": {"session_start_time": "2023-03-31T14:47:36.5-07:00"}}, AT),
        ({"acquisition": {"session_start_time": "2023-03-31T14:47:36Z"}}, AT),
        ({"acquisition": {"acquisition_start_time": "2023-03-31T14:47:36"}}, AT),
        (
            {"session": {"session_start_time": None}, "acquisition": {"acquisition_start_time": "2023-03-31 14:47:36"}},
            AT,
        ),
        ({"session": {"session_start_time": "31.3.2023"}}, None),
        ({"session": {"session_start_time": 1680274056}}, None),
        ({}, None),
    ],
)
async def test_names_that_tell_nothing(sidecars: dict[str, Any], started: datetime | None) -> None:
    told, _ = await of_asset("session-7", subject={"subject_id": "655565"}, **sidecars)
    assert told == Recorded(subject="655565", started=started)


async def test_a_name_with_a_day_that_never_was() -> None:
    told, _ = await of_asset("ecephys_655565_2023-02-31_14-47-36", session={"session_start_time": AT.isoformat()})
    assert told.started == AT


async def test_a_broken_sidecar_tells_nothing() -> None:
    fetcher = MemoryFetcher({"s3://b/655565_2023-03-31_14-47-36/data_description.json": b"{broken"})
    tree = AssetTree(BucketTree(fetcher, Location("s3", "b", "655565_2023-03-31_14-47-36")), Selection())
    assert await tree.open()
    assert (await recorded_by("655565_2023-03-31_14-47-36", tree)).ex_vivo is None


# --- DANDI --------------------------------------------------------------------------------------------------------

SESSION = {"schemaKey": "Session", "startDate": "2023-03-31T14:47:36.123456-08:00"}
MOUSE = {"schemaKey": "Participant", "identifier": "12"}


@pytest.mark.parametrize(
    ("path", "activities", "agents", "expected"),
    [
        (
            "sub-12/sub-12_ses-a-b_ecephys.nwb",
            [SESSION],
            [],
            Recorded(subject="sub-12", session="a-b", started=AT, ex_vivo=False),
        ),
        ("x.nwb", [SESSION, SESSION], [MOUSE], Recorded(subject="sub-12", started=AT, ex_vivo=False)),
        ("x.nwb", [], [MOUSE, {**MOUSE, "identifier": "13"}], Recorded(ex_vivo=False)),
        ("x.nwb", [SESSION, {**SESSION, "startDate": "2023-03-31T15:00:00"}], None, Recorded(ex_vivo=False)),
        ("x.nwb", [{**SESSION, "schemaKey": "Project"}, None, 1], "odd", Recorded(ex_vivo=False)),
        ("x.nwb", {"schemaKey": "Session"}, [{"schemaKey": "Participant"}], Recorded(ex_vivo=False)),
        (
            "sub-I48/ses-SPIM/micr/sub-I48_ses-SPIM_sample-Br44_chunk-01_SPIM.ome.zarr",
            None,
            None,
            Recorded(subject="sub-I48", session="SPIM", specimen="Br44", ex_vivo=True),
        ),
    ],
)
def test_assets_of_dandi(path: str, activities: Any, agents: Any, expected: Recorded) -> None:
    assert recorded_of(path, activities, agents) == expected


def test_a_zone_is_kept_out_and_not_applied() -> None:
    """Trap 12 of aind.md, trap 2 of nwb.md: days in names are local ones."""
    assert wall_clock("2016-02-18T23:59:59.9-08:00") == datetime(2016, 2, 18, 23, 59, 59)  # noqa: DTZ001
    assert wall_clock("2016-13-18T23:59:59") is None
    assert wall_clock(None) is None
