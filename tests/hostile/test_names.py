"""Names from listings, archives and manifests stay below their dataset's folder, whatever they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.folders import files_below, run_within
from tests.sources.dandi_desk import described, twin_of

from emasync.disk.names import check_relative, map_path, unmap_segment
from emasync.errors import DestinationError, InputError, ManifestError
from emasync.ledger.rooms import folders_of
from emasync.manifest.load import manifest_from_object
from emasync.model.receipt import Receipt
from emasync.testing import Archive

HOSTILE = (
    "../escaped",
    "a/../../escaped", "../../../../../../tmp/escaped", "/etc/escaped", "//escaped", "./escaped", "a/./b", "a//b",
    "..", ".", "..\\escaped", "C:\\escaped", "C:/escaped", "\\\\server\\share\\escaped", "con", "aux.txt", "nul ", "x.",
    "a\nb", "a\x1b[2Jb", "a\x7f", "\uff0e\uff0e/escaped", "%2e%2e/escaped", "..%2fescaped", "%~2F",
    "n" * 256, "é" * 200,
    "d/" * 2100 + "deep", ".emasync/state.sqlite", "../.emasync/state.sqlite", "../receipt.json", "~root",
    "-rf", "$HOME/x",
    "\u202etxt.exe", "\ufeffx", "e\u0301", "\u00e9", "Case", "case", "clash", "clash/below",
)  # fmt: skip
FINE = "fine/file.bin"


def canary(tmp_path: Path) -> Path:
    """A root in a folder of which nothing else may change."""
    (tmp_path / "escaped").write_bytes(b"canary")
    (tmp_path / "in").mkdir()
    return tmp_path / "in/root"


def check(receipt: Receipt, root: Path, tmp_path: Path, before: set[Path]) -> None:
    ours = {f"{root}/{name}" for name in ("d", "checksums", "receipt.json", ".emasync", "d.source-metadata")}
    ours |= {f"{root}/{name}" for name in ("metadata", "metadata.json", "metadata.csv", "METADATA_SUMMARY.md")}
    ours |= {f"{root}/{name}" for name in ("metadata.parquet", "report.html")}
    strangers = [
        path
        for path in {*tmp_path.rglob("*"), *Path("/tmp").glob("escaped*")} - before  # noqa: S108 - where one name points
        if path != root and not any(str(path) == one or str(path).startswith(f"{one}/") for one in ours)
    ]
    assert strangers == []
    assert (tmp_path / "escaped").read_bytes() == b"canary"
    assert files_below(root / "d")[FINE] == b"fine"
    assert not any(path.is_symlink() for path in root.rglob("*"))
    assert receipt.datasets[0].status in ("partial", "complete"), (receipt.stopped, receipt.failures)
    for failure in receipt.failures:
        assert failure.message.isprintable(), failure


def test_keys_of_a_listing(archive: Callable[..., Archive], tmp_path: Path) -> None:
    server = archive({f"b/set/{key}": b"x" for key in HOSTILE} | {f"b/set/{FINE}": b"fine"})
    root = canary(tmp_path)
    before = set(tmp_path.rglob("*"))
    policy = {"127.0.0.1": {"max_attempts": 1, "give_up_after": "60s"}}
    dataset = {"id": "d", "source": "bucket", "url": f"{server.url}/b/set", "format": "raw"}
    receipt = run_within({"version": 1, "settings": {"hosts": policy}, "datasets": [dataset]}, root)
    check(receipt, root, tmp_path, before)


def test_paths_of_an_archives_records(archive: Callable[..., Archive], tmp_path: Path) -> None:
    twin = twin_of(dict.fromkeys(HOSTILE, b"x") | {FINE: b"fine"})
    server = archive(twin.store, apps=[twin])
    root = canary(tmp_path)
    before = set(tmp_path.rglob("*"))
    receipt = run_within(described(server.url, version="draft"), root)
    check(receipt, root, tmp_path, before)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a\0b", "", ".", "..", "a//b"])
def test_paths_of_a_manifest(path: str) -> None:
    files = [{"url": "https://h.example/x", "path": path}]
    with pytest.raises(ManifestError, match="path"):
        manifest_from_object({"version": 1, "datasets": [{"id": "d", "source": "web", "files": files}]})


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "..", "", ".emasync", "metadata", "checksums", "receipt.json", "x.source-metadata", "é"]
)  # fmt: skip
def test_ids_of_a_manifest(name: str) -> None:
    with pytest.raises(InputError):
        manifest_from_object({"version": 1, "datasets": [{"id": name, "source": "idr", "images": [1]}]})


_KEYS = st.text(st.sampled_from("./\\:%~ab.\0\n\x1b \u202e\ud800é\uff12\uff0e\uff0fC"), max_size=40) | st.text(
    max_size=300
)


def _confined(key: str) -> None:
    """Whatever becomes of a key is a path below its folder, or a refusal."""
    try:
        mapped = map_path(key)
        check_relative(mapped)
    except DestinationError:
        return
    assert os.path.normpath(f"/root/d/{mapped}") == f"/root/d/{mapped}"
    assert "\0" not in mapped
    assert "/".join(map(unmap_segment, mapped.split("/"))) == key, "and no two keys share it"


@given(_KEYS)
def test_any_key_is_mapped_below_its_folder_or_refused(key: str) -> None:
    _confined(key)


@pytest.mark.soak
def test_very_many_keys() -> None:
    from hypothesis import settings

    settings(max_examples=200_000, deadline=None)(given(_KEYS)(_confined))()


def test_how_deep_a_key_is_costs_nothing_but_its_length() -> None:
    """Each folder above a key is looked for: that each look went through all of them again took seconds a key."""
    deep = b"d/" * 2_000 + b"x"
    assert list(folders_of(deep, len(b"set/"))) == [b"", b"d/", b"d/d/"]
    assert len(list(folders_of(deep, len(deep)))) == 2_001
