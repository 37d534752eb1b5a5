"""The self-test in its shortest form: what it tries holds here, and it would notice if it did not."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from emasync.cli.main import app
from emasync.errors import ErrorKind, InputError
from emasync.model.receipt import DatasetReceipt, Failure, Verified
from emasync.testing.selftest.kills import JOBS, kill
from emasync.testing.selftest.machine import DISKS, trials
from emasync.testing.selftest.matrix import ALL_DAYS, Way, meet
from emasync.testing.selftest.power import PowerCuts
from emasync.testing.selftest.program import QUICK_DAYS, Line, SelftestReport
from emasync.testing.selftest.stage import EXPECTED, Stage

DAYS = [day for day in ALL_DAYS if day.name in QUICK_DAYS and day.name != "503"]


@pytest.mark.parametrize("way", ["wire", "processes"])
def test_bad_days_end_in_identical_bytes_or_by_name(way: Way, tmp_path: Path) -> None:
    rows = list(meet(DAYS if way == "wire" else DAYS[::4], way, "once", tmp_path))
    assert [row for row in rows if row.wrong] == []
    assert {row.shape for row in rows} == {"small", "ranged", "listing", "api"}
    assert any(row.kinds for row in rows), "some of them are final"
    assert sum(not row.kinds for row in rows) > len(rows) / 2, "most of them are mended at once"


@pytest.mark.soak
@pytest.mark.parametrize("way", ["wire", "fallback", "processes"])
@pytest.mark.parametrize("often", ["once", "always"])
def test_all_bad_days(way: Way, often: str, tmp_path: Path) -> None:
    rows = list(meet(ALL_DAYS, way, "once" if often == "once" else "always", tmp_path))
    assert [row for row in rows if row.wrong] == []


def receipt(**fields: object) -> DatasetReceipt:
    known = {"id": "00-small", "status": "complete", "objects": 3, "bytes": 15_000, "verified": Verified(), **fields}
    return DatasetReceipt(**known)  # type: ignore[arg-type]  # as the receipt has them


@pytest.fixture
def small(tmp_path: Path) -> Path:
    folder = tmp_path / "00-small"
    folder.mkdir()
    for name, data in EXPECTED["small"].items():
        (folder / name).write_bytes(data)
    return folder


FAILED = Failure(location="http://a/b", kind=ErrorKind.TRANSIENT, message="no", attempts=1)


def test_what_must_not_be_is_noticed(small: Path, tmp_path: Path) -> None:
    with closing(Stage(0, DAYS[0])) as stage:
        assert stage.judge(tmp_path, receipt(), "small").wrong == ""
        (small / "0.bin").unlink()
        assert "complete, and is not" in stage.judge(tmp_path, receipt(), "small").wrong
        assert "does not say why" in stage.judge(tmp_path, receipt(status="partial"), "small").wrong
        named = receipt(status="partial", failures=(FAILED,))
        assert stage.judge(tmp_path, named, "small").wrong == ""
        (small / "1.bin").write_bytes(b"other")
        assert "other bytes" in stage.judge(tmp_path, named, "small").wrong
        (small / "1.bin").unlink()
        (small / "2.bin.tmp").write_bytes(b"")
        assert "other bytes" in stage.judge(tmp_path, named, "small").wrong


def test_power_cuts(tmp_path: Path) -> None:
    with PowerCuts(tmp_path) as power:
        rows = [power.cut(seed) for seed in range(4)]
    assert [row for row in rows if row.wrong] == []
    assert len({row.operations for row in rows}) == 4


def test_a_killed_job(tmp_path: Path) -> None:
    killed = kill(JOBS[1], 9, tmp_path)
    assert killed.wrong == ""
    assert killed.kills + killed.stops > 0


def test_a_machine_in_trouble(tmp_path: Path) -> None:
    rows = list(trials(tmp_path, DISKS[:1]))
    assert [row for row in rows if row.wrong] == []
    assert [row.ended for row in rows[:2]] == ["exit 4", "exit 4"]
    assert rows[-1].ended == "root_locked"


def test_one_thing_that_went_wrong_decides() -> None:
    good = Line(part="a", tried=2, identical=1, named=1)
    assert SelftestReport(form="quick", wall_s=1.0, lines=(good,)).ok
    bad = Line(part="b", tried=1, identical=0, wrong=1, notes=("lost",))
    report = SelftestReport(form="quick", wall_s=1.0, lines=(good, bad))
    assert not report.ok
    assert report.to_dict()["ok"] is False


def test_a_root_that_is_not_empty_is_refused(small: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        CliRunner().invoke(app, ["selftest", "--root", str(small)], standalone_mode=False, catch_exceptions=False)
    with pytest.raises(InputError, match="one of them"):
        CliRunner().invoke(app, ["selftest", "--quick", "--full"], standalone_mode=False, catch_exceptions=False)
