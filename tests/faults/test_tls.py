"""TLS that fails, for all kinds of requests in all ways: named while it lasts, identical bytes afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from tests.faults.network import Certificates, TlsStage

from emasync.testing.selftest.bad_days import BadDay
from emasync.testing.selftest.matrix import Met, Often, Way, meet

CERTIFICATES = (
    BadDay("expired", {}, final=True),
    BadDay("of another host", {}, final=True),
    BadDay("of an unknown authority", {}, final=True),
)
HANDSHAKES = (BadDay("handshake: reset", {}, final=True), BadDay("handshake: silence", {}, final=True))
CUTS = (
    BadDay("a cut that TLS does not announce", {"cut_after": 100}),
    BadDay("a cut in a body without a length", {"no_length": True, "cut_after": 100}),
    BadDay("a cut in a body without a length and ranges", {"no_length": True, "ignore_range": True, "cut_after": 100}),
)

WAYS: tuple[Way, ...] = ("wire", "fallback", "processes")

REFUSED = {"expired", "of another host", "of an unknown authority"}


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture
def trusted(certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Also by worker processes."""
    file = tmp_path / "authority.pem"
    certificates.authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return tmp_path / "root"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("days", [CERTIFICATES, pytest.param(HANDSHAKES, marks=pytest.mark.soak)])
def test_no_connection_comes_about(days: Sequence[BadDay], way: Way, certificates: Certificates, trusted: Path) -> None:
    for met in mended(days, way, "always", certificates, trusted):
        assert set(met.kinds) == {"refused" if met.day in REFUSED else "unreachable"}, met


@pytest.mark.parametrize("way", WAYS)
def test_no_end_that_nobody_meant_passes_for_one(way: Way, certificates: Certificates, trusted: Path) -> None:
    """Once: that each answer brings some bytes and is cut is progress, and goes on for as long as there are bytes."""
    for met in mended(CUTS, way, "once", certificates, trusted):
        assert met.kinds == (), met


def mended(days: Sequence[BadDay], way: Way, often: Often, certificates: Certificates, root: Path) -> Sequence[Met]:
    """What each kind of request met, once all is as it should be."""
    stage_of = partial(TlsStage, certificates=certificates)
    found = list(meet(days, way, often, root, stage_of=stage_of, policy={"give_up_after": "1s"}))
    assert [met for met in found if met.wrong] == []
    assert {met.shape for met in found} == {"small", "ranged", "listing", "api"}
    return found
