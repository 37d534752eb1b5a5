"""Real hostile and real ordinary files, torn, spliced and flipped: each reader gives a value or a named error.

A few hundred inputs by default; ``pytest -m soak tests/hostile/test_corpus.py`` tries some hundred thousand and tells
how many. HDF5 is read by its own library, which may end the process for such files:
``tests/volume/read/confined.py`` gives it a process of its own.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.formats.watched import Watched
from tests.hostile.test_documents import JSON_READERS, URL, XML_READERS

from emasync.errors import EmasyncError, TransientError
from emasync.formats.dm.format import DmFormat
from emasync.formats.mrc.format import MrcFormat
from emasync.formats.tiff.format import TiffFormat
from emasync.sources.apache import parse_index
from emasync.transport.response_head import MAX_HEAD_BYTES, MalformedHeadError, parse_head

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures"
SEED_BYTES = 64 << 10
"""Of each file: headers are at the beginning."""

EXAMPLES = 60
SOAK_EXAMPLES = int(os.environ.get("SOAK_EXAMPLES", "30000"))
"""Of each kind."""

Reader = Callable[[bytes], object]


def heads(data: bytes) -> object:
    try:
        return parse_head(data[:MAX_HEAD_BYTES])
    except MalformedHeadError as error:
        raise TransientError(str(error)) from error


def index(data: bytes) -> object:
    return parse_index(data, URL)


def described(make: Callable[[], TiffFormat | DmFormat | MrcFormat], data: bytes) -> object:
    return make().describe(Watched(data, "x"))


READERS: Mapping[str, tuple[Sequence[str], Mapping[str, Reader]]] = {
    "JSON": (("hostile_text/JSONTestSuite/*.json", "zarr_v3/*/zarr.json"), JSON_READERS),
    "XML": (("hostile_text/*.xml",), XML_READERS),
    "TIFF": (("hostile_tiff/*", "bigtiff/*", "tiff_multipage/*"), {"TIFF": partial(described, TiffFormat)}),
    "DM": (("dm3/*.dm3", "dm4/*.dm4"), {"DM": partial(described, DmFormat)}),
    "MRC": (("mrc/*",), {"MRC": partial(described, MrcFormat)}),
    "pages": ((), {"index": index, "listing": XML_READERS["listing"]}),
    "HTTP": ((), {"header": heads}),
}
"""Kind → files to begin with, and what reads it."""

OWN: Mapping[str, tuple[bytes, ...]] = {
    "pages": (
        (
            b"<html><head><title>Index of /x</title></head><body><h1>Index of /x</h1><pre>"
            b'<a href="../">Parent Directory</a>\n<a href="a.tif">a.tif</a>  2020-01-01 00:00  1.5K\n'
            b'<a href="b/">b/</a>  2020-01-02 10:30    -\n</pre></body></html>'
        ),
        (
            b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
            b"<MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated><NextContinuationToken>Yg==</NextContinuationToken>"
            b"<Contents><Key>a</Key><LastModified>2025-06-15T15:06:40.000Z</LastModified><ETag>&quot;0cc1&quot;</ETag>"
            b"<Size>1</Size><StorageClass>STANDARD</StorageClass></Contents><CommonPrefixes><Prefix>c/</Prefix>"
            b"</CommonPrefixes></ListBucketResult>"
        ),
    ),
    "HTTP": (
        b'HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/9\r\nETag: "x"\r\n\r\nhello',
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.0 302 Found\r\nLocation: /elsewhere\r\nConnection: close\r\n\r\n",
    ),
}
"""Of kinds of which there are no files."""


@cache
def seeds(kind: str) -> tuple[bytes, ...]:
    files = sorted(path for pattern in READERS[kind][0] for path in FIXTURES.glob(pattern) if path.is_file())
    return OWN.get(kind, ()) + tuple(path.read_bytes()[:SEED_BYTES] for path in files)


@st.composite
def spoilt(draw: st.DrawFn, kind: str) -> bytes:
    """A file with some edits, or what two of them make together."""
    data = bytearray(draw(st.sampled_from(seeds(kind))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, min(len(data), 4096))))
        match draw(st.sampled_from(("cut", "flip", "insert", "overwrite", "repeat", "splice"))):
            case "cut":
                del data[at:]
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                data[at:at] = draw(st.binary(max_size=8))
            case "overwrite":
                some = draw(st.sampled_from((b"\xff" * 4, b"\0" * 8, b"\x7f\xff\xff\xff", b"9" * 20, b"[" * 90)))
                data[at : at + len(some)] = some
            case "repeat":
                data[at:at] = data[at : at + 64] * draw(st.integers(1, 50))
            case _:
                data[at:] = draw(st.sampled_from(seeds(kind)))[at:]
    return bytes(data[: 4 * SEED_BYTES])


def survive(kind: str, data: bytes, tried: Counter[str]) -> None:
    for name, read in READERS[kind][1].items():
        tried[f"{kind}: {name}"] += 1
        try:
            read(data)
        except EmasyncError as error:
            tried[f"{kind}: {name}, refused"] += bool(error.message)
        else:
            tried[f"{kind}: {name}, read"] += 1


def corpus(kind: str, examples: int) -> Counter[str]:
    """Try so many inputs; gives how many each reader got and refused."""
    if not seeds(kind):
        pytest.skip(f"no real files for {kind} at {FIXTURES}")
    tried: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(spoilt(kind))
    def each(data: bytes) -> None:
        survive(kind, data, tried)

    for data in seeds(kind):
        survive(kind, data, tried)
    each()
    return tried


@pytest.mark.parametrize("kind", READERS)
def test_a_value_or_a_named_error(kind: str) -> None:
    tried = corpus(kind, EXAMPLES)
    for name in READERS[kind][1]:
        all_of_it = tried[f"{kind}: {name}"]
        assert all_of_it > EXAMPLES / 2
        assert tried[f"{kind}: {name}, refused"] + tried[f"{kind}: {name}, read"] == all_of_it, "a refusal says why"


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", READERS)
def test_very_many(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    tried = corpus(kind, SOAK_EXAMPLES)
    with capsys.disabled():
        print("".join(f"\n{name}: {count:,} inputs" for name, count in sorted(tried.items())))  # noqa: T201 - the point
