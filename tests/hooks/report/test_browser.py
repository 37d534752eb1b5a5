"""The page in a true browser: it is drawn, it asks nobody, and what is hostile stays text."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.hooks.report.browser import LOOK, Browser
from tests.hooks.report.desk import HOSTILE, everything, pictures

from emasync.hooks.report.page import render


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_bytes(render(everything(HOSTILE), "0" * 64, pictures(HOSTILE)))
    return path


def test_the_page_is_drawn_and_asks_nobody(browser: Browser, written: Path) -> None:
    seen = browser.look(written, LOOK)

    assert seen.complaints == []
    assert seen.requests == [written.as_uri()]
    assert seen.value["images"]
    assert all(width > 0 and height > 0 and alt for width, height, alt in seen.value["images"])
    assert all(columns > 1 for columns in seen.value["heads"])
    assert len(seen.value["heads"]) >= 3
    assert seen.value["scripts"] == 0
    assert seen.value["width"]
    assert "<script>alert(1)</script>" in seen.value["text"]


def test_the_reader_chooses_light_or_dark(browser: Browser, written: Path) -> None:
    light, dark = (browser.look(written, LOOK, dark=dark).value["paper"] for dark in (False, True))
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(13, 17, 23)")
