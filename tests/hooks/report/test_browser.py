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


@pytest.mark.parametrize("width", [320, 390, 1_400])
def test_it_fits_on_a_telephone(browser: Browser, written: Path, width: int) -> None:
    """What is wider scrolls by itself, and a table's title is read without scrolling."""
    seen = browser.look(written, FITS, width=width)
    assert seen.value == {"page": True, "captions": True, "pictures": True}


FITS = """(() => {
  document.querySelectorAll('details').forEach(one => one.open = true);
  const inside = element => element.getBoundingClientRect().right <= window.innerWidth;
  return {
    page: document.documentElement.scrollWidth <= window.innerWidth,
    captions: [...document.querySelectorAll('caption')].every(inside),
    pictures: [...document.images].every(inside),
  };
})()"""


def test_links_lead_to_what_is_there(browser: Browser, written: Path) -> None:
    seen = browser.look(written, LINKS)
    assert seen.value["texts"] == ["Datasets", "Failures", "Transfer", "Metadata", "Notes"]
    assert seen.value["broken"] == []


LINKS = """(() => {
  const inner = [...document.querySelectorAll('a[href^="#"]')];
  return {
    texts: [...document.querySelectorAll('nav a')].map(link => link.innerText),
    broken: inner.map(link => link.getAttribute('href')).filter(place => !document.querySelector(place)),
  };
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_can_be_read(browser: Browser, written: Path, dark: bool) -> None:
    """WCAG 2.2, success criterion 1.4.3: 4.5 to 1."""
    seen = browser.look(written, FAINT, dark=dark)
    assert seen.value["texts"] > 50
    assert seen.value["faint"] == []


FAINT = """(() => {
  document.querySelectorAll('details').forEach(one => one.open = true);
  const light = colour => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(part => part / 255);
    const [red, green, blue] = parts.map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const paper = element => {
    const found = getComputedStyle(element).backgroundColor;
    return found === 'rgba(0, 0, 0, 0)' ? paper(element.parentElement) : found;
  };
  const contrast = element => {
    const [low, high] = [getComputedStyle(element).color, paper(element)].map(light).sort((one, other) => one - other);
    return (high + 0.05) / (low + 0.05);
  };
  const own = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  const texts = [...document.body.querySelectorAll('*')].filter(own);
  return {texts: texts.length, faint: texts.filter(one => contrast(one) < 4.5).map(one => one.outerHTML)};
})()"""


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
