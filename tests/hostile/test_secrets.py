"""Secrets reach the one origin that they are for, and nothing that is written or told.

One run of the real command with every kind of secret, over servers that redirect, deny, break and lie; afterwards all
that it wrote and said is searched for every one of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from emasync.testing import Archive
from emasync.testing.messages import Answer, Asked, of_bytes

NETRC, TOKEN, AWS, SIGNED, MOVED = "n3trc-p4ssword", "t0ken-s3cret", "4ws-s3cret-key", "s1gned-s3cret", "m0ved-s3cret"
SECRETS = (NETRC, TOKEN, AWS, SIGNED, MOVED, b64encode(f"me:{NETRC}".encode()).decode())


@dataclass
class Trials:
    """What a hostile server does below ``/trial/``: each path another way to make a secret be told.

    Attributes
    ----------
    other : str
        URL of another origin.
    """

    other: str = ""

    def answer(self, asked: Asked) -> Answer | None:
        """See :class:`~emasync.testing.site.App`."""
        path = asked.path.removeprefix("/trial/")
        if path == asked.path:
            return None
        if path.startswith("moved"):
            query = f"X-Amz-Signature={MOVED}&X-Amz-Credential={MOVED}"
            return of_bytes(302, (("Location", f"{self.other}/trial/there-{path}?{query}"),), b"")
        if "denied" in path:
            return of_bytes(401, (), b"<Error><Code>AccessDenied</Code></Error>")
        if "broken" in path:
            return of_bytes(500, (), b"oh")
        if "gone" in path:
            return of_bytes(404, (), b"")
        return of_bytes(200, (("ETag", '"e"'),), b"data")


NAMES = ("fine", "denied", "broken", "gone", "moved-fine", "moved-denied", "moved-broken", "moved-gone")


@dataclass(frozen=True)
class Outcome:
    """What is left of the commands.

    Attributes
    ----------
    told : mapping of str to bytes
        Output and log, by command.
    root : Path
    server : Archive
    """

    told: dict[str, bytes]
    root: Path
    server: Archive


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("secrets")
    trials = Trials()
    with Archive.start({"b/x": b"1"}, apps=[trials]) as server:
        trials.other = f"http://localhost:{server.port}"
        (folder / "netrc").write_text(f"machine 127.0.0.1 login me password {NETRC}\n")
        (folder / "m.yaml").write_text(yaml.safe_dump(manifest(server)))
        told = {name: said(folder, *command) for name, command in COMMANDS.items()}
        told["log"] = (folder / "log").read_bytes()
        told["lock"] = b"".join(path.read_bytes() for path in folder.glob("*.lock"))
        yield Outcome(told, folder / "root", server)


def manifest(server: Archive) -> dict[str, Any]:
    urls = [f"{host}/trial/{name}" for host in (server.url, f"http://localhost:{server.port}") for name in NAMES]
    files = [{"url": url, "path": f"{number}.bin"} for number, url in enumerate(urls)]
    policy = {"max_attempts": 2, "give_up_after": "100s"}
    signed = [{"url": f"{server.url}/trial/{name}-signed?X-Amz-Signature={SIGNED}", "path": name} for name in NAMES]
    datasets = [{"id": "open", "source": "web", "files": files}, {"id": "signed", "source": "web", "files": signed}]
    return {"version": 1, "settings": {"hosts": {"*": policy}}, "datasets": datasets}


COMMANDS = {
    "plan": ("plan", "m.yaml", "--root", "root", "--json", "--lock"),
    "run": ("run", "m.yaml", "--root", "root", "--json", "--json-objects", "--log-file", "log"),
    "status": ("status", "root", "--json"),
    "again": ("run", "m.yaml", "--root", "root"),
    "ls": ("ls", "http://127.0.0.1:1/x?X-Amz-Signature=" + SIGNED),
}


def said(folder: Path, *command: str) -> bytes:
    environ = {
        **os.environ,
        "NETRC": str(folder / "netrc"),
        "NO_PROXY": "*",
        "EMASYNC_TOKEN_LOCALHOST": f"Bearer {TOKEN}",
        "AWS_SECRET_ACCESS_KEY": AWS,
        "AWS_ACCESS_KEY_ID": "AKIA",
    }
    done = subprocess.run(
        [sys.executable, "-m", "emasync", *command], cwd=folder, env=environ, capture_output=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", [*COMMANDS, "log", "lock"])
def test_nothing_is_told(outcome: Outcome, name: str) -> None:
    text = outcome.told[name]
    assert [secret for secret in SECRETS if secret.encode() in text] == []


def test_what_was_to_be_searched_is_there(outcome: Outcome) -> None:
    """A search of nothing finds nothing."""
    assert b'"retry"' in outcome.told["run"]
    assert outcome.told["run"].count(b"moved-") > 4
    assert b"denied" in outcome.told["again"]
    assert (outcome.root / "receipt.json").stat().st_size > 1000
    assert outcome.told["log"]


def test_nothing_is_written_below_the_root(outcome: Outcome) -> None:
    written = {path: path.read_bytes() for path in outcome.root.rglob("*") if path.is_file()}
    found = {
        (secret, str(path.relative_to(outcome.root)))
        for path, data in written.items()
        for secret in SECRETS
        if secret.encode() in data
    }
    # what the user's own manifest says in the clear is asked for again by the next run: the ledger has to keep it
    assert found - {(SIGNED, ".emasync/state.sqlite")} == set()


def test_each_secret_went_to_its_own_origin_only(outcome: Outcome) -> None:
    basic, bearer = "Basic " + b64encode(f"me:{NETRC}".encode()).decode(), f"Bearer {TOKEN}"
    by_host: dict[str, set[str | None]] = {"127.0.0.1": set(), "localhost": set()}
    for seen in outcome.server.requests:
        by_host[seen.headers["host"].partition(":")[0]].add(seen.headers.get("authorization"))
    assert by_host == {"127.0.0.1": {basic, None}, "localhost": {None, bearer}}
    signed = [seen for seen in outcome.server.requests if MOVED in seen.query]
    assert signed
    assert {seen.headers.get("authorization") for seen in signed} == {None}, "a signed query needs nothing beside it"
    assert {seen.headers.get("cookie") for seen in outcome.server.requests} == {None}
    assert {seen.headers.get("referer") for seen in outcome.server.requests} == {None}
