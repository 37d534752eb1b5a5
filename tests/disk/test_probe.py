from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emasync.disk.mounts import Mount, mount_for, mount_of, mounts_below, parse_mountinfo
from emasync.disk.probe import allocated_bytes, probe, require_root
from emasync.errors import ErrorKind, InputError, MachineError

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
36 27 98:0 /mnt1 /mnt/two\040words rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue
40 27 0:40 / /data rw,relatime shared:7 - nfs4 store:/export/data rw,vers=4.2
41 40 0:41 / /data/own ro,nosuid - xfs /dev/sdb1 rw
42 27 0:42 / /database rw - tmpfs tmpfs ro,size=4k
43 27 0:43 / /remote rw - fuse.sshfs host:/ rw
44 27 0:44 / /union rw - fuse.mergerfs a:b rw
45 40 0:45 / /data/own rw - btrfs /dev/sdc rw
not a line at all
46 27 0:46 / /short rw - ext4
"""


def at(path: str) -> Mount:
    mount = mount_of(parse_mountinfo(MOUNTINFO), path)
    assert mount is not None
    return mount


@pytest.mark.parametrize(
    ("path", "kind", "network", "read_only"),
    [
        ("/", "ext4", False, False),
        ("/home/user", "ext4", False, False),
        ("/data", "nfs4", True, False),
        ("/data/set", "nfs4", True, False),
        ("/data/ownership", "nfs4", True, False),
        ("/data/own/x", "btrfs", False, False),
        ("/database", "tmpfs", False, True),
        ("/mnt/two words/x", "ext3", False, False),
        ("/remote/x", "fuse.sshfs", True, False),
        ("/union/x", "fuse.mergerfs", False, False),
        ("/short/x", "ext4", False, False),
    ],
)
def test_the_nearest_mount_counts(path: str, kind: str, network: bool, read_only: bool) -> None:
    mount = at(path)
    assert (mount.type, mount.network, mount.read_only) == (kind, network, read_only)


def test_mounts_inside_a_root() -> None:
    mounts = parse_mountinfo(MOUNTINFO)
    assert mounts_below(mounts, "/data") == ("/data/own",)
    assert "/data" in mounts_below(mounts, "/")
    assert mounts_below(mounts, "/home") == ()
    assert mount_of((), "/x") is None


@settings(deadline=None)  # the machine may be busy
@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert all(mount.point is not None for mount in parse_mountinfo(text))


def test_a_folder_that_is_not_there_yet_lies_where_its_parent_does(tmp_path: Path) -> None:
    info = f"1 0 8:1 / {tmp_path} rw - lustre fs rw\n"
    assert mount_for(tmp_path / "a/b/c", mountinfo=info).type == "lustre"
    assert mount_for(tmp_path, mountinfo="").type == "unknown"


def test_this_machine_is_read() -> None:
    if not Path("/proc/self/mountinfo").exists():
        pytest.skip("no /proc/self/mountinfo on this system")
    assert mount_for(Path("/proc")).type == "proc"


def test_a_system_that_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emasync.disk.mounts._MOUNTINFO", tmp_path / "nowhere")
    mount = mount_for(tmp_path)
    assert (mount.type, mount.network) == ("unknown", False)


def test_probing_measures_and_leaves_nothing(tmp_path: Path) -> None:
    ticks = count()
    facts = probe(tmp_path, files=3, clock=lambda: float(next(ticks)), mountinfo=MOUNTINFO)
    # five readings a file: begin, written, synced, closed, renamed
    assert (facts.create_s, facts.sync_s) == (2.0, 1.0)
    assert facts.case_sensitive is True or facts.type not in ("ext4", "xfs", "tmpfs")
    assert facts.partial_beside
    assert facts.mounts_below == ()
    assert facts.free_bytes > 0
    assert list((tmp_path / ".emasync/partial").iterdir()) == []


def test_trial_files_of_a_killed_run_go(tmp_path: Path) -> None:
    partial = tmp_path / ".emasync/partial"
    partial.mkdir(parents=True)
    for name in (".trial-0123abcd-0", ".trial-0123abcd-1-new", ".trial-89abcdef-case", "3-object-0"):
        (partial / name).write_bytes(b"left")
    probe(tmp_path, files=1)
    assert [path.name for path in partial.iterdir()] == ["3-object-0"]


def test_looking_writes_nothing(tmp_path: Path) -> None:
    facts = probe(tmp_path / "root", measure=False)
    assert (facts.case_sensitive, facts.create_s, facts.sync_s) == (None, None, None)
    assert list(tmp_path.iterdir()) == []


def test_mounts_inside_the_root_are_named(tmp_path: Path) -> None:
    info = f"1 0 8:1 / {tmp_path / 'set'} rw - ext4 /dev/sdb rw\n"
    assert probe(tmp_path, measure=False, mountinfo=info).mounts_below == (str(tmp_path / "set"),)


def test_a_partial_folder_elsewhere_is_noticed(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")  # noqa: S108  # another filesystem, only looked at
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second filesystem here")
    (tmp_path / ".emasync").mkdir()
    (tmp_path / ".emasync/partial").symlink_to(elsewhere)
    assert not probe(tmp_path, measure=False).partial_beside


def test_a_root_is_made_and_tried(tmp_path: Path) -> None:
    require_root(tmp_path / "a/b")
    assert list((tmp_path / "a/b").iterdir()) == []
    require_root(tmp_path / "a/b")


def test_a_file_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for root in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(InputError, match="name a folder"):
            require_root(root)


def test_a_dangling_root_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="link to nowhere"):
        require_root(tmp_path / "root")


def test_a_root_without_permission(tmp_path: Path) -> None:
    forbidden = Path("/sys/emasync-root")  # nobody makes folders there
    if not Path("/sys").is_dir():
        pytest.skip("no /sys on this system")
    with pytest.raises(MachineError) as caught:
        require_root(forbidden)
    assert caught.value.kind is ErrorKind.NO_PERMISSION
    assert "choose another root" in caught.value.message


def test_a_disk_that_takes_no_trial_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_fd: int) -> None:
        raise OSError(5, "broken")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(MachineError):
        probe(tmp_path)
    assert list((tmp_path / ".emasync/partial").iterdir()) == []


def test_allocated_bytes_count_preallocation_and_no_folder_is_nothing(tmp_path: Path) -> None:
    assert allocated_bytes(tmp_path / "none") == 0
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    (tmp_path / "empty").touch()
    with (tmp_path / "reserved").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 200_000)

    assert 300_000 <= allocated_bytes(tmp_path) < 400_000
