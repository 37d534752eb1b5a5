"""What others read of a dataset: bags by the Library of Congress's reader, metalinks by aria2."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
import pytest
from tests.integration.folders import files_below, run_within
from typer.testing import CliRunner

import emasync
from emasync import api
from emasync.cli.main import app
from emasync.errors import InputError, IntegrityError
from emasync.hooks.bag import encoded
from emasync.hooks.export_files import MOST_PIECES, PIECE_BYTES, ExportFile, piece_bytes
from emasync.hooks.metalink import NAMESPACE, Metalink
from emasync.hooks.public_urls import public_url
from emasync.ledger.interface import Invalidated, Placed, Sealed
from emasync.ledger.store import SqliteLedger
from emasync.model.clock import SystemClock
from emasync.model.location import Location
from emasync.testing import Archive

LARGE = random.Random(7).randbytes(2 * PIECE_BYTES + 12_345)
FILES = {
    "large.bin": LARGE,
    "empty.bin": b"",
    "a/plain.txt": b"plain",
    "a/with space + <odd>.txt": b"odd names",
    "b/ünï.bin": b"not ascii" * 100,
}
TOTAL = sum(map(len, FILES.values()))


def manifest_of(server: Archive) -> dict[str, object]:
    entry = {"id": "d", "source": "bucket", "format": "raw", "url": f"{server.url}/data"}
    return {"version": 1, "datasets": [entry]}


def fetched(url: str) -> bytes:
    assert url.startswith("http://127.0.0.1:")
    with urlopen(url) as answer:  # noqa: S310 - the loopback archive's
        data: bytes = answer.read()
    return data


@pytest.fixture(scope="module")
def server() -> Iterator[Archive]:
    with Archive.start({f"data/{path}": data for path, data in FILES.items()}) as archive:
        yield archive


@pytest.fixture(scope="module")
def made(server: Archive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root where all of it lies; nobody changes it."""
    folder = tmp_path_factory.mktemp("made")
    assert run_within(manifest_of(server), folder / "root").ok
    return folder / "root"


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it for each test."""
    return Path(shutil.copytree(made, tmp_path / "root"))


def read_bag(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bagit", "--validate", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("data", ["link", "copy"])
def test_a_bag_is_valid_and_holds_every_byte(root: Path, tmp_path: Path, data: str) -> None:
    report = emasync.export(root, "d", to="bagit", out=tmp_path / "d.bag", data=data)
    assert (report.files, report.size_bytes, report.left_out) == (len(FILES), TOTAL, 0)
    assert files_below(tmp_path / "d.bag/data") == FILES
    same = (tmp_path / "d.bag/data/large.bin").samefile(root / "d/large.bin")
    assert same == (data == "link")
    checked = read_bag(tmp_path / "d.bag")
    assert checked.returncode == 0, checked.stderr
    assert f"Payload-Oxum: {TOTAL}.{len(FILES)}\n" in (tmp_path / "d.bag/bag-info.txt").read_text()
    if data == "copy":
        (tmp_path / "d.bag/data/a/plain.txt").write_bytes(b"Plain")
        assert read_bag(tmp_path / "d.bag").returncode == 1


def test_a_holey_bag_is_completed_from_its_urls(root: Path, tmp_path: Path) -> None:
    bag = tmp_path / "d.bag"
    emasync.export(root, "d", to="bagit", out=bag, data="none")
    assert files_below(bag / "data") == {}
    assert read_bag(bag).returncode == 1
    for line in (bag / "fetch.txt").read_text().splitlines():
        url, size, name = line.split(" ", 2)
        data = fetched(url)
        assert len(data) == int(size)
        (bag / name).parent.mkdir(parents=True, exist_ok=True)
        (bag / name).write_bytes(data)
    checked = read_bag(bag)
    assert checked.returncode == 0, checked.stderr
    assert files_below(bag / "data") == FILES


def test_digests_that_the_ledger_has_are_not_computed_again(server: Archive, tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert run_within(manifest_of(server), root, options=api.RunOptions(checksums="sha256")).ok
    report = emasync.export(root, "d", to="bagit", out=tmp_path / "d.bag")
    assert report.read_bytes == 0
    lines = (tmp_path / "d.bag/manifest-sha256.txt").read_text().splitlines()
    assert {line.split("  ", 1)[1]: line[:64] for line in lines} == {
        f"data/{path}": hashlib.sha256(data).hexdigest() for path, data in FILES.items()
    }


def read_metalink(path: Path) -> Element:
    document: Element | None = defusedxml.ElementTree.parse(path).getroot()
    assert document is not None
    return document


def find(element: Element, name: str) -> list[Element]:
    return element.findall(f"{{{NAMESPACE}}}{name}")


def test_a_metalink_says_sizes_digests_pieces_and_places(root: Path, server: Archive, tmp_path: Path) -> None:
    receipt = json.loads((root / "receipt.json").read_text())
    (root / "receipt.json").write_text(json.dumps({**receipt, "mirrors": {server.url: "https://mirror.example.org/x"}}))
    report = emasync.export(root, "d", to="metalink", out=tmp_path / "d.meta4")
    assert (report.files, report.read_bytes, report.left_out) == (len(FILES), TOTAL, 0)
    document = read_metalink(tmp_path / "d.meta4")
    assert document.tag == f"{{{NAMESPACE}}}metalink"
    files = {file.get("name"): file for file in find(document, "file")}
    assert set(files) == {f"d/{path}" for path in FILES}
    for path, data in FILES.items():
        file = files[f"d/{path}"]
        assert [size.text for size in find(file, "size")] == [str(len(data))]
        hashes = {item.get("type"): item.text for item in find(file, "hash")}
        assert hashes["sha-256"] == hashlib.sha256(data).hexdigest()
        places = [(item.get("priority"), item.text) for item in find(file, "url")]
        assert [priority for priority, _ in places] == ["1", "2"]
        assert places[1][1] == str(places[0][1]).replace(server.url, "https://mirror.example.org/x")
        assert fetched(str(places[0][1])) == data
    (pieces,) = find(files["d/large.bin"], "pieces")
    assert (pieces.get("type"), pieces.get("length")) == ("sha-256", str(PIECE_BYTES))
    assert [item.text for item in find(pieces, "hash")] == [
        hashlib.sha256(LARGE[start : start + PIECE_BYTES]).hexdigest() for start in range(0, len(LARGE), PIECE_BYTES)
    ]
    assert find(files["d/a/plain.txt"], "pieces") == []


def test_aria2_mends_a_copy_by_fetching_the_bad_piece_only(root: Path, server: Archive, tmp_path: Path) -> None:
    aria2 = shutil.which("aria2c")
    if aria2 is None:
        pytest.skip("aria2c is not installed")
    emasync.export(root, "d", to="metalink", out=tmp_path / "d.meta4")
    copy = tmp_path / "copy"
    shutil.copytree(root / "d", copy / "d")
    with (copy / "d/large.bin").open("r+b") as file:
        file.seek(PIECE_BYTES + 99)
        file.write(b"\0\1\2\3")
    server.reset()
    command = [aria2, "--no-conf", "--check-integrity=true", "--allow-overwrite=true", "--split=1", "--quiet=true"]
    done = subprocess.run(
        [*command, "--metalink-file", str(tmp_path / "d.meta4"), "--dir", str(copy)], check=False, timeout=60
    )
    assert done.returncode == 0
    assert files_below(copy / "d") == FILES
    asked = [request for request in server.requests if request.path.endswith("large.bin")]
    assert len(asked) == 1
    assert asked[0].headers["range"] == f"bytes={PIECE_BYTES}-{2 * PIECE_BYTES - 1}"


def test_names_and_urls_are_escaped_and_what_xml_cannot_say_is_counted(tmp_path: Path) -> None:
    names = ['d/&"<x>.bin', "d/\x01"]
    metalink = Metalink(tmp_path / "x.meta4", generator="&", published="2026-01-01T00:00:00Z")
    metalink.add(ExportFile(name, name, 3, {"sha256": "0" * 64}, ("https://example.org/?a=b&c=d",)) for name in names)
    metalink.add([ExportFile("slice", "d/slice", 3, {"sha256": "0" * 64})])
    metalink.finish()
    (file,) = find(read_metalink(tmp_path / "x.meta4"), "file")
    assert file.get("name") == names[0]
    assert [item.text for item in find(file, "url")] == ["https://example.org/?a=b&c=d"]
    assert metalink.left_out == 2


@pytest.mark.parametrize("to", ["bagit", "metalink"])
def test_a_file_that_somebody_changed_is_not_vouched_for(root: Path, tmp_path: Path, to: str) -> None:
    (root / "d/a/plain.txt").write_bytes(b"Plain")
    with pytest.raises(IntegrityError, match=r"d/a/plain\.txt is not what was checked"):
        emasync.export(root, "d", to=to, out=tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]  # nothing half made is left


def test_what_cannot_be_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not built yet") as caught:
        emasync.export(root, "d", to="icechunk")
    assert caught.value.kind == "not_built"
    with pytest.raises(InputError, match="no such format"):
        emasync.export(root, "d", to="tar")
    with pytest.raises(InputError, match="no dataset x"):
        emasync.export(root, "x", to="bagit", out=tmp_path / "x")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="is there already"):
        emasync.export(root, "d", to="bagit", out=tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []


def test_a_dataset_that_is_not_complete_is_not_exported(archive: Callable[..., Archive], tmp_path: Path) -> None:
    server = archive({"data/a": b"a", "data/b": b"b"})
    server.set_faults({"data/b": [{"forbidden": True}]})
    assert not run_within(manifest_of(server), tmp_path / "root").ok
    with pytest.raises(IntegrityError, match="1 objects are left"):
        emasync.export(tmp_path / "root", "d", to="bagit", out=tmp_path / "out")


def test_the_command_prints_one_object(root: Path, tmp_path: Path) -> None:
    arguments = ["export", str(root), "d", "--to", "metalink", "-o", str(tmp_path / "d.meta4")]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["files"] == len(FILES)
    (tmp_path / "d.meta4").unlink()
    assert "5 files" in CliRunner().invoke(app, arguments).stdout


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/a b+c.bin", "https://bucket.s3.amazonaws.com/a%20b%2Bc.bin"),
        ("s3://dotted.bucket/x", "https://s3.amazonaws.com/dotted.bucket/x"),
        ("gs://bucket/x/ü", "https://storage.googleapis.com/bucket/x/%C3%BC"),
        ("https://example.org/a%20b?c=d", "https://example.org/a%20b?c=d"),
    ],
)
def test_buckets_have_a_public_url(url: str, expected: str) -> None:
    assert public_url(Location.parse(url)) == expected


def test_names_in_manifests_are_escaped_where_the_standard_says() -> None:
    assert encoded("data/100%\r\n ü") == "data/100%25%0D%0A ü"


@pytest.mark.parametrize(
    "size_bytes", [0, PIECE_BYTES, PIECE_BYTES * MOST_PIECES, PIECE_BYTES * MOST_PIECES + 1, 3 << 40]
)
def test_a_file_has_no_more_pieces_than_may_be_named(size_bytes: int) -> None:
    length = piece_bytes(size_bytes)
    assert -(-size_bytes // length) <= MOST_PIECES
    assert length == PIECE_BYTES or -(-size_bytes // (length // 2)) > MOST_PIECES


def test_what_a_stop_left_behind_is_not_vouched_for(root: Path, tmp_path: Path) -> None:
    """A file of which a power cut may have taken the bytes is read before anything is said of it."""
    state = root / ".emasync"
    ledger = SqliteLedger.open(state, root=root, clock=SystemClock())
    (row,) = [row for row in ledger.rows() if row.destination == "d/a/plain.txt"]
    sealed = Sealed(set_id=row.set_id, key=row.key, size_bytes=5, crc32c=row.crc32c or 0, generation=1, epoch=99)
    ledger.record([Invalidated(set_id=row.set_id, key=row.key)])
    ledger.record([sealed])
    ledger.record([Placed(set_id=row.set_id, key=row.key)])
    ledger.close(clean=False)
    (root / "d/a/plain.txt").write_bytes(bytes(5))
    with pytest.raises(IntegrityError, match="1 objects are left"):
        emasync.export(root, "d", to="bagit", out=tmp_path / "out")
