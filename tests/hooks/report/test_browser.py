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


INK = """(() => {
  const image = document.querySelector('.chart'), canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data, counts = {};
  for (let at = 0; at < data.length; at += 4)
    if (data[at + 3] === 255) counts[data.slice(at, at + 3)] = (counts[data.slice(at, at + 3)] || 0) + 1;
  return Object.entries(counts).sort((one, other) => other[1] - one[1]).slice(0, 3).map(entry => entry[0]);
})()"""
"""The three commonest opaque colours of a chart."""


def test_so_do_charts(browser: Browser, written: Path) -> None:
    light, dark = (browser.look(written, INK, dark=dark).value for dark in (False, True))
    assert light == ["47,126,216", "217,130,43", "36,41,47"]
    assert dark == ["47,126,216", "217,130,43", "208,215,222"]
