"""The fast server: nginx over plain HTTP and TLS, listings included, with certificates made for this run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.content import BUCKET, FIRST_PAGE

from emasync.testing.peers import ProgramMissingError, free_port

START_TIMEOUT_S = 20.0

_NGINX = """\
daemon off;
{user}
worker_processes 1;
error_log {folder}/error.log warn;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    default_type application/octet-stream;
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    open_file_cache max=8192 inactive=1h;  # each keeps a descriptor: few enough for any limit on them
    open_file_cache_valid 1h;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    map $args $page {{
        default none;
        "~(?:^|&)continuation-token=(?<token>[A-Za-z0-9.]+)(?:&|$)" $token;
        "~(?:^|&)start-after=(?<above>[A-Za-z0-9]+)(?:%2[Ff]|/)(?<before>[A-Za-z0-9.]+)(?:&|$)" $above.$before;
        "~(?:^|&)prefix=(?<set>[A-Za-z0-9]+)(?:%2[Ff]|/)(?:&|$)" $set.{first_page};
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        listen 127.0.0.1:{tls_port} ssl backlog=4096;
        ssl_certificate {certificates}/server.pem;
        ssl_certificate_key {certificates}/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:bench:10m;
        root "{files}";
        location ~ ^/{bucket}/?$ {{
            root "{pages}";
            default_type application/xml;
            try_files /$page.xml =404;
        }}
    }}
}}
"""

_OPENSSL = """\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1, DNS:localhost
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """A running nginx.

    Attributes
    ----------
    url, tls_url : str
        Scheme, host and port.
    files : Path
        Served as ``/bench/...``.
    pages : Path
        Listings, see :func:`bench.content.write_pages`.
    authority : Path
        Certificate (PEM) that vouches for the server: ``SSL_CERT_FILE`` of the clients.
    """

    url: str
    tls_url: str
    files: Path
    pages: Path
    authority: Path


@contextmanager
def serve(folder: Path) -> Iterator[Origin]:
    """Run nginx; configuration, certificates and files lie below `folder`.

    Raises
    ------
    ProgramMissingError
        nginx or openssl is not installed.
    """
    program = _program("nginx", "apt-get install nginx-light")
    folder = folder.resolve()
    files, pages, certificates = folder / "files", folder / "pages", folder / "certificates"
    for each in (files / BUCKET, pages, certificates):
        each.mkdir(parents=True)
    make_certificates(certificates)
    port, tls_port = free_port(), free_port()
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # else the worker may not read a private folder
    names = {"bucket": BUCKET, "first_page": FIRST_PAGE, "user": user, "port": port, "tls_port": tls_port}
    config.write_text(_NGINX.format(folder=folder, files=files, pages=pages, certificates=certificates, **names))
    command = [program, "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for each_port in (port, tls_port):
            _wait_for(each_port, process, folder / "error.log")
        certificate = certificates / "authority.pem"
        yield Origin(f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}", files / BUCKET, pages, certificate)
    finally:
        process.terminate()
        process.wait(START_TIMEOUT_S)


def make_certificates(folder: Path) -> None:
    """An authority (``authority.pem``) and a server certificate of it for 127.0.0.1, valid for two days.

    Two, since some TLS libraries take no authority for a server (RFC 5280, section 4.2.1.9).

    Raises
    ------
    ProgramMissingError
        openssl is not installed.
    """
    config = folder / "openssl.cnf"
    config.write_text(_OPENSSL)
    signed = ["-CA", str(folder / "authority.pem"), "-CAkey", str(folder / "authority.key")]
    for name, by in (("authority", []), ("server", signed)):
        _make_certificate(folder, name, by, config)


def _make_certificate(folder: Path, name: str, signed: list[str], config: Path) -> None:
    openssl = _program("openssl", "apt-get install openssl")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(folder / f"{name}.key")]
    what = ["-days", "2", "-subj", f"/CN=emasync bench {name}", "-config", str(config), "-extensions", name]
    command = [openssl, "req", "-x509", *key, *what, *signed, "-out", str(folder / f"{name}.pem")]
    subprocess.run(command, check=True, capture_output=True)


def _program(name: str, remedy: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ProgramMissingError(f"the program {name} is not installed (Debian: {remedy})")
    return found


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline_s:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(
        f"nginx does not listen on port {port}; it said: {log.read_text()[-2000:] if log.exists() else ''}"
    )
