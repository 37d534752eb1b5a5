"""Command lines, in this process: what is wrong with them is said, with exit code 2."""

from __future__ import annotations

import json
import logging
import signal
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
        (("stats",), "Did you mean 'status'?"),
        (("run", "m.yaml", "--workers", "many"), "expected a number from 1 to 256, or auto"),
        (("run", "m.yaml", "--executor", "cloud"), "expected local or processes"),
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
    for word in ("emasync demo", "emasync catalog", "emasync run MANIFEST", "Print the JSON Schema of the manifest"):
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
    assert {type(handler) for handler in logging.getLogger("emasync").handlers} == {logging.NullHandler}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest over a folder of three files."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.bin").write_bytes(name.encode() * 10)
    path = tmp_path / "m.yaml"
    path.write_text(f"version: 1\nroot: data\ndatasets: [{{id: all, source: bucket, url: 'file://{folder}'}}]\n")
    return path


def test_plan_run_and_status(capsys: pytest.CaptureFixture[str], manifest: Path) -> None:
    code, out, _ = run(capsys, "plan", str(manifest))
    assert (code, out.splitlines()[0]) == (0, "3 objects, 30 B")
    code, out, _ = run(capsys, "plan", str(manifest), "--max-total", "20B", "--json")
    assert code == 4
    assert "max_total is 20 bytes" in json.loads(out)["problem"]
    assert not (manifest.parent / "data").exists()
    code, out, err = run(capsys, "run", str(manifest), "--only", "all", "--max-bandwidth", "1GB/s")
    assert (code, out) == (0, "")
    assert "all: complete, 3 objects, 30 B" in err
    code, out, _ = run(capsys, "status", str(manifest.parent / "data"))
    assert (code, out.splitlines()[1]) == (0, "all: 3 placed")


def test_a_plan_that_cannot_be_made(capsys: pytest.CaptureFixture[str], manifest: Path) -> None:
    manifest.write_text(manifest.read_text().replace("source'", "nothing'"))
    code, out, _ = run(capsys, "plan", str(manifest))
    assert code == 1
    assert "nothing to fetch" in out
    assert run(capsys, "plan", str(manifest), "--lock")[0] == 1
    assert not manifest.with_suffix(".lock").exists()


def test_schema_and_catalog(capsys: pytest.CaptureFixture[str]) -> None:
    assert "datasets" in json.loads(run(capsys, "schema")[1])["properties"]
    assert "version: 1" in run(capsys, "catalog", "quickstart")[1]
    code, _, err = run(capsys, "catalog", "nothing")
    assert code == 2
    assert "quickstart" in err


def test_a_log_that_cannot_be_written(capsys: pytest.CaptureFixture[str], manifest: Path, tmp_path: Path) -> None:
    code, _, err = run(capsys, "run", str(manifest), "--log-file", str(tmp_path / "no" / "log"))
    assert code == 2
    assert "No such file or directory; " not in err
    assert "choose another place" in err


def test_an_interrupt_before_the_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("emasync.api.schema", interrupted)
    code, _, err = run(capsys, "schema")
    assert code == 3
    assert "run again to resume" in err


def test_defects_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("emasync.api.schema", broken)
    with pytest.raises(ZeroDivisionError):
        main(["schema"])


def test_a_run_leaves_signals_as_they_were(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Also to processes that are forked later: those of a pool could not be ended."""
    (tmp_path / "x.bin").write_bytes(b"1")
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        f"version: 1\ndatasets:\n  - {{id: d, source: web, files: [{{url: '{(tmp_path / 'x.bin').as_uri()}'}}]}}\n"
    )
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert run(capsys, "run", str(manifest), "--root", str(tmp_path / "data"), "--no-hooks")[0] == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
