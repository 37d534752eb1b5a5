"""Names of assets in flat buckets. Trap numbers are those of aind.md, and of pasteur_exaspim.md where they say so."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from emasync.manifest.archives import AssetFilter
from emasync.sources.aind_names import AssetName

REAL = [
    ("exaSPIM_654308_2023-11-02_14-07-20", "exaSPIM", "654308", None),
    ("795133_2026-02-10_11-06-18", None, "795133", None),
    ("804430_2025-11-26_23-41-33_processed_2025-12-20_09-52-41", None, "804430", "processed"),
    ("ecephys_699847_2024-04-17_12-12-44_dlc_face_2024-04-25_12-15-20", "ecephys", "699847", "dlc_face"),
    ("HCR_732195-ROI2-cell1_2024-06-15_06-00-00", "HCR", "732195-ROI2-cell1", None),
    ("motor-observatory_815175_2025-07-16_13-46-00", "motor-observatory", "815175", None),
    ("SmartSPIM-template_2024-05-16_11-26-14", None, "SmartSPIM-template", None),
    (
        "exaSPIM_747820_2024-12-09_12-59-02_alignment_2025-01-23_06-40-34",
        "exaSPIM",
        "747820",
        "alignment",
    ),
    (
        "SmartSPIM_658208_2023-02-05_13-42-31_stitched_2023-02-07_19-40-25",
        "SmartSPIM",
        "658208",
        "stitched",
    ),
    (
        "exaSPIM_653158_2023-06-01_20-41-38_fusion_2023-06-12_11-58-05",
        "exaSPIM",
        "653158",
        "fusion",
    ),
    ("exaspim_MOUSE001_2025-01-15_10-30-00", "exaspim", "MOUSE001", None),
    ("exaspim_MOUSE001_2025-01-15_10-30-00_stitched_2025-01-16_08-00-00", "exaspim", "MOUSE001", "stitched"),
]


@pytest.mark.parametrize(("name", "platform", "subject", "label"), REAL)
def test_trap_1_names_are_read_derived_before_raw(
    name: str, platform: str | None, subject: str, label: str | None
) -> None:
    asset = AssetName.parse(name)
    assert asset is not None
    assert (asset.platform, asset.subject, asset.label) == (platform, subject, label)
    assert asset.level == ("raw" if label is None else "derived")
    assert asset.acquired == name[name.index("_20") + 1 :][:19]


_MOMENT = r"\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}"
PUBLISHED = {
    "raw": re.compile(rf"^(?P<subject_id>.+?)_(?P<c_datetime>{_MOMENT})$"),
    "derived": re.compile(rf"^(?P<input>.+?_{_MOMENT})_(?P<process_name>.+?)_(?P<c_datetime>{_MOMENT})"),
}
"""Of ``aind-data-schema-models`` (``data_name_patterns.py``)."""


def test_trap_1_the_published_patterns_take_derived_data_for_raw() -> None:
    """Why there is one pattern here: by theirs every derived asset is a raw one too, of a subject that is none."""
    for name, _, subject, label in REAL:
        raw = PUBLISHED["raw"].match(name)
        assert raw is not None
        assert (PUBLISHED["derived"].match(name) is not None) is (label is not None)
        if label is not None:
            assert raw["subject_id"] != subject
            assert label in raw["subject_id"]


@pytest.mark.parametrize(
    "name",
    [
        "612962_2022-04-13_19-18-04_ProbeB",  # a session of the benchmark
        "795133_2026-02-10",
        "795133_2026-02-10_11-06-18\n",
        "795133_٢٠٢٦-02-10_11-06-18",
        "_2026-02-10_11-06-18",
        "ephys-compression",
        "",
    ],
)
def test_other_folders_are_no_assets(name: str) -> None:
    assert AssetName.parse(name) is None


def fits(name: str, **wanted: Any) -> bool:
    asset = AssetName.parse(name)
    assert asset is not None
    return asset.fits(AssetFilter.model_validate(wanted))


def test_pasteur_trap_3_platforms_are_compared_without_case() -> None:
    assert fits("exaspim_MOUSE001_2025-01-15_10-30-00", platform="exaSPIM")
    assert fits("exaSPIM_1_2025-01-15_10-30-00", platform="exaspim")
    assert not fits("SmartSPIM_1_2025-01-15_10-30-00", platform="exaSPIM")
    assert not fits("795133_2026-02-10_11-06-18", platform="exaSPIM"), "its name does not tell"


def test_pasteur_trap_4_subjects_may_have_letters() -> None:
    assert fits("exaspim_MOUSE001_2025-01-15_10-30-00", subject="MOUSE001")
    assert not fits("exaspim_MOUSE0011_2025-01-15_10-30-00", subject="MOUSE001")


def test_trap_12_days_are_local_and_taken_from_the_name() -> None:
    name = "795133_2026-02-10_23-59-59"
    assert fits(name, after="2026-02-10", before="2026-02-11")
    assert not fits(name, after="2026-02-11")
    assert not fits(name, before="2026-02-10")


def test_derived_assets_keep_the_day_of_acquisition() -> None:
    name = "804430_2025-11-26_23-41-33_processed_2025-12-20_09-52-41"
    assert fits(name, before="2025-12-01", level="derived")
    assert not fits(name, level="raw")


MOMENTS = st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2}", fullmatch=True)
PARTS = st.text("aZ0-", min_size=1, max_size=8)
LABELS = st.lists(PARTS, min_size=1, max_size=3).map("_".join)
"""A label may have underscores (``dlc_face``); platforms and subjects have none."""


@given(platform=st.none() | PARTS, subject=PARTS, acquired=MOMENTS, label=st.none() | LABELS, processed=MOMENTS)
def test_what_is_put_together_is_taken_apart(
    platform: str | None, subject: str, acquired: str, label: str | None, processed: str
) -> None:
    assume(platform is None or platform[0].isalpha())
    name = f"{subject}_{acquired}"
    name = name if platform is None else f"{platform}_{name}"
    name = name if label is None else f"{name}_{label}_{processed}"
    asset = AssetName.parse(name)
    assert asset is not None
    assert (asset.platform, asset.subject, asset.acquired, asset.label) == (platform, subject, acquired, label)
    assert asset.processed == (None if label is None else processed)
