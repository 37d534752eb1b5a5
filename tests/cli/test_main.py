"""Command lines, in this process: what is wrong with them is said, with exit code 2."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from emasync.cli.main import exit_code_of, main
from emasync.errors import EmasyncError, ErrorKind, InputError, InterruptedRunError, MachineError, SourceError


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    told = capsys.readouterr()
    return int(left.value.code or 0), told.out, told.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Usage"),
        (("run",), "manifest"),
        (("run", "m.yaml", "--bogus"), "--bogus"),
        (("fetch",), "fetch"),
        (("run", "m.yaml", "--workers", "4"), "--workers other than 1 is not built yet"),
        (("run", "m.yaml", "--executor", "dask"), "--executor dask is not built yet"),
        (("run", "m.yaml", "--mirror", "s3://bucket"), "FROM=TO"),
        (("run", "m.yaml", "--checksums", "md4"), "published, sha256 or size"),
        (("run", "m.yaml", "--max-total", "many"), "many"),
        (("status", "nowhere"), "nowhere holds no emasync state"),
    ],
)
def test_wrong_command_lines(arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert says in out + err


def test_help_tells_newcomers_where_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for word in ("emasync demo", "emasync catalog", "emasync run MANIFEST"):
        assert word in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from emasync import __version__

    assert run(capsys, "--version") == (0, f"emasync {__version__}\n", "")


def test_a_missing_manifest_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, "run", str(tmp_path / "none.yaml"))
    assert (code, out) == (2, "")
    assert str(tmp_path / "none.yaml") in err
    assert "No such file" in err


def test_all_problems_of_a_manifest_come_with_positions(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("version: 1\ncolour: red\ndatasets:\n  - {id: a, source: web, files: [], speed: 3}\n")
    code, _, err = run(capsys, "run", str(path))
    assert code == 2
    assert f"{path}:2:1: colour" in err
    assert f"{path}:4:" in err
    assert "datasets[0].speed" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (MachineError("x", kind=ErrorKind.DISK_FULL), 4),
        (InterruptedRunError("x"), 3),
        (SourceError("x"), 1),
    ],
)
def test_exit_codes(error: EmasyncError, code: int) -> None:
    assert exit_code_of(error) == code


def test_the_catalog_is_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "catalog")
    assert code == 0
    assert any(line.startswith("quickstart") for line in out.splitlines())


def test_the_log_is_closed_after_the_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    manifest, log = tmp_path / "m.yaml", tmp_path / "log"
    manifest.write_text(
        f"version: 1\nroot: {tmp_path / 'data'}\ndatasets: [{{id: a, source: bucket, url: 'file://{tmp_path}/none'}}]\n"
    )
    code, out, _ = run(capsys, "run", str(manifest), "--log-file", str(log), "--json")
    assert code == 1
    assert json.loads(out.splitlines()[-1])["event"] == "receipt"
    assert " ERROR " in log.read_text()
    assert [type(handler) for handler in logging.getLogger("emasync").handlers] == [logging.NullHandler]
