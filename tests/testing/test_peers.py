"""The real servers answer what the fixtures promise."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from emasync.testing.peers import MotoS3, Nginx, ProgramMissingError


def get(port: int, target: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.nginx
def test_nginx_serves_ranges_and_logs(nginx: Nginx) -> None:
    (nginx.root / "peers").mkdir()
    (nginx.root / "peers" / "x.bin").write_bytes(b"0123456789")
    assert get(nginx.port, "/peers/x.bin", Range="bytes=2-4") == (206, b"234")
    assert get(nginx.port, "/peers/none")[0] == 404
    mine = [row for row in nginx.requests() if row[1].startswith("/peers/")]
    assert mine[0] == ("GET", "/peers/x.bin", "bytes=2-4", 206, 3)
    assert mine[1][3] == 404


@pytest.mark.moto
def test_moto_serves_public_objects(moto_s3: MotoS3, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "x y").write_bytes(b"1")
    moto_s3.put_folder("peers", tmp_path, "pre/")
    moto_s3.put("peers", "secret", b"2", public=False)
    assert get(moto_s3.port, "/peers/pre/deep/x%20y") == (200, b"1")
    status, body = get(moto_s3.port, "/peers?list-type=2&prefix=pre/")
    assert (status, body.count(b"<Contents>")) == (200, 1)
    assert get(moto_s3.port, "/peers/secret")[0] == 403


def test_missing_programs_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
    monkeypatch.setattr("emasync.testing.peers.find_spec", lambda _name: None)
    with pytest.raises(ProgramMissingError, match="nginx"):
        Nginx(tmp_path)
    with pytest.raises(ProgramMissingError, match="moto"):
        MotoS3(tmp_path)


def test_a_program_that_ends_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: str(program))
    with pytest.raises(RuntimeError, match="did not listen"):
        Nginx(tmp_path)


@pytest.mark.moto
def test_a_refused_upload_is_an_error(moto_s3: MotoS3) -> None:
    with pytest.raises(RuntimeError, match="expected 200"):
        moto_s3.put("x", "k", b"1")  # a bucket name has three characters at least
