from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from bench.content import Dataset
from bench.measuring import Run, check, free_environment, measure, touch_memory, windows

SPIN = "import time\nwhile time.process_time() < 0.2: pass"


def run_python(folder: Path, program: str, *, time_limit_s: float = 60, sync: bool = False) -> Run:
    command = [sys.executable, "-S", "-c", program]
    return measure(command, folder, dict(os.environ), time_limit_s=time_limit_s, sync=sync)


def test_processor_time_of_grandchildren_counts(tmp_path: Path) -> None:
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {SPIN!r}], check=True)"
    run = run_python(tmp_path, program)
    assert run.problem is None
    assert 0.2 <= run.cpu_s <= run.wall_s * (os.cpu_count() or 1) + 0.1
    assert run.sync_s == 0


def test_peak_memory_is_that_of_the_command(tmp_path: Path) -> None:
    small = run_python(tmp_path, "pass")
    large = run_python(tmp_path, "b'x' * (100 << 20)")
    assert small.peak_rss_bytes < 40 << 20
    assert 100 << 20 < large.peak_rss_bytes < 140 << 20


def test_a_failure_is_told_with_its_words(tmp_path: Path) -> None:
    run = run_python(tmp_path, "raise SystemExit('no such luck')")
    assert run.problem == "exit code 1: no such luck"


def test_a_command_that_takes_too_long_ends_with_all_its_children(tmp_path: Path) -> None:
    child = "import time; time.sleep(600)"
    program = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-S', '-c', {child!r}])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\nchild.wait()"
    )
    run = run_python(tmp_path, program, time_limit_s=1)
    assert run.timed_out
    assert run.problem == "not done in 1 s"
    assert not alive(int((tmp_path / "pid").read_text()))


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_complete_copy_passes(dataset: Dataset, tmp_path: Path) -> None:
    assert check(dataset, dataset.folder) is None
    assert check(dataset, tmp_path / "nowhere") is not None


@pytest.mark.parametrize("harm", ["missing", "short", "strange", "other bytes"])
def test_an_incomplete_copy_does_not(dataset: Dataset, tmp_path: Path, harm: str) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in dataset.names:
        (copy / name).write_bytes((dataset.folder / name).read_bytes())
    victim = copy / dataset.names[0]
    match harm:
        case "missing":
            victim.unlink()
        case "short":
            victim.write_bytes(victim.read_bytes()[:-1])
        case "strange":
            (copy / "x.part").touch()
        case _:
            victim.write_bytes(bytes(len(victim.read_bytes())))
    assert check(dataset, copy) is not None


def test_windows_cover_small_files_and_reach_the_end_of_large_ones() -> None:
    mib = 1 << 20
    assert windows(0) == []
    assert windows(3 * mib + 1) == [0, mib, 2 * mib, 3 * mib]
    large = windows(1 << 32)
    assert len(large) == 16
    assert (large[0], large[-1]) == (0, (1 << 32) - mib)


def test_no_settings_of_this_user_reach_a_contestant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    environment = free_environment(tmp_path, tmp_path / "authority.pem")
    assert environment.keys().isdisjoint({"HTTPS_PROXY", "AWS_ACCESS_KEY_ID"})
    assert environment["SSL_CERT_FILE"] == str(tmp_path / "authority.pem")


def test_touched_memory_is_let_go_of(tmp_path: Path) -> None:
    touch_memory(tmp_path / "touched", 3 << 20)
    assert list(tmp_path.iterdir()) == []
