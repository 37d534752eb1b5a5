"""Real servers for integration tests: nginx for files, moto's S3 server for buckets. Started on free ports."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

START_TIMEOUT_S = 60.0
_POLL_S = 0.02

_NGINX_CONFIG = """\
daemon off;
{user}
worker_processes 1;
error_log {folder}/error.log warn;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    types {{ application/json json zattrs zarray zgroup; image/tiff tif tiff; text/html html; }}
    default_type application/octet-stream;
    log_format plain '$request_method\\t$request_uri\\t$http_range\\t$status\\t$body_bytes_sent';
    access_log {folder}/access.log plain;
    sendfile on;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root "{root}";
    }}
}}
"""


class ProgramMissingError(RuntimeError):
    """A server program is not installed; tests skip with this reason."""


class _Peer:
    """A server process that answers HTTP on 127.0.0.1."""

    port: int
    _process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def _wait_until_ready(self, log: Path) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(_POLL_S)
            else:
                return
        self.close()
        said = log.read_text(errors="replace")[-2000:] if log.exists() else "nothing"
        raise RuntimeError(f"{self._process.args!r} did not listen on port {self.port}; it said: {said}")

    def close(self) -> None:
        """End the process; may be called twice."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Nginx(_Peer):
    """nginx with one worker that serves :attr:`root`.

    Parameters
    ----------
    folder : Path
        For configuration and logs; must exist. Files are served from ``folder/root``.

    Attributes
    ----------
    root : Path
        What is served; put files here at any time.

    Raises
    ------
    ProgramMissingError
        nginx is not installed.
    """

    def __init__(self, folder: Path) -> None:
        program = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise ProgramMissingError("the program nginx is not installed (Debian: apt-get install nginx-light)")
        self.root = folder / "root"
        self.root.mkdir()
        self._access_log = folder / "access.log"
        self._sentinels = 0
        self.port = free_port()
        user = "user root;" if os.geteuid() == 0 else ""  # else the workers may not read a private folder
        config = folder / "nginx.conf"
        config.write_text(_NGINX_CONFIG.format(folder=folder, root=self.root, port=self.port, user=user))
        log = folder / "error.log"
        self._process = subprocess.Popen(  # noqa: S603  # the program found above, our own configuration
            [program, "-c", str(config), "-p", str(folder), "-e", str(log)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait_until_ready(log)

    def requests(self) -> list[tuple[str, str, str, int, int]]:
        """All requests so far: (method, target as sent, Range or ``-``, status, body bytes sent)."""
        self._sentinels += 1
        marker = f"/.sentinel-{self._sentinels}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", marker)
        connection.getresponse().read()
        connection.close()
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while marker not in (text := self._access_log.read_text()):  # lines follow answers, in order
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"nginx did not log {marker}")
            time.sleep(_POLL_S)
        rows = [line.split("\t") for line in text.splitlines()]
        return [
            (method, target, span, int(status), int(size))
            for method, target, span, status, size in rows
            if not target.startswith("/.sentinel-")
        ]


class MotoS3(_Peer):
    """moto's S3 server: another implementation of S3 than ours.

    Parameters
    ----------
    folder : Path
        For its log; must exist.

    Raises
    ------
    ProgramMissingError
        moto is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if find_spec("moto") is None or find_spec("flask") is None:
            raise ProgramMissingError("moto's server is not installed (pip install 'moto[s3,server]')")
        self.port = free_port()
        log = folder / "moto.log"
        with log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter, fixed arguments
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )
        self._buckets: set[str] = set()
        self._wait_until_ready(log)

    def put(
        self, bucket: str, key: str, data: bytes, *, public: bool = True, checksum: Mapping[str, str] | None = None
    ) -> None:
        """Upload one object; the bucket is made when it is new.

        Parameters
        ----------
        bucket : str
        key : str
        data : bytes
        public : bool
            Whether anonymous requests may read it (and list the bucket, when this call makes it).
        checksum : mapping, optional
            More header fields: ``x-amz-checksum-*`` that the store keeps.
        """
        if bucket not in self._buckets:
            self._put(f"/{bucket}", b"", public=public)
            self._buckets.add(bucket)
        self._put(f"/{bucket}/{quote(key)}", data, public=public, fields=checksum or {})

    def put_folder(self, bucket: str, folder: Path, prefix: str = "") -> None:
        """Upload all files below `folder` as public objects ``prefix + relative path``."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(bucket, prefix + path.relative_to(folder).as_posix(), path.read_bytes())

    def _put(self, target: str, data: bytes, *, public: bool, fields: Mapping[str, str] | None = None) -> None:
        headers = {
            **(fields or {}),
            "Content-Length": str(len(data)),
            "x-amz-acl": "public-read" if public else "private",
            # the server reads the account and region from the credential scope and checks no signature
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20250101/us-east-1/s3/aws4_request, "
            "SignedHeaders=host, Signature=0",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("PUT", target, body=data, headers=headers)
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"PUT {target}: expected 200, got {answer.status}: {said[:500]!r}")


def free_port() -> int:
    """TCP port of 127.0.0.1 that is free now; for programs that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
